"""Secret addresses of staff calendars: one for each person and what they look at.

An address is the person's own: it closes when they make a new one, when they or an administrator
close it, and when they may no longer sign in.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update

from scheduler.accounts.models import FeedKey, Staff
from scheduler.audit import service as audit
from scheduler.core.db import db
from scheduler.core.errors import NotFound
from scheduler.core.tokens import digest, mint

PURPOSE = "staff-feed"
#: Programs ask every hour; that it is in use is noted this often.
NOTE_USE_EVERY = timedelta(hours=12)


def renew(staff_id: int, site_id: int | None, *, now: datetime) -> str:
    """Make an address anew and return its secret; the one before closes.

    Args:
        site_id: Whose appointments it shows; None: the person's own.
    """
    db.session.execute(
        update(FeedKey)
        .where(
            FeedKey.staff_id == staff_id,
            FeedKey.site_id.is_(None) if site_id is None else FeedKey.site_id == site_id,
            FeedKey.revoked_at.is_(None),
        )
        .values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )
    token = mint()
    key = FeedKey(
        staff_id=staff_id, site_id=site_id, token_hash=digest(token, PURPOSE), created_at=now
    )
    db.session.add(key)
    db.session.flush()
    audit.record("feed.renewed", f"feed:{key.id}", actor=f"staff:{staff_id}", now=now)
    return token


def close(key_id: int, *, staff_id: int, now: datetime) -> None:
    """Close one of a person's own addresses.

    Raises:
        NotFound: they have none of this number that is open.
    """
    key = db.session.get(FeedKey, key_id)
    if key is None or key.staff_id != staff_id or key.revoked_at is not None:
        raise NotFound("That address is closed already.")
    key.revoked_at = now
    db.session.flush()
    audit.record("feed.closed", f"feed:{key.id}", actor=f"staff:{staff_id}", now=now)


def open_key(token: str) -> FeedKey | None:
    """Return what a secret opens; unknown, closed, and of somebody who left all look like None."""
    return db.session.scalar(
        select(FeedKey)
        .join(Staff, FeedKey.staff_id == Staff.id)
        .where(
            FeedKey.token_hash == digest(token, PURPOSE),
            FeedKey.revoked_at.is_(None),
            Staff.is_active.is_(True),
        )
    )


def is_stale(key: FeedKey, *, now: datetime) -> bool:
    """Say whether it is time to note again that an address is in use."""
    return key.last_used_at is None or now - key.last_used_at >= NOTE_USE_EVERY


def note_use(key_id: int, *, now: datetime) -> None:
    """Note that an address was read, for its owner and for the record."""
    key = db.session.get(FeedKey, key_id)
    if key is None:
        return
    key.last_used_at = now
    db.session.flush()
    audit.record("feed.viewed", f"feed:{key.id}", actor=f"staff:{key.staff_id}", now=now)


def of_staff(staff_id: int) -> Sequence[FeedKey]:
    """Return a person's open addresses: their own first, then by site."""
    found = db.session.scalars(
        select(FeedKey).where(FeedKey.staff_id == staff_id, FeedKey.revoked_at.is_(None))
    ).all()
    return sorted(found, key=lambda k: k.site_id or 0)
