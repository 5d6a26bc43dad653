"""When a visit takes longer, or less long, than planned: its claims follow what happens.

Recording is never refused. Claims grow as far as their lanes are, or can be made, free; what is
then still in the way is shown, with whom it hits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP
from scheduler.booking.allocation import clear, everything_at, lock, make_way
from scheduler.booking.models import LONGEST_CLAIM_HOURS, Appointment, Claim
from scheduler.booking.offers import Busy, busy_claims
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ResourceKind
from scheduler.clinic.supply import SiteSupply, Unit
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan, day_span


@dataclass(frozen=True)
class Hit:
    """Whose time begins before ours is over, on which kind of thing, and by how many minutes."""

    appointment: Appointment
    kind: ResourceKind
    name: str  # "Chair 1", "Rosa Lima"
    minutes: int


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


def hits(
    appointment: Appointment, *, person_until: datetime, chair_until: datetime, now: datetime
) -> list[Hit]:
    """Return whose time on the same chair or nurse begins before ours is expected to end."""
    site = clinic_supply.current().sites[appointment.site_id]
    units = _units(site)
    found: list[Hit] = []
    for claim in _claims(appointment):
        unit = units.get(claim.lane_id)
        if unit is None or unit.kind is ResourceKind.STARTS:
            continue
        until = _until(claim, unit, person_until, chair_until)
        for other in busy_claims(
            [claim.lane_id],
            claim.starts_at,
            until,
            now=now,
            but_appointment=appointment.id,
        ):
            if other.appointment_id is None or other.span.start < claim.starts_at:
                continue
            minutes = int((until - other.span.start).total_seconds() // 60)
            whom = db.session.get_one(Appointment, other.appointment_id)
            found.append(Hit(whom, unit.kind, unit.name, minutes))
    return sorted(found, key=lambda h: (h.appointment.starts_at, h.kind.value, h.appointment.id))


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
    return list(
        db.session.scalars(
            select(Claim).where(Claim.appointment_id == appointment.id).order_by(Claim.id)
        )
    )
