"""How a course goes, drawn and in tables; and the summary for a patient's other doctors."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Refusal
from scheduler.plans import approval, changes, relief, rules
from scheduler.plans import queries as plans
from scheduler.plans.models import PlanState
from scheduler.reports import progress
from scheduler.web import login
from scheduler.web.desk import drawings, looks, refusals
from scheduler.web.desk.chat import PEG
from scheduler.web.desk.patients import PAIN_WORDS
from scheduler.web.desk.rooms import say
from scheduler.web.fields import read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_progress", __name__, url_prefix="/desk/plans")

STATES = {"held": "took place", "booked": "booked", "to-place": "no date yet"}


@bp.get("/<string:public_id>/progress")
@requires(Act.SEE_CLINICAL)
def show(public_id: str) -> ResponseReturnValue:
    """Show pain and PEG over time, side effects by session, windows and visits."""
    return _page(public_id, "desk/plan_progress.html", "plan.viewed")


@bp.get("/<string:public_id>/summary")
@requires(Act.SEE_CLINICAL)
def summary(public_id: str) -> ResponseReturnValue:
    """Show the course on one page to be printed for the patient's other doctors."""
    return _page(public_id, "desk/plan_summary.html", "plan.summary")


@bp.post("/<string:public_id>/peg")
@requires(Act.SEE_CLINICAL)
def note_peg(public_id: str) -> ResponseReturnValue:
    """Write down the three questions of pain, asked again."""
    try:
        scores = [read_number(request.form.get(f"peg-{item}", "").strip()) for item in PEG]
        with transaction():
            relief.record_peg(
                plans.by_public_id(public_id),
                [-1 if score is None else score for score in scores],
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        page = _page(public_id, "desk/plan_progress.html", "plan.viewed", refusal)
        return page, refusal.status
    say("Written down.")
    return redirect(url_for(".show", public_id=public_id), code=303)


def _page(public_id: str, template: str, look: str, refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    plan = plans.by_public_id(public_id)
    site = clinic_supply.current().sites[plan.site_id]
    found = progress.of_plan(plan)
    html = render_template(
        template,
        plan=plan,
        p=plan.patient,
        found=found,
        curves=drawings.both(found.pain, found.peg, [s.began for s in found.sittings], site.zone),
        timeline=drawings.timeline(
            [
                (v.number, v.earliest, v.ideal, v.latest, v.starts_at, v.state.value)
                for v in found.visits
            ],
            now=now,
        ),
        states=STATES,
        severities=rules.SEVERITY_WORDS,
        condition=PAIN_WORDS[plan.assessment.condition],
        proposal=approval.proposal_of(plan),
        later=changes.later_parts(plan),
        site=site,
        zone=site.zone,
        now=now,
        peg_items=PEG,
        may_ask=plan.state not in (PlanState.DRAFT, PlanState.DECLINED),
        refusal=refusal,
        lines=refusals.lines(refusal),
    )
    looks.note(look, plan.topic, patient_id=plan.patient_id)
    return html
