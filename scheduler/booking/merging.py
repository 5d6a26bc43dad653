"""What the book hands over when two records turn out to be one person."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from scheduler.booking.allocation import lock
from scheduler.booking.errors import PatientBusy, TooClose
from scheduler.booking.models import Appointment, Claim
from scheduler.clinic.models import Lane
from scheduler.core.db import db, violated
from scheduler.patients.models import Patient


def hand_over(since: Patient, into: Patient, *, now: datetime) -> None:
    """Give one person's appointments, and the claims of their time, to another.

    Raises:
        PatientBusy: the two have appointments at the same time; one must be moved first.
        TooClose: the two have infusions within two days of each other.
    """
    lock([since.resource_id, into.resource_id])
    lane = select(Lane.id).where(Lane.resource_id == into.resource_id).scalar_subquery()
    old = select(Lane.id).where(Lane.resource_id == since.resource_id)
    try:
        with db.session.begin_nested():
            db.session.execute(
                update(Claim).where(Claim.lane_id.in_(old)).values(lane_id=lane),
                execution_options={"synchronize_session": "fetch"},
            )
    except IntegrityError as clash:
        if not violated(clash, "ex_claim_no_overlap"):
            raise
        raise PatientBusy(
            "Both records have an appointment at the same time. Move one of them first."
        ) from clash
    try:
        with db.session.begin_nested():
            db.session.execute(
                update(Appointment)
                .where(Appointment.patient_id == since.id)
                .values(patient_id=into.id, version=Appointment.version + 1, changed_at=now),
                execution_options={"synchronize_session": "fetch"},
            )
    except IntegrityError as clash:
        if not violated(clash, "ex_appointment_spacing"):
            raise
        raise TooClose(
            "The two records have visits within two days of each other. Move one of them first."
        ) from clash
