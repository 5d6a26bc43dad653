"""Writing the record."""

import hashlib
import json
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from scheduler.audit.models import AuditEntry
from scheduler.core.db import db, insert_rows

SEAL_AFTER = timedelta(minutes=5)
LOOK_EVERY = timedelta(minutes=15)
_CHAIN_LOCK = 71_007_001

#: Where this act comes from (address, request id): set by the door, so no verb has to carry it.
origin: ContextVar[tuple[str, str]] = ContextVar("origin", default=("process", "-"))


def record(
    action: str,
    subject: str,
    *,
    actor: str,
    now: datetime,
    patient_id: int | None = None,
    **detail: Any,
) -> None:
    """Note a deed in the caller's transaction: it stands or falls with the deed itself."""
    where, request_id = origin.get()
    insert_rows(
        AuditEntry,
        [
            {
                "at": now,
                "actor": actor,
                "action": action,
                "subject": subject,
                "patient_id": patient_id,
                "detail": detail,
                "origin": where,
                "request_id": request_id,
            }
        ],
    )


def looked_recently(
    action: str, subject: str, *, actor: str, now: datetime, every: timedelta = LOOK_EVERY
) -> bool:
    """Say whether this person's look at this list is on record within the last 15 minutes."""
    newest = db.session.scalar(
        select(AuditEntry.at)
        .where(
            AuditEntry.subject == subject,
            AuditEntry.action == action,
            AuditEntry.actor == actor,
            AuditEntry.at > now - every,
        )
        .order_by(AuditEntry.at.desc())
        .limit(1)
    )
    return newest is not None


def seal_old(*, now: datetime) -> int:
    """Chain every unsealed entry older than five minutes to the one before it; return how many.

    The order is the id. Entries younger than that may still have an uncommitted neighbour with a
    smaller id, so they wait. One sealer at a time (SQLite: the write lock; PostgreSQL: an
    advisory lock of this transaction).
    """
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _CHAIN_LOCK})
    previous = db.session.scalar(
        select(AuditEntry.sealed_with)
        .where(AuditEntry.sealed_with.is_not(None))
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    waiting = db.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.sealed_with.is_(None), AuditEntry.at <= now - SEAL_AFTER)
        .order_by(AuditEntry.id)
        .limit(2000)
    ).all()
    for entry in waiting:
        previous = link(previous or "", entry)
        entry.sealed_with = previous
    db.session.flush()
    return len(waiting)


def link(previous: str, entry: AuditEntry) -> str:
    """Return the seal of `entry` after `previous`: SHA-256 over both, in one fixed spelling."""
    spelled = json.dumps(
        [
            entry.id,
            entry.at.astimezone(UTC).isoformat(),
            entry.actor,
            entry.action,
            entry.subject,
            entry.patient_id,
            entry.detail,
            entry.origin,
            entry.request_id,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(f"{previous}\n{spelled}".encode()).hexdigest()


def first_broken() -> int | None:
    """Walk the chain and return the id of the first entry whose seal is wrong, else None."""
    previous = ""
    for entry in db.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.sealed_with.is_not(None))
        .order_by(AuditEntry.id)
        .execution_options(yield_per=1000)
    ):
        if entry.sealed_with != link(previous, entry):
            return entry.id
        previous = entry.sealed_with
    return None
