"""The protocols of the house: imported as drafts, proven, activated by a clinician."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import func, select

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act, may
from scheduler.audit import service as audit
from scheduler.core.db import db
from scheduler.plans import protocol as tables
from scheduler.plans.errors import MayNotSign, NoProtocol, NotFit
from scheduler.plans.models import ProtocolState, ProtocolVersion
from scheduler.plans.protocol import Protocol, Unreadable


@dataclass(frozen=True)
class Preview:
    """What importing a text would bring: the version it would be, and what it says otherwise."""

    table: Protocol
    number: int
    problems: Sequence[str]
    changes: Sequence[str]  # against the active version
    against: ProtocolVersion | None


def preview(text: str) -> Preview:
    """Return what a text would be as a version, without keeping it.

    Raises:
        NotFit: it cannot even be read.
    """
    table = _read(text)
    against = find_active()
    return Preview(
        table=table,
        number=_next_number(table.code),
        problems=tables.problems(table),
        changes=tables.changes(table_of(against), table) if against else [],
        against=against,
    )


def import_draft(text: str, *, actor: str, now: datetime) -> ProtocolVersion:
    """Keep a protocol's text as a new version that nothing uses yet.

    It may be incomplete: `problems` says how, and activation waits until it is not.

    Raises:
        NotFit: it cannot even be read.
    """
    table = _read(text)
    row = ProtocolVersion(
        code=table.code,
        number=_next_number(table.code),
        title=table.title,
        document=text,
        state=ProtocolState.DRAFT,
        imported_by=actor,
        imported_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        "protocol.imported",
        f"protocol:{row.id}",
        actor=actor,
        now=now,
        code=row.code,
        number=row.number,
    )
    return row


def activate(row: ProtocolVersion, signer: Staff, *, now: datetime) -> ProtocolVersion:
    """Propose plans from this version from now on; old plans keep theirs.

    The door has asked the signer's password again.

    Raises:
        MayNotSign: the signer is no clinician.
        NotFit: some combination meets no row, or more than one; says which, in words.
    """
    if not may(signer.role, Act.ACTIVATE_PROTOCOL):
        raise MayNotSign("Only a clinician activates a protocol.")
    found = problems(row)
    if found:
        raise NotFit("This protocol does not answer every combination exactly once.", found)
    for other in db.session.scalars(
        select(ProtocolVersion)
        .where(ProtocolVersion.state == ProtocolState.ACTIVE)
        .with_for_update()
    ):
        other.state = ProtocolState.RETIRED
    db.session.flush()
    row.state = ProtocolState.ACTIVE
    row.activated_by_id = signer.id
    row.activated_at = now
    db.session.flush()
    audit.record(
        "protocol.activated",
        f"protocol:{row.id}",
        actor=f"staff:{signer.id}",
        now=now,
        code=row.code,
        number=row.number,
    )
    return row


def problems(row: ProtocolVersion) -> list[str]:
    """Return why a version is not fit to be used; empty when it is."""
    return tables.problems(table_of(row))


def table_of(row: ProtocolVersion) -> Protocol:
    """Return the decision table of a version."""
    return _table(row.document)


@lru_cache(maxsize=16)
def _table(document: str) -> Protocol:
    return tables.read(document)  # a version never changes, and is asked for at every visit


def find_active() -> ProtocolVersion | None:
    """Return the version plans are proposed from, or None."""
    return db.session.scalar(
        select(ProtocolVersion).where(ProtocolVersion.state == ProtocolState.ACTIVE)
    )


def active() -> ProtocolVersion:
    """Return the version plans are proposed from.

    Raises:
        NoProtocol: none is active.
    """
    row = find_active()
    if row is None:
        raise NoProtocol("No protocol is active yet. A clinician activates one first.")
    return row


def _read(text: str) -> Protocol:
    try:
        return tables.read(text)
    except Unreadable as reason:
        raise NotFit("This file cannot be read as a protocol.", [str(reason)]) from None


def _next_number(code: str) -> int:
    newest = db.session.scalar(
        select(func.max(ProtocolVersion.number)).where(ProtocolVersion.code == code)
    )
    return (newest or 0) + 1


def versions() -> list[ProtocolVersion]:
    """Return every version, the newest import first."""
    return list(db.session.scalars(select(ProtocolVersion).order_by(ProtocolVersion.id.desc())))
