"""A plan on one screen: what happened and why, the visits, a clinician's word, and the booking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.messaging import consent
from scheduler.messaging import queries as messages
from scheduler.messaging import rules as texting
from scheduler.plans import (
    approval,
    changes,
    preferences,
    previews,
    protocol,
    relief,
    rules,
    scheduling,
)
from scheduler.plans import queries as plans
from scheduler.plans.errors import NotSchedulable, SeriesTaken
from scheduler.plans.finding import Choice
from scheduler.plans.models import SIGNED, Plan, PlanState, VisitState
from scheduler.plans.preferences import Preferences
from scheduler.plans.previews import FirstDay, Preview
from scheduler.plans.protocol import Phase
from scheduler.reports import course
from scheduler.web import login
from scheduler.web.desk import drawings, looks, plan_acts, plan_form, refusals, signing
from scheduler.web.desk.patients import PAIN_WORDS
from scheduler.web.desk.rooms import say
from scheduler.web.display import moment
from scheduler.web.fields import read_number
from scheduler.web.guards import insist, requires

bp = Blueprint("desk_plan", __name__, url_prefix="/desk/plans")

PARTS = {"": "Any time", "morning": "Mornings", "afternoon": "Afternoons"}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STATE_WORDS = {
    PlanState.DRAFT: ("Draft plan", "attention"),
    PlanState.APPROVED: ("Approved", "fine"),
    PlanState.CHANGED: ("Approved with changes", "fine"),
    PlanState.ACTIVE: ("Running", "brand"),
    PlanState.COMPLETED: ("Completed", "fine"),
    PlanState.CEASED: ("Ended", "plain"),
    PlanState.DECLINED: ("Declined", "trouble"),
}
ACTS = {
    protocol.Act.SERIES: "A series of visits",
    protocol.Act.STOP: "Stop: no more visits",
    protocol.Act.REFER: "Refer to somebody else",
}
MOST_PHASES = 3


@dataclass(frozen=True)
class _Refused:
    """What was refused, and what of it belongs to which visit."""

    refusal: Refusal
    rows: Mapping[int, str]
    asks: frozenset[int] = frozenset()  # the visits that a reason from staff would allow


@bp.get("/<string:public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show a plan; who may not see scores sees its visits."""
    return _page(public_id)


@bp.post("/<string:public_id>/preview")
@requires(Act.BOOK)
def preview(public_id: str) -> ResponseReturnValue:
    """Show the plan with the dates that were picked, the others placed around them."""
    try:
        chosen = plan_form.read_choices(picked_only=True) | plan_form.read_first()
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    return _page(public_id, chosen=chosen)


@bp.post("/<string:public_id>/wishes")
@requires(Act.BOOK)
def keep_wishes(public_id: str) -> ResponseReturnValue:
    """Keep what suits the patient; the dates are looked for anew by it."""
    try:
        prefer = plan_form.read_preferences()
        with transaction():
            preferences.keep(
                plans.by_public_id(public_id), prefer, actor=login.me().actor, now=clock.now()
            )
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    say("Kept. These are the dates that suit.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/relief")
@requires(Act.SEE_CLINICAL)
def note_relief(public_id: str) -> ResponseReturnValue:
    """Write down how long relief lasted after a visit; the timing is judged by it anew."""
    try:
        days = read_number(request.form.get("days", "").strip())
        if days is None:
            raise Invalid("Enter for how many days, 0 or more.", field="days")
        with transaction():
            relief.record(
                plans.by_public_id(public_id),
                book.by_public_id(request.form.get("of", "")),
                days,
                holds=request.form.get("holds") == "y",
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    say("Written down.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/schedule")
@requires(Act.BOOK)
def schedule(public_id: str) -> ResponseReturnValue:
    """Book the visits of a signed plan."""
    return _book(public_id)


@bp.post("/<string:public_id>/approve")
@requires(Act.APPROVE_PLAN)
def approve(public_id: str) -> ResponseReturnValue:
    """Sign the draft as it is; with "book", then book its visits too."""
    try:
        word = signing.signed()
        with transaction():
            plan = plans.by_public_id(public_id)
            approval.approve(plan, word.staff, version=plan_form.read_version(), now=clock.now())
            signed_version, is_series = plan.version, bool(plan.visits)
    except Refusal as refusal:
        return _page(
            public_id, chosen=plan_form.kept_choices(), refused=_Refused(refusal, {})
        ), refusal.status
    if request.form.get("deed") == "book" and is_series:
        return _book(public_id, version=signed_version)
    say("Approved." + (" The visits can be booked now." if is_series else ""))
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/decline")
@requires(Act.APPROVE_PLAN)
def decline(public_id: str) -> ResponseReturnValue:
    """Sign that the plan is not to be."""
    try:
        reason = signing.words_of("reason")
        word = signing.signed()
        with transaction():
            plan = plans.by_public_id(public_id)
            approval.decline(
                plan, word.staff, reason=reason, version=plan_form.read_version(), now=clock.now()
            )
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    say("Signed.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.get("/<string:public_id>/change")
@requires(Act.APPROVE_PLAN)
def ask_change(public_id: str) -> ResponseReturnValue:
    """Ask what a draft should say instead."""
    if plans.by_public_id(public_id).state is not PlanState.DRAFT:
        return redirect(url_for(".show", public_id=public_id))
    return _change_page(public_id)


@bp.post("/<string:public_id>/change")
@requires(Act.APPROVE_PLAN)
def change(public_id: str) -> ResponseReturnValue:
    """Sign the plan with changes and a reason."""
    try:
        act, phases = _wanted()
        reason = signing.words_of("reason")
        word = signing.signed()
        with transaction():
            approval.change(
                plans.by_public_id(public_id),
                word.staff,
                act=act,
                phases=phases,
                reason=reason,
                version=plan_form.read_version(),
                now=clock.now(),
            )
    except Refusal as refusal:
        return _change_page(public_id, refusal), refusal.status
    say("Signed with changes." + (" The visits can be booked now." if phases else ""))
    return redirect(url_for(".show", public_id=public_id), code=303)


# ---------------------------------------------------------------- booking


def _book(public_id: str, *, version: int | None = None) -> ResponseReturnValue:
    try:
        choices = plan_form.read_choices()
        if not choices:
            raise Invalid("There is no date to book.")
        keep_rest = request.form.get("taken", "rest") == "rest"
        override = signing.override()
        with transaction():
            plan = plans.by_public_id(public_id)
            number = sum(1 for v in plan.visits if v.state is VisitState.TO_PLACE)
            done = scheduling.schedule(
                plan,
                choices,
                keep_rest=keep_rest,
                version=version or plan_form.read_version(),
                actor=login.me().actor,
                now=clock.now(),
                override=override.as_override() if override else None,
            )
            ask = {n: done.taken[n] for n in done.at_ratio if plan_form.is_typed(n)}
            if ask:  # nobody took it meanwhile: it was asked for in so many words
                raise NotSchedulable("Some dates need a reason.", ask, frozenset(ask))
            left = {n: why for n, why in plan_form.read_whys().items() if n not in done.taken}
            if left:
                scheduling.leave_to_place(plan, left, actor=login.me().actor, now=clock.now())
            told_at = _told_at(plan)
    except SeriesTaken as refusal:
        kept = {n: c for n, c in plan_form.kept_choices().items() if n not in refusal.taken}
        refused = _Refused(refusal, refusal.taken, refusal.asks)
        return _page(public_id, chosen=kept, refused=refused), refusal.status
    except NotSchedulable as refusal:
        refused = _Refused(refusal, refusal.problems, refusal.asks)
        return _page(public_id, chosen=plan_form.kept_choices(), refused=refused), refusal.status
    except Refusal as refusal:
        return _page(
            public_id, chosen=plan_form.kept_choices(), refused=_Refused(refusal, {})
        ), refusal.status
    booked = len(done.booked)
    if done.taken:
        taken = ", ".join(str(n) for n in sorted(done.taken))
        say(
            f"{booked} of {number} booked. Visit {taken} was taken meanwhile and has no date: "
            "choose another below."
        )
    else:
        told = (
            f"One text with all dates goes out {told_at}."
            if told_at
            else "No text goes out. Please tell them the dates."
        )
        say(f"{rules.plural(booked, 'visit')} booked. {told}")
    return redirect(url_for(".show", public_id=public_id), code=303)


def _told_at(plan: Plan) -> str | None:
    """Return when the one text with all dates leaves ("Tue, Mar 3, 10:45 AM"), if one does."""
    now = clock.now()
    waiting = [m.send_after for m in messages.waiting(f"patient:{plan.patient_id}")]
    if not waiting or not consent.may_text(plan.patient, now=now):
        return None
    site = clinic_supply.current().sites[plan.site_id]
    due = max(now, min(waiting))
    quiet = {"begins": site.settings.quiet_until, "ends": site.settings.quiet_from}
    return moment(texting.next_daytime(due, site.zone, **quiet), site.zone)


# ---------------------------------------------------------------- pages


def _page(
    public_id: str,
    *,
    chosen: Mapping[int, Choice] | None = None,
    refused: _Refused | None = None,
) -> str:
    let_go()
    now = clock.now()
    plan = plans.by_public_id(public_id)
    supply = clinic_supply.current()
    site = supply.sites[plan.site_id]
    proposal = approval.proposal_of(plan)
    prefer = preferences.kept(plan)
    shown = _preview(plan, prefer, chosen, now=now)
    sees = login.me().may(Act.SEE_CLINICAL)
    signature = next((v.signature for v in reversed(plan.versions) if v.signature), None)
    rows = shown.rows if shown else ()
    states = {v.number: v for v in plan.visits}
    words, tone = STATE_WORDS[plan.state]
    html = render_template(
        "desk/plan.html",
        plan=plan,
        p=plan.patient,
        proposal=proposal,
        state_words=words,
        state_tone=tone,
        is_draft=plan.state is PlanState.DRAFT,
        is_signed=plan.state in SIGNED,
        signature=signature,
        signer=book.actor_name(f"staff:{signature.signed_by_id}") if signature else None,
        version_of=book.actor_name(plan.current.made_by),
        preview=shown,
        drawn=drawings.windows(
            [(r.earliest, r.ideal, r.latest, r.spot.starts_at if r.spot else None) for r in rows]
        ),
        visits=states,
        to_book=sum(1 for r in rows if r.spot and not r.is_booked),
        unplaced=sum(1 for r in rows if not r.spot),
        weeks=_weeks(shown),
        sites=supply.sites,
        several=len(supply.sites) > 1,
        home=site,
        zone=site.zone,
        happened=course.happened(plan) if sees else None,
        suggestions=relief.suggestions(plan, now=now) if sees and plan.state in SIGNED else [],
        lasted=_lasted(plan) if sees and plan.visits else [],
        curve=drawings.curve(*course.scores(plan), site.zone) if sees else None,
        blocks=[b.words for b in approval.blocks_of(plan)]
        if sees and plan.state is PlanState.DRAFT
        else [],
        condition=PAIN_WORDS[plan.assessment.condition],
        later=changes.later_parts(plan),
        acts=[
            (a, plan_acts.WORDS[a].title)
            for a in changes.may_be(plan, now=now)
            if a.value != "carry-forward"
        ],
        act_words={a: w.title for a, w in plan_acts.WORDS.items()},
        months=drawings.months(_marks(plan, shown)) if shown else [],
        first_days=_first_days(plan, shown, now=now) if shown else (),
        texts=consent.standing(plan.patient),
        prefer=prefer,
        parts=PARTS,
        weekdays=WEEKDAYS,
        value=plan_form.written,
        refusal=refused.refusal if refused else None,
        lines=_lines(refused),
        row_problems=refused.rows if refused else {},
        row_asks=refused.asks if refused else frozenset(),
        sees_clinical=sees,
        now=now,
    )
    looks.note("plan.viewed", plan.topic, patient_id=plan.patient_id)
    return html


def _lines(refused: _Refused | None) -> list[str]:
    if refused is None:
        return []
    if refused.rows:
        return plan_form.lines_about(refused.rows)
    return refusals.lines(refused.refusal)


def _marks(plan: Plan, shown: Preview) -> dict[date, str]:
    """Return what each day of the small calendar shows."""
    zone = clinic_supply.current().sites[plan.site_id].zone
    held = {v.number for v in plan.visits if v.state is VisitState.HELD}
    return {
        row.spot.starts_at.astimezone(zone).date(): "past"
        if row.number in held
        else ("booked" if row.is_booked else "new")
        for row in shown.rows
        if row.spot is not None
    }


def _first_days(plan: Plan, shown: Preview, *, now: datetime) -> Sequence[FirstDay]:
    """Return on which other days the series could begin, while none of it is booked."""
    if any(row.is_booked for row in shown.rows) or not login.me().may(Act.BOOK):
        return ()
    return previews.first_days(plan, shown, now=now)


def _lasted(plan: Plan) -> list[tuple[Appointment, str | None]]:
    """Return each infusion that took place, the newest first, with how long it lasted in words."""
    known = {r.on: f"{r.words} ({r.origin})" for r in relief.known(plan)}
    found = relief.infusions(plan)[::-1]
    return [(a, known.get(a.starts_at.astimezone(a.site.zone).date())) for a in found]


def _preview(
    plan: Plan,
    prefer: Preferences,
    chosen: Mapping[int, Choice] | None,
    *,
    now: datetime,
) -> Preview | None:
    if plan.state is not PlanState.DRAFT and plan.state not in SIGNED and not plan.visits:
        return None
    shown = previews.preview(plan, now=now, prefer=prefer, chosen=chosen)
    return shown if shown.rows else None


def _weeks(shown: Preview | None) -> str:
    """Return "in 3 weeks", from the first to the last date."""
    spots = [r.spot.starts_at for r in shown.rows if r.spot] if shown else []
    if len(spots) < 2:
        return ""
    days = (max(spots) - min(spots)).days + 1
    weeks = max(round(days / 7), 1)
    return f"in {rules.plural(weeks, 'week')}"


def _wanted() -> tuple[protocol.Act, list[Phase]]:
    try:
        act = protocol.Act(request.form.get("act", ""))
    except ValueError:
        raise Invalid("Choose what the plan should be.", field="act") from None
    phases: list[Phase] = []
    if act is not protocol.Act.SERIES:
        return act, phases
    for n in range(1, MOST_PHASES + 1):
        if not request.form.get(f"count{n}", "").strip():
            continue
        after = request.form.get(f"after{n}", "").strip()
        phases.append(
            Phase(
                name=signing.words_of(f"name{n}", 60) or f"Part {n}",
                count=_whole(f"count{n}"),
                min_days=_whole(f"min{n}"),
                target_days=_whole(f"target{n}"),
                max_days=_whole(f"max{n}"),
                recovery_minutes=_whole(f"recovery{n}"),
                reassess_after_days=_whole(f"after{n}") if after else None,
            )
        )
    return act, phases


def _whole(name: str) -> int:
    number = read_number(request.form.get(name, "").strip())
    if number is None or number > 999:
        raise Invalid("Enter whole numbers for visits and days.", field=name)
    return number


def _change_page(public_id: str, refusal: Refusal | None = None) -> str:
    insist(Act.APPROVE_PLAN)
    let_go()
    plan = plans.by_public_id(public_id)
    proposal = approval.proposal_of(plan)

    def typed(name: str, default: object = "") -> object:
        """Return what was typed, or what the plan says."""
        return request.form.get(name, "") if request.method == "POST" else default

    html = render_template(
        "desk/plan_change.html",
        plan=plan,
        p=plan.patient,
        proposal=proposal,
        acts=ACTS,
        phases=[*proposal.phases, *[None] * MOST_PHASES][:MOST_PHASES],
        typed=typed,
        refusal=refusal,
        lines=refusals.lines(refusal),
        version=request.form.get("version", plan.version)
        if refusal is None or refusal.code != "stale"
        else plan.version,
    )
    looks.note("plan.viewed", plan.topic, patient_id=plan.patient_id)
    return html
