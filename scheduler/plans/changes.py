"""Living with a plan: defer, omit, re-space, cease, go on. A preview, then one transaction.

Each act is one version of the plan with its reason, and one word to the patient of all that
changed. Past visits never change. What was signed (how many visits, how far apart) changes only
under a clinician's signature; when a visit is, within that, is the desk's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act as Right
from scheduler.accounts.rules import may
from scheduler.booking import service as booking
from scheduler.booking import soft
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.errors import AtRatio, SoftRule
from scheduler.booking.models import Appointment, Authority, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import day_span, instant
from scheduler.plans import (
    acts,
    approval,
    finding,
    preferences,
    previews,
    rules,
    safety,
    scheduling,
    service,
    visits,
)
from scheduler.plans.acts import Ask, Line, Made
from scheduler.plans.errors import (
    MayNotSign,
    NotSchedulable,
    OutsideWindow,
    PlanOvertaken,
    SeriesTaken,
    WrongPlanState,
)
from scheduler.plans.finding import Choice, Slot, Spot
from scheduler.plans.models import (
    SIGNED,
    ChangeAct,
    Plan,
    PlanChange,
    PlannedVisit,
    PlanSignature,
    PlanState,
    Verdict,
    VisitState,
)
from scheduler.plans.previews import PreviewRow
from scheduler.plans.protocol import Phase
from scheduler.tasks import service as tasks

#: Acts that change what a clinician signed, and so need a clinician's signature.
SIGNED_ACTS = frozenset(ChangeAct) - {ChangeAct.DEFER, ChangeAct.CARRY, ChangeAct.RELOCATE}
#: Acts that leave nothing to place.
ENDINGS = frozenset({ChangeAct.CEASE, ChangeAct.COMPLETE})
WORDS = {
    ChangeAct.DEFER: "deferred a visit of",
    ChangeAct.CARRY: "deferred a visit of",
    ChangeAct.OMIT: "left a visit out of",
    ChangeAct.RESPACE: "spaced the visits anew of",
    ChangeAct.RELOCATE: "chose the other clinic for",
    ChangeAct.CEASE: "ended",
    ChangeAct.GO_ON: "went on with",
    ChangeAct.COMPLETE: "completed",
}


class What(StrEnum):
    """What becomes of a visit."""

    PAST = "past"  # it lies behind, and stays
    KEEP = "keep"
    MOVE = "move"
    ADD = "add"  # a date where none was
    TO_PLACE = "to-place"  # no date can be had; the reason says why
    DROP = "drop"


@dataclass(frozen=True)
class ChangeRow:
    """One visit before and after an act."""

    number: int
    what: What
    was: Spot | None
    days_since_before: int | None  # the spacing as it is now
    row: PreviewRow | None  # as it would be; None when it is not to be any more
    stood: Spot | None = (
        None  # where this visit is now; `was` may be another's, whose date it takes
    )


@dataclass(frozen=True)
class ChangePreview:
    """What an act would do to every visit; nothing is kept of it."""

    ask: Ask
    rows: tuple[ChangeRow, ...]
    freed: tuple[Spot, ...]  # dates that are given back although no visit is dropped
    review_on: date | None
    version: int

    def count(self, what: What) -> int:
        """How many visits it becomes this of."""
        return sum(1 for row in self.rows if row.what is what)


@dataclass(frozen=True)
class Changed:
    """What came of an act: the rows whose date was taken meanwhile, with the reason of each."""

    taken: Mapping[int, str]
    kept: frozenset[int] = frozenset()  # those of them that keep the date they had
    at_ratio: frozenset[int] = frozenset()  # those that one more than usual would allow


def preview(
    plan: Plan,
    ask: Ask,
    *,
    now: datetime,
    chosen: Mapping[int, Choice] | None = None,
) -> ChangePreview:
    """Return what an act would do: which dates stay, move, are added or go.

    A date that stands and still fits is kept; the others are placed exactly, around them.

    Raises:
        Invalid: the act makes no sense; `field` says where.
        WrongPlanState: the plan does not run.
    """
    made = _made(plan, ask, now=now)
    rows = {v.number: v for v in plan.visits}
    standing = _standing(plan, made)
    own = _movable(plan, now=now)
    firm = _firm(plan, made, standing) - (chosen or {}).keys()
    slots = [_slot(plan, line, rows, standing, is_firm=line.number in firm) for line in made.lines]
    prefer = preferences.kept(plan)
    if ask.site_id is not None:
        prefer = replace(prefer, site_id=ask.site_id)
    phases = {line.number: line.phase for line in made.lines}
    picked = {
        n: c
        for n, c in (chosen or {}).items()
        if _is(standing.get(n), c) or finding.is_free(plan, c, phases.get(n, 0), now=now, but=own)
    }
    placed = previews.place(plan, slots, prefer, picked, now=now, but=own)
    before = _spacing_now(plan)
    found = []
    for line, row in zip(made.lines, placed, strict=True):
        was = _spot(standing.get(line.number))
        gone = row.number in (chosen or {}) and row.number not in picked
        shown = replace(row, reason=previews.TAKEN) if gone else row
        stood = _spot(rows[line.number].appointment) if line.number in rows else None
        what = _what(line, was, row)
        found.append(ChangeRow(line.number, what, was, before.get(line.number), shown, stood))
    for n in sorted(made.dropped):
        stood = _spot(rows[n].appointment)
        found.append(ChangeRow(n, What.DROP, stood, before.get(n), None, stood))
    found.sort(key=lambda row: row.number)
    freed = [spot for n in sorted(made.freed) if (spot := _spot(rows[n].appointment))]
    return ChangePreview(ask, tuple(found), tuple(freed), _review_on(made), plan.version)


def apply(
    plan: Plan,
    ask: Ask,
    choices: Mapping[int, Choice],
    *,
    reason: str,
    keep_rest: bool,
    version: int,
    actor: str,
    now: datetime,
    signer: Staff | None = None,
    unplaced: Mapping[int, str] | None = None,
    notify: bool = True,
) -> Changed:
    """Do an act in the caller's one transaction: dates, one version with its reason, one word.

    Args:
        choices: The date of each visit ahead; one that stands where it is told is kept.
        keep_rest: When dates were taken meanwhile: do the rest. A visit that has a date keeps
            it where it still fits, one that has none is left to be placed.
        signer: Whose password was asked again; needed for what changes what was signed.
        unplaced: Why visits have no date, as the preview said; they go on the desk's list.

    Raises:
        Invalid: no reason, or the act makes no sense.
        MayNotSign: it needs a clinician's signature.
        WrongPlanState, PlanOvertaken: the plan does not run, or somebody changed it meanwhile.
        NotSchedulable: dates break a window, the spacing or the notice without a reason, or a
            visit that has a date is given none; by visit.
        SeriesTaken: dates were taken meanwhile, and all or nothing was asked for, or a visit
            would have lost the date it has.
    """
    words = reason.strip()
    if not words:
        raise Invalid("Please say why.", field="reason")
    if ask.act in SIGNED_ACTS and (signer is None or not may(signer.role, Right.APPROVE_PLAN)):
        raise MayNotSign("Only a clinician changes how many visits there are, or how far apart.")
    _lock(plan, version=version)
    made = _made(plan, ask, now=now)
    standing = _standing(plan, made)
    wanted = {n: c for n, c in choices.items() if n not in made.dropped}
    judged = _check(plan, made, wanted, standing, unplaced or {}, now=now)
    recorded = _as_recorded(plan, made)
    proposal = approval.proposal_of(plan)
    changed = replace(proposal, phases=made.phases, say=_say(made, ask, proposal))
    approval.add_version(plan, changed, words, actor=actor, now=now)
    if signer is not None and ask.act in SIGNED_ACTS:
        _sign(plan, signer, words, now=now)
    deed = _Deed(plan, made, standing, judged, actor=actor, now=now, notify=notify)
    deed.do(wanted, unplaced or {})
    taken = deed.taken
    if taken and not keep_rest:
        raise SeriesTaken(
            f"{rules.plural(len(taken), 'date')} can no longer be had. Nothing was changed.",
            taken,
            frozenset(deed.at_ratio),
        )
    if deed.stranded:
        raise SeriesTaken(
            "Somebody took a time meanwhile, and the date that was to move there cannot stay "
            "where it is. Nothing was changed.",
            {n: taken[n] for n in sorted(deed.stranded)},
            frozenset(deed.at_ratio & deed.stranded),
        )
    _close(plan, ask, made, actor=actor, now=now)
    db.session.add(
        PlanChange(plan_version_id=plan.current.id, act=ask.act, visits=_with_after(plan, recorded))
    )
    approval.touch(plan, WORDS[ask.act], actor=actor, now=now)
    approval.note(plan, f"plan.{ask.act.value}", actor=actor, now=now, visit=ask.visit)
    if ask.act not in ENDINGS:
        service.after_last(plan, actor=actor, now=now)
    return Changed(taken, frozenset(deed.kept), frozenset(deed.at_ratio))


def cease(plan: Plan, signer: Staff, *, reason: str, version: int, now: datetime) -> None:
    """End a signed plan before its time: visits ahead are called off, past ones stay.

    Raises:
        Invalid, MayNotSign, PlanOvertaken, WrongPlanState: as for `apply`.
    """
    apply(
        plan,
        Ask(ChangeAct.CEASE),
        {},
        reason=reason,
        keep_rest=True,
        version=version,
        actor=f"staff:{signer.id}",
        now=now,
        signer=signer,
    )


class _Deed:
    """Carries an act out: what goes first, then what moves (nobody in their own way), then adds."""

    def __init__(
        self,
        plan: Plan,
        made: Made,
        standing: Mapping[int, Appointment],
        judged: "_Judged",
        *,
        actor: str,
        now: datetime,
        notify: bool,
    ) -> None:
        self.plan, self.made, self.standing = plan, made, standing
        self.judged = judged
        self.actor, self.now, self.notify = actor, now, notify
        self.sites = clinic_supply.current().sites
        self.rows = {v.number: v for v in plan.visits}
        self.reasons = {
            v.appointment_id: v.outside_reason for v in plan.visits if v.appointment_id is not None
        }
        self.taken: dict[int, str] = {}
        self.at_ratio: set[int] = set()
        self.kept: set[int] = set()  # taken, and so where they were
        self.stranded: set[int] = set()  # taken, and cannot stay where they were
        self.why_dropped = "The plan was ended." if made.ends_it else "It was left out."

    def do(self, wanted: Mapping[int, Choice], unplaced: Mapping[int, str]) -> None:
        """Write it all; `taken` says then what was taken meanwhile."""
        ahead = [line for line in self.made.lines if not line.is_past]
        had = {n: v.appointment for n, v in self.rows.items()}
        for line in ahead:
            if line.number in self.rows:
                self._loosen(self.rows[line.number])
        for number in sorted(self.made.dropped | self.made.freed):
            self._give_back(number, had.get(number))
        for line in ahead:
            self._write_window(line)
        numbers = [line.number for line in ahead]
        for number in [n for n in numbers if n not in wanted]:
            self._leave(number, self.standing.get(number), unplaced.get(number))
        self._keep_and_move({n: wanted[n] for n in numbers if n in wanted and n in self.standing})
        for number in [n for n in numbers if n in wanted and n not in self.standing]:
            self._add(number, wanted[number])
        for number in [n for n in numbers if n in self.taken and n in self.standing]:
            self._stay(number)

    def _keep_and_move(self, wanted: Mapping[int, Choice]) -> None:
        """Keep what stands; move the rest so that none meets another on its way.

        What goes to a later day goes last one first, what comes sooner first one first.
        """
        later: list[int] = []
        sooner: list[int] = []
        for number, choice in wanted.items():
            appointment = self.standing[number]
            if _is(appointment, choice):
                self._link(number, appointment, choice)
            elif choice.starts_at > appointment.starts_at:
                later.append(number)
            else:
                sooner.append(number)
        for number in [*reversed(later), *sooner]:
            self._move(number, wanted[number], self.standing[number])

    def _loosen(self, visit: PlannedVisit) -> None:
        """Take a visit from its appointment: its window is written anew first."""
        visit.appointment_id = visit.starts_at = visit.outside_reason = None
        visit.state = VisitState.TO_PLACE
        db.session.flush()
        db.session.expire(visit, ["appointment"])

    def _give_back(self, number: int, appointment: Appointment | None) -> None:
        visit = self.rows[number]
        if number in self.made.dropped:
            if visit.appointment_id is not None:
                self._loosen(visit)
            visit.state = VisitState.OMITTED
            visit.reason = self.why_dropped
            db.session.flush()
        if appointment is not None and appointment.status is Status.BOOKED:
            booking.cancel(appointment, actor=self.actor, now=self.now, notify=self.notify)

    def _write_window(self, line: Line) -> None:
        zone = _zone(self.plan)
        visit = self.rows.get(line.number)
        usual = _usual(self.plan, visit)
        values = {
            "phase": line.phase,
            "earliest": day_span(line.earliest, zone).start,
            "ideal": instant(line.ideal, usual, zone),
            "latest": day_span(line.last, zone).end,
            "min_days": line.min_days,
            "max_days": line.max_days,
        }
        if visit is None:
            visit = PlannedVisit(
                plan_id=self.plan.id, number=line.number, state=VisitState.TO_PLACE, **values
            )
            db.session.add(visit)
            self.rows[line.number] = visit
        else:
            for name, value in values.items():
                setattr(visit, name, value)
        db.session.flush()
        db.session.expire(self.plan, ["visits"])

    def _link(self, number: int, appointment: Appointment, choice: Choice) -> None:
        visit = self.rows[number]
        outside = self.judged.excused.get(number)
        if not visits.is_inside(visit, appointment.starts_at):
            outside = choice.outside_reason
        if _is(self.standing.get(number), choice):
            outside = outside or self.reasons.get(appointment.id)
        visits.check_window(visit, appointment.starts_at, outside)
        visits.link(visit, appointment, outside)

    def _stay(self, number: int) -> None:
        """Leave a visit the date it has: the one it was to have is taken."""
        visit, appointment = self.rows[number], self.standing[number]
        if not visits.is_inside(visit, appointment.starts_at):
            self.stranded.add(number)
            return
        visits.link(visit, appointment, None)
        on = appointment.starts_at.astimezone(self.sites[appointment.site_id].zone).date()
        for (first, one), (second, other) in _beside(
            self.made, self._days() | {number: on}, number
        ):
            least, most = _between(self.made.lines, first, second)
            if not least <= (other - one).days <= most:
                self.stranded.add(number)
                return
        self.kept.add(number)

    def _days(self) -> dict[int, date]:
        """Return on which day each visit is by now."""
        found = {line.number: line.on for line in self.made.lines if line.is_past and line.on}
        for number, visit in self.rows.items():
            if visit.state is VisitState.BOOKED and visit.appointment is not None:
                zone = self.sites[visit.appointment.site_id].zone
                found[number] = visit.appointment.starts_at.astimezone(zone).date()
        return found

    def _leave(self, number: int, appointment: Appointment | None, why: str | None) -> None:
        """Leave a visit to be placed; a date that cannot stand any more is given back."""
        self.rows[number].reason = (why or "No date was chosen when the plan changed.")[:300]
        if appointment is not None and appointment.status is Status.BOOKED:
            booking.cancel(appointment, actor=self.actor, now=self.now, notify=self.notify)
        db.session.flush()

    def _move(self, number: int, choice: Choice, appointment: Appointment) -> None:
        try:
            with db.session.begin_nested():
                booking.move(
                    appointment,
                    starts_at=choice.starts_at,
                    site_id=choice.site_id,
                    version=appointment.version,
                    actor=self.actor,
                    now=self.now,
                    spacing_reason=self._spacing(choice, but=appointment.id),
                    beyond_ratio=_beyond_ratio(choice),
                    longer_minutes=self._longer(number, choice),
                    notify=self.notify,
                )
                self._note(number, choice, appointment)
                self._link(number, appointment, choice)
        except scheduling.NOT_TO_BE_HAD as refusal:
            db.session.refresh(appointment)
            db.session.refresh(self.rows[number])
            self._gone(number, refusal)

    def _add(self, number: int, choice: Choice) -> None:
        try:
            with db.session.begin_nested():
                made = booking.book(
                    ServiceCode.INFUSION,
                    choice.site_id,
                    choice.starts_at,
                    self.plan.patient,
                    actor=self.actor,
                    now=self.now,
                    authority=(
                        Authority.PLAN,
                        f"plan-version:{scheduling.signed_version(self.plan)}",
                        None,
                    ),
                    spacing_reason=self._spacing(choice),
                    beyond_ratio=_beyond_ratio(choice),
                    longer_minutes=self._longer(number, choice),
                    notify=self.notify,
                )
                self._note(number, choice, made)
                self._link(number, made, choice)
        except scheduling.NOT_TO_BE_HAD as refusal:
            db.session.refresh(self.rows[number])
            self._gone(number, refusal)
            self._leave(number, None, refusal.message)

    def _gone(self, number: int, refusal: Refusal) -> None:
        self.taken[number] = refusal.message
        if isinstance(refusal, AtRatio):
            self.at_ratio.add(number)

    def _note(self, number: int, choice: Choice, appointment: Appointment) -> None:
        """Put on record which rules were set aside for a date, and why."""
        broken = self.judged.set_aside.get(number, [])
        soft.note(appointment, broken, choice.excuse, actor=self.actor, now=self.now)

    def _longer(self, number: int, choice: Choice) -> int:
        phase = next(line.phase for line in self.made.lines if line.number == number)
        recovery = self.made.phases[phase].recovery_minutes
        return visits.longer_than_usual(recovery, choice.site_id)

    def _spacing(self, choice: Choice, *, but: int | None = None) -> str | None:
        return safety.check_spacing(
            self.plan.patient,
            choice.starts_at,
            self.sites[choice.site_id].zone,
            but=but,
            actor=self.actor,
            now=self.now,
        )


# ---------------------------------------------------------------- reading the plan


def lines_of(plan: Plan, *, now: datetime) -> list[Line]:
    """Return the visits of a plan as the acts see them: days, and what lies behind."""
    zone = _zone(plan)
    return [
        Line(
            number=v.number,
            phase=v.phase,
            earliest=v.earliest.astimezone(zone).date(),
            ideal=v.ideal.astimezone(zone).date(),
            last=(v.latest - timedelta(minutes=1)).astimezone(zone).date(),
            min_days=v.min_days,
            target_days=v.target_days,
            max_days=v.max_days,
            is_past=_is_past(v, now=now),
            on=v.starts_at.astimezone(zone).date() if v.starts_at else None,
            site_id=v.appointment.site_id if v.appointment else None,
        )
        for v in plan.visits
        if v.state is not VisitState.OMITTED
    ]


def may_be(plan: Plan, *, now: datetime) -> list[ChangeAct]:
    """Return the acts that make sense for a plan now, in the order they are offered."""
    if plan.state not in SIGNED:
        return []
    lines = lines_of(plan, now=now)
    if any(not line.is_past for line in lines):
        return [
            ChangeAct.DEFER, ChangeAct.CARRY, ChangeAct.OMIT, ChangeAct.RESPACE,
            *([ChangeAct.RELOCATE] if len(clinic_supply.current().sites) > 1 else []),
            ChangeAct.CEASE,
        ]  # fmt: skip
    if any(v.state is VisitState.BOOKED for v in plan.visits):
        return [ChangeAct.CEASE]  # somebody is in the chair, or was not recorded yet
    more = _planned(plan) < len(approval.proposal_of(plan).phases)
    return [*([ChangeAct.GO_ON] if more else []), ChangeAct.COMPLETE]


def next_part(plan: Plan) -> Phase | None:
    """Return the part of the plan that follows its next review, or None."""
    phases = approval.proposal_of(plan).phases
    planned = _planned(plan)
    return phases[planned] if planned < len(phases) else None


def later_parts(plan: Plan) -> tuple[Phase, ...]:
    """Return the parts of the plan that are not scheduled yet: those after its next review."""
    phases = approval.proposal_of(plan).phases
    if plan.visits:
        return phases[_planned(plan) :]
    return phases[len(rules.until_review(phases)) :]


def _planned(plan: Plan) -> int:
    return max((v.phase for v in plan.visits), default=-1) + 1


def _made(plan: Plan, ask: Ask, *, now: datetime) -> Made:
    if plan.state not in SIGNED:
        raise WrongPlanState("This plan does not run.")
    if ask.act not in may_be(plan, now=now):
        raise WrongPlanState("That cannot be done with this plan now.")
    if ask.site_id is not None and ask.site_id not in clinic_supply.current().sites:
        raise Invalid("Choose a clinic.", field="site")
    return acts.make(
        ask,
        lines_of(plan, now=now),
        approval.proposal_of(plan).phases,
        planned=_planned(plan),
        highest=max((v.number for v in plan.visits), default=0),
        today=now.astimezone(_zone(plan)).date(),
    )


def _is_past(visit: PlannedVisit, *, now: datetime) -> bool:
    if visit.state is VisitState.HELD:
        return True
    found = visit.appointment
    return found is not None and (found.status is not Status.BOOKED or found.starts_at <= now)


def _standing(plan: Plan, made: Made) -> dict[int, Appointment]:
    """Return, by visit, the appointment that answers it after the act, unless it is moved."""
    rows = {v.number: v.appointment for v in plan.visits if v.appointment is not None}
    found = {}
    for line in made.lines:
        given_on = made.freed | set(made.takes.values())
        if line.number in given_on and line.number not in made.takes:
            continue
        appointment = rows.get(made.takes.get(line.number, line.number))
        if appointment is not None:
            found[line.number] = appointment
    return found


def _movable(plan: Plan, *, now: datetime) -> list[int]:
    """Return the appointments of the visits ahead: their time is theirs to use."""
    return [
        v.appointment_id
        for v in plan.visits
        if v.appointment_id is not None and not _is_past(v, now=now)
    ]


def _slot(
    plan: Plan,
    line: Line,
    rows: Mapping[int, PlannedVisit],
    standing: Mapping[int, Appointment],
    *,
    is_firm: bool,
) -> Slot:
    zone = _zone(plan)
    visit = rows.get(line.number)
    appointment = standing.get(line.number)
    stands = _spot(appointment) if line.on is not None and not line.is_past else None
    return Slot(
        number=line.number,
        phase=line.phase,
        earliest=day_span(line.earliest, zone).start,
        ideal=instant(line.ideal, _usual(plan, visit), zone),
        latest=day_span(line.last, zone).end,
        min_days=line.min_days,
        target_days=line.target_days,
        max_days=line.max_days,
        booked=appointment if line.is_past or is_firm else None,
        stands=stands,
    )


def _firm(plan: Plan, made: Made, standing: Mapping[int, Appointment]) -> set[int]:
    """Return the visits ahead that stay where they are although it is not as planned.

    Somebody put them, or a neighbour, there for a reason, and the act asks no more of them: they
    move only if somebody chooses so.
    """
    reasons = {v.appointment_id for v in plan.visits if v.outside_reason is not None}
    lines = {line.number: line for line in made.lines}
    stay = {n: a for n, a in standing.items() if lines[n].on is not None}
    found = {n for n, appointment in stay.items() if appointment.id in reasons}
    before = _gaps_now(plan)
    for first, second in pairwise(sorted(stay)):
        one, other = lines[first].on, lines[second].on
        was = before.get((stay[first].id, stay[second].id))
        if one and other and was:
            now = _between(made.lines, first, second)
            found |= {first, second} if _stands_broken((other - one).days, was, now) else set()
    return found


def _what(line: Line, was: Spot | None, row: PreviewRow) -> What:
    if line.is_past:
        return What.PAST
    if row.spot is None:
        return What.TO_PLACE
    if was is None:
        return What.ADD
    return What.KEEP if was == row.spot else What.MOVE


def _spot(appointment: Appointment | None) -> Spot | None:
    return Spot(appointment.starts_at, appointment.site_id) if appointment else None


def _is(appointment: Appointment | None, choice: Choice) -> bool:
    return (
        appointment is not None
        and appointment.starts_at == choice.starts_at
        and appointment.site_id == choice.site_id
    )


def _spacing_now(plan: Plan) -> dict[int, int]:
    """Return how many days lie between each visit and the one before, as it is booked now."""
    days = [
        (v.number, v.starts_at.astimezone(v.appointment.site.zone).date())
        for v in plan.visits
        if v.starts_at is not None and v.appointment is not None
    ]
    return {later[0]: (later[1] - sooner[1]).days for sooner, later in pairwise(days)}


def _usual(plan: Plan, visit: PlannedVisit | None) -> time:
    known = visit or (plan.visits[-1] if plan.visits else None)
    moment = known.ideal if known else plan.changed_at
    return moment.astimezone(_zone(plan)).time()


def _zone(plan: Plan) -> ZoneInfo:
    return clinic_supply.current().sites[plan.site_id].zone


def _say(made: Made, ask: Ask, proposal: rules.Proposal) -> str:
    """Return the plan in a line: as it was signed, or as the visits are after this."""
    if ask.act not in SIGNED_ACTS:
        return proposal.say
    counts = Counter(line.phase for line in made.lines)
    planned = max(counts, default=-1) + 1
    phases = [replace(p, count=counts[n]) for n, p in enumerate(made.phases[:planned])]
    if ask.act not in ENDINGS:
        phases += made.phases[planned:]
    if tuple(phases) == proposal.phases:
        return proposal.say
    return rules.said_of(proposal.act, phases)


def _review_on(made: Made) -> date | None:
    if made.ends_it or not made.lines:
        return None
    final = made.lines[-1]
    after = made.phases[final.phase].reassess_after_days
    return final.ideal + timedelta(days=after) if after is not None else None


# ---------------------------------------------------------------- writing it down


def _lock(plan: Plan, *, version: int) -> None:
    sites = clinic_supply.current().sites.values()
    lock(everything_at(sites, plan.patient.resource_id))
    db.session.refresh(plan, with_for_update={"of": Plan})
    db.session.expire(plan, ["versions", "visits"])
    if plan.version != version:
        raise PlanOvertaken("Somebody changed this plan while you had it open.")


@dataclass(frozen=True)
class _Judged:
    """What a person answers for, by visit: rules of the book set aside, and spacing excused."""

    set_aside: Mapping[int, list[soft.Rule]]
    excused: Mapping[int, str]


def _check(
    plan: Plan,
    made: Made,
    wanted: Mapping[int, Choice],
    standing: Mapping[int, Appointment],
    unplaced: Mapping[int, str],
    *,
    now: datetime,
) -> _Judged:
    """Refuse, by visit, what no booking could make right: windows, spacing, notice from now.

    What stands may go on breaking only what it broke before, where the act asks no more of it.
    """
    ahead = [line for line in made.lines if not line.is_past]
    unknown = wanted.keys() - {line.number for line in ahead}
    found = dict.fromkeys(unknown, "This visit is no part of what is ahead.")
    asks: set[int] = set()
    broken: dict[int, list[soft.Rule]] = {}
    for line in ahead:
        choice, stood = wanted.get(line.number), standing.get(line.number)
        if choice is None:
            if stood is not None and not unplaced.get(line.number):
                found[line.number] = "It has a date. Choose where it goes, or leave it there."
        elif line.on is None or not _is(stood, choice):
            try:
                broken[line.number] = _on_its_own(line, choice, stood, now=now)
            except SoftRule as refusal:
                found[line.number] = refusal.message
                asks.add(line.number)
            except OutsideWindow as refusal:
                found[line.number] = refusal.message
    excused, apart = _check_spacing(plan, made, wanted, standing)
    if found or apart:
        raise NotSchedulable("Some dates do not fit the plan.", apart | found, frozenset(asks))
    return _Judged(broken, excused)


def _on_its_own(
    line: Line, choice: Choice, stood: Appointment | None, *, now: datetime
) -> list[soft.Rule]:
    """Return the rules of the book a new date sets aside; inside its window none is too far ahead.

    Raises:
        OutsideWindow: it is, and nobody says why.
        SoftRule: it sets one aside without a reason from somebody who may give it.
    """
    on = choice.starts_at.astimezone(clinic_supply.current().sites[choice.site_id].zone).date()
    is_inside = line.earliest <= on <= line.last
    if not is_inside and not choice.outside_reason:
        raise OutsideWindow("This date is outside of its window; say why.")
    return soft.insist(
        ServiceCode.INFUSION,
        choice.starts_at,
        choice.excuse,
        now=now,
        was=stood.starts_at if stood is not None else None,
        but=[soft.Rule.HORIZON] if is_inside else [],
    )


def _check_spacing(
    plan: Plan, made: Made, wanted: Mapping[int, Choice], standing: Mapping[int, Appointment]
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the reasons that excuse a spacing, and what is wrong with others; both by visit."""
    sites = clinic_supply.current().sites
    days = {line.number: line.on for line in made.lines if line.is_past and line.on is not None}
    days |= {
        n: c.starts_at.astimezone(sites[c.site_id].zone).date()
        for n, c in wanted.items()
        if n not in days
    }
    # Whose appointment it is that stays; nothing where the date is a new one.
    stays = {
        n: a.id for n, a in standing.items() if n not in wanted or _is(a, wanted[n])
    }  # fmt: skip
    before = _gaps_now(plan)
    excused: dict[int, str] = {}
    found: dict[int, str] = {}
    placed = [(line.number, days[line.number]) for line in made.lines if line.number in days]
    for (first, one), (second, other) in pairwise(placed):
        gap = (other - one).days
        least, most = _between(made.lines, first, second)
        was = before.get((stays.get(first, 0), stays.get(second, 0)))
        if least <= gap <= most or (was and _stands_broken(gap, was, (least, most))):
            continue
        reasons = {n: r for n in (second, first) if n in wanted and (r := wanted[n].outside_reason)}
        if reasons:
            excused |= reasons
            continue
        found.setdefault(
            second if second in wanted else first,
            f"Visits {first} and {second} would be {rules.plural(gap, 'day')} apart; "
            f"{least} to {most} are planned.",
        )
    return excused, found


def _stands_broken(gap: int, was: tuple[int, int], now: tuple[int, int]) -> bool:
    """Say whether a distance was not as planned before, and no more is asked of it now."""
    return not was[0] <= gap <= was[1] and now[0] <= was[0] and was[1] <= now[1]


def _beyond_ratio(choice: Choice) -> bool:
    return choice.excuse is not None and choice.excuse.sets_aside(soft.Rule.RATIO)


def _gaps_now(plan: Plan) -> dict[tuple[int, int], tuple[int, int]]:
    """Return how many days may lie between neighbours now, by the ids of their appointments."""
    live = [v for v in plan.visits if v.state is not VisitState.OMITTED]
    placed = [v for v in live if v.appointment_id is not None]
    found = {}
    for one, other in pairwise(placed):
        between = [v for v in live if one.number < v.number <= other.number]
        assert one.appointment_id is not None
        assert other.appointment_id is not None
        found[one.appointment_id, other.appointment_id] = (
            sum(v.min_days for v in between),
            sum(v.max_days for v in between),
        )
    return found


def _between(lines: Sequence[Line], first: int, second: int) -> tuple[int, int]:
    """Return how many days may lie between two visits, at least and at most."""
    between = [line for line in lines if first < line.number <= second]
    return sum(line.min_days for line in between), sum(line.max_days for line in between)


def _beside(
    made: Made, days: Mapping[int, date], number: int
) -> list[tuple[tuple[int, date], tuple[int, date]]]:
    """Return the pairs of a visit with the one before and after it that have a day."""
    placed = [(line.number, days[line.number]) for line in made.lines if line.number in days]
    return [pair for pair in pairwise(placed) if number in (pair[0][0], pair[1][0])]


def _sign(plan: Plan, signer: Staff, reason: str, *, now: datetime) -> None:
    db.session.add(
        PlanSignature(
            plan_version_id=plan.current.id,
            verdict=Verdict.CHANGED,
            reason=reason,
            signed_by_id=signer.id,
            signed_at=now,
        )
    )
    db.session.flush()
    db.session.expire(plan, ["versions"])


def _close(plan: Plan, ask: Ask, made: Made, *, actor: str, now: datetime) -> None:
    if ask.act is ChangeAct.CEASE:
        plan.state, plan.review_on = PlanState.CEASED, None
    elif ask.act is ChangeAct.COMPLETE:
        plan.state, plan.review_on = PlanState.COMPLETED, None
    else:
        plan.review_on = _review_on(made) or plan.review_on
    if ask.act is ChangeAct.RELOCATE and ask.site_id is not None:
        plan.site_id = ask.site_id
        kept = preferences.kept(plan)
        if kept.site_id is not None:
            preferences.keep(plan, replace(kept, site_id=ask.site_id), actor=actor, now=now)
        db.session.flush()
        db.session.expire(plan, ["site"])
    if ask.act in ENDINGS or ask.act is ChangeAct.GO_ON:
        tasks.close_by_event(service.REASSESS, plan.topic, ask.act.value, actor=actor, now=now)
    db.session.flush()


def _as_recorded(plan: Plan, made: Made) -> list[dict[str, Any]]:
    """Return each visit as it is before the act, as plain values."""
    return [
        {
            "number": v.number,
            "before": v.starts_at.isoformat() if v.starts_at else None,
            "window_before": [v.earliest.isoformat(), v.latest.isoformat()],
            "dropped": v.number in made.dropped,
        }
        for v in plan.visits
        if v.state is not VisitState.OMITTED
    ]


def _with_after(plan: Plan, recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same with what each visit is after it, new ones too."""
    db.session.expire(plan, ["visits"])
    known = {row["number"]: row for row in recorded}
    found = []
    for v in plan.visits:
        if v.state is VisitState.OMITTED and v.number not in known:
            continue
        found.append(
            known.get(v.number, {"number": v.number, "before": None, "dropped": False})
            | {
                "after": v.starts_at.isoformat() if v.starts_at else None,
                "window_after": [v.earliest.isoformat(), v.latest.isoformat()],
            }
        )
    return found
