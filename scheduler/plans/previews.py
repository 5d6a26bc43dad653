"""What booking the rest of a plan would look like: the best dates, and the next best of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from scheduler.clinic import supply as clinic_supply
from scheduler.plans import approval, openings, optimiser, preferences, rules, safety
from scheduler.plans.finding import (
    IN_ORDER,
    Choice,
    Look,
    Slot,
    Spot,
    free_starts,
    is_free,
    lane_of,
    longer,
    look_over,
    pencilled_of,
    slots_of,
    start_of,
    visit_of,
    wishes_of,
)
from scheduler.plans.models import Plan, PlannedVisit, PlanState
from scheduler.plans.optimiser import Start, Wishes
from scheduler.plans.preferences import Preferences

TAKEN = "The time that was chosen is taken. This is the next best."
#: Nothing bounds how late a visit is when its window is over.
OPEN_END_DAYS = 365


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
    wish = prefer or preferences.kept(plan)
    slots = slots_of(plan, now=now)
    pencilled = pencilled_of(plan, slots, now=now)
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


def _review(plan: Plan, *, now: datetime) -> date | None:
    if plan.state is not PlanState.DRAFT:
        return plan.review_on
    zone = clinic_supply.current().sites[plan.site_id].zone
    return rules.review_on(
        approval.proposal_of(plan).phases, approval.windows_of(plan, now=now), zone
    )


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


def _what_bars(slot: Slot, everything: Sequence[Start], prefer: Preferences) -> str | None:
    """Say which of the patient's own bounds leave no free time in a window, if they do."""
    inside = [s for s in everything if slot.earliest <= s.at < slot.latest]
    if not inside:
        return None
    least = min((prefer.barred(s) for s in inside), key=lambda bars: (len(bars), sorted(bars)))
    return f"Times are free in its window, but none that fits {' and '.join(sorted(least))}."


def row_of(
    slot: Slot,
    start: Start | None,
    before: Start | None,
    others: Sequence[Start],
    reason: str | None,
    picked: Mapping[int, Choice],
    wishes: Wishes,
) -> PreviewRow:
    """Return one line of a preview."""
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


#: How far ahead a visit is looked for when its window is over, or full.
LATE_LOOK = timedelta(days=14)
#: A window that ends so soon is as good as over.
NEARLY = timedelta(hours=1)
WINDOW_OVER = "Its window had passed."
WINDOW_FULL = "Nothing in its window was free and went with the other visits."


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


def best_offers_of(
    wanted: Sequence[PlannedVisit], *, now: datetime, most: int = 3
) -> list[BestOffers]:
    """Return what `best_offers` does for each of these visits of signed plans, read all at once."""
    if not wanted:
        return []
    until = max(max(v.latest, now) for v in wanted) + LATE_LOOK
    look = look_over([v.plan for v in wanted], now=now, until=until)
    return [best_offers(v.plan, v.number, now=now, most=most, look=look) for v in wanted]


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
    prefer = look.wishes.get(plan.id, Preferences()) if look else preferences.kept(plan)
    rows = place(plan, around, prefer, {}, now=now, but=but, look=look)
    row = next(r for r in rows if r.number == here.number)
    return ((row.spot, *row.alternatives) if row.spot else ()), row.reason


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
    prefer = preferences.kept(plan)
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
