"""A patient's course across rooms: what happened in the chair, and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import followups
from scheduler.plans import queries as plans
from scheduler.plans.models import FollowUp, Plan, PlanState, VisitState
from scheduler.reports import session
from scheduler.tasks import queries as tasks
from scheduler.treatment import clearance, rules
from scheduler.treatment import queries as treatment
from scheduler.treatment.clearance import Standing
from scheduler.treatment.models import EventKind

_MOMENTS = {"baseline": "before", "during": "during", "after": "after"}


@dataclass(frozen=True)
class Happened:
    """What the first infusion came to, for the plan page."""

    infusion: Appointment
    baseline: int
    score: int
    relief_days: int
    relief_holds: bool
    effects: Sequence[str]
    safe_minutes: int | None  # from the end of the drip to the signature
    impression: str
    goals: str | None
    note: str | None


@dataclass(frozen=True)
class Course:
    """Where somebody stands between the call and the last visit of a plan."""

    standing: Standing
    is_asked: bool  # a clearance is wanted or was given
    first: Appointment | None
    owed: FollowUp | None
    plan: Plan | None
    held: int
    booked: int
    to_place: int


def happened(plan: Plan) -> Happened:
    """Return what the assessment and the session record say."""
    found = plan.assessment
    lines = treatment.lines(found.infusion_id)
    ended, safe = rules.first(lines, EventKind.END), rules.first(lines, EventKind.SAFE)
    return Happened(
        infusion=db.session.get_one(Appointment, found.infusion_id),
        baseline=found.baseline,
        score=found.score,
        relief_days=found.relief_days,
        relief_holds=found.relief_holds,
        effects=[
            session.words(line.kind, line.data)
            for line in lines
            if line.kind is EventKind.SIDE_EFFECT
        ],
        safe_minutes=int((safe.at - ended.at).total_seconds() // 60) if ended and safe else None,
        impression=found.impression.value.replace("-", " "),
        goals=found.goals,
        note=found.note,
    )


def scores(plan: Plan) -> tuple[list[tuple[datetime, int, str]], list[datetime]]:
    """Return every pain score of a course with its moment and words, and when infusions began."""
    found: list[tuple[datetime, int, str]] = []
    began: list[datetime] = []
    held = [
        v.appointment_id
        for v in plan.visits
        if v.state is VisitState.HELD and v.appointment_id is not None
    ]
    for appointment_id in (plan.assessment.infusion_id, *held):
        lines = treatment.lines(appointment_id)
        started = rules.first(lines, EventKind.START)
        appointment = db.session.get_one(Appointment, appointment_id)
        began.append(started.at if started else appointment.starts_at)
        found += [
            (line.at, int(line.data["score"]), _MOMENTS[line.data["when"]])
            for line in lines
            if line.kind is EventKind.SCORE
        ]
    assessment = plan.assessment
    if not any(words == "before" for _, _, words in found):
        found.append((began[0], assessment.baseline, "before"))
    found.append((assessment.recorded_at, assessment.score, "at the chat"))
    return found, began


def of_patient(patient: Patient) -> Course:
    """Return where a patient stands."""
    appointments = book.of_patient(patient.id)
    first = next(
        (a for a in appointments if a.service_code is ServiceCode.FIRST_INFUSION and a.is_live),
        None,
    )
    plan = plans.current(patient.id)
    visits = plan.visits if plan and plan.state is not PlanState.DRAFT else []
    standing = clearance.current(patient)
    return Course(
        standing=standing,
        is_asked=bool(standing.entries or standing.signed)
        or tasks.is_open(clearance.TASK, f"patient:{patient.id}"),
        first=first,
        owed=followups.find_for_infusion(first.id) if first else None,
        plan=plan,
        held=sum(v.state is VisitState.HELD for v in visits),
        booked=sum(v.state is VisitState.BOOKED for v in visits),
        to_place=sum(v.state is VisitState.TO_PLACE for v in visits),
    )
