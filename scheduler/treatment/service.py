"""Verbs on what happened."""

from datetime import datetime

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.booking import overruns
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.tasks import service as tasks
from scheduler.treatment import clearance
from scheduler.treatment.models import CallOutcome, Outcome


def record_call(
    appointment: Appointment,
    outcome: Outcome,
    *,
    note: str | None,
    actor: str,
    now: datetime,
    version: int | None = None,
) -> CallOutcome:
    """Record what a call came to, and close it in the book. A candidate needs a clearance next.

    A correction is a second row; the newest counts.

    Raises:
        Invalid: it is no consultation call.
    """
    if appointment.service_code is not ServiceCode.CALL:
        raise Invalid("Only a consultation call has an outcome.")
    if appointment.status is not Status.FULFILLED:
        booking.fulfil(appointment, actor=actor, now=now, version=version)
        overruns.give_back(appointment, until=now)
    row = CallOutcome(
        appointment_id=appointment.id,
        outcome=outcome,
        note=note or None,
        recorded_by=actor,
        recorded_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        "call.outcome",
        appointment.topic,
        actor=actor,
        now=now,
        patient_id=appointment.patient_id,
        outcome=outcome.value,
    )
    if outcome is Outcome.CANDIDATE:
        clearance.open_clearance(
            appointment.patient, site_id=appointment.site_id, actor=actor, now=now
        )
    else:
        # A correction: what was asked for on the strength of "candidate" is no longer wanted.
        topic = f"patient:{appointment.patient_id}"
        tasks.close_by_event(clearance.TASK, topic, outcome.value, actor=actor, now=now)
    return row


def outcome_of(appointment_id: int) -> CallOutcome | None:
    """Return the newest outcome of a call, or None."""
    return db.session.scalar(
        select(CallOutcome)
        .where(CallOutcome.appointment_id == appointment_id)
        .order_by(CallOutcome.id.desc())
        .limit(1)
    )
