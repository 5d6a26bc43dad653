"""What came of a message: the provider's answer, its reports, its list, and silence.

A call that ends without an answer is ambiguous, and evidence decides; a message only moves
forward, whatever comes late or twice (see docs/decisions/0003-outbox.md).
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from scheduler.core.db import db, insert_rows
from scheduler.messaging import consent, ending, outbox, rules
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import DeliveryReport, Message
from scheduler.messaging.rules import MessageView, Trouble
from scheduler.messaging.states import State
from scheduler.tasks import service as tasks

log = logging.getLogger(__name__)

#: The task that keeps texts back after our account was refused, and what it is about.
TEXTS_STOPPED = "texts-stopped"
PROVIDER = "provider:texts"
_OUT = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED})
_ONCE_MORE_AFTER = timedelta(hours=2)
_NEVER_AGAIN = ":once-more"


def note_sent(
    message_id: int,
    provider_ref: str,
    *,
    status: str | None = None,
    now: datetime,
) -> MessageView | None:
    """Note that the provider has the message.

    Good at any time: it is evidence, whoever holds the row by now. Returns the message when this
    is how we learn that it went out, so that whoever must know can be told; else None.
    """
    message = _locked(message_id)
    if message is None:
        return None
    if message.provider_ref is None:
        message.provider_ref = provider_ref
    elif message.provider_ref != provider_ref:
        log.warning("message %s was taken twice by the provider", message.id)
    reported = rules.REPORTED.get(status or "sent", State.SENT)
    return _learn(message, reported, status, now)


def note_refused(
    outgoing: Outgoing,
    kind: Trouble,
    *,
    code: str | None,
    text: str,
    retry_after: timedelta | None = None,
    jitter: float = 0.5,
    now: datetime,
) -> None:
    """Note that the provider did not take the message, and do what that asks for.

    Nothing is out, so a passing trouble puts it back in the queue, later each time.
    """
    message = _locked(outgoing.message_id)
    if message is None or message.claim_number != outgoing.claim_number:
        return
    if message.state not in {State.SENDING, State.AMBIGUOUS}:
        return
    message.error_code, message.error_text = code, text[:200]
    if kind is Trouble.UNWANTED:
        ending.end(message, State.SUPPRESSED, text, now)
    elif kind is Trouble.OPTED_OUT:
        ending.end(message, State.SUPPRESSED, text, now)
        _heard_elsewhere(message, now)
    elif kind is Trouble.STOPS_ALL:
        stop_texts(f"{code}: {text}", now=now)
        _again(message, now + timedelta(minutes=1), now)
    elif kind in {Trouble.LATER, Trouble.ONCE_MORE} and message.attempts < rules.MOST_ATTEMPTS:
        wait = rules.retry_delay(message.attempts, jitter)
        _again(message, now + max(wait, retry_after or wait), now)
    else:
        ending.fail(message, text, now)


def note_ambiguous(outgoing: Outgoing, text: str, *, now: datetime) -> None:
    """Note that the call ended without an answer: the message may be out, or not."""
    message = _locked(outgoing.message_id)
    if message is None or message.claim_number != outgoing.claim_number:
        return
    if message.state is State.SENDING:
        message.state = State.AMBIGUOUS
        message.error_text = text[:200]
        message.lease_until = None


def record_report(
    public_id: str,
    provider_ref: str,
    status: str,
    error_code: str | None = None,
    *,
    now: datetime,
) -> MessageView | None:
    """Take in a signed report about the message whose callback address this is.

    The same report twice, one that comes late, and one about nothing we know have no effect. A
    report is evidence for a message without an answer too: then, as with `note_sent`, the message
    is returned when this is how we learn that it went out.
    """
    message = db.session.scalar(
        select(Message).where(Message.public_id == public_id).with_for_update()
    )
    if message is None:
        return None
    report = DeliveryReport(
        message_id=message.id,
        provider_ref=provider_ref,
        status=status[:40],
        error_code=error_code,
        received_at=now,
    )
    try:
        with db.session.begin_nested():
            db.session.add(report)
    except IntegrityError:
        return None
    reported = rules.REPORTED.get(status)
    if message.provider_ref is None:
        message.provider_ref = provider_ref
    elif message.provider_ref != provider_ref and reported is not State.DELIVERED:
        return None  # about another try than the one that counts
    if reported is None:
        return None
    if error_code:
        message.error_code = error_code
    return _learn(message, reported, status, now)


def settle_unanswered(message_id: int, *, now: datetime) -> State | None:
    """Decide about a message whose call ended without an answer and of which nothing was found.

    If a late double would be harmless it goes back to the queue, where it is judged again before
    it goes; else a person decides. Returns where it stands then; None when there is nothing to
    decide, or not yet.
    """
    message = _locked(message_id)
    if message is None or message.state is not State.AMBIGUOUS:
        return None
    if message.sending_at is None or now < message.sending_at + rules.AMBIGUOUS_FOR:
        return None
    if (message.sent_as or message.template) in rules.DOUBLE_IS_HARMLESS:
        _again(message, now, now)
    else:
        _let_go(message, now)
        ending.fail(message, "no answer, and no trace of it: it may have arrived or not", now)
    return message.state


def stop_texts(reason: str, *, now: datetime) -> None:
    """Keep every text back until a person has looked: the provider refuses our account.

    The open task is the switch; closing it lets texts go again.
    """
    tasks.open_task(TEXTS_STOPPED, PROVIDER, now=now, note=reason[:500])


def _learn(
    message: Message, reported: State, status: str | None, now: datetime
) -> MessageView | None:
    """Move the message forward; return it when it was not known before to have gone out."""
    was_out = message.state in _OUT
    if not rules.moves_forward(message.state, reported):
        return None
    message.state = reported
    message.provider_status = status
    message.settled_at = now
    message.lease_until = None
    message.claimed_by = None
    if reported in {State.UNDELIVERED, State.FAILED}:
        _not_delivered(message, now)
    db.session.flush()
    is_out = reported in {State.SENT, State.DELIVERED}
    return message.view() if is_out and not was_out else None


def _not_delivered(message: Message, now: datetime) -> None:
    """Do what an undelivered text asks for, as its code says."""
    kind = rules.trouble(message.error_code)
    if kind is Trouble.OPTED_OUT:
        _heard_elsewhere(message, now)
        return
    if kind is Trouble.STOPS_ALL:
        stop_texts(f"{message.error_code}: texts are not delivered", now=now)
    again = now + _ONCE_MORE_AFTER
    may_again = kind in {Trouble.ONCE_MORE, Trouble.LATER} and again < message.expires_at
    if may_again and not message.dedupe_key.endswith(_NEVER_AGAIN):
        along = db.session.scalars(select(Message).where(Message.said_in_id == message.id))
        memo = message.facts.get("memo") or {}
        rows = [_once_more(one, again, memo, now) for one in (message, *along)]
        insert_rows(Message, rows, unless_known="dedupe_key")
        return
    ending.ask_a_person(message, now)


def _once_more(
    message: Message, at: datetime, memo: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the row that says it again; `memo` is what its reader was thought to know by then."""
    key = message.dedupe_key.removesuffix(_NEVER_AGAIN)
    return outbox.new_row(
        template=message.template,
        channel=message.channel,
        patient_id=message.patient_id,
        recipient=message.recipient,
        language=message.language,
        facts={**message.facts, "memo": dict(memo), "unheard": True},
        topic=message.topic,
        dedupe_key=key + _NEVER_AGAIN,
        send_after=at,
        expires_at=message.expires_at,
        is_reply=message.is_reply,
        now=now,
    )


def _heard_elsewhere(message: Message, now: datetime) -> None:
    """The provider knows of a stop that we did not: write it down as if it had been said to us.

    What the text was to say, and what rode along, a person has to say.
    """
    db.session.execute(
        update(Message)
        .where(Message.said_in_id == message.id, Message.state == State.MERGED)
        .values(state=State.SUPPRESSED, settled_at=now, error_text="the number said stop")
    )
    ending.ask_a_person(message, now)
    if not consent.is_stopped(message.recipient):
        consent.revoke(
            message.recipient,
            wording=f"the provider refused with {message.error_code}",
            source="provider",
            actor="provider",
            origin="provider",
            now=now,
            patient_id=message.patient_id,
        )


def _again(message: Message, at: datetime, now: datetime) -> None:
    """Put a message that is not out back to the queue, and what it would have said too."""
    db.session.execute(
        update(Message)
        .where(Message.said_in_id == message.id, Message.state == State.MERGED)
        .values(state=State.QUEUED, said_in_id=None, settled_at=None, send_after=at)
    )
    if at >= message.expires_at:
        ending.end(message, State.FAILED, "it could not be sent in time", now)
        ending.ask_a_person(message, now)
        return
    ending.put_back(message, at)


def _let_go(message: Message, now: datetime) -> None:
    """Let what rode along, and may harmlessly be said twice, go by itself."""
    db.session.execute(
        update(Message)
        .where(
            Message.said_in_id == message.id,
            Message.state == State.MERGED,
            Message.template.in_(rules.DOUBLE_IS_HARMLESS),
        )
        .values(state=State.QUEUED, said_in_id=None, settled_at=None, send_after=now)
    )


def _locked(message_id: int) -> Message | None:
    return db.session.scalar(
        select(Message)
        .where(Message.id == message_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
