"""One submit, one booking: a form's token is spent by the success it led to."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from scheduler.booking.errors import FormUsed
from scheduler.booking.models import FormToken
from scheduler.core.db import db, queue_up
from scheduler.core.tokens import digest

LIVES = timedelta(hours=24)


def earlier_result(token: str, body: str, *, now: datetime) -> str | None:
    """Return what this form led to before ("appointment:42"), or None when it is unused.

    Two sendings of one form at the same moment wait for one another here (SQLite: the write
    lock; PostgreSQL: an advisory lock of this transaction), so the second finds the first's
    result instead of a hold that is gone.

    Raises:
        FormUsed: it was used with other words in it.
    """
    queue_up(digest(token, "form-lock"))
    row = db.session.scalar(
        select(FormToken).where(
            FormToken.token_hash == digest(token, "form"), FormToken.created_at > now - LIVES
        )
    )
    if row is None:
        return None
    if row.body_hash != _print(body):
        raise FormUsed("This form was already sent with other answers. Please start again.")
    return row.result


def spend(token: str, body: str, result: str, *, now: datetime) -> None:
    """Note in the same transaction what a form led to."""
    db.session.execute(delete(FormToken).where(FormToken.created_at <= now - LIVES))
    db.session.add(
        FormToken(
            token_hash=digest(token, "form"), body_hash=_print(body), result=result, created_at=now
        )
    )
    db.session.flush()


def _print(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
