"""Clearance: what is found out before a first infusion, and a clinician's signature under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act, may
from scheduler.audit import service as audit
from scheduler.booking.allocation import lock, refuse_gone
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Stale
from scheduler.patients.models import Patient
from scheduler.tasks import service as tasks
from scheduler.treatment import rules, vocabulary
from scheduler.treatment.errors import MayNotSign, NotCleared
from scheduler.treatment.models import Answer, Clearance, Decision, ScreeningEntry

#: The task that asks for a clearance; its topic is "patient:7".
TASK = "clearance"
DUE_WITHIN = timedelta(days=3)
#: The task of a first visit that is booked for somebody who is not cleared any more; topic
#: "appointment:42".
NOT_CLEARED_BOOKED = "not-cleared"


@dataclass(frozen=True)
class Standing:
    """How a patient's clearance stands.

    `entries` holds the newest entry of each item; `missing` says in words what is in the way of
    signing; `signed` is the newest signature; `holds` says that an infusion may be booked on it.
    """

    patient_id: int
    entries: Mapping[str, ScreeningEntry]
    missing: Sequence[str]
    signed: Clearance | None
    holds: bool
    changed: Sequence[str]  # items that say something else than when it was signed

    @property
    def basis(self) -> dict[str, int]:
        """What a signer has before them: the newest entry of each item."""
        return {item: entry.id for item, entry in self.entries.items()}

    def answer(self, item: str) -> Answer | None:
        """Return the newest answer to a contraindication, None when it was not asked."""
        entry = self.entries.get(item)
        return entry.answer if entry else None


def open_clearance(patient: Patient, *, site_id: int | None, actor: str, now: datetime) -> None:
    """Ask for a patient's clearance; asking again changes nothing. A valid one needs no asking."""
    if current(patient).holds:
        return
    tasks.open_task(
        TASK,
        f"patient:{patient.id}",
        now=now,
        due_at=now + DUE_WITHIN,
        patient_id=patient.id,
        site_id=site_id,
    )


def answer(
    patient: Patient,
    item: str,
    value: Answer,
    *,
    note: str | None = None,
    actor: str,
    now: datetime,
) -> ScreeningEntry:
    """Record whether a contraindication is there. Another answer than was signed undoes clearance.

    Raises:
        Invalid: it is not on the list.
    """
    if item not in vocabulary.CONTRAINDICATIONS:
        raise Invalid("That is not on the list.", field="item")
    return _record(
        ScreeningEntry(
            patient_id=patient.id,
            item=item,
            answer=value,
            note=note or None,
            recorded_by=actor,
            recorded_at=now,
        ),
        patient,
    )


def record_pressure(
    patient: Patient, systolic: int, diastolic: int, *, actor: str, now: datetime
) -> ScreeningEntry:
    """Record a blood pressure, in mmHg.

    Raises:
        Invalid: no living person has it.
    """
    if not (40 <= systolic <= 300 and 20 <= diastolic <= 200 and systolic > diastolic):
        raise Invalid("Please check the blood pressure, like 128 over 82.", field="systolic")
    return _record(
        ScreeningEntry(
            patient_id=patient.id,
            item=vocabulary.PRESSURE,
            systolic=systolic,
            diastolic=diastolic,
            recorded_by=actor,
            recorded_at=now,
        ),
        patient,
    )


def record_consent(patient: Patient, version: str, *, actor: str, now: datetime) -> ScreeningEntry:
    """Record which version of the consent to treatment was signed.

    Raises:
        Invalid: no version is named.
    """
    if not version.strip():
        raise Invalid("Say which version was signed, like 2026-01.", field="consent")
    return _record(
        ScreeningEntry(
            patient_id=patient.id,
            item=vocabulary.CONSENT,
            consent_version=version.strip(),
            recorded_by=actor,
            recorded_at=now,
        ),
        patient,
    )


def current(patient: Patient) -> Standing:
    """Return how a patient's clearance stands now."""
    newest = (
        select(func.max(ScreeningEntry.id))
        .where(ScreeningEntry.patient_id == patient.id)
        .group_by(ScreeningEntry.item)
    )
    entries = {
        e.item: e
        for e in db.session.scalars(
            select(ScreeningEntry).where(ScreeningEntry.id.in_(newest)).order_by(ScreeningEntry.id)
        )
    }
    signed = db.session.scalar(
        select(Clearance)
        .where(Clearance.patient_id == patient.id)
        .order_by(Clearance.id.desc())
        .limit(1)
    )
    missing = rules.in_the_way(
        {item: e.answer for item, e in entries.items()},
        {item: item in entries for item in vocabulary.MEASURES},
    )
    if signed is None:
        return Standing(patient.id, entries, missing, None, False, ())
    then = _said(signed)
    now_said = {item: _value(e) for item, e in entries.items()}
    changed = sorted(i for i in {*then, *now_said} if then.get(i) != now_said.get(i))
    holds = not missing and rules.still_holds(signed.decision, then, now_said)
    return Standing(patient.id, entries, missing, signed, holds, changed)


def refuse_stale(patient: Patient, basis: Mapping[str, int]) -> Standing:
    """Take the patient's lock; return how things stand when nothing was recorded since `basis`.

    Of two who answer at one instant the second hears of the first instead of writing over them.

    Raises:
        Stale: an answer was recorded since `basis` was read.
    """
    lock([patient.resource_id])
    standing = current(patient)
    if dict(basis) != standing.basis:
        raise Stale(
            "A colleague recorded an answer while you had this open. It is shown below; please "
            "look at it, then save again."
        )
    return standing


def sign(
    patient: Patient,
    signer: Staff,
    decision: Decision,
    *,
    basis: Mapping[str, int],
    reason: str | None = None,
    now: datetime,
) -> Clearance:
    """Sign a patient's screening, cleared or not. The door has asked the signer's password again.

    Args:
        basis: `Standing.basis` as the signer saw it.

    Raises:
        MayNotSign: the signer is no clinician.
        Stale: an answer was recorded, or somebody signed, since the signer looked.
        NotCleared: "cleared", while something is in the way.
        Invalid: "not cleared" without a reason.
    """
    if not may(signer.role, Act.SIGN_CLEARANCE):
        raise MayNotSign("Only a clinician signs a clearance.")
    lock([patient.resource_id])
    refuse_gone(patient)
    standing = current(patient)
    if dict(basis) != standing.basis:
        raise Stale("An answer was recorded while you had this open. Please look again.")
    if decision is Decision.CLEARED and standing.missing:
        raise NotCleared("This cannot be cleared yet.", standing.missing)
    if decision is Decision.CLEARED and standing.holds:
        raise Stale("This was signed while you had it open.")
    if decision is Decision.NOT_CLEARED and _was_refused(standing):
        raise Stale("This was signed while you had it open.")
    if decision is Decision.NOT_CLEARED and not (reason or "").strip():
        raise Invalid("Please say why.", field="reason")
    row = Clearance(
        patient_id=patient.id,
        decision=decision,
        based_on=standing.basis,
        reason=reason or None,
        signed_by_id=signer.id,
        signed_at=now,
    )
    db.session.add(row)
    db.session.flush()
    actor = f"staff:{signer.id}"
    audit.record(
        "clearance.signed",
        f"clearance:{row.id}",
        actor=actor,
        now=now,
        patient_id=patient.id,
        decision=decision.value,
    )
    tasks.close_by_event(TASK, f"patient:{patient.id}", decision.value, actor=actor, now=now)
    for visit in _first_visits_ahead(patient):
        if decision is Decision.CLEARED:
            tasks.close_by_event(
                NOT_CLEARED_BOOKED, visit.topic, decision.value, actor=actor, now=now
            )
        else:
            tasks.open_task(
                NOT_CLEARED_BOOKED,
                visit.topic,
                now=now,
                patient_id=patient.id,
                site_id=visit.site_id,
            )
    return row


def require(patient: Patient) -> Clearance:
    """Return the clearance that holds.

    Raises:
        NotCleared: there is none, or an answer changed since; `missing` says what.
    """
    standing = current(patient)
    if standing.holds and standing.signed is not None:
        return standing.signed
    if standing.signed is not None and standing.changed:
        raise NotCleared(
            "An answer changed since the clearance was signed. A clinician must sign again.",
            [*standing.missing, *(f"{item_words(item)}: changed" for item in standing.changed)],
        )
    raise NotCleared("There is no signed clearance yet.", standing.missing)


def hand_over(since_id: int, target_id: int) -> None:
    """Give one patient's screening and signatures to another: they are one person."""
    for table in (ScreeningEntry, Clearance):
        db.session.execute(
            update(table).where(table.patient_id == since_id).values(patient_id=target_id),
            execution_options={"synchronize_session": "fetch"},
        )


def _first_visits_ahead(patient: Patient) -> Sequence[Appointment]:
    return db.session.scalars(
        select(Appointment).where(
            Appointment.patient_id == patient.id,
            Appointment.service_code == ServiceCode.FIRST_INFUSION,
            Appointment.status.in_((Status.BOOKED, Status.ARRIVED)),
        )
    ).all()


def _was_refused(standing: Standing) -> bool:
    """Say whether the newest signature refuses on just what stands now."""
    signed = standing.signed
    return (
        signed is not None
        and signed.decision is Decision.NOT_CLEARED
        and dict(signed.based_on) == standing.basis
    )


def _record(entry: ScreeningEntry, patient: Patient) -> ScreeningEntry:
    lock([patient.resource_id])  # so that nobody books on what is being changed
    refuse_gone(patient)
    held = current(patient).holds
    db.session.add(entry)
    db.session.flush()
    audit.record(
        "screening.recorded",
        f"patient:{patient.id}",
        actor=entry.recorded_by,
        now=entry.recorded_at,
        patient_id=patient.id,
        item=entry.item,
    )
    if held and not current(patient).holds:
        open_clearance(
            patient, site_id=patient.home_site_id, actor=entry.recorded_by, now=entry.recorded_at
        )
    return entry


def _said(signed: Clearance) -> dict[str, object]:
    rows = db.session.scalars(
        select(ScreeningEntry).where(ScreeningEntry.id.in_(list(signed.based_on.values())))
    )
    return {row.item: _value(row) for row in rows}


def _value(entry: ScreeningEntry) -> object:
    if entry.answer is not None:
        return entry.answer.value
    return entry.consent_version or (entry.systolic, entry.diastolic)


def item_words(item: str) -> str:
    """Return what staff read for an item of the screening."""
    return {**vocabulary.CONTRAINDICATIONS, **vocabulary.MEASURES}[item]
