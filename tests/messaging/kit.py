"""What the tests of messages are made of."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from scheduler.core.db import db
from scheduler.jobs.deliver import Delivery, Pace
from scheduler.messaging import consent, outbox
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import MessageView, Send, Verdict
from scheduler.messaging.senders.outcomes import Outcome, Sender, Taken, Trace
from scheduler.messaging.states import Channel
from scheduler.patients.models import Patient
from tests import make

FACTS = {
    "starts_at": "2026-03-03T15:45:00+00:00",
    "zone": "America/New_York",
    "site": "Woburn",
    "phone": "+17815550100",
}
LINK = "https://appointments.emergewellness.example/my/" + "k" * 32


def ana(now: datetime, *, consents: bool = True, **details: object) -> Patient:
    """A patient with a mobile who agreed to texts."""
    patient = make.patient(now=now, **details)
    if consents:
        agree(patient, now)
    return patient


def agree(patient: Patient, now: datetime) -> None:
    """Have a patient agree to texts at their mobile."""
    assert patient.mobile
    consent.grant(
        patient,
        patient.mobile,
        "Text me about my appointments.",
        source="portal",
        actor=f"patient:{patient.id}",
        origin="test",
        now=now,
    )


def queue(patient: Patient, now: datetime, **changes: Any) -> Message:
    """Put a reminder in the outbox, due now."""
    values: dict[str, Any] = {
        "template": "call-tomorrow",
        "channel": Channel.SMS,
        "facts": {"zone": FACTS["zone"]},
        "topic": "appointment:42",
        "dedupe_key": "reminder-42",
        "send_after": now,
        "expires_at": now + timedelta(hours=20),
        "is_reply": False,
    }
    word = outbox.Word(patient=patient, **(values | changes))
    outbox.put([word], now=now)
    return db.session.scalars(select(Message).where(Message.dedupe_key == word.dedupe_key)).one()


def still_true(message: MessageView, now: datetime) -> Verdict:
    """A judge that finds everything still true."""
    return Send(facts=FACTS, links={"link": LINK})


def judging(verdict: Verdict) -> Callable[[MessageView], Verdict]:
    """A judge who says one thing only."""
    return lambda message: verdict


def again(message: Message) -> Message:
    """Read a row afresh."""
    db.session.expire_all()
    return db.session.get_one(Message, message.id)


@dataclass
class FakeSender:
    """A sender that keeps what it is given, and insists that nothing is open meanwhile."""

    answers: list[Outcome] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    during: Callable[[Outgoing], object] = lambda outgoing: None

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Take it, or answer what the test says."""
        assert not db.session().in_transaction(), "a transaction is open during the call"
        self.sent.append(outgoing)
        self.during(outgoing)
        return self.answers.pop(0) if self.answers else Taken(f"SM{outgoing.message_id}", "queued")

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Show what it has."""
        assert not db.session().in_transaction(), "a transaction is open during the call"
        return list(self.traces)


@dataclass
class Told:
    """Whoever wants to know that a message went out."""

    messages: list[MessageView] = field(default_factory=list)

    def __call__(self, message: MessageView, now: datetime) -> None:
        """Hear it."""
        self.messages.append(message)


def delivery(
    sender: Sender,
    clock: Callable[[], datetime],
    *,
    judge: Callable[[MessageView, datetime], Verdict] = still_true,
    told: Callable[[MessageView, datetime], None] | None = None,
    inbound_url: str | None = None,
    senders: Mapping[Channel, Sender] | None = None,
    worker: str = "worker-1",
) -> Delivery:
    """A worker's outfit with one sender for everything and no pause between texts."""
    return Delivery(
        worker=worker,
        senders=senders or {Channel.SMS: sender, Channel.EMAIL: sender},
        judge=judge,
        after_sent=told or Told(),
        inbound_url=inbound_url,
        clock=clock,
        pace=Pace(0, lambda seconds: None),
        jitter=random.Random(7),
    )
