"""Did word of a visit reach its patient? Planned, sent, delivered, answered, confirmed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from scheduler.booking import rules
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import db
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.queries import is_stuck
from scheduler.messaging.rules import REPLIES
from scheduler.messaging.states import Channel, State

AHEAD = timedelta(days=7)
_PLANNED = (State.QUEUED, State.CLAIMED)
_ARRIVED_NOT = (State.FAILED, State.UNDELIVERED)
_SENT = (State.SENDING, State.AMBIGUOUS, State.SENT, State.DELIVERED, *_ARRIVED_NOT)


@dataclass(frozen=True)
class Reach:
    """How far word of one visit came, by text; each step with its moment, where it was taken.

    `planned` is when the next text goes out. `answered` is when the patient wrote about this
    visit, and `is_read` says whether somebody here has read that.
    """

    planned: datetime | None = None
    sent: datetime | None = None
    delivered: datetime | None = None
    answered: datetime | None = None
    is_read: bool = False
    confirmed: datetime | None = None
    failed: bool = False  # the newest text about it did not arrive
    unsure: bool = False  # nobody can say of a text about it whether it arrived

    @property
    def steps(self) -> list[tuple[str, datetime | None]]:
        """Return each step in words with its moment."""
        waits = self.answered is not None and not self.is_read
        sent = "Not delivered" if self.failed else "Sent, unsure" if self.unsure else "Sent"
        return [
            ("Late, unsure" if self.unsure and not self.sent else "Planned", self.planned),
            (sent, self.sent),
            ("Delivered", self.delivered),
            ("Answered, not read" if waits else "Answered", self.answered),
            ("Confirmed", self.confirmed),
        ]


def coming(*, now: datetime) -> list[Appointment]:
    """Return the visits of the next seven days that stand, in order of time."""
    return list(
        db.session.scalars(
            select(Appointment)
            .where(
                Appointment.site_id.in_(clinic_supply.current().sites),
                Appointment.status == Status.BOOKED,
                Appointment.starts_at > now,
                Appointment.starts_at <= now + AHEAD,
            )
            .order_by(Appointment.starts_at, Appointment.id)
            .limit(300)
        )
    )


def of(
    appointments: Sequence[Appointment], *, now: datetime, texted: Collection[int] | None = None
) -> Mapping[int, Reach]:
    """Return the reach of each visit by its id, in four questions for all of them.

    Args:
        texted: Which of their patients may be texted: to the others no text is planned, though
            one may wait. None: whoever.
    """
    topics = {a.topic: a for a in appointments}
    patients = {f"patient:{a.patient_id}" for a in appointments}
    messages = db.session.scalars(
        select(Message)
        .where(
            Message.channel == Channel.SMS,
            Message.template.not_in(REPLIES),
            or_(Message.topic.in_(topics), Message.topic.in_(patients)),
        )
        .order_by(Message.id)
    ).all()
    texts = {
        text.id: text
        for text in db.session.scalars(
            select(Message).where(Message.id.in_([m.said_in_id for m in messages if m.said_in_id]))
        )
    }
    stuck = set(
        db.session.scalars(
            select(Message.id).where(
                is_stuck(now=now), Message.id.in_([*texts, *(m.id for m in messages)])
            )
        )
    )
    answers = db.session.scalars(
        select(InboundText).where(InboundText.topic.in_(topics)).order_by(InboundText.id)
    ).all()
    return {
        a.id: _reach(
            a,
            [texts.get(m.said_in_id or 0, m) for m in messages if _speaks_of(m, a)],
            [t for t in answers if t.topic == a.topic],
            stuck,
            is_texted=texted is None or a.patient_id in texted,
        )
        for a in appointments
    }


def in_doubt(appointments: Sequence[Appointment], *, now: datetime) -> set[int]:
    """Return which of some visits nobody has confirmed and word of which may not have arrived."""
    open_ones = [
        a
        for a in appointments
        if a.status is Status.BOOKED and a.confirmed_at is None and a.starts_at > now
    ]
    if not open_ones:
        return set()
    return {key for key, far in of(open_ones, now=now).items() if far.failed or far.unsure}


def _speaks_of(message: Message, appointment: Appointment) -> bool:
    """Say whether a text is about a visit as it now stands, alone or among several dates.

    What spoke of a time it has no more is no word of it.
    """
    told = (message.facts.get("memo") or {}).get(str(appointment.id))
    if told is not None:
        return not rules.differs(told, appointment)
    said_for = (message.facts.get("said") or {}).get("starts_at")
    if said_for and datetime.fromisoformat(said_for) != appointment.starts_at:
        return False
    if message.facts.get("sequence", appointment.sequence) != appointment.sequence:
        return False
    return message.topic == appointment.topic


def _reach(
    appointment: Appointment,
    messages: Sequence[Message],
    answers: Sequence[InboundText],
    stuck: Collection[int],
    *,
    is_texted: bool,
) -> Reach:
    waits = [m.send_after for m in messages if m.state in _PLANNED]
    sent = [m for m in messages if m.state in _SENT and m.sending_at is not None]
    delivered = [m for m in sent if m.state is State.DELIVERED]
    return Reach(
        planned=min(waits, default=None) if is_texted else None,
        sent=sent[-1].sending_at if sent else None,
        delivered=delivered[-1].settled_at if delivered else None,
        answered=answers[-1].received_at if answers else None,
        is_read=all(t.read_at is not None for t in answers),
        confirmed=appointment.confirmed_at,
        failed=bool(sent) and sent[-1].state in _ARRIVED_NOT,
        unsure=any(m.id in stuck for m in messages),
    )
