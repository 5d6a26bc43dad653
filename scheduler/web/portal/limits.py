"""How much one number or one address may book online. Counted in the database, so all agree."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.settings import Settings
from scheduler.core import network
from scheduler.core.db import db, queue_up
from scheduler.patients.models import Patient

HOUR = timedelta(hours=1)


def reached(mobile: str, address: str, settings: Settings, *, now: datetime) -> bool:
    """Say whether this number or this place has had its share of online bookings.

    Called in the booking's transaction: bookings of one number or place are counted one by one.
    """
    queue_up(f"online-number:{mobile}", f"online-place:{network.place(address)}")
    return (
        _coming_calls(mobile, now=now) >= settings.online_calls_per_number
        or _bookings_from(address, now=now) >= settings.online_bookings_per_address_per_hour
    )


def _coming_calls(mobile: str, *, now: datetime) -> int:
    return db.session.scalars(
        select(func.count())
        .select_from(Appointment)
        .join(Patient, Appointment.patient_id == Patient.id)
        .where(
            Patient.mobile == mobile,
            Appointment.is_online.is_(True),
            Appointment.status == Status.BOOKED,
            Appointment.starts_at > now,
        )
    ).one()


def _bookings_from(address: str, *, now: datetime) -> int:
    origins = db.session.scalars(
        select(AuditEntry.origin).where(
            AuditEntry.action == "appointment.booked",
            AuditEntry.actor == "visitor",
            AuditEntry.at > now - HOUR,
        )
    )
    here = network.place(address)
    return sum(network.place(origin) == here for origin in origins)
