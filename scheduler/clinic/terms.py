"""What a service is and takes, and the numbers a site chooses for itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.clinic import rules, service, settings
from scheduler.clinic.marks import insist_unchanged, mark
from scheduler.clinic.models import (
    NeedKind,
    Service,
    ServiceCode,
    ServiceNeed,
    Site,
)
from scheduler.clinic.service import supply_changed
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound


def services() -> Sequence[Service]:
    """Return the services in the order a course takes them."""
    order = list(ServiceCode)
    return sorted(db.session.scalars(select(Service)), key=lambda s: order.index(s.code))


def service_called(code: str) -> Service:
    """Return a service by its code.

    Raises:
        NotFound: there is none of that code.
    """
    found = next((s for s in services() if s.code.value == code), None)
    if found is None:
        raise NotFound("There is no such service.")
    return found


def skill_of(row: Service) -> str | None:
    """Return what the person who does a service must have; None is anybody, or nobody needed."""
    return next((n.skill for n in row.needs if n.kind is NeedKind.PERSON), None)


def takes_whole_person(row: Service) -> bool:
    """Say whether whoever does a service can do nothing else meanwhile."""
    return any(n.all_lanes for n in row.needs if n.kind is NeedKind.PERSON)


def needs_of(row: Service) -> dict[NeedKind, tuple[int, int]]:
    """Return from which minute until which a service takes each part of the supply."""
    return {n.kind: (n.from_minute, n.until_minute) for n in row.needs}


def mark_of_service(row: Service) -> str:
    """Return the print of what a service's form shows."""
    return mark(row, *row.needs)


def change_service(
    row: Service,
    *,
    name: str,
    visit_minutes: int,
    notice_minutes: int,
    horizon_days: int,
    is_online: bool,
    needs: Mapping[NeedKind, tuple[int, int]],
    skill: str | None,
    whole_person: bool,
    seen: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Change what is booked from now on; what stands in the book keeps its times and what it has.

    Whoever stands in the book without what is needed from now on has lost their place: with
    somebody who lacks a new skill, or is not theirs alone, or without a chair.

    Args:
        needs: From which minute until which each part of the supply is taken; a part that is left
            out is not taken any more.
        skill: What the person who does it must have, one of `rules.SKILLS`; None is anybody.
        whole_person: Whether that person can do nothing else meanwhile.

    Raises:
        Invalid: a number, skill or need that cannot be; says which.
        ChangedMeanwhile: as its name says.
    """
    subject = f"service:{row.code.value}"
    insist_unchanged(subject, mark_of_service(row), seen)
    name = rules.check_name(name)
    _check_minutes(visit_minutes, "visit_minutes", least=5, most=480)
    if not 0 <= notice_minutes <= 60 * 24 * 30:
        raise Invalid("Choose at most 30 days.", field="notice_hours")
    if not 1 <= horizon_days <= 400:
        raise Invalid("Choose from 1 to 400 days.", field="horizon_days")
    _check_online(row, is_online)
    before = _spelled(row)
    row.name, row.visit_minutes = name, visit_minutes
    row.notice_minutes, row.horizon_days, row.is_online = notice_minutes, horizon_days, is_online
    _check_needs(row, needs)
    for kind, (since, until) in needs.items():
        _check_minutes(since, f"{kind.value}_from", least=0, most=600)
        _check_minutes(until, f"{kind.value}_until", least=5, most=600)
        if until <= since:
            raise Invalid("The end must come after the beginning.", field=f"{kind.value}_until")
        if kind is not NeedKind.CHAIR and until > max(visit_minutes, since + 15):
            raise Invalid("That is after the visit has ended.", field=f"{kind.value}_until")
    skill = rules.check_skill(skill, field="person_skill")
    have = {need.kind: need for need in row.needs}
    for kind in have.keys() - needs.keys():
        db.session.delete(have[kind])
    for kind in NeedKind:
        if kind not in needs:
            continue
        need = have.get(kind) or ServiceNeed(service_code=row.code, kind=kind, all_lanes=False)
        need.from_minute, need.until_minute = needs[kind]
        if kind is NeedKind.PERSON:
            need.skill, need.all_lanes = skill, whole_person
        db.session.add(need)
    db.session.flush()
    db.session.expire(row, ["needs"])
    supply_changed()
    db.session.flush()
    audit.record(
        "service.changed", subject, actor=actor, now=now, before=before, after=_spelled(row)
    )


def _spelled(row: Service) -> dict[str, Any]:
    return {
        "name": row.name,
        "visit": row.visit_minutes,
        "notice": row.notice_minutes,
        "horizon": row.horizon_days,
        "online": row.is_online,
        "needs": {n.kind.value: [n.from_minute, n.until_minute] for n in row.needs},
        "skill": skill_of(row),
        "whole_person": takes_whole_person(row),
    }


def _check_needs(row: Service, needs: Mapping[NeedKind, tuple[int, int]]) -> None:
    """Refuse what would let anybody book any number at once, or leave an infusion unwatched."""
    if row.needs_authority and NeedKind.PERSON not in needs:
        raise Invalid("Somebody must watch this visit.", field="person_taken")
    if not needs.keys() & {NeedKind.PERSON, NeedKind.CHAIR}:
        raise Invalid("It must take a person or a chair.", field="person_taken")


def _check_online(row: Service, is_online: bool) -> None:
    """Refuse to open to patients what needs a clinician's word, or has no page of theirs."""
    if is_online and not row.is_online and row.code is not ServiceCode.CALL:
        raise Invalid("Only the call is booked online.", field="is_online")


def _check_minutes(value: int, field: str, *, least: int, most: int) -> None:
    if not least <= value <= most or value % 5:
        raise Invalid(f"Choose from {least} to {most} minutes, in steps of five.", field=field)


@dataclass(frozen=True)
class Range:
    """What one setting may be, and what it means."""

    label: str
    least: int
    most: int
    unit: str
    hint: str = ""
    step: int = 1


#: The numbers of settings.py that a site may choose, in the order the page asks for them.
CHOICES: dict[str, Range] = {
    "start_every_minutes": Range(
        "Times are offered every", 5, 60, "minutes", "A part of the hour: 5, 10, 15, 20, 30, 60.", 5
    ),
    "infusion_minutes": Range("A visit's clock runs", 10, 240, "minutes", step=5),
    "recovery_minutes": Range("Recovery takes", 5, 240, "minutes", step=5),
    "turnover_minutes": Range("Making a chair ready takes", 0, 120, "minutes", step=5),
    "observe_first_minutes": Range("Vital signs are due first", 1, 60, "minutes after the start"),
    "observe_every_minutes": Range("… then every", 1, 60, "minutes"),
    "observe_recovery_minutes": Range("… and in recovery every", 1, 60, "minutes"),
    "discharge_score_least": Range("To go home, a score of at least", 0, 10, "of 10"),
    "discharge_pressure_percent": Range(
        "… the upper pressure within", 1, 60, "percent of where it began"
    ),
    "discharge_oxygen_least": Range("… oxygen of at least", 80, 100, "percent"),
    "rest_hours": Range("No driving, alcohol or big decisions for", 1, 72, "hours after"),
    "call_after_hours": Range("They are called", 1, 72, "hours after"),
    "chat_first_day": Range("The chat is at the earliest", 0, 30, "days after"),
    "chat_last_day": Range("The chat is at the latest", 1, 60, "days after"),
    "food_heavy_hours": Range("Nothing heavy to eat from", 0, 24, "hours before a visit"),
    "food_light_hours": Range("… nothing at all to eat from", 0, 24, "hours before"),
    "drink_clear_hours": Range("… nothing to drink from", 0, 12, "hours before"),
    "medicines_hours": Range("Usual medicines are taken until", 0, 24, "hours before"),
    "ready_task_hours": Range(
        "Who has not answered the questions is called", 1, 48, "hours before"
    ),
    "form_hold_minutes": Range("An online visitor keeps a time for", 5, 30, "minutes"),
    "form_hold_longest_minutes": Range("… and with more time asked for", 10, 120, "minutes"),
    "offer_hold_minutes": Range(
        "A time offered from the waitlist is kept for", 10, 1440, "minutes", step=5
    ),
    "offer_hold_same_day_minutes": Range("… and on the same day", 10, 240, "minutes", step=5),
    "anonymous_holds_percent": Range(
        "Visitors who are typing may keep", 5, 100, "percent of a day"
    ),
    "undo_minutes": Range("The desk can take a change back for", 0, 60, "minutes"),
    "desk_change_delay_minutes": Range(
        "A patient hears of the desk's change after", 0, 60, "minutes"
    ),
    "change_at_once_within_hours": Range("… but at once when the visit is within", 0, 96, "hours"),
    "texts_a_day": Range("Texts a person gets at most", 1, 10, "a day"),
    "texts_a_week": Range("… and", 1, 30, "a week"),
    "online_calls_per_number": Range("Calls one number may book online", 1, 20, "at a time"),
    "online_bookings_per_address_per_hour": Range(
        "Online bookings from one address", 1, 100, "an hour"
    ),
}


#: The one setting that is no number: which version of the consent form is in use.
CONSENT = "consent_version"
CONSENT_LONGEST = 40


def chosen(site: Site) -> dict[str, int]:
    """Return a site's numbers as they hold now."""
    now_chosen = settings.of_site(site.id)
    return {name: getattr(now_chosen, name) for name in CHOICES}


def consent_in_use(site: Site) -> str:
    """Return which version of the consent form a site uses now."""
    return settings.of_site(site.id).consent_version


def mark_of_settings(site: Site) -> str:
    """Return the print of what the form of a site's settings shows."""
    return mark(more={**chosen(site), CONSENT: consent_in_use(site)})


def choose_all(
    site: Site,
    values: Mapping[str, int],
    *,
    consent: str | None = None,
    seen: str | None,
    actor: str,
    now: datetime,
) -> int:
    """Give a site its own numbers and its version of the consent; return how many changed.

    Args:
        consent: The version of the consent form in use; None leaves it.

    Raises:
        Invalid: one is out of its range, or two contradict each other; says which.
        ChangedMeanwhile: as its name says.
    """
    have = chosen(site)
    insist_unchanged(f"site:{site.id}", mark_of_settings(site), seen)
    version = consent_in_use(site) if consent is None else consent.strip()
    if not 0 < len(version) <= CONSENT_LONGEST:
        raise Invalid(f"Name the version in 1 to {CONSENT_LONGEST} letters.", field=CONSENT)
    wanted = have | {name: value for name, value in values.items() if name in CHOICES}
    for name, value in wanted.items():
        allowed = CHOICES[name]
        if not allowed.least <= value <= allowed.most or value % allowed.step:
            steps = f", in steps of {allowed.step}" if allowed.step > 1 else ""
            raise Invalid(f"Choose from {allowed.least} to {allowed.most}{steps}.", field=name)
    if 60 % wanted["start_every_minutes"]:
        raise Invalid("Choose a part of the hour: 5, 10, 15, 20, 30.", field="start_every_minutes")
    if wanted["chat_last_day"] <= wanted["chat_first_day"]:
        raise Invalid("The latest day must come after the earliest.", field="chat_last_day")
    if wanted["food_light_hours"] > wanted["food_heavy_hours"]:
        raise Invalid("Light food ends later than heavy food.", field="food_light_hours")
    if wanted["form_hold_longest_minutes"] < wanted["form_hold_minutes"]:
        raise Invalid(
            "This must be at least as long as the first.", field="form_hold_longest_minutes"
        )
    changed = [name for name, value in wanted.items() if value != have[name]]
    for name in changed:
        service.choose(site, name, wanted[name], actor=actor, now=now)
    is_new_version = version != consent_in_use(site)
    if is_new_version:
        service.choose(site, CONSENT, version, actor=actor, now=now)
    return len(changed) + is_new_version
