"""The outbox: what is to be said is a row first, written in the transaction of its act.

    queued -> claimed -> sending -> sent -> delivered

Each arrow is a transaction of its own (see docs/decisions/0003-outbox.md). Here words are put in
and taken back. `claims.py` says who may send one, `composing.py` makes its text, `evidence.py`
learns what came of it, `ending.py` is how it waits, fails and ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update

from scheduler.core import tokens
from scheduler.core.db import db, insert_rows, table_of
from scheduler.messaging import rules, texts
from scheduler.messaging.day import answered_at
from scheduler.messaging.locks import in_order
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient

_WAITING = (State.QUEUED, State.CLAIMED)
_LONGEST_DELAY = timedelta(hours=1)
_message = table_of(Message).c
_WAITS = (
    select(_message.id)
    .where(
        _message.topic == bindparam("topic"),
        _message.template == bindparam("template"),
        _message.channel == bindparam("channel"),
        _message.patient_id == bindparam("patient"),
        _message.state == State.QUEUED,
    )
    .order_by(_message.id)
    .limit(1)
    .with_for_update()
)


@dataclass(frozen=True, kw_only=True)
class Word:
    """Something to be said to a patient, and when.

    Whether it may be sent (consent, night, still true) is asked when it is claimed.

    Attributes:
        facts: What a judge needs to say whether it is still true, and what the words are made
            from; plain JSON values.
        dedupe_key: The same again is not a second message. None: it is one of its own.
        is_reply: It answers what the person is doing this moment: no night, no caps.
    """

    template: str
    channel: Channel
    patient: Patient
    facts: Mapping[str, Any]
    topic: str
    dedupe_key: str | None = None
    send_after: datetime
    expires_at: datetime
    is_reply: bool = False


def put(words: Iterable[Word], *, now: datetime) -> None:
    """Put words in the outbox, in the caller's transaction; one with a known key stays as it was.

    A patient without a mobile or e-mail address gets none: nobody to reach is not a message, the
    patient's page says so.

    Raises:
        NoSuchText: no words are shipped under that name.
    """
    rows = [
        new_row(
            recipient=recipient,
            patient_id=word.patient.id,
            language=word.patient.language,
            template=word.template,
            channel=word.channel,
            facts=dict(word.facts),
            topic=word.topic,
            dedupe_key=word.dedupe_key or f"ask:{tokens.public_id()}",
            send_after=word.send_after,
            expires_at=word.expires_at,
            is_reply=word.is_reply,
            now=now,
        )
        for word in words
        if (recipient := _recipient(word.patient, word.channel)) is not None
    ]
    insert_rows(Message, rows, unless_known="dedupe_key")


def waits(word: Word, *, now: datetime) -> bool:
    """Say whether one word like this waits to be said already, and have it said with this one.

    A later asking moves it back, so that each change has its time to be undone, but never beyond
    an hour after the first; one that is due stays due.
    """
    known = db.session.scalar(
        _WAITS,
        {
            "topic": word.topic,
            "template": word.template,
            "channel": word.channel,
            "patient": word.patient.id,
        },
    )
    if known is None:
        return False
    waiting = db.session.get_one(Message, known, populate_existing=True)
    if word.send_after <= now:
        waiting.send_after = min(waiting.send_after, now)
    elif waiting.send_after > now:
        later = min(word.send_after, waiting.created_at + _LONGEST_DELAY)
        waiting.send_after = max(waiting.send_after, later)
    waiting.expires_at = max(waiting.expires_at, word.expires_at)
    waiting.is_reply = waiting.is_reply or word.is_reply
    db.session.flush()
    return True


def hand_over(since_id: int, target_id: int) -> None:
    """Give one patient's messages, sent and waiting, and texts to another: they are one person."""
    for table in (Message, InboundText):
        db.session.execute(
            update(table).where(table.patient_id == since_id).values(patient_id=target_id)
        )


def reply(
    number: str,
    template: str,
    facts: Mapping[str, str],
    *,
    patient: Patient | None,
    topic: str,
    dedupe_key: str,
    now: datetime,
    language: str = "en",
    words: str | None = None,
) -> None:
    """Answer a text that came in, with the facts as they are: at once, at any hour, if it just
    came; else not at night.

    Needs no consent, for the person wrote first; a number that said stop gets only what
    rules.EVEN_WHEN_STOPPED allows. `words` are what staff wrote, for the text that is theirs.
    """
    at = now if template == rules.IN_DANGER else answered_at(number, patient, now=now)
    row = new_row(
        template=template,
        channel=Channel.SMS,
        patient_id=patient.id if patient else None,
        recipient=number,
        language=patient.language if patient else language,
        facts=dict(facts),
        topic=topic,
        dedupe_key=dedupe_key,
        send_after=at,
        expires_at=at + rules.REPLY_HOLDS,
        is_reply=True,
        words=words,
        now=now,
    )
    insert_rows(Message, [row], unless_known="dedupe_key")


def new_row(*, template: str, language: str, now: datetime, **values: Any) -> dict[str, Any]:
    """Return a message's row as it begins: in the queue, by the words of today."""
    return {
        "public_id": tokens.public_id(),
        "template": template,
        "template_version": texts.version(template, language),
        "language": language,
        "created_at": now,
        "state": State.QUEUED,
        **values,
    }


def _recipient(patient: Patient, channel: Channel) -> str | None:
    """Return where to reach a patient, or None when there is nowhere, or nobody any more."""
    if patient.is_deceased:
        return None
    return (patient.reached_at if channel is Channel.SMS else patient.email) or None


def withdraw(topic: str, *, now: datetime) -> int:
    """Take back what has not left yet about `topic`; return how many.

    What a worker has claimed is taken from it: its fence fails before the call.
    """
    return len(
        db.session.scalars(
            update(Message)
            .where(Message.id.in_(in_order(Message.topic == topic, Message.state.in_(_WAITING))))
            .values(
                state=State.CANCELLED,
                settled_at=now,
                error_text="withdrawn",
                claim_number=Message.claim_number + 1,
            )
            .returning(Message.id)
        ).all()
    )
