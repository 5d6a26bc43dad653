"""How long relief lasts after each infusion: as the patient says, else as the scores show."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.plans import approval, changes, library, timing
from scheduler.plans.errors import WrongPlanState
from scheduler.plans.models import (
    SIGNED,
    PegReport,
    Plan,
    PlanState,
    ReliefReport,
    VisitState,
)
from scheduler.plans.protocol import percent_less
from scheduler.plans.timing import Bound, Relief, Suggestion
from scheduler.treatment import queries as treatment

LONGEST = 366


def record(
    plan: Plan, appointment: Appointment, days: int, *, holds: bool, actor: str, now: datetime
) -> ReliefReport:
    """Write down how long relief lasted after an infusion; the newest word of each counts.

    Raises:
        Invalid: it is no infusion of this plan, it lies ahead, or it cannot be so long ago.
    """
    if appointment.id not in {a.id for a in infusions(plan)}:
        raise Invalid("Choose a visit of this plan that took place.", field="visit")
    zone = appointment.site.zone
    ago = (now.astimezone(zone).date() - appointment.starts_at.astimezone(zone).date()).days
    if not 0 <= days <= min(ago, LONGEST):
        raise Invalid(
            f"That visit was {ago} days ago. Enter a number of days up to that.", field="days"
        )
    row = ReliefReport(
        patient_id=plan.patient_id,
        appointment_id=appointment.id,
        days=days,
        holds=holds,
        recorded_by=actor,
        recorded_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        "relief.recorded", appointment.topic, actor=actor, now=now, patient_id=plan.patient_id
    )
    return row


def record_peg(plan: Plan, scores: Sequence[int], *, actor: str, now: datetime) -> PegReport:
    """Write down what the patient says of pain, enjoyment of life and activity, asked again.

    Raises:
        Invalid: they are not three numbers from 0 to 10, or nobody has signed the plan.
    """
    if len(scores) != 3 or not all(0 <= score <= 10 for score in scores):
        raise Invalid("Each of the three is a number from 0 to 10.", field="peg")
    if plan.state not in (*SIGNED, PlanState.COMPLETED, PlanState.CEASED):
        raise Invalid("The plan is not signed. The chat before it asks the three.", field="peg")
    row = PegReport(plan_id=plan.id, scores=list(scores), recorded_by=actor, recorded_at=now)
    db.session.add(row)
    db.session.flush()
    audit.record("peg.recorded", plan.topic, actor=actor, now=now, patient_id=plan.patient_id)
    return row


def peg_reports(plan: Plan) -> list[PegReport]:
    """Return what was said each time the three questions were asked again, in order."""
    return list(
        db.session.scalars(
            select(PegReport).where(PegReport.plan_id == plan.id).order_by(PegReport.id)
        )
    )


def infusions(plan: Plan) -> list[Appointment]:
    """Return the infusions of a course that took place, the first one too, in order."""
    first = db.session.get_one(Appointment, plan.assessment.infusion_id)
    held = [v.appointment for v in plan.visits if v.state is VisitState.HELD and v.appointment]
    return [first, *held]


def reports(plan: Plan) -> dict[int, ReliefReport]:
    """Return the newest word on each infusion, by appointment id."""
    ids = [a.id for a in infusions(plan)]
    rows = db.session.scalars(
        select(ReliefReport).where(ReliefReport.appointment_id.in_(ids)).order_by(ReliefReport.id)
    )
    return {row.appointment_id: row for row in rows}


def known(plan: Plan) -> list[Relief]:
    """Return what is known of each infusion's relief, in order of the infusions.

    What the patient says comes first. Else the pain before the next infusion tells: less than at
    the beginning by what the protocol calls a response, and relief still held; else it was over.
    """
    said = reports(plan)
    held = infusions(plan)
    table = library.table_of(plan.protocol)
    following = dict(pairwise([a.id for a in held]))
    by_id = {a.id: a for a in held}
    found = []
    for appointment in held:
        on = appointment.starts_at.astimezone(appointment.site.zone).date()
        report = said.get(appointment.id)
        if report is not None:
            bound = Bound.AT_LEAST if report.holds else Bound.EXACT
            found.append(Relief(on, report.days, bound, "they say"))
            continue
        if appointment.id == plan.assessment.infusion_id and not plan.assessment.relief_holds:
            found.append(Relief(on, plan.assessment.relief_days, Bound.EXACT, "at the chat"))
            continue
        after = by_id.get(following.get(appointment.id, 0))
        before_next = treatment.baseline(after.id) if after else None
        if after is None or before_next is None:
            continue
        less = percent_less(
            plan.assessment.baseline, before_next, from_baseline=table.percent_from_baseline
        )
        gap = (after.starts_at.astimezone(after.site.zone).date() - on).days
        still = less is not None and less >= table.partial_from_percent
        found.append(
            Relief(
                on,
                gap,
                Bound.AT_LEAST if still else Bound.AT_MOST,
                f"pain {before_next} before the next visit, {plan.assessment.baseline} at first",
            )
        )
    return found


def suggestions(plan: Plan, *, now: datetime) -> list[Suggestion]:
    """Return what the course so far suggests of the visits ahead; nothing follows by itself.

    Raises:
        WrongPlanState: the plan does not run.
    """
    if plan.state not in SIGNED:
        raise WrongPlanState("This plan does not run.")
    lines = changes.lines_of(plan, now=now)
    found = [timing.of_drift(lines)]
    phases = approval.proposal_of(plan).phases
    reviewed = next((n for n, p in enumerate(phases) if p.reassess_after_days is not None), None)
    ahead = next((line for line in lines if not line.is_past), None)
    if ahead is not None and reviewed is not None and ahead.phase > reviewed:
        found.append(timing.of_visits_ahead(known(plan), lines, phases[ahead.phase]))
    part = changes.next_part(plan)
    if ahead is None and part is not None and lines:
        found.append(timing.of_next_part(known(plan), part, last_on=lines[-1].day))
    return [s for s in found if s is not None]
