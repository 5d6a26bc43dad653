"""Verbs on wishes to come sooner."""

from datetime import datetime

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.patients.models import Patient
from scheduler.waitlist.models import WaitlistEntry


def add(
    patient: Patient,
    service: ServiceCode,
    *,
    site_id: int | None,
    since: datetime,
    until: datetime,
    topic: str | None = None,
    actor: str,
    now: datetime,
) -> WaitlistEntry:
    """Note that somebody would take an earlier time within a window.

    Raises:
        Invalid: the window is empty or already over.
    """
    if until <= max(since, now):
        raise Invalid("The last day must be after the first, and not in the past.", field="until")
    entry = WaitlistEntry(
        patient_id=patient.id,
        service_code=service,
        site_id=site_id,
        topic=topic,
        since=since,
        until=until,
        created_at=now,
        created_by=actor,
    )
    db.session.add(entry)
    db.session.flush()
    audit.record(
        "waitlist.added", f"waitlist:{entry.id}", actor=actor, now=now, patient_id=patient.id
    )
    return entry


def close(entry: WaitlistEntry, outcome: str, *, actor: str, now: datetime) -> None:
    """Take a wish off the list, saying what came of it."""
    entry.closed_at = now
    entry.outcome = outcome
    audit.record(
        "waitlist.closed",
        f"waitlist:{entry.id}",
        actor=actor,
        now=now,
        patient_id=entry.patient_id,
        outcome=outcome,
    )
    db.session.flush()


def waiting(*, now: datetime) -> list[WaitlistEntry]:
    """Return the wishes still open, the longest-waiting first."""
    return list(
        db.session.scalars(
            select(WaitlistEntry)
            .where(WaitlistEntry.closed_at.is_(None), WaitlistEntry.until > now)
            .order_by(WaitlistEntry.created_at, WaitlistEntry.id)
        )
    )
