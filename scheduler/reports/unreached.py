"""Who has not been reached and must be called: one row a person, however many messages failed.

Somebody is on the list while a message to them failed and nobody has dealt with it, while nobody
can say whether one arrived and nobody has talked to them since, or, if they cannot be texted, while
a visit of the next three days is not confirmed, or one was changed and they do not know it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select

from scheduler.booking import notices
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import db
from scheduler.core.timespan import day_span
from scheduler.messaging import consent, ending
from scheduler.messaging import queries as messages
from scheduler.messaging.consent import Word
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel, State
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
_SEVERAL = {"A text": "Texts", "An e-mail": "E-mails"}
_NOT_KEPT = "A message"  # it is not kept any more, and still nobody knows what it said
_HEARD = [calling.WORDS[answer] for answer in calling.Answer if answer not in calling.NOBODY_HEARD]


@dataclass(frozen=True)
class Change:
    """What became of a visit whose patient does not know it, and which time they go by."""

    words: str
    was: datetime | None = None


@dataclass(frozen=True)
class Unreached:
    """Somebody to call: why, about what, and what was tried today."""

    patient: Patient
    why: Sequence[str]
    visits: Sequence[Appointment]  # not confirmed yet and soon, or not as they know it
    changes: Mapping[int, Change]  # by visit: what they do not know of it
    tried: Sequence[Task]
    unsent: Sequence[Task]  # open tasks about messages that did not arrive

    @property
    def can_come(self) -> bool:
        """Say whether any of it still stands, so that they can say whether they come."""
        return any(visit.status is Status.BOOKED for visit in self.visits)


def wanted(*, now: datetime, midnight: datetime) -> ColumnElement[bool]:
    """Return, for a query of patients, who is on the list; `midnight` is when today began."""
    unsent = select(Task.patient_id).where(
        Task.kind == ending.NOT_SENT, Task.closed_at.is_(None), Task.patient_id.is_not(None)
    )
    coming = select(Appointment.patient_id).where(_soon(now))
    changed = select(Appointment.patient_id).where(_changed(now))
    heard = and_(
        Task.patient_id == Patient.id, Task.kind == calling.CALLED, Task.outcome.in_(_HEARD)
    )
    heard_today = select(Task.id).where(heard, Task.closed_at >= midnight).exists()
    return and_(
        Patient.is_deceased.is_(False),
        Patient.standing != Standing.MERGED,
        or_(
            Patient.id.in_(unsent),
            Patient.id.in_(select(Message.patient_id).where(_unclear(now))),
            and_(
                ~consent.textable(),
                or_(Patient.id.in_(changed), and_(Patient.id.in_(coming), ~heard_today)),
            ),
        ),
    )


def people(*, now: datetime) -> list[Unreached]:
    """Return whom to call, whoever comes next first."""
    midnight = midnight_before(now)
    found = db.session.scalars(
        select(Patient).where(wanted(now=now, midnight=midnight)).order_by(Patient.id)
    ).all()
    ids = [patient.id for patient in found]
    visits = db.session.scalars(
        select(Appointment)
        .where(Appointment.patient_id.in_(ids), or_(_soon(now), _changed(now)))
        .order_by(Appointment.starts_at, Appointment.id)
    ).all()
    tasks = db.session.scalars(
        select(Task)
        .where(
            Task.patient_id.in_(ids),
            or_(
                and_(Task.kind == ending.NOT_SENT, Task.closed_at.is_(None)),
                and_(Task.kind == calling.CALLED, Task.closed_at >= midnight),
            ),
        )
        .order_by(Task.id)
    ).all()
    unclear = db.session.scalars(
        select(Message).where(Message.patient_id.in_(ids), _unclear(now)).order_by(Message.id)
    ).all()
    rows = [
        _row(
            patient,
            [v for v in visits if v.patient_id == patient.id],
            [t for t in tasks if t.patient_id == patient.id],
            [m for m in unclear if m.patient_id == patient.id],
            now=now,
        )
        for patient in found
    ]
    far = now + 2 * AHEAD
    return sorted(rows, key=lambda r: (r.visits[0].starts_at if r.visits else far, r.patient.id))


def to_nobody(*, now: datetime) -> Sequence[Message]:
    """Return the messages to numbers of nobody we know of which nobody can say if they arrived."""
    found = select(Message).where(Message.patient_id.is_(None), messages.is_stuck(now=now))
    return db.session.scalars(found.order_by(Message.id).limit(100)).all()


def _row(
    patient: Patient,
    visits: list[Appointment],
    tasks: list[Task],
    unclear: list[Message],
    *,
    now: datetime,
) -> Unreached:
    unsent = [t for t in tasks if t.kind == ending.NOT_SENT]
    standing = consent.standing(patient)
    why = _failures(unsent) + [_doubt(m) for m in unclear]
    changes = {}
    if not standing.may_text:
        changes = {v.id: change for v in visits if (change := _change(v, now=now)) is not None}
    if standing.word in WHY_NOT_TEXTED:
        why.append(WHY_NOT_TEXTED[standing.word])
    return Unreached(
        patient=patient,
        why=list(dict.fromkeys(why)),
        visits=visits,
        changes=changes,
        tried=[t for t in tasks if t.kind == calling.CALLED],
        unsent=unsent,
    )


def _failures(tasks: Sequence[Task]) -> list[str]:
    """Say what did not arrive, of which days, and why: those that went alike in one."""
    days: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        number = task.topic.removeprefix("message:")
        message = db.session.get(Message, int(number)) if number.isdigit() else None
        like, when = (_NOT_KEPT, ""), []
        if message is not None:
            like = (_CHANNEL_WORDS[message.channel], message.error_text or "")
            when = [_day(message)]
        days.setdefault(like, []).extend(when)
    said = []
    for (what, why), when in days.items():
        of = list(dict.fromkeys(when))
        which = _SEVERAL[what] if len(of) > 1 else what
        which += f" of {', '.join(of)}" if of else ""
        said.append(f"{which} did not arrive{': ' if why else ''}{why}")
    return said


def _day(message: Message) -> str:
    """Say on which day a message went, or should have gone; the sites keep one calendar."""
    zone = next(iter(clinic_supply.current().sites.values())).zone
    day = (message.sending_at or message.send_after).astimezone(zone)
    return f"{day:%b} {day.day}"


def _doubt(message: Message) -> str:
    channel = _CHANNEL_WORDS[message.channel]
    if message.state in (State.QUEUED, State.CLAIMED):
        return f"{channel} waits too long to go out"
    if message.state is State.SENT:
        return f"{channel} went out, and no word came that it arrived"
    return f"{channel} may have arrived or not"


def _change(appointment: Appointment, *, now: datetime) -> Change | None:
    goes_by = notices.untold(appointment)
    if goes_by is None or appointment.untold_from is None or appointment.untold_from > now:
        return None
    moment = goes_by.get("starts_at")
    was = datetime.fromisoformat(moment) if moment else None
    if not appointment.is_live:
        return Change("Called off")
    if notices.is_shut_out(appointment):
        return Change("We are closed then")
    if was is None or not goes_by.get("live"):
        return Change("On again" if was == appointment.starts_at else "Has a new time")
    if was != appointment.starts_at:
        return Change("Moved from", was)
    return Change("At the other site now")


def _changed(now: datetime) -> ColumnElement[bool]:
    """Return, for a query of visits, which changed without the patient's knowing it."""
    return and_(
        Appointment.untold_from <= now,
        Appointment.starts_at > now,
        Appointment.status.in_((Status.BOOKED, Status.CANCELLED)),
    )


def _unclear(now: datetime) -> ColumnElement[bool]:
    """Return, for a query of messages, which may not have arrived, and nobody has called since."""
    called = select(Task.id).where(
        Task.patient_id == Message.patient_id,
        Task.kind == calling.CALLED,
        Task.outcome.in_(_HEARD),
        Task.closed_at > func.coalesce(Message.sending_at, Message.send_after),
    )
    return and_(messages.is_stuck(now=now), ~called.exists())


def _soon(now: datetime) -> ColumnElement[bool]:
    return and_(
        Appointment.site_id.in_(clinic_supply.current().sites),
        Appointment.status == Status.BOOKED,
        Appointment.confirmed_at.is_(None),
        Appointment.starts_at > now,
        Appointment.starts_at <= now + AHEAD,
    )


def midnight_before(now: datetime) -> datetime:
    """Return when today began at the clinic; its sites keep one calendar."""
    zone = next(iter(clinic_supply.current().sites.values())).zone
    return day_span(now.astimezone(zone).date(), zone).start
