"""How much one number or one address may book online. Counted in the database, so all agree."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.settings import Settings
from scheduler.core.db import db
from scheduler.patients.models import Patient

HOUR = timedelta(hours=1)


def reached(mobile: str, address: str, settings: Settings, *, now: datetime) -> bool:
    """Say whether this number or this address has had its share of online bookings."""
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
    return db.session.scalars(
        select(func.count())
        .select_from(AuditEntry)
        .where(
            AuditEntry.action == "appointment.booked",
            AuditEntry.actor == "visitor",
            AuditEntry.origin == address,
            AuditEntry.at > now - HOUR,
        )
    ).one()
