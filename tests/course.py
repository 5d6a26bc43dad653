"""The course, made step by step for tests: staff who sign, a cleared patient, a plan."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from scheduler.accounts.models import Role, Staff
from scheduler.accounts.passwords import hashed
from scheduler.booking.models import Appointment
from scheduler.clinic import standard
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.patients.models import Pain, Patient
from scheduler.plans import approval, followups, library, previews, protocol, scheduling
from scheduler.plans import service as plans
from scheduler.plans.approval import ChatHeld
from scheduler.plans.finding import Choice
from scheduler.plans.models import Impression, Plan
from scheduler.plans.previews import Preview
from scheduler.treatment import chair, clearance, vocabulary
from scheduler.treatment.models import Answer, Clearance, Decision
from tests import make

NOW = make.MONDAY  # Monday, March 2, 10:00 AM in Woburn
#: Vital signs as good at the end as they began.
WELL = {"systolic": 124, "diastolic": 80, "pulse": 70, "oxygen": 98}
#: What a nurse sends when all is well before they go home.
GOING_HOME = {f"met-{item}": "2" for item in vocabulary.DISCHARGE} | {
    name: str(value) for name, value in WELL.items()
}
HASH = hashed("quiet-harbor-lamp")


@dataclass(frozen=True)
class Clinic:
    """Ids that outlive a transaction."""

    woburn: int
    danvers: int
    doctor: int
    other_doctor: int
    nurse: int
    desk: int


def at(day: int, hour: int = 10, minute: int = 0) -> datetime:
    """A wall time in Woburn on a day of March 2026, in UTC (summer time begins on the 8th)."""
    offset = 5 if (day, hour) < (8, 3) else 4
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(
        days=day - 1, hours=hour + offset, minutes=minute
    )


def clinic(*, chairs: int = 2, chats: bool = True, with_protocol: bool = True) -> Clinic:
    """Two sites with nurses and callers, staff who sign, and the shipped protocol active."""
    standard.add_services()
    woburn = make.site(chairs=chairs)
    danvers = make.site("danvers", "Danvers", chairs=chairs)
    nurse_time = make.person(woburn, "Rosa Lima", skills=("nurse",), lanes=3)
    make.person(danvers, "Hana Sato", skills=("nurse",), lanes=3)
    make.person(woburn, "Ines Roy", skills=("calls",))
    if chats:
        make.person(woburn, "Amara Obi", skills=("chats", "approve-plans"))
    found = Clinic(
        woburn=woburn.id,
        danvers=danvers.id,
        doctor=staff("amara", "Amara Obi", Role.CLINICIAN, woburn).id,
        other_doctor=staff("bela", "Bela Kun", Role.CLINICIAN, woburn).id,
        nurse=staff("rosa", "Rosa Lima", Role.NURSE, woburn, resource_id=nurse_time.id).id,
        desk=staff("ines", "Ines Roy", Role.FRONT_DESK, woburn).id,
    )
    if with_protocol:
        row = library.import_draft(protocol.shipped()[0].read_text(), actor="operator", now=NOW)
        library.activate(row, person(found.doctor), now=NOW)
    return found


def staff(
    username: str, name: str, role: Role, site: Site, *, resource_id: int | None = None
) -> Staff:
    """Somebody who signs in; hashed once for all tests, for a hash takes a tenth of a second."""
    row = Staff(
        username=username,
        name=name,
        title="",
        role=role,
        home_site_id=site.id,
        resource_id=resource_id,
        password_hash=HASH,
        created_at=NOW,
    )
    db.session.add(row)
    db.session.flush()
    return row


def person(staff_id: int) -> Staff:
    """Read somebody of the staff anew."""
    return db.session.get_one(Staff, staff_id)


def screened(patient: Patient, *, now: datetime = NOW, **answers: Answer) -> None:
    """Answer every question with no, but for the ones named; record pressure and consent."""
    for item in vocabulary.CONTRAINDICATIONS:
        value = answers.get(item.replace("-", "_"), Answer.NO)
        clearance.answer(patient, item, value, actor="staff:3", now=now)
    clearance.record_pressure(patient, 128, 82, actor="staff:3", now=now)
    clearance.record_consent(patient, "2026-01", actor="staff:3", now=now)


def cleared(patient: Patient, where: Clinic, *, now: datetime = NOW) -> Clearance:
    """Screen and sign."""
    screened(patient, now=now)
    return clearance.sign(
        patient,
        person(where.doctor),
        Decision.CLEARED,
        basis=clearance.current(patient).basis,
        now=now,
    )


def first_infusion(
    patient: Patient, where: Clinic, starts_at: datetime | None = None, *, now: datetime = NOW
) -> plans.FirstBooked:
    """Clear and book."""
    cleared(patient, where, now=now)
    return plans.book_first_infusion(
        patient, where.woburn, starts_at or at(4), actor="staff:4", now=now
    )


def make_ready(appointment: Appointment, *, score: int = 8, now: datetime) -> None:
    """Everything that must be recorded before the drip runs."""
    for item in vocabulary.READINESS:
        who = db.session.scalar(sa.select(Staff).where(Staff.role == Role.CLINICIAN).limit(1))
        chair.note_readiness(appointment, item, is_met=True, who=who, actor="staff:3", now=now)
    chair.note_score(appointment, score, when="baseline", actor="staff:3", now=now)
    chair.note_vitals(
        appointment, {"systolic": 126, "diastolic": 80, "pulse": 70}, actor="staff:3", now=now
    )


def infuse(
    appointment: Appointment,
    where: Clinic,
    *,
    score: int = 8,
    severity: int = 1,
    until_safe: bool = True,
) -> None:
    """Live through a session as planned: start at 15 minutes, 40 minutes, 30 of recovery."""
    began = appointment.starts_at + timedelta(minutes=15)
    make_ready(appointment, score=score, now=appointment.starts_at + timedelta(minutes=10))
    plans.start_infusion(appointment, actor="staff:3", now=began)
    if severity:
        chair.note_side_effect(
            appointment,
            "nausea",
            severity,
            action="reassured",
            actor="staff:3",
            now=began + timedelta(minutes=20),
        )
    ended = began + timedelta(minutes=40)
    chair.end(appointment, "complete", actor="staff:3", now=ended)
    for item in vocabulary.DISCHARGE:
        chair.note_discharge(appointment, item, 2, actor="staff:3", now=ended)
    chair.note_vitals(appointment, WELL, actor="staff:3", now=ended)
    if until_safe:
        safe = ended + timedelta(minutes=30)
        chair.sign_safe(appointment, person(where.nurse), escort=True, now=safe)
        plans.complete_visit(appointment, actor="staff:3", now=safe)


def chat(
    infusion: Appointment,
    *,
    baseline: int = 8,
    score: int = 4,
    condition: Pain = Pain.CRPS,
    now: datetime,
    **more: object,
) -> ChatHeld:
    """Hold the follow-up chat."""
    owed = followups.find_for_infusion(infusion.id)
    assert owed is not None
    return approval.record_chat(
        owed,
        baseline=baseline,
        score=score,
        relief_days=3,
        relief_holds=True,
        condition=condition,
        impression=Impression.MUCH_BETTER,
        goals="Walk the dog again.",
        actor="staff:1",
        now=now,
        **more,  # type: ignore[arg-type]
    )


def draft(
    patient: Patient, where: Clinic, *, severity: int = 1, score: int = 4, **more: object
) -> Plan:
    """From clearance to a draft: infusion on March 4, chat on the 9th."""
    infusion = first_infusion(patient, where).infusion
    infuse(infusion, where, severity=severity)
    held = chat(infusion, score=score, now=at(9, 9), **more)  # type: ignore[arg-type]
    assert held.plan is not None, held.blocks
    return held.plan


def approved(patient: Patient, where: Clinic) -> Plan:
    """A plan of six visits that a clinician signed on March 10."""
    plan = draft(patient, where)
    return approval.approve(plan, person(where.doctor), version=plan.version, now=at(10, 9))


def choices(shown: Preview) -> dict[int, Choice]:
    """Take what a preview proposes."""
    return {
        row.number: Choice(row.spot.site_id, row.spot.starts_at)
        for row in shown.rows
        if row.spot is not None and not row.is_booked
    }


def scheduled(patient: Patient, where: Clinic) -> Plan:
    """A plan whose six visits are booked."""
    plan = approved(patient, where)
    scheduling.schedule(
        plan,
        choices(previews.preview(plan, now=at(10, 9))),
        keep_rest=False,
        version=plan.version,
        actor="staff:4",
        now=at(10, 9),
    )
    return plan
