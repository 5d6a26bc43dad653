"""A planned visit and the appointment that answers it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.core.db import db
from scheduler.plans.errors import OutsideWindow
from scheduler.plans.models import PlannedVisit, VisitState


def find_for(appointment_id: int) -> PlannedVisit | None:
    """Return the planned visit an appointment answers, or None."""
    return db.session.scalar(
        select(PlannedVisit).where(PlannedVisit.appointment_id == appointment_id)
    )


def find_formerly(appointment_id: int) -> PlannedVisit | None:
    """Return the visit to place that an appointment answered last, or None."""
    return db.session.scalar(
        select(PlannedVisit).where(
            PlannedVisit.former_id == appointment_id, PlannedVisit.state == VisitState.TO_PLACE
        )
    )


def is_inside(visit: PlannedVisit, starts_at: datetime) -> bool:
    """Say whether a start lies in the visit's window."""
    return visit.earliest <= starts_at < visit.latest


def check_window(visit: PlannedVisit, starts_at: datetime, reason: str | None) -> str | None:
    """Return what to store as the reason of a start outside the window; None inside.

    Raises:
        OutsideWindow: it lies outside, and no reason is given.
    """
    if is_inside(visit, starts_at):
        return None
    if not (reason or "").strip():
        raise OutsideWindow(
            f"Visit {visit.number} belongs between {_days(visit)}. Say why it may be another day.",
            field="reason",
        )
    return (reason or "").strip()


def apart(
    course: Iterable[PlannedVisit | Row[*tuple[Any, ...]]], first: int, second: int
) -> tuple[int, int]:
    """Return how many days two visits of a plan may lie apart, at least and at most.

    One that was left out counts for nothing: the days it took were given to the one after it.
    """
    between = [
        v for v in course if first < v.number <= second and v.state is not VisitState.OMITTED
    ]
    return sum(v.min_days for v in between), sum(v.max_days for v in between)


def link(visit: PlannedVisit, appointment: Appointment, outside_reason: str | None) -> None:
    """Let an appointment answer a visit."""
    visit.appointment_id, visit.starts_at = appointment.id, appointment.starts_at
    visit.outside_reason, visit.reason = outside_reason, None
    visit.state = VisitState.BOOKED
    db.session.flush()
    db.session.expire(visit, ["appointment"])


def unlink(visit: PlannedVisit, why: str) -> None:
    """Let a visit be without an appointment again: it is to be placed, and says why."""
    visit.former_id = visit.appointment_id
    visit.appointment_id = visit.starts_at = visit.outside_reason = None
    visit.state, visit.reason = VisitState.TO_PLACE, why
    db.session.flush()
    db.session.expire(visit, ["appointment"])


def longer_than_usual(recovery_minutes: int, site_id: int) -> int:
    """Return by how much a recovery is longer than what the service books for it, in fives."""
    supply = clinic_supply.current()
    offering = supply.services[ServiceCode.INFUSION]
    drip = offering.need(NeedKind.STARTS)
    before = (drip.from_minute if drip else 0) + supply.sites[site_id].settings.infusion_minutes
    more = recovery_minutes - (offering.visit_minutes - before)
    return max(-(-more // 5) * 5, 0)


def _days(visit: PlannedVisit) -> str:
    zone = visit.plan.site.zone
    first = visit.earliest.astimezone(zone)
    final = visit.latest.astimezone(zone) - timedelta(days=1)  # the window ends at midnight
    return f"{first:%b} {first.day} and {final:%b} {final.day}"
