"""The words to take home after a visit: what holds until when, and what comes next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.booking import notices
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.treatment import queries as treatment
from scheduler.treatment import readiness, rules
from scheduler.treatment.models import EventKind

MOST_DATES = 3


@dataclass(frozen=True)
class NextDate:
    """A date that comes next: we call, or they come."""

    at: datetime
    place: str
    is_call: bool


@dataclass(frozen=True)
class Sheet:
    """What somebody takes home."""

    appointment: Appointment
    rest_until: datetime
    call_at: datetime
    next_dates: list[NextDate]


def sheet(appointment: Appointment, *, now: datetime) -> Sheet | None:
    """Return what is to be said after a visit; None before its drip has ended."""
    if appointment.service_code not in readiness.INFUSIONS or not appointment.is_live:
        return None
    lines = treatment.lines(appointment.id)
    ended = rules.first(lines, EventKind.END)
    if ended is None:
        return None
    leaves = rules.first(lines, EventKind.SAFE)
    since = leaves.at if leaves else max(now, ended.at)
    settings = clinic_supply.current().sites[appointment.site_id].settings
    return Sheet(
        appointment=appointment,
        rest_until=since + timedelta(hours=settings.rest_hours),
        call_at=since + timedelta(hours=settings.call_after_hours),
        next_dates=[
            NextDate(a.starts_at, a.site.name, notices.is_call(a))
            for a in book.upcoming(appointment.patient_id, now=now)
            if a.id != appointment.id
        ][:MOST_DATES],
    )
