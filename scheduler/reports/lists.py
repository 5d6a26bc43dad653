"""The desk's worklists: who is to be called, what did not arrive, what waits to be closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from scheduler.accounts import queries as accounts
from scheduler.booking import queries as book
from scheduler.booking import withdrawal
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.timespan import day_span
from scheduler.messaging import ending, evidence, inbound, reading
from scheduler.messaging.models import InboundText, Message
from scheduler.patients.models import Patient
from scheduler.plans import approval
from scheduler.plans import service as plans
from scheduler.tasks import queries as tasks
from scheduler.tasks.models import Task
from scheduler.treatment import chair, clearance, readiness

CALLS = (ServiceCode.CALL, ServiceCode.CHAT)

#: What a task of each kind asks for, and the ways it usually ends.
TASK_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "change-asked": ("Asked for another time", ("Called and moved", "Keeps the time")),
    inbound.UNCLEAR: ("Sent a text we did not understand", ("Answered", "Nothing to do")),
    inbound.EMERGENCY: ("May be in danger: call now", ("Called", "Called 911 for them")),
    inbound.STOPPED: ("Said stop: must be called from now on", ("Noted", "Called")),
    ending.NOT_SENT: (
        "A message did not reach them",
        ("Called instead", "Number corrected", "Nothing to do"),
    ),
    "clearance": ("A candidate waits for clearance", ("Cleared", "Not suitable", "Changed mind")),
    evidence.TEXTS_STOPPED: ("Texts are stopped", ("Fixed with the provider",)),
    approval.LOOK_FIRST: (
        "A clinician must look before a plan is drafted or goes on",
        ("Looked at, no plan", "Talked to the patient", "Looked at, the plan stands"),
    ),
    withdrawal.TASK: ("Has lost its place", ("Moved", "Cancelled")),
    readiness.UNANSWERED: (
        "Has not answered the questions before the visit: call",
        ("Called and answered", "Not reached"),
    ),
    readiness.CONCERN: (
        "Something is open before the visit: call",
        ("Called and settled", "Moved", "A clinician decides"),
    ),
    clearance.NOT_CLEARED_BOOKED: (
        "Not cleared any more, and the first visit is booked",
        ("Visit called off", "Keeps the time: talked to the clinician"),
    ),
    chair.CALL_AFTER: (
        "Call the day after: how are they?",
        ("All well", "Not reached", "A clinician calls"),
    ),
    plans.REASSESS: ("The course has run: look at it again", ("Looked at",)),
}


@dataclass(frozen=True)
class Errand:
    """A task with what one needs to close it."""

    task: Task
    words: str
    endings: Sequence[str]
    patient: Patient | None
    appointment: Appointment | None
    message: Message | None
    text: InboundText | None


@dataclass(frozen=True)
class Talk:
    """A conversation with one number, by its newest text from there."""

    newest: InboundText
    patient: Patient | None
    unread: int
    is_danger: bool  # they wrote words of danger, and nobody has seen to it yet
    assignee: str | None  # "staff:3"
    assignee_name: str


def to_call(*, now: datetime) -> list[Appointment]:
    """Return today's calls and chats of all sites that are still to be made, in order of time."""
    found: list[Appointment] = []
    for site in clinic_supply.current().sites.values():
        today = day_span(now.astimezone(site.zone).date(), site.zone)
        found += db.session.scalars(
            select(Appointment).where(
                Appointment.site_id == site.id,
                Appointment.service_code.in_(CALLS),
                Appointment.status.in_((Status.BOOKED, Status.ARRIVED)),
                Appointment.starts_at >= today.start,
                Appointment.starts_at < today.end,
            )
        )
    return sorted(found, key=lambda a: (a.starts_at, a.id))


def not_reached() -> list[Errand]:
    """Return the messages to nobody we know that did not arrive, oldest first.

    Whom we know is on the list of people to call, see reports.unreached.
    """
    unsent = tasks.open_tasks(kinds=(ending.NOT_SENT,))
    return [_errand(t) for t in unsent if t.patient_id is None]


def other_tasks() -> list[Errand]:
    """Return every other open task: who may be in danger first, then the most overdue."""
    elsewhere = (ending.NOT_SENT, clearance.TASK, withdrawal.TASK, inbound.EMERGENCY)
    rest = [task for task in tasks.open_tasks() if task.kind not in elsewhere]
    return [_errand(t) for t in [*tasks.open_tasks(kinds=(inbound.EMERGENCY,)), *rest]]


def to_clear() -> list[Errand]:
    """Return whose clearance is asked for, the most overdue first."""
    return [_errand(t) for t in tasks.open_tasks(kinds=(clearance.TASK,))]


def conversations(*, of: str | None = None, most: int = 60) -> list[Talk]:
    """Return the conversations people began or answered.

    Where somebody may be in danger comes first, then what is unread, then the newest.

    Args:
        of: Only those that this member of staff ("staff:3") looks after.
    """
    newest: dict[str, InboundText] = {}
    unread: dict[str, int] = {}
    danger: set[str] = set()
    dangers = {*tasks.open_topics(inbound.EMERGENCY)}
    for text in db.session.scalars(select(InboundText).order_by(InboundText.id.desc()).limit(1000)):
        newest.setdefault(text.number, text)
        unread[text.number] = unread.get(text.number, 0) + (text.read_at is None)
        if f"text:{text.id}" in dangers:
            danger.add(text.number)
    looked_after = reading.assignees([*newest])
    names = accounts.actor_names({*looked_after.values()})
    talks = [
        Talk(
            text,
            _patient(text.patient_id),
            unread[number],
            number in danger,
            who := looked_after.get(number),
            names.get(who or "", ""),
        )
        for number, text in newest.items()
        if of is None or looked_after.get(number) == of
    ]
    return sorted(talks, key=lambda t: (not t.is_danger, t.unread == 0, -t.newest.id))[:most]


def _errand(task: Task) -> Errand:
    words, endings = TASK_WORDS.get(task.kind, (task.kind.replace("-", " ").capitalize(), ()))
    kind, _, number = task.topic.partition(":")
    key = int(number) if number.isdigit() else 0
    message = db.session.get(Message, key) if kind == "message" else None
    text = db.session.get(InboundText, key) if kind in ("text", "inbound") else None
    appointment = book.by_topic(task.topic) or (book.by_topic(message.topic) if message else None)
    return Errand(
        task=task,
        words=words,
        endings=endings or ("Done",),
        patient=_patient(task.patient_id),
        appointment=appointment,
        message=message,
        text=text,
    )


def _patient(patient_id: int | None) -> Patient | None:
    return db.session.get(Patient, patient_id) if patient_id else None
