"""Who gives time to patients, what they may do, when they work and when they are away."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time

from sqlalchemy import delete, select

from scheduler.audit import service as audit
from scheduler.clinic import rules, service
from scheduler.clinic.hours import Period, end_early, make_room
from scheduler.clinic.marks import insist_unchanged, mark
from scheduler.clinic.models import (
    Resource,
    ResourceKind,
    ResourceSkill,
    Shift,
    Site,
    TimeOff,
)
from scheduler.clinic.places import lanes_in_use, set_lanes
from scheduler.clinic.service import supply_changed
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound
from scheduler.core.timespan import TimeSpan


def people() -> Sequence[Resource]:
    """Return everybody who gives time, those in use first, then by name."""
    return db.session.scalars(
        select(Resource)
        .where(Resource.kind == ResourceKind.PERSON)
        .order_by(Resource.retired_at.is_not(None), Resource.name, Resource.id)
    ).all()


def person_called(name: str) -> Resource:
    """Return who is called so and still gives time.

    Raises:
        Invalid: nobody is, or several are.
    """
    found = [p for p in people() if p.name == name and p.retired_at is None]
    if len(found) != 1:
        raise Invalid(
            f"{len(found)} people are called {name}: use the pages."
            if found
            else f"Nobody here is called {name}."
        )
    return found[0]


def skills_of(person: Resource) -> set[str]:
    """Return what somebody may do."""
    return set(
        db.session.scalars(
            select(ResourceSkill.skill).where(ResourceSkill.resource_id == person.id)
        )
    )


def mark_of_person(person: Resource) -> str:
    """Return the print of what a person's own form shows."""
    return mark(person, more=(sorted(skills_of(person)), len(lanes_in_use(person))))


def add_person(
    name: str, skills: Iterable[str], lanes: int, *, actor: str, now: datetime
) -> Resource:
    """Take somebody on who gives time to patients; shifts come after.

    Raises:
        Invalid: no name, an unknown skill, a number at the same time that cannot be.
    """
    name = rules.check_name(name)
    skills = _known(skills)
    rules.check_lanes(lanes)
    person = service.add_resource(ResourceKind.PERSON, name, lanes=lanes, skills=skills)
    audit.record(
        "person.added",
        f"resource:{person.id}",
        actor=actor,
        now=now,
        name=name,
        skills=skills,
        lanes=lanes,
    )
    return person


def change_person(
    person: Resource,
    *,
    name: str,
    skills: Iterable[str],
    lanes: int,
    seen: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Change what somebody may do, and how many visits they may watch at the same time.

    Raises:
        Invalid: no name, an unknown skill, a number that cannot be.
        ChangedMeanwhile: as its name says.
    """
    subject = f"resource:{person.id}"
    insist_unchanged(subject, mark_of_person(person), seen)
    name = rules.check_name(name)
    wanted = _known(skills)
    rules.check_lanes(lanes)
    had = skills_of(person)
    before = {"name": person.name, "skills": sorted(had), "lanes": len(lanes_in_use(person))}
    person.name = name
    db.session.execute(
        delete(ResourceSkill).where(
            ResourceSkill.resource_id == person.id, ResourceSkill.skill.not_in(wanted)
        )
    )
    db.session.add_all(
        ResourceSkill(resource_id=person.id, skill=skill) for skill in wanted if skill not in had
    )
    set_lanes(person, lanes, now=now)
    supply_changed()
    after = {"name": name, "skills": wanted, "lanes": lanes}
    audit.record("person.changed", subject, actor=actor, now=now, before=before, after=after)


def shifts_of(person: Resource) -> Sequence[Shift]:
    """Return every row of a person's shifts, in the order of the week, then of time."""
    return db.session.scalars(
        select(Shift)
        .where(Shift.resource_id == person.id)
        .order_by(Shift.weekday, Shift.valid_from, Shift.since)
    ).all()


def set_shifts(
    person: Resource,
    period: Period,
    at: tuple[Site, time, time] | None,
    *,
    beside: bool = False,
    seen: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Say where and when somebody works in a period instead of what stands there; None: nowhere.

    A single day is a period of one day; what stands before and after stays.

    Args:
        beside: The shift comes beside what stands there, instead of in its place.

    Raises:
        Invalid: as for hours; or two shifts that nobody can work both.
        ChangedMeanwhile: as its name says.
    """
    subject = f"shifts:{person.id}"
    insist_unchanged(subject, mark(*shifts_of(person)), seen)
    period.check()
    if at is not None:
        rules.check_hours(at[1], at[2], first="since", last="until")
    if not beside:
        make_room(shifts_of(person), period)
    elif at is not None:
        _insist_on_room(person, period, at)
    if at is not None:
        site, since, until = at
        service.add_shift(
            person,
            site,
            period.weekdays,
            since,
            until,
            valid_from=period.since,
            valid_until=period.until,
        )
    supply_changed()
    db.session.flush()
    audit.record(
        "shifts.set",
        subject,
        actor=actor,
        now=now,
        at=[at[0].code, at[1].isoformat("minutes"), at[2].isoformat("minutes")] if at else None,
        beside=beside,
        period=period.spelled(),
    )


def _insist_on_room(person: Resource, period: Period, at: tuple[Site, time, time]) -> None:
    site, since, until = at
    for row in shifts_of(person):
        if not period.touches(row):
            continue
        same = row.site_id == site.id
        if not rules.far_enough((row.since, row.until), (since, until), same_site=same):
            raise Invalid(
                "They work at another time then that leaves no room for it. "
                "Between two clinics there must be an hour.",
                field="since",
            )


def off_of(person: Resource, *, now: datetime) -> Sequence[TimeOff]:
    """Return a person's time off that is not over, in order."""
    return db.session.scalars(
        select(TimeOff)
        .where(TimeOff.resource_id == person.id, TimeOff.ends_at > now)
        .order_by(TimeOff.starts_at)
    ).all()


def time_off(number: int) -> TimeOff:
    """Return somebody's time off.

    Raises:
        NotFound: it was taken back already, or never was.
    """
    found = db.session.get(TimeOff, number)
    if found is None:
        raise NotFound("This was taken back already.")
    return found


def take_off(
    person: Resource, span: TimeSpan, reason: str, *, actor: str, now: datetime
) -> TimeOff:
    """Note that somebody is away: ill, on holiday, in training.

    Raises:
        Invalid: no reason, or a span that is over or far too long.
    """
    rules.check_span(span.start, span.end, now=now)
    row = TimeOff(
        resource_id=person.id,
        starts_at=span.start,
        ends_at=span.end,
        reason=rules.check_reason(reason),
    )
    db.session.add(row)
    db.session.flush()
    supply_changed()
    audit.record(
        "time-off.added",
        f"time-off:{row.id}",
        actor=actor,
        now=now,
        person=person.id,
        since=span.start.isoformat(),
        until=span.end.isoformat(),
    )
    return row


def be_back(row: TimeOff, *, actor: str, now: datetime) -> None:
    """Take time off back; what of it has passed stays on record."""
    audit.record(
        "time-off.ended",
        f"time-off:{row.id}",
        actor=actor,
        now=now,
        person=row.resource_id,
        since=row.starts_at.isoformat(),
        until=row.ends_at.isoformat(),
        reason=row.reason,
    )
    end_early(row, now=now)


def _known(skills: Iterable[str]) -> list[str]:
    wanted = sorted(set(skills))
    if not set(wanted) <= set(rules.SKILLS):
        raise Invalid("Choose from the list.", field="skills")
    return wanted
