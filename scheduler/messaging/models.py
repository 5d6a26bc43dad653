"""The outbox, what came back, and consent. A message is a row first."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from scheduler.core.db import Model, word
from scheduler.core.sealed import Sealed
from scheduler.messaging.rules import MessageView
from scheduler.messaging.states import Channel, ConsentAct, State


class Message(Model):
    """One message to one person, as facts; its words are rendered when it is claimed."""

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_state_send_after", "state", "send_after"),
        Index("ix_message_patient_id_created_at", "patient_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)  # in the callback's address
    channel: Mapped[Channel] = mapped_column(word(Channel))
    patient_id: Mapped[int | None] = mapped_column(index=True)
    recipient: Mapped[str] = mapped_column(index=True)  # E.164, or an e-mail address
    language: Mapped[str]
    template: Mapped[str]  # "call-booked"
    sent_as: Mapped[str | None]  # the words it went out with, when the judge chose others
    template_version: Mapped[str]
    facts: Mapped[dict[str, Any]]  # ids and instants the words are made from
    topic: Mapped[str] = mapped_column(index=True)  # "appointment:42"
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    is_reply: Mapped[bool] = mapped_column(default=False)  # exempt from caps and quiet hours
    counted_at: Mapped[datetime | None]  # since when it counts among the texts of a day and week
    said_in_id: Mapped[int | None] = mapped_column(  # the text of the same day that says this too
        ForeignKey("message.id"), index=True
    )
    created_at: Mapped[datetime]
    send_after: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[State] = mapped_column(word(State), default=State.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)  # calls to the provider
    faults: Mapped[int] = mapped_column(default=0)  # times its words would not come out
    claim_number: Mapped[int] = mapped_column(default=0)  # fences off a worker that overslept
    claimed_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    sending_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    provider_ref: Mapped[str | None] = mapped_column(unique=True)
    provider_status: Mapped[str | None]  # as the provider spelled it
    error_code: Mapped[str | None]
    error_text: Mapped[str | None]
    body: Mapped[str | None] = mapped_column(Sealed)  # what was sent, links masked
    words: Mapped[str | None] = mapped_column(Sealed)  # what staff wrote, of a text that is theirs
    body_print: Mapped[str | None]  # keyed hash of exactly what was sent
    segments: Mapped[int | None]

    def view(self) -> MessageView:
        """Return it as values, for whoever judges it: nothing is read behind its back."""
        return MessageView(
            id=self.id,
            public_id=self.public_id,
            channel=self.channel,
            patient_id=self.patient_id,
            recipient=self.recipient,
            language=self.language,
            template=self.template,
            facts=dict(self.facts),
            topic=self.topic,
            dedupe_key=self.dedupe_key,
            is_reply=self.is_reply,
            created_at=self.created_at,
            send_after=self.send_after,
            expires_at=self.expires_at,
            attempts=self.attempts,
        )


class DeliveryReport(Model):
    """One signed callback about one message; the same one twice has no second effect."""

    __tablename__ = "delivery_report"
    __table_args__ = (UniqueConstraint("provider_ref", "status"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    provider_ref: Mapped[str]
    status: Mapped[str]
    error_code: Mapped[str | None]
    received_at: Mapped[datetime]


class InboundText(Model):
    """A text that came in. Its provider reference is unique: a replay has no effect."""

    __tablename__ = "inbound_text"

    id: Mapped[int] = mapped_column(primary_key=True)
    provider_ref: Mapped[str] = mapped_column(unique=True)
    number: Mapped[str] = mapped_column(index=True)
    body: Mapped[str] = mapped_column(Sealed)
    received_at: Mapped[datetime]
    intent: Mapped[str]  # what the words were taken to mean, see rules.intent
    patient_id: Mapped[int | None] = mapped_column(index=True)
    topic: Mapped[str | None]  # the appointment it was taken to speak of
    read_at: Mapped[datetime | None]
    read_by: Mapped[str | None]


class Conversation(Model):
    """Who of the staff looks after what is written from a number; no row means nobody yet."""

    __tablename__ = "conversation"

    number: Mapped[str] = mapped_column(primary_key=True)  # E.164, as it came
    assignee: Mapped[str | None] = mapped_column(index=True)  # "staff:3"
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str]


class TextVersion(Model):
    """The clinic's own words for a message; append only, the newest of a text is in force.

    `after_id` is the version it replaces, 0 for the shipped words: two cannot replace the same.
    """

    __tablename__ = "text_version"
    __table_args__ = (UniqueConstraint("template", "language", "after_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    template: Mapped[str]  # "visit-booked"
    language: Mapped[str]
    after_id: Mapped[int]
    words: Mapped[str | None]  # None: the shipped words again
    author: Mapped[str]
    at: Mapped[datetime]


class ConsentEntry(Model):
    """One line of the consent ledger; append only, the newest line of a number decides.

    A revocation counts for the number whoever holds it; a grant counts for its patient.
    """

    __tablename__ = "consent_entry"
    __table_args__ = (Index("ix_consent_entry_number_at", "number", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int | None] = mapped_column(index=True)
    number: Mapped[str]  # E.164
    purpose: Mapped[str]  # "appointments"
    act: Mapped[ConsentAct] = mapped_column(word(ConsentAct))
    source: Mapped[str]  # "portal", "desk", "text", "provider"
    wording: Mapped[str]  # what was agreed to, or what they wrote
    actor: Mapped[str]
    origin: Mapped[str]
    at: Mapped[datetime]


class InboundRoute(Model):
    """Proof that texts reach us: when a signed inbound request last came by this address.

    Without it no text leaves through Twilio, for a STOP could not be heard.
    """

    __tablename__ = "inbound_route"

    url: Mapped[str] = mapped_column(primary_key=True)
    verified_at: Mapped[datetime]


class WorkerBeat(Model):
    """When a worker was last alive, so that somebody notices when none is."""

    __tablename__ = "worker_beat"

    worker: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime] = mapped_column(index=True)


class SimulatedText(Model):
    """The other end of the line in a demo: what the simulated phone shows."""

    __tablename__ = "simulated_text"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(index=True)
    is_inbound: Mapped[bool]  # from the patient to us
    body: Mapped[str]
    at: Mapped[datetime]
    provider_ref: Mapped[str] = mapped_column(unique=True)
