"""Texts from patients, as the desk reads them."""

from datetime import datetime

from sqlalchemy import func, select

from scheduler.audit import service as audit
from scheduler.core.db import db
from scheduler.core.errors import NotFound
from scheduler.messaging import inbound as inbound_texts
from scheduler.messaging.models import InboundText


def inbound(text_id: int) -> InboundText:
    """Return one text that came in.

    Raises:
        NotFound: there is none of this number.
    """
    found = db.session.get(InboundText, text_id)
    if found is None:
        raise NotFound("This text does not exist.")
    return found


def unread_of(number: str) -> int:
    """Return how many texts from a number nobody has read."""
    return db.session.scalars(
        select(func.count()).where(InboundText.number == number, InboundText.read_at.is_(None))
    ).one()


def mark_read(number: str, *, up_to: int, actor: str, now: datetime) -> int:
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
        audit.record("conversation.read", f"text:{up_to}", actor=actor, now=now, texts=[*waiting])
    return len(waiting)
