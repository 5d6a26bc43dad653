"""How a message waits, is set aside, fails and ends, and when a person is asked about it."""

from datetime import datetime

from sqlalchemy import select, update

from scheduler.core.db import db
from scheduler.messaging import rules
from scheduler.messaging.models import Message
from scheduler.messaging.rules import Drop, Verdict, Wait
from scheduler.messaging.states import State
from scheduler.patients.models import Patient
from scheduler.tasks import service as tasks

#: The task that asks a person to say what a message did not.
NOT_SENT = "not-sent"


def settle(message: Message, verdict: Verdict, now: datetime) -> None:
    """Let a message wait or drop it, as its judge said; one that waited too long is expired."""
    if isinstance(verdict, Wait):
        if verdict.until >= message.expires_at:
            what = verdict.because or "something else"
            end(message, State.EXPIRED, f"{what} kept it back until its time had passed", now)
            ask_if_unsaid(message, now)
            return
        put_back(message, verdict.until)
    elif isinstance(verdict, Drop):
        end(message, verdict.state, verdict.reason, now)
        ask_if_unsaid(message, now)


def set_aside(message: Message, reason: str, now: datetime) -> None:
    """Count a fault; try again later, or after the third leave it to a person."""
    message.faults += 1
    if message.faults >= rules.MOST_FAULTS:
        fail(message, reason, now)
        return
    put_back(message, now + rules.retry_delay(message.faults, 0.5))
    message.error_text = reason


def put_back(message: Message, at: datetime) -> None:
    """Put a message that is not out back in the queue, to be judged again then."""
    message.state = State.QUEUED
    message.send_after = at
    message.claimed_by = message.lease_until = None


def expire_old(*, now: datetime, limit: int = 500) -> int:
    """Settle what waited past its time: late is worse than never. Return how many."""
    old = (
        select(Message.id)
        .where(Message.state == State.QUEUED, Message.expires_at <= now)
        .order_by(Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    expired = db.session.scalars(
        update(Message)
        .where(Message.id.in_(select(old.c.id)))
        .values(state=State.EXPIRED, settled_at=now, error_text="its time has passed")
        .returning(Message)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).all()
    for message in expired:
        ask_if_unsaid(message, now)
    return len(expired)


def fail(message: Message, reason: str, now: datetime) -> None:
    """End a message that did not go and will not, and ask a person."""
    end(message, State.FAILED, reason, now)
    ask_a_person(message, now)


def end(message: Message, state: State, reason: str, now: datetime) -> None:
    """Note where a message ended, and why."""
    message.state = state
    message.settled_at = now
    message.error_text = reason[:200]
    message.claimed_by = message.lease_until = None


def ask_if_unsaid(message: Message, now: datetime) -> None:
    """Ask a person when a change came too late to be said: its patient goes by what they know.

    Who gets no texts is not asked about here: they are on the list of people to call anyway.
    """
    if message.state is not State.EXPIRED or message.template not in rules.CHANGES:
        return
    patient = db.session.get(Patient, message.patient_id) if message.patient_id else None
    if patient is not None and not patient.is_deceased:
        ask_a_person(message, now)


def ask_a_person(message: Message, now: datetime) -> None:
    """Have somebody say what a message did not."""
    tasks.open_task(NOT_SENT, f"message:{message.id}", now=now, patient_id=message.patient_id)
