"""Texts from patients, as the desk reads and answers them."""

import enum
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from scheduler.audit import service as audit
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound, Refusal, Stale
from scheduler.core.words import writing
from scheduler.messaging import consent, gsm, lint, outbox, rules, texts
from scheduler.messaging import inbound as inbound_texts
from scheduler.messaging.models import Conversation, InboundText
from scheduler.patients.models import Patient

#: How long after their last text an answer still is one. Later we would be the ones who begin,
#: and that needs consent.
ANSWERED_WITHIN = timedelta(days=3)


class Silence(enum.StrEnum):
    """Why a number must not be answered by text."""

    STOPPED = "stopped"
    DECEASED = "deceased"
    ELSEWHERE = "elsewhere"
    TOO_OLD = "too-old"


SILENCE_WORDS = {
    Silence.STOPPED: "They said stop. Please call them.",
    Silence.DECEASED: "Nobody is to be reached at this number.",
    Silence.ELSEWHERE: "They asked to be reached only at another number, in confidence.",
    Silence.TOO_OLD: (
        "They wrote more than three days ago and have not agreed to texts. Please call them."
    ),
}


class MayNotAnswer(Refusal):
    """This number must not be texted."""

    code = "may-not-answer"


def inbound(text_id: int) -> InboundText:
    """Return one text that came in.

    Raises:
        NotFound: there is none of this number.
    """
    found = db.session.get(InboundText, text_id)
    if found is None:
        raise NotFound("This text does not exist.")
    return found


def newest(number: str) -> InboundText | None:
    """Return the last text that came from a number."""
    return db.session.scalar(
        select(InboundText).where(InboundText.number == number).order_by(InboundText.id.desc())
    )


def unread_of(number: str) -> int:
    """Return how many texts from a number nobody has read."""
    return db.session.scalars(
        select(func.count()).where(InboundText.number == number, InboundText.read_at.is_(None))
    ).one()


def mark_read(number: str, *, up_to: int, actor: str, now: datetime, outcome: str = "read") -> int:
    """Note that a person read the texts of a number, up to one they saw; return how many.

    A text that came in since stays unread. The tasks that asked somebody to read them close.
    """
    waiting = db.session.scalars(
        select(InboundText.id).where(
            InboundText.number == number, InboundText.id <= up_to, InboundText.read_at.is_(None)
        )
    ).all()
    for text_id in waiting:
        inbound_texts.mark_read(text_id, actor=actor, now=now)
    if waiting:
        audit.record(
            "conversation.read",
            f"text:{up_to}",
            actor=actor,
            now=now,
            texts=[*waiting],
            outcome=outcome,
        )
    return len(waiting)


# ---------------------------------------------------------------- answering


def silence(number: str, *, now: datetime) -> Silence | None:
    """Return why this number must not be answered by text now, or None."""
    if consent.is_stopped(number):
        return Silence.STOPPED
    holders = consent.holders(number)
    if holders and all(holder.is_deceased for holder in holders):
        return Silence.DECEASED
    if holders and all(holder.reached_at != number for holder in holders):
        return Silence.ELSEWHERE
    last = newest(number)
    if last is not None and last.received_at > now - ANSWERED_WITHIN:
        return None
    if any(consent.may_text(holder, now=now) for holder in holders):
        return None
    return Silence.TOO_OLD


def drafted(words: str, *, patient: Patient | None, phone: str, address: str) -> texts.Words:
    """Return what an answer of the staff will look like on the phone.

    Args:
        patient: Who will read it, if that is certain; it decides the language of our own words.
        phone: The number to call, E.164.
        address: The site's; it may be named whatever its street is called.

    Raises:
        Invalid: it says nothing, says too much, or is too long; for the field "words".
    """
    said = _whole_sentence(writing(words))
    if not said:
        raise Invalid("Write what they should read.", field="words")
    language = patient.language if patient else "en"
    made = texts.render(rules.BY_STAFF, language, {"words": said, "phone": phone}, {})
    if telling := sorted(set(lint.telling(made.body.replace(address, " ")))):
        raise Invalid(
            f"A text must not tell why somebody comes: leave out “{'”, “'.join(telling)}”.",
            field="words",
        )
    if gsm.cost(made.body).parts > gsm.MOST_PARTS:
        raise Invalid(
            f"That is {len(made.body)} letters with our name and number, too long for two parts. "
            "Say it shorter, or call them.",
            field="words",
        )
    if elsewhere := lint.leads_to(made.body, but=[address]):
        raise Invalid(
            f"A text may not lead anywhere else: leave out “{'”, “'.join(elsewhere)}”.",
            field="words",
        )
    if lint.faults(made.body, template=rules.BY_STAFF, is_text=True, address=address):
        raise Invalid("Leave out the curly braces.", field="words")
    return made


def answer(
    text: InboundText,
    words: str,
    *,
    patient: Patient | None,
    phone: str,
    address: str,
    once: str,
    actor: str,
    now: datetime,
) -> None:
    """Answer a conversation with words of the staff; what they had seen of it counts as read.

    It goes out at once, at any hour: somebody is waiting for it.

    Args:
        text: The newest text the writer had before them.
        once: A form's own secret: sent twice, it is one answer.

    Raises:
        Invalid: it says nothing, says too much, or is too long; for the field "words".
        MayNotAnswer: the number said stop, or wrote too long ago without agreeing to texts.
    """
    drafted(words, patient=patient, phone=phone, address=address)
    why = silence(text.number, now=now)
    if why is not None:
        raise MayNotAnswer(SILENCE_WORDS[why])
    outbox.reply(
        text.number,
        rules.BY_STAFF,
        {"phone": phone, "address": address, "by": actor},
        patient=patient,
        topic=f"text:{text.id}",
        dedupe_key=f"answer:{once[:64]}",
        words=_whole_sentence(writing(words)),
        now=now,
    )
    audit.record(
        "conversation.answered",
        f"text:{text.id}",
        actor=actor,
        now=now,
        patient_id=patient.id if patient else None,
    )
    mark_read(text.number, up_to=text.id, actor=actor, now=now, outcome="answered")


def _whole_sentence(words: str) -> str:
    return f"{words}." if words and words[-1].isalnum() else words


# ---------------------------------------------------------------- who looks after it


def assignee(number: str) -> str | None:
    """Return who looks after a conversation ("staff:3"), or None."""
    row = db.session.get(Conversation, number)
    return row.assignee if row else None


def assignees(numbers: Sequence[str]) -> dict[str, str]:
    """Return who looks after each of these conversations, where somebody does."""
    rows = db.session.execute(
        select(Conversation.number, Conversation.assignee).where(
            Conversation.number.in_(numbers), Conversation.assignee.is_not(None)
        )
    )
    return {number: str(who) for number, who in rows}


def assign(
    text: InboundText, who: str | None, *, seen: str | None, actor: str, now: datetime
) -> None:
    """Give a conversation to somebody ("staff:3"), or back to everybody.

    Args:
        seen: Who had it when the page was read.

    Raises:
        Stale: somebody else has given it away since.
    """
    row = db.session.get(Conversation, text.number, with_for_update=True, populate_existing=True)
    if (row.assignee if row else None) != seen:
        raise Stale("Somebody has taken or given this conversation since you opened it.")
    if row is None:
        row = Conversation(number=text.number, assignee=who, assigned_at=now, assigned_by=actor)
        try:
            with db.session.begin_nested():
                db.session.add(row)
        except IntegrityError:
            raise Stale("Somebody took this conversation at this very moment.") from None
    row.assignee, row.assigned_at, row.assigned_by = who, now, actor
    db.session.flush()
    audit.record(
        "conversation.assigned",
        f"text:{text.id}",
        actor=actor,
        now=now,
        patient_id=text.patient_id,
        assignee=who,
    )
