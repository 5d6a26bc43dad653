"""Verbs on wishes to come sooner. Who stands where is decided by rules.turn."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update

from scheduler.audit import service as audit
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound
from scheduler.core.timespan import PartOfDay
from scheduler.patients.models import Patient
from scheduler.waitlist import rules
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from scheduler.waitlist.rules import Fit


def add(
    patient: Patient,
    service: ServiceCode,
    *,
    since: datetime,
    until: datetime,
    site_ids: Collection[int] = (),
    weekdays: Collection[int] = (),
    parts: Collection[PartOfDay] = (),
    topic: str | None = None,
    needed_by: datetime | None = None,
    longer_minutes: int = 0,
    actor: str,
    now: datetime,
) -> WaitlistEntry:
    """Note that somebody would take a time within a window.

    Args:
        topic: What it is for: "appointment:42" is to be sooner, "visit:7" of a plan has no date.
        needed_by: The end of the clinical window, where there is one.
        longer_minutes: How much longer than usual they would stay, in steps of five.

    Raises:
        Invalid: the window is empty or already over, a site is none of ours, or the same wish
            waits already.
    """
    if until <= max(since, now):
        raise Invalid("The last day must be after the first, and not in the past.", field="until")
    if not set(site_ids) <= clinic_supply.current().sites.keys():
        raise Invalid("Choose from our sites.", field="sites")
    # The patient's row is the lock: two desks that add the same wish wait here.
    db.session.execute(select(Patient.id).where(Patient.id == patient.id).with_for_update())
    same = (e.topic == topic and e.service_code is service for e in of_patient(patient.id))
    if any(same):
        raise Invalid("This wish is on the list already.", field="what")
    entry = WaitlistEntry(
        patient_id=patient.id,
        service_code=service,
        site_ids=sorted(set(site_ids)),
        weekdays=sorted(set(weekdays)),
        parts=[part.value for part in PartOfDay if part in set(parts)],
        topic=topic,
        since=since,
        until=until,
        needed_by=needed_by,
        longer_minutes=longer_minutes,
        created_at=now,
        created_by=actor,
    )
    db.session.add(entry)
    db.session.flush()
    audit.record(
        "waitlist.added", f"waitlist:{entry.id}", actor=actor, now=now, patient_id=patient.id
    )
    return entry


def revise(
    entry: WaitlistEntry,
    *,
    since: datetime,
    until: datetime,
    needed_by: datetime | None,
    longer_minutes: int,
    actor: str,
    now: datetime,
) -> None:
    """Let a wish, locked before, follow what it is about: when that may be, and how long it is."""
    entry.since, entry.until, entry.needed_by = since, until, needed_by
    entry.longer_minutes = longer_minutes
    audit.record(
        "waitlist.revised",
        f"waitlist:{entry.id}",
        actor=actor,
        now=now,
        patient_id=entry.patient_id,
        since=since.isoformat(),
        until=until.isoformat(),
        longer_minutes=longer_minutes,
    )
    db.session.flush()


def close(entry: WaitlistEntry, outcome: str, *, actor: str, now: datetime) -> None:
    """Take a wish off the list, saying what came of it; what is offered is taken back first."""
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


def lock(entry_id: int) -> WaitlistEntry:
    """Take a wish's row, before anything else is locked, and read it anew.

    Raises:
        NotFound: there is none of this number.
    """
    entry = db.session.scalar(
        select(WaitlistEntry)
        .where(WaitlistEntry.id == entry_id)
        .with_for_update(of=WaitlistEntry)
        .execution_options(populate_existing=True)
    )
    if entry is None:
        raise NotFound("We cannot find that on the waitlist.")
    return entry


def find(entry_id: int) -> WaitlistEntry:
    """Return a wish, open or closed.

    Raises:
        NotFound: there is none of this number.
    """
    entry = db.session.get(WaitlistEntry, entry_id)
    if entry is None:
        raise NotFound("We cannot find that on the waitlist.")
    return entry


def offer_of(topic: str) -> WaitlistOffer | None:
    """Return the offer a topic names ("offer:42"), or None."""
    kind, _, number = topic.partition(":")
    if kind != "offer" or not number.isdigit():
        return None
    return db.session.get(WaitlistOffer, int(number))


def waiting(*, now: datetime) -> list[WaitlistEntry]:
    """Return the wishes still open: the clinical window that ends first, then the oldest."""
    found = db.session.scalars(
        select(WaitlistEntry).where(WaitlistEntry.closed_at.is_(None), WaitlistEntry.until > now)
    ).unique()
    return sorted(found, key=lambda e: rules.turn(e.needed_by, e.created_at, e.id))


def still_open() -> list[WaitlistEntry]:
    """Return the wishes nobody closed, their window over or not."""
    return list(
        db.session.scalars(select(WaitlistEntry).where(WaitlistEntry.closed_at.is_(None))).unique()
    )


def of_patient(patient_id: int) -> list[WaitlistEntry]:
    """Return a patient's open wishes, the oldest first."""
    return list(
        db.session.scalars(
            select(WaitlistEntry)
            .where(WaitlistEntry.patient_id == patient_id, WaitlistEntry.closed_at.is_(None))
            .order_by(WaitlistEntry.id)
        ).unique()
    )


def fit_of(entry: WaitlistEntry) -> Fit:
    """Return when and where a wish could come true."""
    return Fit(
        since=entry.since,
        until=entry.until,
        site_ids=frozenset(entry.site_ids),
        weekdays=frozenset(entry.weekdays),
        parts=frozenset(PartOfDay(part) for part in entry.parts),
    )


def hand_over(since_id: int, target_id: int) -> None:
    """Give one patient's wishes to another: they are one person."""
    db.session.execute(
        update(WaitlistEntry)
        .where(WaitlistEntry.patient_id == since_id)
        .values(patient_id=target_id)
    )
