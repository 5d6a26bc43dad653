"""What staff subscribe to: their own appointments, or a site's. Initials at most.

Such a calendar lies in somebody else's program, on somebody's own phone: it says when and where
something is, and whose it is by two letters.
"""

from datetime import datetime, timedelta

from sqlalchemy import Select, select

from scheduler.booking.models import LIVE, Appointment, Claim
from scheduler.booking.notices import is_call
from scheduler.calendars.documents import CalendarVisit, feed
from scheduler.clinic.models import Lane
from scheduler.core.db import db
from scheduler.patients.models import Patient

BACK = timedelta(days=7)
AHEAD = timedelta(days=120)


def of_person(resource_id: int | None, *, uid: str, organizer: str, now: datetime) -> bytes:
    """Return what somebody takes part in, by their time in the book; nothing if they give none."""
    theirs = (
        select(Claim.appointment_id)
        .join(Lane, Claim.lane_id == Lane.id)
        .where(Lane.resource_id == (resource_id or 0), Claim.appointment_id.is_not(None))
    )
    return _feed(_around(now).where(Appointment.id.in_(theirs)), uid, organizer, now)


def of_site(site_id: int, *, uid: str, organizer: str, now: datetime) -> bytes:
    """Return everything that stands in the book at a site."""
    return _feed(_around(now).where(Appointment.site_id == site_id), uid, organizer, now)


def initials(patient: Patient) -> str:
    """Return "J.O."."""
    return f"{patient.first_initial}.{patient.family_name[:1].upper()}."


def _around(now: datetime) -> Select[Appointment]:
    return (
        select(Appointment)
        .where(
            Appointment.starts_at > now - BACK,
            Appointment.starts_at < now + AHEAD,
            Appointment.status.in_(LIVE),
        )
        .order_by(Appointment.starts_at, Appointment.id)
    )


def _feed(wanted: Select[Appointment], uid: str, organizer: str, now: datetime) -> bytes:
    found = db.session.scalars(wanted).unique()
    return feed([_entry(a, organizer) for a in found], uid=uid, now=now)


def _entry(appointment: Appointment, organizer: str) -> CalendarVisit:
    kind = "Call" if is_call(appointment) else "Visit"
    return CalendarVisit(
        uid=f"staff-{appointment.public_id}",  # another entry than the patient's own
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        sequence=appointment.sequence,
        is_call=False,
        place=appointment.site.name,
        phone=appointment.site.phone,
        organizer=organizer,
        host=organizer.partition("@")[2],
        changed_at=appointment.changed_at,
        label=f"{kind} {initials(appointment.patient)}",
    )
