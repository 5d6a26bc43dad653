"""All visits of a plan at once: a preview of the best dates, then one act that books them."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import selectinload

from scheduler.booking import offers, soft
from scheduler.booking import service as booking
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.errors import (
    AtRatio,
    NotOffered,
    PatientBusy,
    SlotTaken,
    SoftRule,
    TooClose,
)
from scheduler.booking.models import LIVE, Appointment, Authority
from scheduler.booking.offers import Audience
from scheduler.booking.soft import Excuse
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import (
    approval,
    followups,
    openings,
    optimiser,
    pencils,
    rules,
    safety,
    visits,
)
from scheduler.plans.errors import NotSchedulable, PlanOvertaken, SeriesTaken, WrongPlanState
from scheduler.plans.models import (
    SIGNED,
    Plan,
    PlannedVisit,
    PlanState,
    PlanWishes,
    VisitState,
)
from scheduler.plans.optimiser import Start, Visit, Wishes
from scheduler.plans.protocol import Act
from scheduler.treatment.chair import Override

#: Why one date of several cannot be had after all: its row comes back, the others may stand.
NOT_TO_BE_HAD = (SlotTaken, NotOffered, PatientBusy, TooClose)
TAKEN = "The time that was chosen is taken. This is the next best."
#: From then on it is afternoon, to a patient who cannot come in the morning.
NOON = 12 * 60
#: Nothing bounds how late a visit is when its window is over.
OPEN_END_DAYS = 365
PARTS = ("morning", "afternoon")
#: How starts are sorted, and looked up among those that are.
MOMENT, IN_ORDER = attrgetter("at"), attrgetter("at", "site_id")


@dataclass(frozen=True)
class Preferences:
    """What suits the patient. Wished: weekdays and site. Demanded: all the rest."""

    weekdays: frozenset[int] = frozenset()  # Monday is 0; wished for, not demanded
    can: frozenset[int] = frozenset()  # the weekdays on which they can come; empty: any
    escort: frozenset[int] = frozenset()  # on which somebody can take them home; empty: any
    part: str | None = None  # "morning" or "afternoon": only then
    blocked: frozenset[date] = frozenset()  # never on these days
    site_id: int | None = None  # rather there; the plan's site otherwise
    only_site: bool = False  # and nowhere else

    def as_data(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "weekdays": sorted(self.weekdays),
            "can": sorted(self.can),
            "escort": sorted(self.escort),
            "part": self.part,
            "blocked": sorted(day.isoformat() for day in self.blocked),
            "site_id": self.site_id,
            "only_site": self.only_site,
        }

    @classmethod
    def restored(cls, data: Mapping[str, Any]) -> "Preferences":
        """Return them from what was stored."""
        return cls(
            weekdays=frozenset(data["weekdays"]),
            can=frozenset(data["can"]),
            escort=frozenset(data["escort"]),
            part=data["part"],
            blocked=frozenset(date.fromisoformat(day) for day in data["blocked"]),
            site_id=data["site_id"],
            only_site=data["only_site"],
        )

    def barred(self, start: Start) -> frozenset[str]:
        """Return, in words, what keeps them from a free start; empty when nothing does."""
        weekday = (start.day - 1) % 7
        found = set()
        if date.fromordinal(start.day) in self.blocked:
            found.add("the days on which they cannot come")
        if self.can and weekday not in self.can:
            found.add("the weekdays on which they can come")
        if self.escort and weekday not in self.escort:
            found.add("their escort's days")
        if self.part and (start.minute < NOON) != (self.part == "morning"):
            found.add("the part of the day they can come")
        if self.only_site and start.site_id != self.site_id:
            found.add("the one clinic they can come to")
        return frozenset(found)


@dataclass(frozen=True)
class Choice:
    """A date somebody chose for one visit; outside of its window only with a reason."""

    site_id: int
    starts_at: datetime
    outside_reason: str | None = None
    excuse: Excuse | None = None  # why notice, horizon or a nurse's number may be set aside


@dataclass(frozen=True)
class Spot:
    """A start that could be: where, when, and how far from its neighbours."""

    starts_at: datetime
    site_id: int


@dataclass(frozen=True)
class PreviewRow:
    """One visit of a preview: booked, proposed, or without a date and why."""

    number: int
    phase: int
    earliest: datetime
    ideal: datetime
    latest: datetime
    spot: Spot | None
    days_since: int | None  # since the visit before, in calendar days
    days_until: int | None  # until the visit after
    is_booked: bool
    is_chosen: bool  # by a person, not by the arithmetic
    is_pencilled: bool  # kept for them since before the chat
    rescued: bool  # at the other site, because the patient's has nothing better
    alternatives: tuple[Spot, ...]  # the next best, while the others stay
    reason: str | None  # which constraint binds, when there is no spot; or what was taken

    @property
    def last_moment(self) -> datetime:
        """The end of the last day of its window, as a moment that still lies in it."""
        return self.latest - timedelta(minutes=1)


@dataclass(frozen=True)
class Preview:
    """What booking the rest of a plan would look like."""

    rows: tuple[PreviewRow, ...]
    review_on: date | None
    version: int  # of the plan, to be given back with the choices

    @property
    def open(self) -> int:
        """How many visits have a date, booked or proposed."""
        return sum(1 for row in self.rows if row.spot is not None)

    @property
    def of(self) -> int:
        """How many visits there are."""
        return len(self.rows)


@dataclass(frozen=True)
class Scheduled:
    """What came of booking a series: what is booked, and exactly the rows that were taken."""

    booked: tuple[PlannedVisit, ...]
    taken: Mapping[int, str] = field(default_factory=dict)  # visit number -> why not
    at_ratio: frozenset[int] = frozenset()  # those of them that one more than usual would allow


@dataclass(frozen=True)
class Slot:
    """A visit to be shown: a row of the plan, or a window of a draft."""

    number: int
    phase: int
    earliest: datetime
    ideal: datetime
    latest: datetime
    min_days: int
    target_days: int
    max_days: int
    booked: Appointment | None
    stands: Spot | None = None  # booked there, but it may be moved


def preview(
    plan: Plan,
    *,
    now: datetime,
    prefer: Preferences | None = None,
    chosen: Mapping[int, Choice] | None = None,
) -> Preview:
    """Return the best dates for every visit not yet booked, with the next best three of each.

    Dates pencilled in before the chat come first where they fit and suit.

    Args:
        chosen: Dates a person picked, by visit number; the others are placed around them.
    """
    wish = prefer or preferences(plan)
    slots = slots_of(plan, now=now)
    pencilled = _pencilled(plan, slots, now=now)
    own = set(pencilled.values())
    sites = clinic_supply.current().sites
    suit = {
        n: spot
        for n, spot in pencilled.items()
        if not wish.barred(start_of(spot.starts_at, sites[spot.site_id]))
    }
    phases = {s.number: s.phase for s in slots}
    picked = {
        n: c
        for n, c in (chosen or {}).items()
        if Spot(c.starts_at, c.site_id) in own or is_free(plan, c, phases.get(n, 0), now=now)
    }
    placed = place(
        plan,
        [replace(s, stands=suit.get(s.number)) for s in slots],
        wish,
        picked,
        now=now,
        own=own,
    )
    gone = set(chosen or {}) - set(picked)
    rows = [replace(r, reason=TAKEN) if r.number in gone else r for r in placed]
    rows = [replace(r, is_pencilled=not r.is_booked and r.spot in own) for r in rows]
    return Preview(tuple(rows), _review(plan, now=now), plan.version)


def preferences(plan: Plan) -> Preferences:
    """Return what suits the patient, as it was last kept."""
    row = db.session.get(PlanWishes, plan.id)
    return Preferences.restored(row.wishes) if row else Preferences()


def keep_preferences(plan: Plan, prefer: Preferences, *, actor: str, now: datetime) -> None:
    """Keep what suits the patient: for previews, offers and whatever is placed anew."""
    # Two at once would both find nothing kept yet: the plan is there to be locked.
    db.session.scalar(select(Plan.id).where(Plan.id == plan.id).with_for_update())
    row = db.session.get(PlanWishes, plan.id, with_for_update=True)
    if row is None:
        row = PlanWishes(plan_id=plan.id)
        db.session.add(row)
    row.wishes, row.changed_at, row.changed_by = prefer.as_data(), now, actor
    db.session.flush()
    approval.note(plan, "plan.wishes", actor=actor, now=now)


@dataclass(frozen=True)
class Look:
    """What is asked of the book for many plans at once; without it each plan asks by itself."""

    taken: offers.Taken
    lanes: Mapping[int, int]  # of each patient
    wishes: Mapping[int, Preferences]  # by plan
    infusions: Mapping[int, Sequence[Appointment]]  # by patient


def place(
    plan: Plan,
    slots: Sequence[Slot],
    prefer: Preferences,
    picked: Mapping[int, Choice],
    *,
    now: datetime,
    but: Collection[int] = (),
    own: Collection[Spot] = (),
    look: Look | None = None,
) -> list[PreviewRow]:
    """Place visits exactly, around what is picked or stands; the next best three of each.

    Args:
        picked: Dates a person chose, by visit number; they are free.
        but: Appointments that are to move or go: as if they were not there.
        own: Times that are kept for this patient: theirs to use.
        look: What was read for this plan and others; not together with `but`.
    """
    wishes = wishes_of(plan, prefer, slots, look=look)
    sites = clinic_supply.current().sites
    kept = {start_of(spot.starts_at, sites[spot.site_id]) for spot in own}
    everything = free_starts(plan, slots, now=now, but=but, look=look)
    if kept:
        everything = sorted({*everything, *kept}, key=IN_ORDER)
    free = [s for s in everything if not prefer.barred(s)]
    series_visits = [visit_of(s, picked.get(s.number), free, sites, plan.site_id) for s in slots]
    series = optimiser.place(series_visits, wishes)
    rows: list[PreviewRow] = []
    before: Start | None = wishes.before
    for slot, visit, placement in zip(slots, series_visits, series.placements, strict=True):
        start = placement.start
        others: Sequence[Start] = ()
        if slot.booked is None:
            here = series_visits
            if slot.number in picked:
                anew = visit_of(slot, None, free, sites, plan.site_id)
                here = [anew if v is visit else v for v in series_visits]
            others = optimiser.alternatives(here, wishes, series, slot.number)
        why = placement.reason
        if why and not visit.starts:
            why = _what_bars(slot, everything, prefer) or why
        rows.append(row_of(slot, start, before, others, why, picked, wishes))
        before = start or before
    return [*map(_until, rows, rows[1:]), *rows[-1:]]


def _until(row: PreviewRow, following: PreviewRow) -> PreviewRow:
    return replace(row, days_until=following.days_since if row.spot else None)


@dataclass(frozen=True)
class BestOffers:
    """The best times for one visit while the others stay, or why there is none."""

    spots: tuple[Spot, ...]
    why_outside: str | None  # they come after its window, and this is why
    reason: str | None

    @property
    def is_outside(self) -> bool:
        """Say whether the times come after the window of the visit."""
        return self.why_outside is not None


#: How far ahead a visit is looked for when its window is over, or full.
LATE_LOOK = timedelta(days=14)
#: A window that ends so soon is as good as over.
NEARLY = timedelta(hours=1)
WINDOW_OVER = "Its window had passed."
WINDOW_FULL = "Nothing in its window was free and went with the other visits."


def best_offers_of(
    wanted: Sequence[PlannedVisit], *, now: datetime, most: int = 3
) -> list[BestOffers]:
    """Return what `best_offers` does for each of these visits of signed plans, read all at once."""
    if not wanted:
        return []
    until = max(max(v.latest, now) for v in wanted) + LATE_LOOK
    look = _look_over([v.plan for v in wanted], now=now, until=until)
    return [best_offers(v.plan, v.number, now=now, most=most, look=look) for v in wanted]


def _look_over(plans: Sequence[Plan], *, now: datetime, until: datetime) -> Look:
    ids, people = [plan.id for plan in plans], [plan.patient_id for plan in plans]
    db.session.scalars(  # the visits and versions of all of them, into the session
        select(Plan)
        .where(Plan.id.in_(ids))
        .options(selectinload(Plan.visits), selectinload(Plan.versions))
    ).unique().all()
    kept = db.session.scalars(select(PlanWishes).where(PlanWishes.plan_id.in_(ids)))
    resources = {plan.patient.resource_id: plan.patient_id for plan in plans}
    found = db.session.execute(
        select(Lane.resource_id, func.min(Lane.id))
        .where(Lane.resource_id.in_(resources))
        .group_by(Lane.resource_id)
    )
    lanes = {resources[resource]: lane for resource, lane in found}
    infusions: dict[int, list[Appointment]] = {}
    for one in db.session.scalars(_infusions(people)).unique():
        infusions.setdefault(one.patient_id, []).append(one)
    sites = clinic_supply.current().sites
    return Look(
        offers.read_over(ServiceCode.INFUSION, sites, lanes.values(), now, until, now=now),
        lanes,
        {row.plan_id: Preferences.restored(row.wishes) for row in kept},
        infusions,
    )


def best_offers(
    plan: Plan, number: int, *, now: datetime, most: int = 3, look: Look | None = None
) -> BestOffers:
    """Return the best three times for one visit: in its window, or soon after that is over or full.

    Only the visits that have a date are in its way.
    """
    here = next(s for s in slots_of(plan, now=now) if s.number == number)
    why, reason = None, None
    if here.latest > now + NEARLY:
        spots, reason = _spots_for(plan, here, now=now, look=look)
        if spots:
            return BestOffers(spots[:most], None, None)
        why = WINDOW_FULL
    since = max(now, here.latest) if why else now
    late = replace(
        here, earliest=since, ideal=since, latest=since + LATE_LOOK, max_days=OPEN_END_DAYS
    )
    spots, why_not = _spots_for(plan, late, now=now, look=look)
    return BestOffers(spots[:most], why or WINDOW_OVER, reason or why_not)


def why_outside(visit: PlannedVisit, *, now: datetime) -> str | None:
    """Return the reason that the calendar itself gives for a date after a window; mostly None.

    The window is over, or nothing in it is free while the other visits stay.
    """
    if visit.latest <= now + NEARLY:
        return WINDOW_OVER
    here = next(s for s in slots_of(visit.plan, now=now) if s.number == visit.number)
    own = [visit.appointment_id] if visit.appointment_id is not None else []
    spots, _ = _spots_for(visit.plan, replace(here, booked=None), now=now, but=own)
    return None if spots else WINDOW_FULL


def _spots_for(
    plan: Plan,
    here: Slot,
    *,
    now: datetime,
    but: Collection[int] = (),
    look: Look | None = None,
) -> tuple[tuple[Spot, ...], str | None]:
    """Return the best times of one visit beside those that are booked, or why there is none."""
    slots = slots_of(plan, now=now)
    around = beside([here if s.number == here.number else s for s in slots], here.number)
    prefer = look.wishes.get(plan.id, Preferences()) if look else preferences(plan)
    rows = place(plan, around, prefer, {}, now=now, but=but, look=look)
    row = next(r for r in rows if r.number == here.number)
    return ((row.spot, *row.alternatives) if row.spot else ()), row.reason


#: So many pairs of days the optimiser may weigh for other first days: about a second of work.
MOST_PAIRS = 20_000


@dataclass(frozen=True)
class FirstDay:
    """A day the series could begin on instead, and how many of its visits have a place then."""

    day: date
    start: Spot
    number: int  # of the visit that would be on it
    open: int
    of: int


def first_days(plan: Plan, shown: Preview, *, now: datetime) -> list[FirstDay]:
    """Return, for days of the first visit's window, how the whole series would go from each.

    As many days as can be looked over in about a second, those nearest to the ideal one first;
    for wide windows that is few or none, and the plan itself still shows.
    """
    slots = slots_of(plan, now=now)
    if not 2 <= len(slots) <= openings.MOST_VISITS or any(slot.booked for slot in slots):
        return []
    paces = [openings.Pace(s.min_days, s.target_days, s.max_days) for s in slots[1:]]
    zone = clinic_supply.current().sites[plan.site_id].zone
    first = max(slots[0].earliest, now).astimezone(zone).date()
    final = (slots[0].latest - timedelta(minutes=1)).astimezone(zone).date()
    within = MOST_PAIRS // max(openings.pairs(paces, len(clinic_supply.current().sites)), 1)
    days = min((final - first).days + 1, within)
    if days < 1 or not all(pace.can_be for pace in paces):
        return []
    ideal = slots[0].ideal.astimezone(zone).date() - timedelta(days=days // 2)
    first = max(min(ideal, final - timedelta(days=days - 1)), first)
    prefer = preferences(plan)
    found = openings.openings(
        paces,
        site_ids=list(clinic_supply.current().sites),
        first=first,
        days=days,
        now=now,
        home_site_id=prefer.site_id or plan.site_id,
        usual=slots[0].ideal.astimezone(zone).time(),
        min_hours=safety.least_hours(plan.patient),
        patient_lane=lane_of(plan),
        suits=lambda start: not prefer.barred(start),
        longer_minutes=max(
            longer(plan, {s.phase for s in slots}, site_id)
            for site_id in clinic_supply.current().sites
        ),
    )
    here = shown.rows[0].spot
    taken = here.starts_at.astimezone(zone).date() if here else None
    return [
        FirstDay(day.first_on, Spot(start.at, start.site_id), slots[0].number, day.open, day.of)
        for day in found.days
        if (start := day.series.placements[0].start) is not None and day.first_on != taken
    ]


def beside(slots: Sequence[Slot], number: int) -> list[Slot]:
    """Return one visit and those that have a date; across what has none the days add up."""
    found: list[Slot] = []
    skipped: list[Slot] = []
    for slot in slots:
        skipped.append(slot)
        if slot.booked is None and slot.number != number:
            continue
        found.append(
            replace(
                slot,
                min_days=sum(s.min_days for s in skipped),
                target_days=sum(s.target_days for s in skipped),
                max_days=sum(s.max_days for s in skipped),
            )
        )
        skipped = []
    return found


def _what_bars(slot: Slot, everything: Sequence[Start], prefer: Preferences) -> str | None:
    """Say which of the patient's own bounds leave no free time in a window, if they do."""
    inside = [s for s in everything if slot.earliest <= s.at < slot.latest]
    if not inside:
        return None
    least = min((prefer.barred(s) for s in inside), key=lambda bars: (len(bars), sorted(bars)))
    return f"Times are free in its window, but none that fits {' and '.join(sorted(least))}."


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
    pencilled = frozenset(_pencilled(plan, slots_of(plan, now=now), now=now).values())
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


def _usual(now: datetime) -> datetime:
    """Return from when on an infusion is booked without being asked why so soon."""
    return now + clinic_supply.current().services[ServiceCode.INFUSION].notice


def _days_standing(plan: Plan) -> dict[int, date]:
    return {
        v.number: v.starts_at.astimezone(v.appointment.site.zone).date()
        for v in plan.visits
        if v.starts_at is not None and v.appointment is not None
    }


def signed_version(plan: Plan) -> int:
    return next(v.id for v in reversed(plan.versions) if v.signature is not None)


def slots_of(plan: Plan, *, now: datetime) -> list[Slot]:
    if plan.state is PlanState.DRAFT:
        if approval.proposal_of(plan).act is not Act.SERIES:
            return []
        return [
            Slot(
                w.number, w.phase, w.earliest, w.ideal, w.latest,
                w.min_days, w.target_days, w.max_days, None,
            )
            for w in approval.windows_of(plan, now=now)
        ]  # fmt: skip
    return [
        Slot(
            v.number, v.phase, v.earliest, v.ideal, v.latest,
            v.min_days, v.target_days, v.max_days, v.appointment,
        )
        for v in plan.visits
        if v.state is not VisitState.OMITTED
    ]  # fmt: skip


def _review(plan: Plan, *, now: datetime) -> date | None:
    if plan.state is not PlanState.DRAFT:
        return plan.review_on
    zone = clinic_supply.current().sites[plan.site_id].zone
    return rules.review_on(
        approval.proposal_of(plan).phases, approval.windows_of(plan, now=now), zone
    )


def wishes_of(
    plan: Plan, prefer: Preferences, slots: Sequence[Slot], *, look: Look | None = None
) -> Wishes:
    """Return what a series is placed by, after the infusion that came before its windows."""
    begins = min((s.booked.starts_at if s.booked else s.earliest for s in slots), default=None)
    if look is None:
        last = _infusion_before(plan, begins)
    else:
        own = {v.appointment_id for v in plan.visits}
        others = (a for a in look.infusions.get(plan.patient_id, ()) if a.id not in own)
        last = max(
            (a for a in others if begins is None or a.starts_at < begins),
            key=lambda a: a.starts_at,
            default=None,
        )
    sites = clinic_supply.current().sites
    start = start_of(last.starts_at, sites[last.site_id]) if last else None
    return Wishes(
        home_site_id=prefer.site_id or plan.site_id,
        minute=start.minute if start else 10 * 60,
        weekdays=prefer.weekdays,
        min_hours=safety.least_hours_of(plan),
        before=start,
    )


def _infusion_before(plan: Plan, begins: datetime | None) -> Appointment | None:
    """Return the last infusion before a plan begins that is no part of it: the first, mostly."""
    own = select(PlannedVisit.appointment_id).where(
        PlannedVisit.plan_id == plan.id, PlannedVisit.appointment_id.is_not(None)
    )
    before = [Appointment.starts_at < begins] if begins is not None else []
    return db.session.scalar(
        _infusions([plan.patient_id])
        .where(Appointment.id.not_in(own), *before)
        .order_by(Appointment.starts_at.desc())
        .limit(1)
    )


def _infusions(people: Collection[int]) -> Select[Appointment]:
    return select(Appointment).where(
        Appointment.patient_id.in_(people),
        Appointment.service_code.in_(safety.INFUSIONS),
        Appointment.status.in_(LIVE),
    )


def free_starts(
    plan: Plan,
    slots: Sequence[Slot],
    *,
    now: datetime,
    but: Collection[int] = (),
    look: Look | None = None,
) -> list[Start]:
    """Return every start that is free over all windows at all sites, in one look."""
    wanted = [s for s in slots if s.booked is None]
    if not wanted:
        return []
    since = max(min(s.earliest for s in wanted), _usual(now))
    until = max(s.latest for s in wanted)
    if until <= since:
        return []
    sites = clinic_supply.current().sites  # asked once: there are thousands of starts
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=list(sites),
        since=since,
        until=until,
        now=now,
        audience=Audience.DESK,
        patient_lane=look.lanes.get(plan.patient_id) if look else lane_of(plan),
        but_appointment=tuple(but) or None,
        longer_minutes=max(longer(plan, {s.phase for s in wanted}, site_id) for site_id in sites),
        taken=look.taken if look else None,
    )
    return [
        Start.on_wall(o.starts_at, o.site_id, sites[o.site_id].zone, free=o.free, of=o.of)
        for o in found
    ]


def longer(plan: Plan, phases: Collection[int], site_id: int) -> int:
    """Return how many minutes longer than usual a visit of these phases takes: its recovery.

    What the service books after the infusion is what it usually takes. Of several phases, the
    longest.
    """
    known = approval.proposal_of(plan).phases
    asked = [known[n].recovery_minutes for n in phases if n < len(known)]
    return visits.longer_than_usual(max(asked, default=0), site_id)


def _pencilled(plan: Plan, slots: Sequence[Slot], *, now: datetime) -> dict[int, Spot]:
    """Return what is pencilled in, by the number of the visit whose window it fits."""
    owed = followups.find_for_infusion(plan.assessment.infusion_id)
    left = pencils.live(owed, now=now) if owed is not None else []
    found: dict[int, Spot] = {}
    for slot in slots:
        hold = next((h for h in left if slot.earliest <= h.starts_at < slot.latest), None)
        if slot.booked is None and hold is not None:
            found[slot.number] = Spot(hold.starts_at, hold.site_id)
            left = [h for h in left if h.starts_at > hold.starts_at]
    return found


def lane_of(plan: Plan) -> int | None:
    """Return the lane of the patient of a plan: nobody is in two places."""
    return lane_of_patient(plan.patient)


def lane_of_patient(patient: Patient) -> int | None:
    """Return the patient's own lane: nobody is in two places."""
    return db.session.scalar(
        select(Lane.id).where(Lane.resource_id == patient.resource_id).limit(1)
    )


def is_free(
    plan: Plan, choice: Choice, phase: int, *, now: datetime, but: Collection[int] = ()
) -> bool:
    """Say whether a date could be booked for a visit of this phase of a plan."""
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=[choice.site_id],
        since=choice.starts_at,
        until=choice.starts_at + timedelta(minutes=1),
        now=now,
        audience=Audience.DESK,
        patient_lane=lane_of(plan),
        but_appointment=tuple(but) or None,
        longer_minutes=longer(plan, [phase], choice.site_id),
    )
    return bool(found)


def start_of(moment: datetime, site: SiteSupply) -> Start:
    return Start.on_wall(moment, site.id, site.zone)


def visit_of(
    slot: Slot,
    choice: Choice | None,
    free: Sequence[Start],
    sites: Mapping[int, SiteSupply],
    home: int,
) -> Visit:
    stands = start_of(slot.stands.starts_at, sites[slot.stands.site_id]) if slot.stands else None
    if slot.booked is not None:
        starts: tuple[Start, ...] = (start_of(slot.booked.starts_at, sites[slot.booked.site_id]),)
    elif choice is not None:
        starts = (start_of(choice.starts_at, sites[choice.site_id]),)
    else:
        first, end = (bisect_left(free, at, key=MOMENT) for at in (slot.earliest, slot.latest))
        starts = tuple(free[first:end])
        if stands is not None:
            starts = (stands, *(s for s in starts if s != stands))
    return Visit(
        number=slot.number,
        ideal_day=slot.ideal.astimezone(sites[home].zone).toordinal(),
        min_days=slot.min_days,
        target_days=slot.target_days,
        max_days=slot.max_days,
        starts=starts,
        is_fixed=slot.booked is not None,
        stands=stands,
    )


def row_of(
    slot: Slot,
    start: Start | None,
    before: Start | None,
    others: Sequence[Start],
    reason: str | None,
    picked: Mapping[int, Choice],
    wishes: Wishes,
) -> PreviewRow:
    return PreviewRow(
        number=slot.number,
        phase=slot.phase,
        earliest=slot.earliest,
        ideal=slot.ideal,
        latest=slot.latest,
        spot=Spot(start.at, start.site_id) if start else None,
        days_since=start.day - before.day if start and before else None,
        days_until=None,
        is_booked=slot.booked is not None,
        is_chosen=slot.number in picked,
        is_pencilled=False,
        rescued=start is not None and start.site_id != wishes.home_site_id,
        alternatives=tuple(Spot(s.at, s.site_id) for s in others),
        reason=reason,
    )
