"""What the outbox holds, for the desk's pages, the jobs and the hooks."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, exists, func, or_, select

from scheduler.core.db import db
from scheduler.messaging import ending, evidence, rules
from scheduler.messaging.models import InboundRoute, InboundText, Message, WorkerBeat
from scheduler.messaging.states import Channel, State
from scheduler.tasks import queries as tasks

#: How long a message may stand somewhere before somebody must see it.
_QUEUED_TOO_LONG = timedelta(hours=1)
_SENDING_TOO_LONG = timedelta(minutes=15)
_SENT_TOO_LONG = timedelta(hours=72)
#: Where a text stands that the provider took, or may have taken.
_GONE = frozenset({State.SENDING, State.AMBIGUOUS, State.SENT, State.DELIVERED, State.UNDELIVERED})
WORKER_SILENT_AFTER = timedelta(seconds=90)


class Blocked(enum.StrEnum):
    """Why no text leaves."""

    UNVERIFIED = "unverified"  # no signed text has come in by our address: a STOP would be lost
    STOPPED = "stopped"  # the provider refused our account; the open task says why


def sending_is_blocked(inbound_url: str | None) -> Blocked | None:
    """Return why no text may leave now, or None.

    `inbound_url` is the address texts come in by, or None when texts do not go through a
    provider (the simulated phone hears everything).
    """
    found = db.session.execute(select(*_STANDING), {"url": inbound_url or ""}).one()
    return _blocked(inbound_url, found)


def _blocked(inbound_url: str | None, found: Row[*tuple[Any, ...]]) -> Blocked | None:
    if found.is_stopped:
        return Blocked.STOPPED
    if inbound_url is not None and not found.is_proved:
        return Blocked.UNVERIFIED
    return None


#: What decides whether texts may leave.
_STANDING = (
    tasks.has_open(evidence.TEXTS_STOPPED, evidence.PROVIDER).label("is_stopped"),
    exists().where(InboundRoute.url == bindparam("url")).label("is_proved"),
)


def have_come_in(refs: Sequence[str]) -> set[str]:
    """Return which of these texts were taken in already."""
    return set(
        db.session.scalars(
            select(InboundText.provider_ref).where(InboundText.provider_ref.in_(refs))
        )
    )


def channels_due(inbound_url: str | None, *, now: datetime) -> tuple[Channel, ...]:
    """Return the channels on which something waits to be sent and may leave; reads only.

    One question, built once: a worker asks it before each message, and each second without one.
    """
    found = db.session.execute(_DUE, {"url": inbound_url or "", "now": now}).one()
    may_leave = (Channel.EMAIL,) if _blocked(inbound_url, found) else tuple(Channel)
    return tuple(channel for channel in may_leave if getattr(found, channel.value))


_DUE = select(
    *_STANDING,
    *(
        exists()
        .where(
            Message.state == State.QUEUED,
            Message.send_after <= bindparam("now"),
            Message.channel == channel,
        )
        .label(channel.value)
        for channel in Channel
    ),
)


@dataclass(frozen=True)
class Unanswered:
    """A message whose call ended without an answer, as evidence is looked for."""

    message_id: int
    channel: Channel
    public_id: str
    recipient: str
    body_print: str
    sending_at: datetime


def unanswered() -> list[Unanswered]:
    """Return the ambiguous messages, oldest first."""
    rows = db.session.scalars(
        select(Message).where(Message.state == State.AMBIGUOUS).order_by(Message.sending_at)
    ).all()
    return [
        Unanswered(
            message_id=row.id,
            channel=row.channel,
            public_id=row.public_id,
            recipient=row.recipient,
            body_print=row.body_print or "",
            sending_at=row.sending_at,
        )
        for row in rows
        if row.sending_at is not None
    ]


def twins_of(body_print: str) -> int:
    """Return how many messages with these words to this number may be out without an answer."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Message)
            .where(
                Message.body_print == body_print,
                Message.state.in_((State.AMBIGUOUS, State.SENDING)),
            )
        )
        or 0
    )


def known_refs(refs: Sequence[str]) -> set[str]:
    """Return which of these provider references belong to a message already."""
    known = db.session.scalars(select(Message.provider_ref).where(Message.provider_ref.in_(refs)))
    return {ref for ref in known if ref}


def of_patient(patient_id: int, *, limit: int = 100) -> Sequence[Message]:
    """Return the messages to a patient, newest first."""
    return db.session.scalars(
        select(Message)
        .where(Message.patient_id == patient_id)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(limit)
    ).all()


def about(topic: str) -> Sequence[Message]:
    """Return the messages about one topic, oldest first."""
    return db.session.scalars(
        select(Message).where(Message.topic == topic).order_by(Message.send_after, Message.id)
    ).all()


def texts_fail(patient_id: int) -> bool:
    """Say whether a text to a patient did not arrive, and nobody has dealt with that yet."""
    open_ones = [t.topic for t in tasks.open_of(patient_id) if t.kind == ending.NOT_SENT]
    numbers = [int(topic.removeprefix("message:")) for topic in open_ones]
    texts = select(Message.id).where(Message.id.in_(numbers), Message.channel == Channel.SMS)
    return bool(numbers) and db.session.scalar(texts.limit(1)) is not None


def has_gone(topic: str) -> bool:
    """Say whether a text about one topic left, or may have."""
    return any(m.channel is Channel.SMS and m.state in _GONE for m in about(topic))


def waiting(topic: str) -> Sequence[Message]:
    """Return the texts about one topic that have not left yet."""
    unsent = (State.QUEUED, State.CLAIMED, State.SENDING)
    return [m for m in about(topic) if m.channel is Channel.SMS and m.state in unsent]


def conversation(number: str, *, limit: int = 100) -> list[Message | InboundText]:
    """Return what went to and came from a number, oldest first.

    Texts that left, answers of the staff from the moment they were written, and theirs.
    """
    out = db.session.scalars(
        select(Message)
        .where(
            Message.recipient == number,
            Message.channel == Channel.SMS,
            or_(Message.sending_at.is_not(None), Message.template == rules.BY_STAFF),
        )
        .order_by(func.coalesce(Message.sending_at, Message.created_at).desc())
        .limit(limit)
    ).all()
    back = db.session.scalars(
        select(InboundText)
        .where(InboundText.number == number)
        .order_by(InboundText.received_at.desc())
        .limit(limit)
    ).all()

    def at(item: Message | InboundText) -> datetime:
        if isinstance(item, InboundText):
            return item.received_at
        return item.sending_at or item.created_at

    both: list[Message | InboundText] = [*out, *back]
    return sorted(both, key=at)[-limit:]


def unread(*, limit: int = 100) -> Sequence[InboundText]:
    """Return the texts that nobody has read and that no verb has answered, oldest first."""
    return db.session.scalars(
        select(InboundText)
        .where(InboundText.read_at.is_(None))
        .order_by(InboundText.received_at)
        .limit(limit)
    ).all()


def could_not_be_confirmed(*, now: datetime, limit: int = 100) -> Sequence[Message]:
    """Return the messages that stand where they should not, oldest first.

    Due for an hour and still waiting, in the call for 15 minutes, sent for three days with no
    word from the phone, or without an answer for 15 minutes. Empty means nothing is stuck.
    """
    return db.session.scalars(
        select(Message).where(is_stuck(now=now)).order_by(Message.send_after).limit(limit)
    ).all()


def is_stuck(*, now: datetime) -> ColumnElement[bool]:
    """Return, for a query of messages, which of them `could_not_be_confirmed`."""
    return or_(
        and_(
            Message.state.in_((State.QUEUED, State.CLAIMED)),
            Message.send_after <= now - _QUEUED_TOO_LONG,
        ),
        and_(
            Message.state.in_((State.SENDING, State.AMBIGUOUS)),
            Message.sending_at <= now - _SENDING_TOO_LONG,
        ),
        and_(
            Message.state == State.SENT,
            Message.channel == Channel.SMS,
            Message.sending_at <= now - _SENT_TOO_LONG,
            Message.sending_at > now - _SENT_TOO_LONG - timedelta(days=7),
        ),
    )


def counts() -> dict[State, int]:
    """Return how many messages stand where, for operators."""
    rows = db.session.execute(select(Message.state, func.count()).group_by(Message.state)).all()
    return {row[0]: row[1] for row in rows}


def newest_beat() -> datetime | None:
    """Return when any worker was last alive; None when there never was one."""
    return db.session.scalar(select(func.max(WorkerBeat.beat_at)))


def worker_is_silent(*, now: datetime) -> bool:
    """Say whether nobody is sending: no worker has been alive for a minute and a half."""
    newest = newest_beat()
    return newest is None or newest < now - WORKER_SILENT_AFTER


@dataclass(frozen=True)
class Question:
    """The one appointment a "1" or "2" from a number speaks of."""

    topic: str
    patient_id: int | None
    asked_at: datetime


def open_question(number: str, *, now: datetime) -> Question | None:
    """Return what a "1" or "2" from this number answers, or None when that is not certain.

    It is the one appointment we asked this number about in the last 72 hours. Two of them, one
    that was changed since, or none: not certain. One that was answered already still counts when
    no other is open, for people change their minds.
    """
    asked = db.session.scalars(
        select(Message)
        .where(
            Message.recipient == number,
            Message.channel == Channel.SMS,
            func.coalesce(Message.sent_as, Message.template).in_(rules.ASKING),
            Message.state.in_((State.SENDING, State.AMBIGUOUS, State.SENT, State.DELIVERED)),
            Message.sending_at > now - rules.ASKED_WITHIN,
            Message.sending_at <= now,
        )
        .order_by(Message.sending_at, Message.id)
    ).all()
    newest = {message.topic: message for message in asked}  # later ones replace earlier
    valid = {topic: m for topic, m in newest.items() if not _changed_since(m)}
    unanswered_yet = {topic: m for topic, m in valid.items() if not _answered(number, m)}
    only = unanswered_yet or valid
    if len(only) != 1 or len(valid) != len(newest):
        return None
    message = next(iter(only.values()))
    return Question(
        topic=message.topic,
        patient_id=message.patient_id,
        asked_at=message.sending_at or message.created_at,
    )


def last_said(topic: str, number: str) -> dict[str, str]:
    """Return the facts in the words of the newest question about a topic to a number."""
    message = db.session.scalar(
        select(Message)
        .where(
            Message.topic == topic,
            Message.recipient == number,
            func.coalesce(Message.sent_as, Message.template).in_(rules.ASKING),
            Message.sending_at.is_not(None),
        )
        .order_by(Message.sending_at.desc())
        .limit(1)
    )
    return dict(message.facts.get("said") or {}) if message else {}


def _changed_since(question: Message) -> bool:
    """Say whether news about the same appointment was written after the question went out."""
    return (
        db.session.scalar(
            select(Message.id)
            .where(
                Message.topic == question.topic,
                Message.channel == Channel.SMS,
                Message.is_reply.is_(False),
                Message.template.not_in(rules.REMINDERS),
                Message.created_at > (question.sending_at or question.created_at),
                Message.state.not_in((State.CANCELLED, State.EXPIRED)),
            )
            .limit(1)
        )
        is not None
    )


def _answered(number: str, question: Message) -> bool:
    return (
        db.session.scalar(
            select(InboundText.id)
            .where(
                InboundText.number == number,
                InboundText.topic == question.topic,
                InboundText.received_at >= question.sending_at,
            )
            .limit(1)
        )
        is not None
    )
