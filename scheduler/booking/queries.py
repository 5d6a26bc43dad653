"""Reads of the book."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from scheduler.accounts.models import Staff
from scheduler.booking.models import LIVE, Appointment, Claim, Hold, Status
from scheduler.clinic.models import Lane, Resource, ResourceKind
from scheduler.core.db import db
from scheduler.core.errors import NotFound


@dataclass(frozen=True)
class Placed:
    """An appointment with the resources it has now: none when it gave its time back."""

    appointment: Appointment
    chair_id: int | None
    person_id: int | None


def by_public_id(public_id: str) -> Appointment:
    """Return the appointment staff know by this opaque reference.

    Raises:
        NotFound: there is none.
    """
    found = db.session.scalar(select(Appointment).where(Appointment.public_id == public_id))
    if found is None:
        raise NotFound("We cannot find that appointment.")
    return found


def by_topic(topic: str) -> Appointment | None:
    """Return the appointment a topic names ("appointment:42"), or None."""
    kind, _, number = topic.partition(":")
    if kind != "appointment" or not number.isdigit():
        return None
    return db.session.get(Appointment, int(number))


def between(
    site_ids: Sequence[int], since: datetime, until: datetime, *, live_only: bool = False
) -> list[Placed]:
    """Return what begins in [since, until) at these sites, with chair and person, in order."""
    states = LIVE if live_only else (*LIVE, Status.NOSHOW, Status.CANCELLED)
    appointments = db.session.scalars(
        select(Appointment)
        .where(
            Appointment.site_id.in_(list(site_ids)),
            Appointment.starts_at >= since,
            Appointment.starts_at < until,
            Appointment.status.in_(states),
        )
        .order_by(Appointment.starts_at, Appointment.id)
    ).all()
    return placed(appointments)


def placed(appointments: Sequence[Appointment]) -> list[Placed]:
    """Return the same appointments, each with the chair and the person its claims name."""
    ids = [a.id for a in appointments]
    found: dict[int, dict[ResourceKind, int]] = {}
    rows = db.session.execute(
        select(Claim.appointment_id, Resource.kind, Resource.id)
        .join(Lane, Claim.lane_id == Lane.id)
        .join(Resource, Lane.resource_id == Resource.id)
        .where(Claim.appointment_id.in_(ids))
    )
    for appointment_id, kind, resource_id in rows:
        if appointment_id is None:
            continue
        found.setdefault(appointment_id, {})[kind] = resource_id
    return [
        Placed(
            a,
            found.get(a.id, {}).get(ResourceKind.CHAIR),
            found.get(a.id, {}).get(ResourceKind.PERSON),
        )
        for a in appointments
    ]


def of_patient(patient_id: int) -> list[Appointment]:
    """Return every appointment of a patient, the latest first."""
    return list(
        db.session.scalars(
            select(Appointment)
            .where(Appointment.patient_id == patient_id, Appointment.status != Status.IN_ERROR)
            .order_by(Appointment.starts_at.desc())
        )
    )


def upcoming(patient_id: int, *, now: datetime) -> list[Appointment]:
    """Return a patient's live appointments that have not ended, in order of time."""
    return list(
        db.session.scalars(
            select(Appointment)
            .where(
                Appointment.patient_id == patient_id,
                Appointment.status.in_((Status.BOOKED, Status.ARRIVED)),
                Appointment.ends_at > now,
            )
            .order_by(Appointment.starts_at)
        )
    )


def holds_between(
    site_ids: Sequence[int], since: datetime, until: datetime, *, now: datetime
) -> list[Hold]:
    """Return the holds still running that begin in [since, until), with their claims."""
    return list(
        db.session.scalars(
            select(Hold)
            .where(
                Hold.site_id.in_(list(site_ids)),
                Hold.starts_at >= since,
                Hold.starts_at < until,
                Hold.expires_at > now,
            )
            .options(selectinload(Hold.claims))
            .order_by(Hold.starts_at)
        )
    )


def who_changed(appointment: Appointment) -> str:
    """Say who last changed an appointment and how: "Rosa Lima moved it while you were reading"."""
    return (
        f"{actor_name(appointment.changed_by)} {appointment.change} it while you had this open. "
        "Here is how it stands now."
    )


def actor_name(actor: str) -> str:
    """Return a person's words for an actor: a name for staff, "the patient", "the system"."""
    kind, _, number = actor.partition(":")
    if kind == "staff" and number.isdigit():
        return db.session.scalar(select(Staff.name).where(Staff.id == int(number))) or "Someone"
    return {"patient": "The patient", "visitor": "The patient"}.get(kind, "The system")
