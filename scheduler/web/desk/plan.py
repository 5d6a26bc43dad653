"""A plan on one screen: what happened and why, the visits, a clinician's word, and the booking."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import exists, instant
from scheduler.messaging import consent
from scheduler.messaging import queries as messages
from scheduler.messaging import rules as texting
from scheduler.plans import approval, protocol, rules, scheduling
from scheduler.plans import queries as plans
from scheduler.plans.errors import NotSchedulable, SeriesTaken
from scheduler.plans.models import SIGNED, Plan, PlanState
from scheduler.plans.protocol import Phase
from scheduler.plans.scheduling import Choice, Preferences, Preview
from scheduler.reports import course
from scheduler.web import login
from scheduler.web.desk import drawings, looks, refusals, signing
from scheduler.web.desk.patients import PAIN_WORDS
from scheduler.web.desk.rooms import say
from scheduler.web.display import moment
from scheduler.web.fields import YEARS, read_aware, read_number
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
_FIELD = re.compile(r"v(\d{1,3})")


@dataclass(frozen=True)
class _Refused:
    """What was refused, and what of it belongs to which visit."""

    refusal: Refusal
    rows: Mapping[int, str]


@bp.get("/<string:public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show a plan; who may not see scores sees its visits."""
    return _page(public_id)


@bp.post("/<string:public_id>/preview")
@requires(Act.BOOK)
def preview(public_id: str) -> ResponseReturnValue:
    """Show the plan with the dates that were picked, the others placed around them."""
    try:
        chosen = _choices(picked_only=True)
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    return _page(public_id, chosen=chosen)


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
            approval.approve(plan, word.staff, version=_version(), now=clock.now())
            signed_version, is_series = plan.version, bool(plan.visits)
    except Refusal as refusal:
        return _page(public_id, chosen=_kept(), refused=_Refused(refusal, {})), refusal.status
    if request.form.get("deed") == "book" and is_series:
        return _book(public_id, version=signed_version)
    say("Approved." + (" The visits can be booked now." if is_series else ""))
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/decline")
@requires(Act.APPROVE_PLAN)
def decline(public_id: str) -> ResponseReturnValue:
    """Sign that the plan is not to be; a running one ends."""
    try:
        reason = signing.words_of("reason")
        word = signing.signed()
        with transaction():
            plan = plans.by_public_id(public_id)
            act = approval.cease if plan.state in SIGNED else approval.decline
            act(plan, word.staff, reason=reason, version=_version(), now=clock.now())
    except Refusal as refusal:
        return _page(public_id, refused=_Refused(refusal, {})), refusal.status
    say("Signed.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.get("/<string:public_id>/change")
@requires(Act.APPROVE_PLAN)
def ask_change(public_id: str) -> ResponseReturnValue:
    """Ask what the plan should say instead."""
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
                version=_version(),
                now=clock.now(),
            )
    except Refusal as refusal:
        return _change_page(public_id, refusal), refusal.status
    say("Signed with changes." + (" The visits can be booked now." if phases else ""))
    return redirect(url_for(".show", public_id=public_id), code=303)


# ---------------------------------------------------------------- booking


def _book(public_id: str, *, version: int | None = None) -> ResponseReturnValue:
    try:
        choices = _choices()
        if not choices:
            raise Invalid("There is no date to book.")
        keep_rest = request.form.get("taken", "rest") == "rest"
        override = signing.override()
        with transaction():
            plan = plans.by_public_id(public_id)
            number = len(plan.visits)
            done = scheduling.schedule(
                plan,
                choices,
                keep_rest=keep_rest,
                version=version or _version(),
                actor=login.me().actor,
                now=clock.now(),
                override=override.as_override() if override else None,
            )
            left = {n: why for n, why in _without_a_date(plan).items() if n not in done.taken}
            if left:
                scheduling.leave_to_place(plan, left, actor=login.me().actor, now=clock.now())
            told_at = _told_at(plan)
    except SeriesTaken as refusal:
        kept = {n: c for n, c in _kept().items() if n not in refusal.taken}
        page = _page(public_id, chosen=kept, refused=_Refused(refusal, refusal.taken))
        return page, refusal.status
    except NotSchedulable as refusal:
        page = _page(public_id, chosen=_kept(), refused=_Refused(refusal, refusal.problems))
        return page, refusal.status
    except Refusal as refusal:
        return _page(public_id, chosen=_kept(), refused=_Refused(refusal, {})), refusal.status
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


def _without_a_date(plan: Plan) -> dict[int, str]:
    """Return, for visits the page had no date for, the reason it gave."""
    return {
        v.number: request.form.get(f"why{v.number}", "").strip()[:300]
        for v in plan.visits
        if request.form.get(f"why{v.number}", "").strip()
    }


def _choices(*, picked_only: bool = False) -> dict[int, Choice]:
    """Read the date of each visit: picked from the list, typed, or as it was proposed.

    Raises:
        Invalid: a date was typed in part, or is none.
    """
    found: dict[int, Choice] = {}
    for name in request.form:
        match = _FIELD.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        value = request.form[name]
        typed = _typed(number)
        outside = signing.words_of(f"outside{number}", 300) or None
        if typed is not None:
            found[number] = replace(typed, outside_reason=outside)
            continue
        choice = _read(value)
        is_picked = value != request.form.get(f"was{number}") or f"kept{number}" in request.form
        if choice is not None and (is_picked or not picked_only):
            found[number] = replace(choice, outside_reason=outside)
    return found


def _kept() -> dict[int, Choice]:
    """Return what was picked, for a page shown again; what cannot be read is left out."""
    try:
        return _choices(picked_only=True)
    except Refusal:
        return {}


def _read(value: str) -> Choice | None:
    written, _, code = value.partition("|")
    site = clinic_supply.current().site(code)
    moment = read_aware(written)
    return Choice(site.id, moment) if site is not None and moment is not None else None


def _typed(number: int) -> Choice | None:
    day, at = request.form.get(f"day{number}", ""), request.form.get(f"time{number}", "")
    if not day and not at:
        return None
    site = clinic_supply.current().site(request.form.get(f"site{number}", ""))
    try:
        on = date.fromisoformat(day)
        if on.year not in YEARS:
            raise ValueError
        wall = datetime.strptime(at, "%H:%M").time()  # noqa: DTZ007  a time of day
    except ValueError:
        raise Invalid(f"Visit {number}: enter a date and a time.") from None
    if site is None or not exists(on, wall, site.zone):
        raise Invalid(f"Visit {number}: that time does not exist there.")
    return Choice(site.id, instant(on, wall, site.zone))


def _version() -> int:
    version = read_number(request.form.get("version"))
    if version is None:
        raise Invalid("Please open the plan again.")
    return version


def _preferences() -> Preferences:
    values = request.values
    site = clinic_supply.current().site(values.get("site", ""))
    days = frozenset(int(d) for d in values.getlist("weekday") if d in tuple("0123456"))
    part = values.get("part", "")
    blocked = set()
    for written in re.findall(r"\d{4}-\d{2}-\d{2}", values.get("never", "")[:400]):
        try:
            blocked.add(date.fromisoformat(written))
        except ValueError:
            continue
    return Preferences(
        weekdays=days,
        part=part if part in PARTS and part else None,
        blocked=frozenset(blocked),
        site_id=site.id if site else None,
        only_site=site is not None and bool(values.get("only")),
    )


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
    prefer = _preferences()
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
        curve=drawings.curve(*course.scores(plan), site.zone) if sees else None,
        blocks=[b.words for b in approval.blocks_of(plan)]
        if sees and plan.state is PlanState.DRAFT
        else [],
        condition=PAIN_WORDS[plan.assessment.condition],
        later=[p for p in proposal.phases if p not in rules.until_review(proposal.phases)],
        texts=consent.standing(plan.patient),
        prefer=prefer,
        parts=PARTS,
        weekdays=WEEKDAYS,
        value=_value,
        refusal=refused.refusal if refused else None,
        lines=_lines(refused),
        row_problems=refused.rows if refused else {},
        sees_clinical=sees,
        now=now,
    )
    looks.note("plan.viewed", plan.topic, patient_id=plan.patient_id)
    return html


def _lines(refused: _Refused | None) -> list[str]:
    if refused is None:
        return []
    if refused.rows:
        return [f"Visit {number}: {why}" for number, why in sorted(refused.rows.items())]
    return refusals.lines(refused.refusal)


def _preview(
    plan: Plan,
    prefer: Preferences,
    chosen: Mapping[int, Choice] | None,
    *,
    now: datetime,
) -> Preview | None:
    if plan.state is not PlanState.DRAFT and plan.state not in SIGNED and not plan.visits:
        return None
    shown = scheduling.preview(plan, now=now, prefer=prefer, chosen=chosen)
    return shown if shown.rows else None


def _weeks(shown: Preview | None) -> str:
    """Return "in 3 weeks", from the first to the last date."""
    spots = [r.spot.starts_at for r in shown.rows if r.spot] if shown else []
    if len(spots) < 2:
        return ""
    days = (max(spots) - min(spots)).days + 1
    weeks = max(round(days / 7), 1)
    return f"in {rules.plural(weeks, 'week')}"


def _value(moment: datetime, site: SiteSupply) -> str:
    """Return a date as a form carries it."""
    return f"{moment.isoformat()}|{site.code}"


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
