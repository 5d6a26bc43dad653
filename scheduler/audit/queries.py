"""Reading the record."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from scheduler.audit.models import AuditEntry
from scheduler.core.db import db


def deeds(subject: str, *, most: int = 100) -> Sequence[AuditEntry]:
    """Return what was done to one thing, the newest first; looks are left out."""
    return db.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.subject == subject, AuditEntry.action.not_like("%.viewed"))
        .order_by(AuditEntry.id.desc())
        .limit(most)
    ).all()


def last_deed(subject: str, *, since: datetime, but: Sequence[str] = ()) -> AuditEntry | None:
    """Return the newest thing done to something after a moment, or None; looks do not count.

    Args:
        but: Actions that only accompany another.
    """
    return db.session.scalar(
        select(AuditEntry)
        .where(
            AuditEntry.subject == subject,
            AuditEntry.at > since,
            AuditEntry.action.not_like("%.viewed"),
            AuditEntry.action.not_in(but),
        )
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
