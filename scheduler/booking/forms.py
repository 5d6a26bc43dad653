"""One submit, one booking: a form's token is spent by the success it led to."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select

from scheduler.booking.errors import FormUsed
from scheduler.booking.models import FormToken
from scheduler.core.db import db, queue_up, table_of
from scheduler.core.tokens import digest

LIVES = timedelta(hours=24)
_token = table_of(FormToken).c
_RESULT = select(_token.body_hash, _token.result).where(
    _token.token_hash == bindparam("token"), _token.created_at > bindparam("since")
)


def earlier_result(token: str, body: str, *, now: datetime) -> str | None:
    """Return what this form led to before ("appointment:42"), or None when it is unused.

    Two sendings of one form at the same moment wait for one another here (SQLite: the write
    lock; PostgreSQL: an advisory lock of this transaction), so the second finds the first's
    result instead of a hold that is gone.

    Raises:
        FormUsed: it was used with other words in it.
    """
    queue_up(digest(token, "form-lock"))
    return known_result(token, body, now=now)


def known_result(token: str, body: str, *, now: datetime) -> str | None:
    """Return what `earlier_result` does, but do not wait for a sending that is under way.

    Raises:
        FormUsed: as for `earlier_result`.
    """
    given = {"token": digest(token, "form"), "since": now - LIVES}
    row = db.session.connection().execute(_RESULT, given).one_or_none()
    if row is None:
        return None
    if row.body_hash != _print(body):
        raise FormUsed("This form was already sent with other answers. Please start again.")
    result: str = row.result
    return result


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
