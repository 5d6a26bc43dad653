"""Who agreed to be texted, and who took it back. A ledger: lines are added, never changed.

A grant counts for its patient at its number; a revocation counts for the number, whoever holds
it. What stands is decided by order: the newest grant, and no revocation after it.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import aliased

from scheduler.audit import service as audit
from scheduler.core.db import db
from scheduler.messaging import rules
from scheduler.messaging.locks import in_order
from scheduler.messaging.models import ConsentEntry, InboundText, Message
from scheduler.messaging.states import Channel, ConsentAct, State
from scheduler.patients.models import Patient, Standing
from scheduler.tasks import service as tasks

PURPOSE = "appointments"
#: The source of a grant that nobody has checked: anybody can type a number online.
UNVERIFIED = "portal"
#: The task that asks a person to note that a number said stop.
STOPPED = "stopped-texts"


class Word(enum.StrEnum):
    """How somebody stands to texts, for the desk to show."""

    NO_MOBILE = "no-mobile"
    NEVER_ASKED = "never-asked"
    GRANTED = "granted"
    REVOKED = "revoked"
    DECEASED = "deceased"


@dataclass(frozen=True)
class ConsentStanding:
    """How a patient stands to texts, and the line of the ledger that says so."""

    word: Word
    since: datetime | None
    wording: str | None
    source: str | None

    @property
    def may_text(self) -> bool:
        """Say whether texts may go out."""
        return self.word is Word.GRANTED


def grant(
    patient: Patient,
    number: str,
    wording: str,
    *,
    source: str,
    actor: str,
    origin: str,
    now: datetime,
) -> None:
    """Write down that a patient agreed to be texted at `number`, with the words they agreed to."""
    _write(ConsentAct.GRANTED, patient.id, number, wording, source, actor, origin, now)
    if source != UNVERIFIED:
        _nobody_must_note_a_stop(number, actor=actor, now=now)
    audit.record(
        "consent-granted",
        f"patient:{patient.id}",
        actor=actor,
        now=now,
        patient_id=patient.id,
        source=source,
    )


def revoke(
    number: str,
    *,
    wording: str,
    source: str,
    actor: str,
    origin: str,
    now: datetime,
    patient_id: int | None = None,
) -> int:
    """Stop every text to `number` at once, those already waiting included; return how many waited.

    A message that a worker has claimed is taken from it too: its fence fails before the call.
    """
    _write(ConsentAct.REVOKED, patient_id, number, wording, source, actor, origin, now)
    waiting = (
        Message.recipient == number,
        Message.channel == Channel.SMS,
        Message.state.in_((State.QUEUED, State.CLAIMED)),
        Message.template.not_in(rules.EVEN_WHEN_STOPPED),
    )
    stopped = db.session.scalars(
        update(Message)
        .where(Message.id.in_(in_order(*waiting)))
        .values(
            state=State.SUPPRESSED,
            settled_at=now,
            error_text="the number said stop",
            claim_number=Message.claim_number + 1,
        )
        .returning(Message.id)
    ).all()
    audit.record(
        "consent-revoked",
        f"patient:{patient_id}" if patient_id else "number",
        actor=actor,
        now=now,
        patient_id=patient_id,
        source=source,
        stopped=len(stopped),
    )
    return len(stopped)


def restore(number: str, *, wording: str, origin: str, now: datetime) -> list[Patient]:
    """Take START for what it is: those who had agreed at this number agree again.

    Returns the patients it restored; nobody who never agreed is among them.
    """
    restored = []
    for patient in holders(number):
        if _newest_grant(patient.id, number) is None or patient.is_deceased:
            continue
        if not is_stopped(number, for_patient=patient.id):
            continue
        restored.append(patient)
    for patient in restored:
        grant(
            patient,
            number,
            wording,
            source="text",
            actor=f"patient:{patient.id}",
            origin=origin,
            now=now,
        )
    return restored


def hand_over(since: Patient, target: Patient, *, actor: str, origin: str, now: datetime) -> None:
    """Carry an enquirer's consent to the patient they turned out to be.

    Only what stands, and only for the number the patient has: a stop is the number's anyway.
    """
    if not since.reached_at or since.reached_at != target.reached_at:
        return
    granted = _newest_grant(since.id, since.reached_at)
    if granted is None or is_stopped(since.reached_at, for_patient=since.id):
        return
    if _newest_grant(target.id, since.reached_at) is None or not standing(target).may_text:
        _write(
            ConsentAct.GRANTED,
            target.id,
            since.reached_at,
            granted.wording,
            granted.source,
            actor,
            origin,
            now,
        )


def may_text(patient: Patient, *, now: datetime) -> bool:
    """Say whether texts about appointments may go to this patient's mobile at `now`."""
    return standing(patient).may_text


def standing(patient: Patient) -> ConsentStanding:
    """Return how a patient stands to texts."""
    if patient.is_deceased:
        return ConsentStanding(Word.DECEASED, None, None, None)
    if not patient.reached_at:
        return ConsentStanding(Word.NO_MOBILE, None, None, None)
    revoked = _newest_revocation(patient.reached_at)
    granted = _newest_grant(patient.id, patient.reached_at, after=revoked)
    if revoked is not None and granted is None:
        return ConsentStanding(Word.REVOKED, revoked.at, revoked.wording, revoked.source)
    if granted is None:
        return ConsentStanding(Word.NEVER_ASKED, None, None, None)
    return ConsentStanding(Word.GRANTED, granted.at, granted.wording, granted.source)


def textable() -> ColumnElement[bool]:
    """Return, for a query of patients, who may be texted: `standing` of many in one question."""
    stop = aliased(ConsentEntry)
    undone = (
        select(stop.id)
        .where(
            stop.number == ConsentEntry.number,
            stop.act == ConsentAct.REVOKED,
            or_(stop.id > ConsentEntry.id, ConsentEntry.source == UNVERIFIED),
        )
        .exists()
    )
    granted = (
        select(ConsentEntry.id)
        .where(
            ConsentEntry.patient_id == Patient.id,
            ConsentEntry.number == func.coalesce(Patient.private_mobile, Patient.mobile),
            ConsentEntry.purpose == PURPOSE,
            ConsentEntry.act == ConsentAct.GRANTED,
            ~undone,
        )
        .exists()
    )
    return and_(Patient.is_deceased.is_(False), granted)


def textable_among(patient_ids: Collection[int]) -> set[int]:
    """Return which of these patients may be texted."""
    return set(
        db.session.scalars(select(Patient.id).where(Patient.id.in_(patient_ids), textable()))
    )


def is_stopped(number: str, *, for_patient: int | None = None) -> bool:
    """Say whether a number said stop, and neither it nor (when given) the patient took it back.

    Without a patient, any grant after the stop opens the number again; but one ticked online
    does not, for anybody can type a number there.
    """
    revoked = _newest_revocation(number)
    if revoked is None:
        return False
    later = select(ConsentEntry.id).where(
        ConsentEntry.number == number,
        ConsentEntry.act == ConsentAct.GRANTED,
        ConsentEntry.id > revoked.id,
        ConsentEntry.source != UNVERIFIED,
    )
    if for_patient is not None:
        later = later.where(ConsentEntry.patient_id == for_patient)
    return db.session.scalar(later.limit(1)) is None


def holders(number: str) -> list[Patient]:
    """Return the patients who gave this number as theirs, oldest record first."""
    return list(
        db.session.scalars(
            select(Patient)
            .where(
                or_(Patient.mobile == number, Patient.private_mobile == number),
                Patient.standing != Standing.MERGED,
            )
            .order_by(Patient.id)
        )
    )


def ledger(patient: Patient) -> list[ConsentEntry]:
    """Return every line about this patient or their number, newest first."""
    mine = ConsentEntry.patient_id == patient.id
    if patient.reached_at:
        mine = mine | (ConsentEntry.number == patient.reached_at)
    lines = select(ConsentEntry).where(mine).order_by(ConsentEntry.id.desc())
    return list(db.session.scalars(lines))


def _nobody_must_note_a_stop(number: str, *, actor: str, now: datetime) -> None:
    """Close what asks a person to note a stop of this number: it gets texts again."""
    stops = select(InboundText.id).where(
        InboundText.number == number, InboundText.intent == rules.Intent.STOP
    )
    for text_id in db.session.scalars(stops).all():
        tasks.close_by_event(STOPPED, f"text:{text_id}", "texts again", actor=actor, now=now)


def _newest_grant(
    patient_id: int, number: str, *, after: ConsentEntry | None = None
) -> ConsentEntry | None:
    """Return the newest grant; `after` a stop, only one that somebody has checked."""
    grants = select(ConsentEntry).where(
        ConsentEntry.patient_id == patient_id,
        ConsentEntry.number == number,
        ConsentEntry.purpose == PURPOSE,
        ConsentEntry.act == ConsentAct.GRANTED,
    )
    if after is not None:
        grants = grants.where(ConsentEntry.id > after.id, ConsentEntry.source != UNVERIFIED)
    return db.session.scalar(grants.order_by(ConsentEntry.id.desc()).limit(1))


def _newest_revocation(number: str) -> ConsentEntry | None:
    return db.session.scalar(
        select(ConsentEntry)
        .where(ConsentEntry.number == number, ConsentEntry.act == ConsentAct.REVOKED)
        .order_by(ConsentEntry.id.desc())
        .limit(1)
    )


def _write(
    act: ConsentAct,
    patient_id: int | None,
    number: str,
    wording: str,
    source: str,
    actor: str,
    origin: str,
    now: datetime,
) -> None:
    db.session.add(
        ConsentEntry(
            patient_id=patient_id,
            number=number,
            purpose=PURPOSE,
            act=act,
            source=source,
            wording=wording,
            actor=actor,
            origin=origin,
            at=now,
        )
    )
    db.session.flush()
