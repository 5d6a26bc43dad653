"""Everybody whose place is gone, placed anew: one at a time, the clinically most urgent first.

What is proposed to one is taken for all who follow: each is really moved, inside a savepoint that
is thrown away, so that the proposals are as exact as the deeds will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.booking import offers, withdrawal
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.booking.offers import Audience
from scheduler.booking.soft import Excuse, Rule
from scheduler.booking.withdrawal import Hit
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Refusal
from scheduler.plans import finding, followups, preferences, previews, visits
from scheduler.plans import service as plans
from scheduler.plans.finding import Choice, Spot
from scheduler.plans.models import PlannedVisit
from scheduler.plans.previews import OPEN_END_DAYS

#: So many are placed in one go; the rest when these have their place.
MOST = 20
LOOK = timedelta(days=14)
MOST_TIMES = 4
WHY = "Its place was gone."


@dataclass(frozen=True)
class Placing:
    """What is proposed to one: the best time, the next best, or why there is none."""

    hit: Hit
    version: int
    visit: int | None  # number of the planned visit
    latest: datetime | None  # until when it should be
    spots: tuple[Spot, ...]
    is_outside: bool
    reason: str | None


@dataclass(frozen=True)
class Placed:
    """What came of it: who was moved, and who not and why."""

    moved: tuple[Hit, ...]
    refused: Mapping[str, str]  # public id of the appointment -> why not


class _ThrowAway(Exception):
    """Ends a savepoint whose deeds were only tried."""


def in_order(hits: Sequence[Hit]) -> list[Hit]:
    """Return who is hit, the clinically most urgent first.

    A planned visit by the day its window closes; then first visits, other visits, chats that are
    owed by the day they are due, and calls, each by their time.
    """

    def urgency(hit: Hit) -> tuple[int, datetime, int]:
        visit = visits.find_for(hit.appointment_id)
        owed = followups.find_for_chat(hit.appointment_id)
        if visit is not None:
            return 0, visit.latest, hit.appointment_id
        if hit.service_code in (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION):
            return 1, hit.starts_at, hit.appointment_id
        if owed is not None:
            return 2, owed.due_until, hit.appointment_id
        return 3, hit.starts_at, hit.appointment_id

    return sorted(hits, key=urgency)


def propose(*, actor: str, now: datetime) -> list[Placing]:
    """Return a time for everybody whose place is gone, each beside those before; nothing is kept.

    The caller's transaction stays as it was.
    """
    found: list[Placing] = []
    try:
        with db.session.begin_nested():
            for hit in _waiting(now=now)[:MOST]:
                found.append(_propose(hit, actor=actor, now=now))
            raise _ThrowAway
    except _ThrowAway:
        db.session.expire_all()
    return found


def place(wanted: Mapping[str, tuple[Choice, int]], *, actor: str, now: datetime) -> Placed:
    """Move everybody to the time that was chosen, one at a time, and tell each of them.

    Args:
        wanted: By public id of the appointment: where to, and the version that was read.
    """
    moved: list[Hit] = []
    refused: dict[str, str] = {}
    for hit in _waiting(now=now):
        if hit.public_id not in wanted:
            continue
        choice, version = wanted[hit.public_id]
        try:
            with db.session.begin_nested():
                appointment = book.by_public_id(hit.public_id)
                _move(appointment, choice, version=version, actor=actor, now=now, notify=True)
            moved.append(hit)
        except Refusal as refusal:
            refused[hit.public_id] = refusal.message
    known = {hit.public_id for hit in moved} | set(refused)
    refused |= dict.fromkeys(wanted.keys() - known, "It has its place again, or is over.")
    return Placed(tuple(moved), refused)


def _waiting(*, now: datetime) -> list[Hit]:
    hits = [w.hit for w in withdrawal.to_replace(now=now) if w.hit.starts_at > now]
    return in_order(hits)


def _propose(hit: Hit, *, actor: str, now: datetime) -> Placing:
    appointment = book.by_public_id(hit.public_id)
    visit = visits.find_for(hit.appointment_id)
    version = appointment.version
    if visit is not None:
        spots, reason = _around_its_plan(visit, appointment, now=now)
        latest: datetime | None = visit.last_moment
    else:
        spots, reason, latest = _near(appointment, now=now), None, None
    outside = visit is not None and bool(spots) and not visits.is_inside(visit, spots[0].starts_at)
    placing = Placing(
        hit, version, visit.number if visit else None, latest, tuple(spots), outside, reason
    )
    while spots:
        choice = Choice(spots[0].site_id, spots[0].starts_at)
        try:
            with db.session.begin_nested():
                _move(appointment, choice, version=version, actor=actor, now=now, notify=False)
            return replace(placing, spots=tuple(spots))
        except Refusal as refusal:
            spots = spots[1:]
            placing = replace(placing, reason=refusal.message)
    return replace(placing, spots=(), reason=placing.reason or "No time is free.")


def _around_its_plan(
    visit: PlannedVisit, appointment: Appointment, *, now: datetime
) -> tuple[list[Spot], str | None]:
    """Return the best times for a planned visit while the others of its plan stay.

    In its window first; when nothing is free there, as soon after as the spacing allows.
    """
    plan = visit.plan
    prefer = preferences.kept(plan)
    slots = previews.beside(finding.slots_of(plan, now=now), visit.number)
    inside = [replace(s, booked=None) if s.number == visit.number else s for s in slots]
    late = [
        replace(
            s, booked=None, earliest=max(s.earliest, now), latest=s.latest + LOOK,
            max_days=OPEN_END_DAYS,
        )
        if s.number == visit.number
        else s
        for s in slots
    ]  # fmt: skip
    reason = None
    for tried in (inside, late):
        rows = previews.place(plan, tried, prefer, {}, now=now, but=[appointment.id])
        row = next(r for r in rows if r.number == visit.number)
        reason = reason or row.reason
        if row.spot is not None:
            return [row.spot, *row.alternatives], None
    return [], reason


def _why_there(appointment: Appointment, choice: Choice, *, now: datetime) -> str | None:
    """Return why a visit may go there: as somebody says, or as the calendar itself shows.

    A chat, or what belongs to no plan, may go elsewhere because its place is gone.
    """
    visit = visits.find_for(appointment.id)
    if choice.outside_reason or visit is None:
        return choice.outside_reason or WHY
    if visits.is_inside(visit, choice.starts_at):
        return None
    return previews.why_outside(visit, now=now)


def _near(appointment: Appointment, *, now: datetime) -> list[Spot]:
    """Return the free times nearest to the one that is gone, at its own site first."""
    calls = appointment.service_code in (ServiceCode.CALL, ServiceCode.CHAT)
    sites = list(clinic_supply.current().sites)
    found = offers.find(
        appointment.service_code,
        site_ids=[appointment.site_id] if calls else sites,
        since=max(now + timedelta(hours=1), appointment.starts_at - timedelta(days=1)),
        until=max(now, appointment.starts_at) + LOOK,
        now=now,
        audience=Audience.DESK,
        patient_lane=finding.lane_of_patient(appointment.patient),
        but_appointment=appointment.id,
    )
    zone = appointment.site.zone
    wall = appointment.starts_at.astimezone(zone).time()
    near = sorted(
        found,
        key=lambda o: (
            abs((o.starts_at - appointment.starts_at).days),
            o.site_id != appointment.site_id,
            o.starts_at.astimezone(zone).time() != wall,
            abs(o.starts_at - appointment.starts_at),
        ),
    )
    days: dict[tuple[object, int], Spot] = {}
    for o in near:
        key = (o.starts_at.astimezone(zone).date(), o.site_id)
        days.setdefault(key, Spot(o.starts_at, o.site_id))
    return list(days.values())[:MOST_TIMES]


def _move(
    appointment: Appointment,
    choice: Choice,
    *,
    version: int,
    actor: str,
    now: datetime,
    notify: bool,
) -> None:
    plans.move(
        appointment,
        starts_at=choice.starts_at,
        site_id=choice.site_id,
        version=version,
        actor=actor,
        now=now,
        reason=_why_there(appointment, choice, now=now),
        excuse=Excuse(WHY, frozenset({Rule.NOTICE, Rule.HORIZON})),
        notify=notify,
    )
