"""When a visit takes longer, or less long, than planned: its claims follow what happens.

Recording is never refused. Claims grow as far as their lanes are, or can be made, free; what is
then still in the way is shown, with whom it hits and what would be the nearest way out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP
from scheduler.booking import seats
from scheduler.booking.allocation import clear, everything_at, lock, make_way
from scheduler.booking.models import LONGEST_CLAIM_HOURS, Appointment, Claim
from scheduler.booking.offers import Busy, Room, Run, busy_claims, lanes_of, taken_steps
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ResourceKind
from scheduler.clinic.supply import SiteSupply, Unit
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan, day_span

#: How far ahead another time is looked for.
NEAR = timedelta(days=7)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Expected:
    """Until when a visit is expected to need its people, and its chair."""

    appointment: Appointment
    person_until: datetime
    chair_until: datetime


@dataclass(frozen=True)
class Hit:
    """Whose time begins before ours is over, on which kind of thing, and by how many minutes."""

    appointment: Appointment
    kind: ResourceKind
    name: str  # "Chair 1", "Rosa Lima"
    minutes: int
    late: Appointment  # whose time is not over
    lane_id: int
    until: datetime


@dataclass(frozen=True)
class Fix:
    """The nearest way out: who or what else is free at its own time, or else the next time."""

    unit: Unit | None
    starts_at: datetime | None


def extend(
    appointment: Appointment, *, person_until: datetime, chair_until: datetime, now: datetime
) -> bool:
    """Let nurse, patient and chair be taken until they are expected to be free; never shorter.

    Returns whether any claim changed.
    """
    return _fit(
        appointment, person_until=person_until, chair_until=chair_until, now=now, shrink=False
    )


def shorten(
    appointment: Appointment, *, person_until: datetime, chair_until: datetime, now: datetime
) -> bool:
    """Give back what is no longer needed, or take what still is; say whether a claim changed."""
    return _fit(
        appointment, person_until=person_until, chair_until=chair_until, now=now, shrink=True
    )


def give_back(appointment: Appointment, *, until: datetime) -> None:
    """Drop what claims have grown beyond both the plan and `until`; the plan itself stays."""
    site = clinic_supply.current().sites[appointment.site_id]
    offering = clinic_supply.current().services[appointment.service_code]
    chair = offering.need(NeedKind.CHAIR)
    turnover = timedelta(minutes=chair.until_minute - offering.visit_minutes if chair else 0)
    units = _units(site)
    for claim in _claims(appointment):
        unit = units.get(claim.lane_id)
        if unit is not None and unit.kind is ResourceKind.STARTS:
            continue
        free = max(appointment.ends_at, until)
        least = max(_until(claim, unit, free, free + turnover), claim.starts_at + STEP)
        claim.ends_at = min(claim.ends_at, least)
    db.session.flush()


def hits(expected: Sequence[Expected], *, now: datetime) -> list[Hit]:
    """Return whose time on the same chair or nurse begins before ours is expected to end.

    Two queries, however many are asked about; each visit is named once for a chair or a person.
    """
    by_id = {e.appointment.id: e for e in expected}
    supply = clinic_supply.current()
    sites = {e.appointment.site_id: supply.sites[e.appointment.site_id] for e in expected}
    units = {lane: unit for site in sites.values() for lane, unit in _units(site).items()}
    over: list[tuple[Claim, Unit, Expected, datetime]] = []
    for claim in _claims_of(list(by_id)):
        unit = units.get(claim.lane_id)
        if unit is None or unit.kind is ResourceKind.STARTS:
            continue
        mine = by_id[claim.appointment_id or 0]
        until = _until(claim, unit, mine.person_until, mine.chair_until)
        if until > claim.ends_at:
            over.append((claim, unit, mine, until))
    if not over:
        return []
    busy = busy_claims(
        {claim.lane_id for claim, *_ in over},
        min(claim.ends_at for claim, *_ in over),
        max(until for *_, until in over),
        now=now,
    )
    found: dict[tuple[int, int], Hit] = {}
    for claim, unit, mine, until in over:
        for other in busy:
            if other.lane_id != claim.lane_id or other.appointment_id in (
                None,
                mine.appointment.id,
            ):
                continue
            if not claim.ends_at <= other.span.start < until:
                continue
            assert other.appointment_id is not None
            minutes = int((until - other.span.start).total_seconds() // 60)
            key = (other.appointment_id, unit.id)
            if key in found and found[key].minutes >= minutes:
                continue
            whom = db.session.get_one(Appointment, other.appointment_id)
            found[key] = Hit(
                whom, unit.kind, unit.name, minutes, mine.appointment, claim.lane_id, until
            )
    return sorted(
        found.values(), key=lambda h: (h.appointment.starts_at, h.kind.value, h.appointment.id)
    )


def nearest_fix(hit: Hit, *, now: datetime) -> Fix:
    """Return what helps somebody who would have to wait, with the least change for them."""
    could = seats.could_take(hit.appointment, now=now)
    units = could.chairs if hit.kind is ResourceKind.CHAIR else could.people
    if units:
        return Fix(units[0], None)
    supply = clinic_supply.current()
    site = supply.sites[hit.appointment.site_id]
    since = max(hit.appointment.starts_at, now)
    taken = taken_steps(
        lanes_of(site), since - DAY, since + NEAR + DAY, now=now, but_appointment=hit.appointment.id
    )
    # What runs late is not claimed as far as it is expected to last: others are in its way.
    first, end = (int(m.timestamp() // STEP.total_seconds()) for m in (since, hit.until))
    if first < end:
        taken.setdefault(hit.lane_id, []).append(Run(first, end, stays=True))
    room = Room(site, since, since + NEAR, taken)
    among = bits.every(site.settings.start_every_minutes, room.grid)
    starts = room.starts(
        supply.services[hit.appointment.service_code],
        among=among & room.between(since + timedelta.resolution, since + NEAR),
    )
    step = next(bits.steps_in(starts), None)
    return Fix(None, None if step is None else room.grid.moment(step))


def _fit(
    appointment: Appointment,
    *,
    person_until: datetime,
    chair_until: datetime,
    now: datetime,
    shrink: bool,
) -> bool:
    site = clinic_supply.current().sites[appointment.site_id]
    lock(everything_at([site], appointment.patient.resource_id))
    units = _units(site)
    changed = False
    for claim in _claims(appointment):
        unit = units.get(claim.lane_id)
        if unit is not None and unit.kind is ResourceKind.STARTS:
            continue
        until = _until(claim, unit, person_until, chair_until)
        if until > claim.ends_at:
            until = _free_until(claim, unit, until, site, now=now)
        elif not shrink:
            continue
        if until != claim.ends_at:
            claim.ends_at = until
            db.session.flush()
            changed = True
    return changed


def _until(
    claim: Claim, unit: Unit | None, person_until: datetime, chair_until: datetime
) -> datetime:
    """Return the whole step by which a claim is expected to end, within what a claim may last."""
    wanted = chair_until if unit is not None and unit.kind is ResourceKind.CHAIR else person_until
    stepped = bits.floor(wanted, STEP)
    if stepped < wanted:
        stepped += STEP
    longest = claim.starts_at + timedelta(hours=LONGEST_CLAIM_HOURS)
    return min(max(stepped, claim.starts_at + STEP), longest)


def _free_until(
    claim: Claim, unit: Unit | None, until: datetime, site: SiteSupply, *, now: datetime
) -> datetime:
    """Return how far the lane is free, after others were laid elsewhere where they could be."""
    day = day_span(claim.starts_at.astimezone(site.zone).date(), site.zone)
    span = TimeSpan(claim.starts_at, until)
    pool = _pool(unit, site)
    lanes = [lane for u in pool for lane in u.lanes] or [claim.lane_id]
    found = clear(lanes, day.start, max(day.end, until), now=now)
    busy = [b for b in found if b.claim_id != claim.id]
    if _next_start(claim, busy, until) == until:
        return until
    if pool and make_way(pool, claim.lane_id, span, busy, now=now):
        return until
    return _next_start(claim, busy, until)


def _next_start(claim: Claim, busy: list[Busy], until: datetime) -> datetime:
    later = [
        b.span.start
        for b in busy
        if b.lane_id == claim.lane_id and b.span.start >= claim.ends_at and b.span.start < until
    ]
    return min(later, default=until)


def _pool(unit: Unit | None, site: SiteSupply) -> tuple[Unit, ...]:
    if unit is None:
        return ()
    return site.chairs if unit.kind is ResourceKind.CHAIR else (unit,)


def _units(site: SiteSupply) -> dict[int, Unit]:
    return {lane: unit for unit in (*site.chairs, *site.people, site.starts) for lane in unit.lanes}


def _claims(appointment: Appointment) -> list[Claim]:
    return _claims_of([appointment.id])


def _claims_of(appointment_ids: Sequence[int]) -> list[Claim]:
    return list(
        db.session.scalars(
            select(Claim).where(Claim.appointment_id.in_(appointment_ids)).order_by(Claim.id)
        )
    )
