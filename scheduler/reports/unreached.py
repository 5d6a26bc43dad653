"""Who has not been reached and must be called: one row a person, however many messages failed.

Somebody is on the list while a message to them failed and nobody has dealt with it, or while a
visit of the next three days is not confirmed and they cannot be texted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import db
from scheduler.core.timespan import day_span
from scheduler.messaging import consent, outbox
from scheduler.messaging.consent import Word
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel
from scheduler.patients.models import Patient, Standing
from scheduler.plans import calling
from scheduler.tasks.models import Task

AHEAD = timedelta(days=3)
WHY_NOT_TEXTED = {
    Word.NO_MOBILE: "No mobile number",
    Word.NEVER_ASKED: "Never asked about texts",
    Word.REVOKED: "Said stop to texts",
}
_CHANNEL_WORDS = {Channel.SMS: "A text", Channel.EMAIL: "An e-mail"}


@dataclass(frozen=True)
class Unreached:
    """Somebody to call: why, about what, and what was tried today."""

    patient: Patient
    why: Sequence[str]
    visits: Sequence[Appointment]  # of the next three days, not confirmed yet
    tried: Sequence[Task]
    unsent: Sequence[Task]  # open tasks about messages that did not arrive


def wanted(*, now: datetime) -> ColumnElement[bool]:
    """Return, for a query of patients, who is on the list."""
    unsent = select(Task.patient_id).where(
        Task.kind == outbox.NOT_SENT, Task.closed_at.is_(None), Task.patient_id.is_not(None)
    )
    coming = select(Appointment.patient_id).where(_soon(now))
    heard = (
        select(Task.id)
        .where(
            Task.patient_id == Patient.id,
            Task.kind == calling.CALLED,
            Task.closed_at >= _midnight(now),
            Task.outcome.not_in([calling.WORDS[answer] for answer in calling.NOBODY_HEARD]),
        )
        .exists()
    )
    return and_(
        Patient.is_deceased.is_(False),
        Patient.standing != Standing.MERGED,
        or_(
            Patient.id.in_(unsent),
            and_(Patient.id.in_(coming), ~consent.textable(), ~heard),
        ),
    )


def people(*, now: datetime) -> list[Unreached]:
    """Return whom to call, whoever comes next first."""
    found = db.session.scalars(select(Patient).where(wanted(now=now)).order_by(Patient.id)).all()
    ids = [patient.id for patient in found]
    visits = db.session.scalars(
        select(Appointment)
        .where(Appointment.patient_id.in_(ids), _soon(now))
        .order_by(Appointment.starts_at, Appointment.id)
    ).all()
    tasks = db.session.scalars(
        select(Task)
        .where(
            Task.patient_id.in_(ids),
            or_(
                and_(Task.kind == outbox.NOT_SENT, Task.closed_at.is_(None)),
                and_(Task.kind == calling.CALLED, Task.closed_at >= _midnight(now)),
            ),
        )
        .order_by(Task.id)
    ).all()
    rows = [
        _row(
            patient,
            [v for v in visits if v.patient_id == patient.id],
            [t for t in tasks if t.patient_id == patient.id],
        )
        for patient in found
    ]
    far = now + 2 * AHEAD
    return sorted(rows, key=lambda r: (r.visits[0].starts_at if r.visits else far, r.patient.id))


def _row(patient: Patient, visits: list[Appointment], tasks: list[Task]) -> Unreached:
    unsent = [t for t in tasks if t.kind == outbox.NOT_SENT]
    standing = consent.standing(patient)
    why = [_failure(t) for t in unsent]
    if standing.word in WHY_NOT_TEXTED:
        why.append(WHY_NOT_TEXTED[standing.word])
    return Unreached(
        patient=patient,
        why=list(dict.fromkeys(why)),
        visits=visits,
        tried=[t for t in tasks if t.kind == calling.CALLED],
        unsent=unsent,
    )


def _failure(task: Task) -> str:
    number = task.topic.removeprefix("message:")
    message = db.session.get(Message, int(number)) if number.isdigit() else None
    if message is None:
        return "A message did not arrive"
    reason = f": {message.error_text}" if message.error_text else ""
    return f"{_CHANNEL_WORDS[message.channel]} did not arrive{reason}"


def _soon(now: datetime) -> ColumnElement[bool]:
    return and_(
        Appointment.site_id.in_(clinic_supply.current().sites),
        Appointment.status == Status.BOOKED,
        Appointment.confirmed_at.is_(None),
        Appointment.starts_at > now,
        Appointment.starts_at <= now + AHEAD,
    )


def _midnight(now: datetime) -> datetime:
    """Return when today began at the clinic; its sites keep one calendar."""
    zone = next(iter(clinic_supply.current().sites.values())).zone
    return day_span(now.astimezone(zone).date(), zone).start
