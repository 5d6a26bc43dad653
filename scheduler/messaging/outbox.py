"""The outbox: a message is a row first, and the row decides who may send it.

    queued -> claimed -> sending -> sent -> delivered

Each arrow is a transaction of its own. `claim_next` takes a message and whatever else is due to
the same person that day, asks what of it is still true and makes one text of it; `begin_sending`
commits that from now on it may be out; then the provider is called with nothing open; then the
answer is noted. A claim has a number: whoever comes back late finds it changed and can do
nothing. A call that ends without an answer is ambiguous, and evidence decides (see
docs/decisions/0003-outbox.md).
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, bindparam, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningUpdate

from scheduler.clinic.models import Site
from scheduler.core import tokens
from scheduler.core.db import db, insert_rows, table_of
from scheduler.core.sealed import keyring
from scheduler.messaging import consent, gsm, lint, rules, texts, versions
from scheduler.messaging.day import Day, lives_by, night_is_over, zone_of
from scheduler.messaging.locks import in_order
from scheduler.messaging.models import DeliveryReport, InboundText, Message
from scheduler.messaging.rules import (
    Drop,
    MessageView,
    Part,
    Purpose,
    Send,
    Trouble,
    Verdict,
    Wait,
)
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient
from scheduler.tasks import service as tasks

log = logging.getLogger(__name__)

Judge = Callable[[MessageView], Verdict]

#: The task that keeps texts back after our account was refused, and what it is about.
TEXTS_STOPPED = "texts-stopped"
PROVIDER = "provider:texts"
NOT_SENT = "not-sent"
_OUT = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED})
_WAITING = (State.QUEUED, State.CLAIMED)
_MOST_JUDGED = 25  # in one transaction, so that a backlog never holds the write lock for long
_LONGEST_DELAY = timedelta(hours=1)
_ONCE_MORE_AFTER = timedelta(hours=2)
_NEVER_AGAIN = ":once-more"
#: What keeps a text until the morning, in words for staff.
_NIGHT = "the night"
#: Purposes that leave no room for others: there is nothing more urgent, or it cannot wait.
_SURE = frozenset({Purpose.CHANGE, Purpose.TOMORROW})
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


@dataclass(frozen=True)
class Outgoing:
    """A message ready to go: values, no row, so that nothing is open while it goes."""

    message_id: int
    public_id: str
    claim_number: int
    channel: Channel
    recipient: str
    subject: str | None
    body: str
    attachment: bytes | None
    attachment_method: str | None
    expires_at: datetime
    view: MessageView
    along: tuple[tuple[int, int], ...] = ()  # what it says too: (message id, claim number)


# ---------------------------------------------------------------- in


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
        _row(
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
    at = now if template == rules.IN_DANGER else _answered_at(number, patient, now=now)
    row = _row(
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


def _row(*, template: str, language: str, now: datetime, **values: Any) -> dict[str, Any]:
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


# ---------------------------------------------------------------- out


def claim_next(
    worker: str,
    judge: Judge,
    *,
    now: datetime,
    channels: Collection[Channel] = tuple(Channel),
) -> Outgoing | None:
    """Claim the next due message that may be sent, in the caller's transaction.

    Who may be reached (expiry, death, consent, night, caps) is judged here, whether it is still
    true by `judge`, its words are made, and all of it stands or falls with the claim. Texts due
    to the same person later that day are claimed with it and said in it. What may not be sent is
    settled on the way. None means that nothing is due, or that enough was judged for one
    transaction.
    """
    for _ in range(_MOST_JUDGED):
        message = _pick(worker, channels, now)
        if message is None:
            return None
        outgoing = _prepare(message, judge, now)
        db.session.flush()
        if outgoing is not None:
            return outgoing
    return None


def _pick(worker: str, channels: Collection[Channel], now: datetime) -> Message | None:
    """Take one row, answers first.

    The person is locked, not only the row: two workers must not make up two texts for one person
    at once. A reply to a number we do not know has nobody to lock. What somebody else holds is
    passed over: a claim waits for nobody, so it cannot be one of two that wait for each other.
    """
    told = {
        "on": tuple(channels),
        "by": now,
        "worker": worker,
        "lease": now + rules.LEASE,
    }
    for take in (_TAKE_NOBODYS, _TAKE_SOMEBODYS):
        taken = db.session.scalars(take, told).one_or_none()
        if taken is not None:
            return taken
    return None


def _taking(one: Select[Any]) -> ReturningUpdate[Message]:
    """Return the claim of a row. The CTE matters: a plain subselect may be run once per row."""
    pick = one.cte("pick")
    return (
        update(Message)
        .where(Message.id.in_(select(pick.c.id)), Message.state == State.QUEUED)
        .values(
            state=State.CLAIMED,
            claimed_by=bindparam("worker"),
            claim_number=Message.claim_number + 1,
            lease_until=bindparam("lease"),
        )
        .returning(Message)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


# Built once: to build them takes longer than to run them.
_NEXT = (
    select(Message.id)
    .where(
        Message.state == State.QUEUED,
        Message.send_after <= bindparam("by"),
        Message.channel.in_(bindparam("on", expanding=True)),
    )
    .order_by(Message.is_reply.desc(), Message.send_after, Message.id)
    .limit(1)
)
_TAKE_NOBODYS = _taking(_NEXT.where(Message.patient_id.is_(None)).with_for_update(skip_locked=True))
_TAKE_SOMEBODYS = _taking(
    _NEXT.join(Patient, Patient.id == Message.patient_id).with_for_update(
        of=(Patient, Message), skip_locked=True, key_share=True
    )
)


def _prepare(message: Message, judge: Judge, now: datetime) -> Outgoing | None:
    """Judge a message and make its text; one that would not come out holds up nobody behind it."""
    try:
        with db.session.begin_nested():
            return _prepared(message, judge, now)
    except Exception as fault:
        log.exception("message %s would not come out", message.id)
        db.session.refresh(message)
        _set_aside(message, type(fault).__name__, now)
        return None


def _prepared(message: Message, judge: Judge, now: datetime) -> Outgoing | None:
    patient = db.session.get(Patient, message.patient_id) if message.patient_id else None
    refused = _reach(message, patient, now)
    if refused is not None:
        verdict = _known_by_now(message, refused, judge, now)
        if verdict is not None:
            _settle(message, verdict, now)
        return None
    if patient is None or not _is_counted(message):
        return _say([message], judge, now)
    return _say_of_the_day(message, Day.of(message, patient, now), judge)


def _known_by_now(
    message: Message, refused: Verdict, judge: Judge, now: datetime
) -> Verdict | None:
    """Return the judge's word where a change would expire overnight that need not be said at all.

    Else a person would be asked to tell somebody what they know. None: the judge failed, and the
    message is set aside.
    """
    if message.template not in rules.CHANGES or not isinstance(refused, Wait):
        return refused
    if refused.until < message.expires_at:
        return refused
    verdict = _judged(message, judge, now)
    return refused if isinstance(verdict, Send | Wait) else verdict


def _is_counted(message: Message) -> bool:
    return message.channel is Channel.SMS and _purpose(message) is not Purpose.ANSWER


def _purpose(message: Message) -> Purpose:
    return rules.purpose(message.template, is_reply=message.is_reply)


def _say_of_the_day(message: Message, day: Day, judge: Judge) -> Outgoing | None:
    """Say a message and all that is due to its person the same day, if there is room for it."""
    frees_at = day.frees_at()
    purpose = _purpose(message)
    if frees_at is not None and purpose is not Purpose.CHANGE:
        _settle(message, Wait(frees_at, day.what_keeps(frees_at)), day.now)
        return None
    others = _due_with(message, day)
    undoable = [o for o in others if o.send_after > day.now and _purpose(o) is Purpose.CHANGE]
    if undoable and purpose is not Purpose.CHANGE:
        # Else they would be told twice today: once now, and once of the change.
        until = min(other.send_after for other in undoable)
        _settle(message, Wait(until, "the change it is said with"), day.now)
        return None
    others = [other for other in others if other not in undoable]
    return _say([message, *others], judge, day.now, day=day, frees_at=frees_at)


def _due_with(message: Message, day: Day) -> list[Message]:
    """Return what else is due to the same person today and can be said in one text with it."""
    if message.template not in rules.RIDING:
        return []
    found = db.session.scalars(
        select(Message)
        .where(
            Message.patient_id == message.patient_id,
            Message.id != message.id,
            Message.channel == Channel.SMS,
            Message.state == State.QUEUED,
            Message.is_reply.is_(False),
            Message.template.in_(rules.RIDING),
            Message.send_after < day.ends,
            Message.expires_at > day.now,
        )
        .order_by(Message.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for other in found:
        other.recipient, other.language = message.recipient, message.language
    return list(found)


def _say(
    group: Sequence[Message],
    judge: Judge,
    now: datetime,
    *,
    day: Day | None = None,
    frees_at: datetime | None = None,
) -> Outgoing | None:
    """Make one text of what is still true of `group`, if its first is; claim the others with it."""
    message = group[0]
    view = _view(message)
    parts: list[Part] = []
    along: list[Message] = []
    for one in group:
        verdict = _judged(one, judge, now)
        if isinstance(verdict, Send):
            parts.append(Part(_purpose(one), one.topic, one.template, verdict))
            along += [one] if one is not message else []
        elif verdict is not None:
            _settle(one, verdict, now)
        if one is message and not parts:
            return None
    send = rules.together(parts)
    if day is not None:
        wait = _has_no_room(day, parts, send, message, frees_at)
        if wait is not None:
            _settle(message, wait, now)
            return None
    try:
        outgoing = _word(message, view, _discreet(send, message))
    except Exception as fault:
        # One poisoned message must not stop the ones behind it.
        log.exception("message %s would not come out", message.id)
        _set_aside(message, type(fault).__name__, now)
        return None
    for other in along:
        other.state = State.CLAIMED
        other.claimed_by, other.lease_until = message.claimed_by, message.lease_until
        other.claim_number += 1
    of_use = [one.expires_at for one in (message, *along)]
    return replace(
        outgoing,
        # It may wait for a phone that is off, but not into the night.
        expires_at=min([*of_use, day.night_begins] if day is not None else of_use),
        along=tuple((other.id, other.claim_number) for other in along),
    )


def _judged(message: Message, judge: Judge, now: datetime) -> Verdict | None:
    """Ask whether a message is still true; None when the answer would not come out."""
    if message.template in rules.REPLIES:
        return Send(facts=_said_back(message))
    try:
        with db.session.begin_nested():
            return judge(_view(message))
    except Exception as fault:
        log.exception("message %s would not come out", message.id)
        db.session.refresh(message)
        _set_aside(message, type(fault).__name__, now)
        return None


def _has_no_room(
    day: Day, parts: Sequence[Part], send: Send, message: Message, frees_at: datetime | None
) -> Wait | None:
    """Say until when a text has to wait for the caps, and count it if it has not to."""
    at_once = timedelta(hours=day.chosen.change_at_once_within_hours)
    leading = rules.leading(parts)

    def is_near(one: Send) -> bool:
        return one.near is not None and one.near - day.now <= at_once

    if is_near(send):  # what changes within a day is told within it
        if not all(is_near(part.send) for part in parts):
            message.counted_at = day.now  # it is the text of the day for what it says as well
        return None
    if frees_at is not None:
        until = min(frees_at, send.near - at_once) if send.near else frees_at
        return Wait(until, day.what_keeps(frees_at))
    if leading not in _SURE and not day.leaves_room(leading, message.patient_id or 0):
        return Wait(day.next_begins, "leaving room for more urgent texts")
    message.counted_at = day.now
    return None


def _reach(message: Message, patient: Patient | None, now: datetime) -> Verdict | None:
    """Say why this person must not be reached now, or None."""
    if now >= message.expires_at:
        return Drop("its time has passed", State.EXPIRED)
    if patient is not None and patient.is_deceased:
        return Drop("nobody to reach", State.SUPPRESSED)
    if message.template in rules.REPLIES:
        return _reach_back(message, patient, now)
    if patient is None or not _readdress(message, patient):
        return Drop("no address to reach them by", State.SUPPRESSED)
    if message.channel is Channel.SMS:
        return _reach_by_text(message, patient, now)
    return None


def _said_back(message: Message) -> dict[str, str]:
    """Return what an answer is made from: the facts as they were, and what staff wrote."""
    return dict(message.facts) | ({"words": message.words} if message.words else {})


def _discreet(verdict: Send, message: Message) -> Send:
    """Say to a phone that others read no more than that there is something for one of them.

    It asks nothing either: whoever holds the phone could answer.
    """
    patient = db.session.get(Patient, message.patient_id) if message.patient_id else None
    if patient is None or not patient.shares_phone:
        return verdict
    if message.channel is not Channel.SMS or message.template in rules.REPLIES:
        return verdict
    phone = verdict.facts.get("phone") or db.session.scalar(
        select(Site.phone).order_by(Site.id != (patient.home_site_id or 0), Site.id).limit(1)
    )
    return replace(
        verdict,
        template=rules.DISCREET if "link" in verdict.links else rules.DISCREET_CALL,
        facts={"phone": phone or "", "initial": patient.first_initial},
    )


def _reach_back(message: Message, patient: Patient | None, now: datetime) -> Verdict | None:
    """An answer goes to the number that wrote, unless it said stop; at night if it just wrote."""
    allowed = message.template in rules.EVEN_WHEN_STOPPED
    if not allowed and consent.is_stopped(message.recipient):
        return Drop("the number said stop", State.SUPPRESSED)
    if message.template == rules.IN_DANGER:
        return None
    morning = _answered_at(message.recipient, patient, now=now)
    return Wait(morning, _NIGHT) if morning > now else None


def _answered_at(number: str, patient: Patient | None, *, now: datetime) -> datetime:
    """Return when a number may be answered: at once if it just wrote, else not at night."""
    wrote = select(InboundText.id).where(
        InboundText.number == number, InboundText.received_at > now - rules.JUST_NOW
    )
    if db.session.scalar(wrote.limit(1)) is not None:
        return now
    if patient is None:
        return rules.next_daytime(now, ZoneInfo(texts.DEFAULT_ZONE))
    return night_is_over(patient, lives_by(patient), now=now)


def _readdress(message: Message, patient: Patient) -> bool:
    """Send to where they are reached by now, in the language they read by now."""
    current = patient.reached_at if message.channel is Channel.SMS else patient.email
    if not current:
        return False
    message.recipient = current
    message.language = patient.language
    return True


def _reach_by_text(message: Message, patient: Patient, now: datetime) -> Verdict | None:
    if not consent.may_text(patient, now=now):
        return Drop("no consent to texts", State.SUPPRESSED)
    if message.is_reply and now - message.created_at <= rules.JUST_NOW:
        return None
    morning = night_is_over(patient, zone_of(message, patient), now=now)
    return Wait(morning, _NIGHT) if morning > now else None


def _word(message: Message, view: MessageView, verdict: Send) -> Outgoing:
    """Make the words and keep what may be kept of them.

    Raises:
        NoSuchText: the judge asked for words that are not shipped.
        Unfinished: facts or links lack something the words name.
        Unfit: the words break a rule of lint.py.
    """
    template = verdict.template or message.template
    words = versions.render(template, message.language, verdict.facts, verdict.links)
    is_text = message.channel is Channel.SMS
    wrong = lint.faults(
        words.body,
        template=template,
        is_text=is_text,
        subject=words.subject,
        site=verdict.facts.get("site", ""),
        address=verdict.facts.get("address", ""),
        links=verdict.links.values(),
    )
    if wrong:
        raise Unfit("; ".join(wrong))
    message.sent_as = template
    message.topic = verdict.topic or message.topic
    if verdict.memo or "memo" in message.facts:  # one of an earlier try holds no longer
        message.facts = {**message.facts, "memo": dict(verdict.memo)}
    said = {name: fact for name, fact in verdict.facts.items() if name != "words"}
    message.facts = {**message.facts, "said": said}
    message.template_version = words.version
    message.body = f"{words.subject}\n\n{words.kept}" if words.subject else words.kept
    message.body_print = body_print(message.recipient, words.body)
    message.segments = gsm.cost(words.body).parts if is_text else None
    return Outgoing(
        message_id=message.id,
        public_id=message.public_id,
        claim_number=message.claim_number,
        channel=message.channel,
        recipient=message.recipient,
        subject=words.subject,
        body=words.body,
        attachment=verdict.attachment,
        attachment_method=verdict.attachment_method,
        expires_at=message.expires_at,
        view=replace(
            view,
            template=template,
            topic=message.topic,
            recipient=message.recipient,
            facts=dict(message.facts),
        ),
    )


class Unfit(ValueError):
    """The finished words break a rule; they are not sent."""


def body_print(recipient: str, body: str) -> str:
    """Return the keyed hash by which a text is known again in the provider's list."""
    return keyring.fingerprint(f"{recipient}\n{body}")


def _settle(message: Message, verdict: Verdict, now: datetime) -> None:
    if isinstance(verdict, Wait):
        if verdict.until >= message.expires_at:
            what = verdict.because or "something else"
            _end(message, State.EXPIRED, f"{what} kept it back until its time had passed", now)
            _ask_if_unsaid(message, now)
            return
        message.state = State.QUEUED
        message.send_after = verdict.until
        message.claimed_by = message.lease_until = None
    elif isinstance(verdict, Drop):
        _end(message, verdict.state, verdict.reason, now)
        _ask_if_unsaid(message, now)


def _set_aside(message: Message, reason: str, now: datetime) -> None:
    """Count a fault; try again later, or after the third leave it to a person."""
    message.faults += 1
    if message.faults >= rules.MOST_FAULTS:
        _fail(message, reason, now)
        return
    message.state = State.QUEUED
    message.send_after = now + rules.retry_delay(message.faults, 0.5)
    message.claimed_by = message.lease_until = None
    message.error_text = reason


def begin_sending(outgoing: Outgoing, *, now: datetime) -> bool:
    """Commit that from here on the message may be out; False when the claim is no longer ours.

    The last door before the call: a message withdrawn, stopped or taken over in the meantime
    does not pass.
    """
    if not _still_ours(outgoing):
        give_back(outgoing)
        return False
    passed = db.session.scalar(
        _BEGIN,
        {
            "number": outgoing.message_id,
            "claim": outgoing.claim_number,
            "at": now,
            "lease": now + rules.LEASE,
        },
    )
    if passed is None:
        give_back(outgoing)
        return False
    if outgoing.along:
        db.session.execute(
            update(Message)
            .where(Message.id.in_([number for number, _ in outgoing.along]))
            .values(
                state=State.MERGED,
                said_in_id=outgoing.message_id,
                settled_at=now,
                claimed_by=None,
                lease_until=None,
            )
        )
    return True


_BEGIN = (
    update(Message)
    .where(
        Message.id == bindparam("number"),
        Message.claim_number == bindparam("claim"),
        Message.state == State.CLAIMED,
        Message.lease_until > bindparam("at"),
    )
    .values(
        state=State.SENDING,
        sending_at=bindparam("at"),
        lease_until=bindparam("lease"),
        attempts=Message.attempts + 1,
    )
    .returning(Message.id)
)


def _still_ours(outgoing: Outgoing) -> bool:
    """Say whether nothing that a text says too was withdrawn since it was made."""
    if not outgoing.along:
        return True
    group = [outgoing.message_id, *(number for number, _ in outgoing.along)]
    held = db.session.execute(
        select(Message.id, Message.claim_number)
        .where(Message.id.in_(group), Message.state == State.CLAIMED)
        .order_by(Message.id)
        .with_for_update()
    ).all()
    return {(row[0], row[1]) for row in held} >= set(outgoing.along)


def give_back(outgoing: Outgoing) -> None:
    """Put what is claimed and does not go back to the queue, to be judged again."""
    ours = [(outgoing.message_id, outgoing.claim_number), *outgoing.along]
    db.session.execute(
        update(Message)
        .where(
            Message.state == State.CLAIMED,
            tuple_(Message.id, Message.claim_number).in_(ours),
        )
        .values(
            state=State.QUEUED,
            claim_number=Message.claim_number + 1,
            claimed_by=None,
            lease_until=None,
        )
    )


# ---------------------------------------------------------------- what came of it


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
        _end(message, State.SUPPRESSED, text, now)
    elif kind is Trouble.OPTED_OUT:
        _end(message, State.SUPPRESSED, text, now)
        _heard_elsewhere(message, now)
    elif kind is Trouble.STOPS_ALL:
        stop_texts(f"{code}: {text}", now=now)
        _again(message, now + timedelta(minutes=1), now)
    elif kind in {Trouble.LATER, Trouble.ONCE_MORE} and message.attempts < rules.MOST_ATTEMPTS:
        wait = rules.retry_delay(message.attempts, jitter)
        _again(message, now + max(wait, retry_after or wait), now)
    else:
        _fail(message, text, now)


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
        _fail(message, "no answer, and no trace of it: it may have arrived or not", now)
    return message.state


def return_expired_leases(*, now: datetime) -> tuple[int, int]:
    """Take messages from workers that have gone: claimed ones back to the queue, others ambiguous.

    Returns how many of each.
    """
    back = db.session.scalars(
        update(Message)
        .where(Message.id.in_(in_order(Message.state == State.CLAIMED, Message.lease_until <= now)))
        .values(
            state=State.QUEUED,
            claim_number=Message.claim_number + 1,
            claimed_by=None,
            lease_until=None,
        )
        .returning(Message.id)
    ).all()
    unclear = db.session.scalars(
        update(Message)
        .where(Message.id.in_(in_order(Message.state == State.SENDING, Message.lease_until <= now)))
        .values(
            state=State.AMBIGUOUS,
            error_text="the worker went away during the call",
            lease_until=None,
        )
        .returning(Message.id)
    ).all()
    return len(back), len(unclear)


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
        _ask_if_unsaid(message, now)
    return len(expired)


def stop_texts(reason: str, *, now: datetime) -> None:
    """Keep every text back until a person has looked: the provider refuses our account.

    The open task is the switch; closing it lets texts go again.
    """
    tasks.open_task(TEXTS_STOPPED, PROVIDER, now=now, note=reason[:500])


# ---------------------------------------------------------------- inside


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
    return _view(message) if is_out and not was_out else None


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
    _ask_a_person(message, now)


def _once_more(
    message: Message, at: datetime, memo: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the row that says it again; `memo` is what its reader was thought to know by then."""
    key = message.dedupe_key.removesuffix(_NEVER_AGAIN)
    return _row(
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
    _ask_a_person(message, now)
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
        _end(message, State.FAILED, "it could not be sent in time", now)
        _ask_a_person(message, now)
        return
    message.state = State.QUEUED
    message.send_after = at
    message.claimed_by = message.lease_until = None


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


def _fail(message: Message, reason: str, now: datetime) -> None:
    _end(message, State.FAILED, reason, now)
    _ask_a_person(message, now)


def _ask_if_unsaid(message: Message, now: datetime) -> None:
    """Ask a person when a change came too late to be said: its patient goes by what they know.

    Who gets no texts is not asked about here: they are on the list of people to call anyway.
    """
    if message.state is not State.EXPIRED or message.template not in rules.CHANGES:
        return
    patient = db.session.get(Patient, message.patient_id) if message.patient_id else None
    if patient is not None and not patient.is_deceased:
        _ask_a_person(message, now)


def _ask_a_person(message: Message, now: datetime) -> None:
    tasks.open_task(NOT_SENT, f"message:{message.id}", now=now, patient_id=message.patient_id)


def _end(message: Message, state: State, reason: str, now: datetime) -> None:
    message.state = state
    message.settled_at = now
    message.error_text = reason[:200]
    message.claimed_by = message.lease_until = None


def _locked(message_id: int) -> Message | None:
    return db.session.scalar(
        select(Message)
        .where(Message.id == message_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _view(message: Message) -> MessageView:
    return MessageView(
        id=message.id,
        public_id=message.public_id,
        channel=message.channel,
        patient_id=message.patient_id,
        recipient=message.recipient,
        language=message.language,
        template=message.template,
        facts=dict(message.facts),
        topic=message.topic,
        dedupe_key=message.dedupe_key,
        is_reply=message.is_reply,
        created_at=message.created_at,
        send_after=message.send_after,
        expires_at=message.expires_at,
        attempts=message.attempts,
    )
