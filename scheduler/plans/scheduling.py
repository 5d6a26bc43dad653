"""All visits of a plan at once: one act that books the dates somebody chose for them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise

from scheduler.booking import service as booking
from scheduler.booking import soft
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.errors import AtRatio, NotOffered, PatientBusy, SlotTaken, SoftRule, TooClose
from scheduler.booking.models import Authority
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.plans import approval, followups, pencils, rules, safety, visits
from scheduler.plans.errors import NotSchedulable, PlanOvertaken, SeriesTaken, WrongPlanState
from scheduler.plans.finding import Choice, Spot, longer, pencilled_of, slots_of
from scheduler.plans.models import SIGNED, Plan, PlannedVisit, PlanState, VisitState
from scheduler.treatment.chair import Override

#: Why one date of several cannot be had after all: its row comes back, the others may stand.
NOT_TO_BE_HAD = (SlotTaken, NotOffered, PatientBusy, TooClose)


@dataclass(frozen=True)
class Scheduled:
    """What came of booking a series: what is booked, and exactly the rows that were taken."""

    booked: tuple[PlannedVisit, ...]
    taken: Mapping[int, str] = field(default_factory=dict)  # visit number -> why not
    at_ratio: frozenset[int] = frozenset()  # those of them that one more than usual would allow


def schedule(
    plan: Plan,
    choices: Mapping[int, Choice],
    *,
    keep_rest: bool,
    version: int,
    actor: str,
    now: datetime,
    override: Override | None = None,
    notify: bool = True,
) -> Scheduled:
    """Book the chosen dates of a signed plan in the caller's one transaction.

    All, or with `keep_rest` whatever is still free; the patient is told once, of all dates.

    Args:
        override: A clinician's word for dates closer to another infusion than the protocol allows.

    Raises:
        WrongPlanState: the plan is not signed, or does not run any more.
        PlanOvertaken: somebody changed it since version `version` was read.
        NotSchedulable: dates break a window or the notice without a reason, or the spacing; by
            visit.
        MayNotSign: the override is no clinician's.
        SeriesTaken: dates were taken meanwhile and all or nothing was asked for.
    """
    if override is not None:
        safety.check_override(override)
    sites = clinic_supply.current().sites
    lock(everything_at(sites.values(), plan.patient.resource_id))
    db.session.refresh(plan, with_for_update={"of": Plan})
    db.session.expire(plan, ["versions", "visits"])
    if plan.version != version:
        raise PlanOvertaken("Somebody changed this plan while you had it open.")
    if plan.state not in SIGNED:
        raise WrongPlanState("Only a plan that a clinician signed can be scheduled.")
    rows = {v.number: v for v in plan.visits if v.state is VisitState.TO_PLACE}
    pencilled = frozenset(pencilled_of(plan, slots_of(plan, now=now), now=now).values())
    excused = _check(plan, rows, choices, now=now, override=override, pencilled=pencilled)
    # What was pencilled in is booked now, or given back: one course has one set of dates.
    pencils.release(followups.find_for_infusion(plan.assessment.infusion_id), actor=actor, now=now)
    authority = (Authority.PLAN, f"plan-version:{signed_version(plan)}", None)
    booked: list[PlannedVisit] = []
    taken: dict[int, str] = {}
    at_ratio: set[int] = set()
    for number in sorted(choices):
        visit, choice = rows[number], choices[number]
        excuse = choice.excuse
        broken = _set_aside(visit, choice, pencilled, now=now)
        try:
            with db.session.begin_nested():
                appointment = booking.book(
                    ServiceCode.INFUSION,
                    choice.site_id,
                    choice.starts_at,
                    plan.patient,
                    actor=actor,
                    now=now,
                    authority=authority,
                    spacing_reason=safety.check_spacing(
                        plan.patient,
                        choice.starts_at,
                        sites[choice.site_id].zone,
                        override=override,
                        actor=actor,
                        now=now,
                    ),
                    beyond_ratio=excuse is not None and excuse.sets_aside(soft.Rule.RATIO),
                    longer_minutes=longer(plan, [visit.phase], choice.site_id),
                    notify=notify,
                )
                soft.note(appointment, broken, excuse, actor=actor, now=now)
                visits.link(
                    visit,
                    appointment,
                    visits.check_window(visit, choice.starts_at, choice.outside_reason)
                    or excused.get(number),
                )
            booked.append(visit)
        except NOT_TO_BE_HAD as refusal:
            taken[number] = refusal.message
            if isinstance(refusal, AtRatio):
                at_ratio.add(number)
    if taken and not keep_rest:
        raise SeriesTaken(
            f"{rules.plural(len(taken), 'date')} can no longer be had. Nothing was booked.",
            taken,
            frozenset(at_ratio),
        )
    for number, why in taken.items():
        rows[number].reason = why
    if booked:
        plan.state = PlanState.ACTIVE
        approval.touch(plan, "scheduled", actor=actor, now=now)
        approval.note(plan, "plan.scheduled", actor=actor, now=now, visits=len(booked))
    return Scheduled(tuple(booked), taken, frozenset(at_ratio))


def fits(visit: PlannedVisit, choice: Choice) -> bool:
    """Say whether a date keeps a visit's window and its distance from the visits around it."""
    try:
        _check(visit.plan, {visit.number: visit}, {visit.number: choice}, now=None)
    except NotSchedulable:
        return False
    return True


def leave_to_place(plan: Plan, reasons: Mapping[int, str], *, actor: str, now: datetime) -> None:
    """Note on visits without a date why they have none; they stay on the desk's list."""
    for visit in plan.visits:
        if visit.state is VisitState.TO_PLACE and visit.number in reasons:
            visit.reason = reasons[visit.number]
    if plan.state in (PlanState.APPROVED, PlanState.CHANGED):
        plan.state = PlanState.ACTIVE
        approval.touch(plan, "scheduled", actor=actor, now=now)
    db.session.flush()


def _check(
    plan: Plan,
    rows: Mapping[int, PlannedVisit],
    choices: Mapping[int, Choice],
    *,
    now: datetime | None,
    override: Override | None = None,
    pencilled: Collection[Spot] = (),
) -> dict[int, str]:
    """Refuse, by visit, what no booking could make right: windows, spacing, and notice from now.

    Returns:
        The reasons that excuse a spacing, by visit. What was said of a date that stands already
        excuses that one, and nothing that is put beside it.
    """
    sites = clinic_supply.current().sites
    found, asks = _on_their_own(rows, choices, pencilled, now=now)
    days = _days_standing(plan)
    for number, choice in choices.items():
        days[number] = choice.starts_at.astimezone(sites[choice.site_id].zone).date()
    excused: dict[int, str] = {}
    for first, second in pairwise(sorted(days)):
        gap = (days[second] - days[first]).days
        least, most = visits.apart(plan.visits, first, second)
        if least <= gap <= most or not {first, second} & choices.keys():
            continue
        at = second if second in choices else first
        own = {
            n: why for n in (first, second) if n in choices and (why := choices[n].outside_reason)
        }
        if own or override is not None:
            excused |= own or {at: override.reason.strip() if override else ""}
            continue
        found.setdefault(
            at,
            f"Visits {first} and {second} would be {rules.plural(gap, 'day')} apart; "
            f"{least} to {most} are planned.",
        )
    if found:
        raise NotSchedulable("Some dates do not fit the plan.", found, frozenset(asks))
    return excused


def _on_their_own(
    rows: Mapping[int, PlannedVisit],
    choices: Mapping[int, Choice],
    pencilled: Collection[Spot],
    *,
    now: datetime | None,
) -> tuple[dict[int, str], set[int]]:
    """Return what each date breaks whatever the others are, and which a reason would allow."""
    found: dict[int, str] = {}
    asks: set[int] = set()
    for number, choice in choices.items():
        visit = rows.get(number)
        if visit is None:
            found[number] = "This visit has a date already, or is no part of the plan."
            continue
        words = []
        if not visits.is_inside(visit, choice.starts_at) and not (choice.outside_reason or ""):
            words.append("This date is outside of its window; say why.")
        try:
            if now is not None:
                _set_aside(visit, choice, pencilled, now=now)
        except SoftRule as refusal:
            words.append(refusal.message)
            asks.add(number)
        if words:
            found[number] = " ".join(words)
    return found, asks


def _set_aside(
    visit: PlannedVisit, choice: Choice, pencilled: Collection[Spot], *, now: datetime
) -> list[soft.Rule]:
    """Return the rules a date sets aside.

    Inside a window that was signed none is too far ahead, and what is kept for the patient was
    asked for in time.

    Raises:
        SoftRule: it sets one aside without a reason from somebody who may give it.
    """
    settled: list[soft.Rule] = []
    if visits.is_inside(visit, choice.starts_at):
        settled.append(soft.Rule.HORIZON)
    if Spot(choice.starts_at, choice.site_id) in pencilled:
        settled.append(soft.Rule.NOTICE)
    return soft.insist(ServiceCode.INFUSION, choice.starts_at, choice.excuse, now=now, but=settled)


def _days_standing(plan: Plan) -> dict[int, date]:
    return {
        v.number: v.starts_at.astimezone(v.appointment.site.zone).date()
        for v in plan.visits
        if v.starts_at is not None and v.appointment is not None
    }


def signed_version(plan: Plan) -> int:
    """Return the id of the version that was signed last."""
    return next(v.id for v in reversed(plan.versions) if v.signature is not None)
