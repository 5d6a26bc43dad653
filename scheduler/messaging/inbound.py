"""What comes in: the text is kept, understood, and what belongs to this room is done at once.

Stopping, starting, asking for help and danger are settled here. Confirming and asking for a
change belong to rooms above: `receive` says which appointment is meant, the door says the verb,
and `answered` replies. All of it in one transaction with the row whose reference is unique, so a
request that is played again has no effect.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.messaging import consent, outbox, queries, rules
from scheduler.messaging.models import InboundRoute, InboundText, Message
from scheduler.messaging.rules import Intent
from scheduler.messaging.states import Channel
from scheduler.patients.models import Patient
from scheduler.tasks import service as tasks

UNCLEAR = "unclear-text"
EMERGENCY = "emergency-text"
STOPPED = consent.STOPPED
#: How many answers one number gets in an hour; more means a machine is at the other end.
_MOST_ANSWERS = 8
_REFRESH_ROUTE = timedelta(hours=1)
_LONGEST = 1600


@dataclass(frozen=True)
class Inbound:
    """A text that was taken in. `topic` is set when a verb of a room above must follow."""

    text_id: int
    number: str
    intent: Intent
    patient_id: int | None
    topic: str | None


def receive(
    *,
    provider_ref: str,
    number: str,
    body: str,
    opt_out: str | None = None,
    came_at: datetime | None = None,
    now: datetime,
) -> Inbound | None:
    """Take in one text, in the caller's transaction.

    Args:
        came_at: When it reached the provider, if that was not just now: it answers what had been
            asked by then.
        opt_out: What the provider says it took the text for and has answered itself
            ("STOP", "START", "HELP"); then we act but do not answer a second time.

    Returns:
        What it was taken to mean; with a `topic` the caller says the verb and then `answered`.
        None when this very text was taken in before.
    """
    text = InboundText(
        provider_ref=provider_ref[:64],
        number=number[:64],
        body=body[:_LONGEST],
        received_at=came_at or now,
        intent=Intent.UNCLEAR,
    )
    try:
        with db.session.begin_nested():
            db.session.add(text)
    except IntegrityError:
        return None
    intent = _intent(number, body, opt_out)
    asked = (
        queries.open_question(number, now=came_at or now)
        if intent in {Intent.CONFIRM, Intent.CHANGE}
        else None
    )
    patient = _who(number, asked)
    text.patient_id = patient.id if patient else None
    text.intent = intent
    if asked is not None:
        text.topic = asked.topic
        db.session.flush()
        return Inbound(text.id, number, intent, text.patient_id, asked.topic)
    _settle(text, intent, patient, answers=opt_out is None, now=now)
    db.session.flush()
    return Inbound(text.id, number, Intent(text.intent), text.patient_id, None)


def answered(came: Inbound, *, done: bool, now: datetime) -> None:
    """Reply to a text whose verb was said; when it could not be done a person reads the text."""
    text = db.session.get_one(InboundText, came.text_id)
    patient = db.session.get(Patient, came.patient_id) if came.patient_id else None
    if not done:
        _unclear(text, patient, now)
        return
    asked = queries.last_said(came.topic or "", came.number)
    template = "confirmed" if came.intent is Intent.CONFIRM else "change-asked"
    _reply(text, template, patient, now, facts=asked)
    if came.intent is Intent.CONFIRM:
        _read(text, now)


def note_route(url: str, *, now: datetime) -> None:
    """Note that a signed text came in by `url`: a STOP would be heard."""
    route = db.session.get(InboundRoute, url)
    if route is None:
        try:
            with db.session.begin_nested():
                db.session.add(InboundRoute(url=url, verified_at=now))
        except IntegrityError:
            return  # another request was first
    elif route.verified_at < now - _REFRESH_ROUTE:
        route.verified_at = now
        db.session.flush()


def mark_read(text_id: int, *, actor: str, now: datetime) -> None:
    """Note that somebody has read a text, and close its task."""
    text = db.session.get_one(InboundText, text_id)
    if text.read_at is None:
        text.read_at, text.read_by = now, actor
    for kind in (UNCLEAR, EMERGENCY, STOPPED):
        tasks.close_by_event(kind, _topic(text), "read", actor=actor, now=now)
    db.session.flush()


def _intent(number: str, body: str, opt_out: str | None) -> Intent:
    known = {"STOP": Intent.STOP, "START": Intent.START, "HELP": Intent.HELP}
    intent = known.get((opt_out or "").upper()) or rules.intent(body)
    if intent is Intent.START and not consent.is_stopped(number):
        return Intent.UNCLEAR  # "yes" to what? A person reads it
    return intent


def _settle(
    text: InboundText, intent: Intent, patient: Patient | None, *, answers: bool, now: datetime
) -> None:
    if intent is Intent.STOP:
        _stop(text, patient, answers=answers, now=now)
    elif intent is Intent.START:
        _start(text, patient, answers=answers, now=now)
    elif intent is Intent.HELP:
        if answers:
            _reply(text, "help", patient, now)
        _read(text, now)
    elif intent is Intent.EMERGENCY:
        _ask_a_person(EMERGENCY, text, patient, now)
        _reply(text, "emergency", patient, now)
    else:
        _unclear(text, patient, now)


def _stop(text: InboundText, patient: Patient | None, *, answers: bool, now: datetime) -> None:
    """Stop everything to this number; confirm it once; tell the desk, who must call from now on."""
    first = not consent.is_stopped(text.number)
    consent.revoke(
        text.number,
        wording=f"text {text.provider_ref}",
        source="text",
        actor=_actor(patient),
        origin=text.provider_ref,
        now=now,
        patient_id=text.patient_id,
    )
    if first and answers:
        _reply(text, "stopped", patient, now)
    if first:
        _ask_a_person(STOPPED, text, patient, now)
    _read(text, now)


def _start(text: InboundText, patient: Patient | None, *, answers: bool, now: datetime) -> None:
    restored = consent.restore(
        text.number, wording=f"text {text.provider_ref}", origin=text.provider_ref, now=now
    )
    if not restored:
        _unclear(text, patient, now)
        return
    if answers:
        _reply(text, "started", patient or restored[0], now)
    _read(text, now)


def _unclear(text: InboundText, patient: Patient | None, now: datetime) -> None:
    text.intent = Intent.UNCLEAR
    text.topic = None
    _ask_a_person(UNCLEAR, text, patient, now)
    _reply(text, "unclear", patient, now, key=f"unclear:{text.number}:{now.date()}")


def _reply(
    text: InboundText,
    template: str,
    patient: Patient | None,
    now: datetime,
    *,
    facts: dict[str, str] | None = None,
    key: str | None = None,
) -> None:
    if _answered_enough(text.number, template, now):
        return
    outbox.reply(
        text.number,
        template,
        {"phone": _phone(patient), **(facts or {})},
        patient=patient,
        topic=text.topic or _topic(text),
        dedupe_key=key or f"{template}:{text.provider_ref}",
        now=now,
    )


def _answered_enough(number: str, template: str, now: datetime) -> bool:
    """Say whether a number has had so many answers that a machine must be at its other end.

    What is said to somebody in danger counts for itself: nothing else uses it up.
    """
    alone = {rules.IN_DANGER}
    like = alone if template in alone else rules.REPLIES - {rules.BY_STAFF} - alone
    moments = db.session.scalars(
        select(Message.created_at).where(
            Message.recipient == number,
            Message.channel == Channel.SMS,
            Message.template.in_(like),
            Message.created_at > now - timedelta(days=1),
        )
    ).all()
    if len(moments) >= rules.MOST_REPLIES_A_DAY:
        return True
    if template in rules.EVEN_WHEN_STOPPED:
        return False
    return sum(moment > now - timedelta(hours=1) for moment in moments) >= _MOST_ANSWERS


def _ask_a_person(kind: str, text: InboundText, patient: Patient | None, now: datetime) -> None:
    tasks.open_task(
        kind,
        _topic(text),
        now=now,
        patient_id=text.patient_id,
        site_id=patient.home_site_id if patient else None,
    )


def _who(number: str, asked: queries.Question | None) -> Patient | None:
    """Return who wrote, when that is certain: whom we asked, or the only one with this number."""
    if asked is not None and asked.patient_id is not None:
        return db.session.get(Patient, asked.patient_id)
    holders = consent.holders(number)
    return holders[0] if len(holders) == 1 else None


def _phone(patient: Patient | None) -> str:
    """Return the number to call: that of the patient's site, else of the first."""
    if patient is not None and patient.home_site_id is not None:
        return db.session.get_one(Site, patient.home_site_id).phone
    return db.session.scalar(select(Site.phone).order_by(Site.id).limit(1)) or ""


def _read(text: InboundText, now: datetime) -> None:
    text.read_at, text.read_by = now, "house"


def _actor(patient: Patient | None) -> str:
    return f"patient:{patient.id}" if patient else "stranger"


def _topic(text: InboundText) -> str:
    return f"text:{text.id}"
