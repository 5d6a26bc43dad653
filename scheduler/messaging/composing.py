"""One text of all that is due to a person: who may be reached, what is still true, which words."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.sealed import keyring
from scheduler.messaging import consent, ending, gsm, lint, rules, versions
from scheduler.messaging.day import Day, answered_at, night_is_over, zone_of
from scheduler.messaging.models import Message
from scheduler.messaging.rules import Drop, MessageView, Part, Purpose, Send, Verdict, Wait
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient

log = logging.getLogger(__name__)

Judge = Callable[[MessageView], Verdict]

#: What keeps a text until the morning, in words for staff.
_NIGHT = "the night"
#: Purposes that leave no room for others: there is nothing more urgent, or it cannot wait.
_SURE = frozenset({Purpose.CHANGE, Purpose.TOMORROW})


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


class Unfit(ValueError):
    """The finished words break a rule; they are not sent."""


def compose(message: Message, judge: Judge, now: datetime) -> Outgoing | None:
    """Judge a message and make its text; one that would not come out holds up nobody behind it."""
    try:
        with db.session.begin_nested():
            return _prepared(message, judge, now)
    except Exception as fault:
        log.exception("message %s would not come out", message.id)
        db.session.refresh(message)
        ending.set_aside(message, type(fault).__name__, now)
        return None


def _prepared(message: Message, judge: Judge, now: datetime) -> Outgoing | None:
    patient = db.session.get(Patient, message.patient_id) if message.patient_id else None
    refused = _reach(message, patient, now)
    if refused is not None:
        verdict = _known_by_now(message, refused, judge, now)
        if verdict is not None:
            ending.settle(message, verdict, now)
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
        ending.settle(message, Wait(frees_at, day.what_keeps(frees_at)), day.now)
        return None
    others = _due_with(message, day)
    undoable = [o for o in others if o.send_after > day.now and _purpose(o) is Purpose.CHANGE]
    if undoable and purpose is not Purpose.CHANGE:
        # Else they would be told twice today: once now, and once of the change.
        until = min(other.send_after for other in undoable)
        ending.settle(message, Wait(until, "the change it is said with"), day.now)
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
    view = message.view()
    parts: list[Part] = []
    along: list[Message] = []
    for one in group:
        verdict = _judged(one, judge, now)
        if isinstance(verdict, Send):
            parts.append(Part(_purpose(one), one.topic, one.template, verdict))
            along += [one] if one is not message else []
        elif verdict is not None:
            ending.settle(one, verdict, now)
        if one is message and not parts:
            return None
    send = rules.together(parts)
    if day is not None:
        wait = _has_no_room(day, parts, send, message, frees_at)
        if wait is not None:
            ending.settle(message, wait, now)
            return None
    try:
        outgoing = _word(message, view, _discreet(send, message))
    except Exception as fault:
        # One poisoned message must not stop the ones behind it.
        log.exception("message %s would not come out", message.id)
        ending.set_aside(message, type(fault).__name__, now)
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
            return judge(message.view())
    except Exception as fault:
        log.exception("message %s would not come out", message.id)
        db.session.refresh(message)
        ending.set_aside(message, type(fault).__name__, now)
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
    morning = answered_at(message.recipient, patient, now=now)
    return Wait(morning, _NIGHT) if morning > now else None


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


def body_print(recipient: str, body: str) -> str:
    """Return the keyed hash by which a text is known again in the provider's list."""
    return keyring.fingerprint(f"{recipient}\n{body}")
