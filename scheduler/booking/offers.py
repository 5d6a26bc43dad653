"""What could be booked now: computed from supply and claims, never stored.

One code path serves the page, the command line, the hold and the booking: `Room` is the free
time of one site over one span; `starts` are where a service fits in it.
"""

import enum
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, partial
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, or_, select

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP, STEP_SECONDS, Grid
from scheduler.availability.lanes import Piece, place
from scheduler.booking.models import LONGEST_CLAIM_HOURS, Claim, Hold
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import Need, Offering, SiteSupply, Unit
from scheduler.core.db import db, epoch_seconds, table_of
from scheduler.core.timespan import PartOfDay, TimeSpan, day_span

LOOK_BACK = timedelta(hours=LONGEST_CLAIM_HOURS)
NEAR = timedelta(days=4)


class Audience(enum.StrEnum):
    """Who asks: patients keep to notice, horizon and the quarter-hour; the desk only to sense."""

    ONLINE = "online"
    DESK = "desk"


@dataclass(frozen=True, order=True, slots=True)
class Offer:
    """A start that could be booked: `free` of `of` chairs (or people) could take it."""

    starts_at: datetime
    site_id: int
    service: ServiceCode
    free: int = field(compare=False)
    of: int = field(compare=False)


@dataclass(frozen=True)
class Busy:
    """A claim as the arithmetic sees it."""

    claim_id: int
    lane_id: int
    span: TimeSpan
    is_pinned: bool
    appointment_id: int | None
    hold_id: int | None


def busy_claims(
    lanes: Iterable[int], since: datetime, until: datetime, *, now: datetime
) -> list[Busy]:
    """Return the claims that count on these lanes in a span: expired holds do not."""
    rows = db.session.execute(
        select(
            Claim.id,
            Claim.lane_id,
            Claim.starts_at,
            Claim.ends_at,
            Claim.is_pinned,
            Claim.appointment_id,
            Claim.hold_id,
        )
        .where(*_counts(lanes, since, until, now=now))
        .order_by(Claim.starts_at, Claim.id)
    )
    return [
        Busy(
            r.id,
            r.lane_id,
            TimeSpan(r.starts_at, r.ends_at),
            r.is_pinned,
            r.appointment_id,
            r.hold_id,
        )
        for r in rows
    ]


def _counts(
    lanes: Iterable[int],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
) -> list[ColumnElement[bool]]:
    """Return which claims count on these lanes in a span.

    The lower bound on the start (the longest claim back) lets the index answer.
    """
    over = select(Hold.id).where(Hold.expires_at <= now)
    return [
        Claim.lane_id.in_(list(lanes)),
        Claim.starts_at < until,
        Claim.starts_at > since - LOOK_BACK,
        Claim.ends_at > since,
        or_(Claim.hold_id.is_(None), Claim.hold_id.not_in(over)),
    ]


class Run(NamedTuple):
    """A claim in five-minute steps since 1970, half-open."""

    first: int
    end: int
    stays: bool  # it has begun, or this very chair was asked for: it is not laid elsewhere


Taken = Mapping[int, Sequence[Run]]  # by lane


def taken_steps(
    lanes: Iterable[int],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    but_appointment: int | Collection[int] | None = None,
    but_hold: int | None = None,
) -> dict[int, list[Run]]:
    """Return what `busy_claims` returns as bare numbers, for weeks at a time.

    The database counts the seconds, for making two dates of every row took most of the time; and
    the connection is asked, for the session would look at every row once more.
    """
    db.session.flush()  # as the session does by itself before it asks
    given = {
        "lanes": list(lanes),
        "since": since,
        "until": until,
        "look_back": since - LOOK_BACK,
        "now": now,
    }
    if but_appointment is not None:
        without = [but_appointment] if isinstance(but_appointment, int) else list(but_appointment)
        given["but_appointment"] = without
    if but_hold is not None:
        given["but_hold"] = but_hold
    asked = _steps_question(but_appointment is not None, but_hold is not None)
    return _runs(db.session.connection().execute(asked, given).all(), now=now)


@cache  # to build a statement takes longer than to ask it of a day
def _steps_question(but_appointment: bool, but_hold: bool) -> Select[tuple[int, int, int, bool]]:
    claim, hold = table_of(Claim).c, table_of(Hold).c
    over = select(hold.id).where(hold.expires_at <= bindparam("now"))
    asked = select(
        claim.lane_id,
        epoch_seconds(claim.starts_at),
        epoch_seconds(claim.ends_at),
        claim.is_pinned,
    ).where(
        claim.lane_id.in_(bindparam("lanes", expanding=True)),
        claim.starts_at < bindparam("until"),
        claim.starts_at > bindparam("look_back"),  # the longest claim back: the index answers
        claim.ends_at > bindparam("since"),
        or_(claim.hold_id.is_(None), claim.hold_id.not_in(over)),
    )
    if but_appointment:
        others = claim.appointment_id.not_in(bindparam("but_appointment", expanding=True))
        asked = asked.where(or_(claim.appointment_id.is_(None), others))
    if but_hold:
        asked = asked.where(or_(claim.hold_id.is_(None), claim.hold_id != bindparam("but_hold")))
    return asked


def taken_by(claims: Iterable[Busy], *, now: datetime) -> dict[int, list[Run]]:
    """Return claims that were read already as numbers."""
    rows = (
        (c.lane_id, int(c.span.start.timestamp()), int(c.span.end.timestamp()), c.is_pinned)
        for c in claims
    )
    return _runs(rows, now=now)


def _runs(rows: Iterable[Sequence[Any]], *, now: datetime) -> dict[int, list[Run]]:
    """Return rows of lane, seconds of start and end, and whether pinned, as runs by lane."""
    taken: defaultdict[int, list[Run]] = defaultdict(list)
    today = now.timestamp()
    make = partial(tuple.__new__, Run)  # as `Run(...)` does, thousands of times, by names
    for lane, start, end, pinned in rows:
        steps = (start // STEP_SECONDS, -(-end // STEP_SECONDS), pinned or start < today)
        taken[lane].append(make(steps))
    return taken


class Room:
    """The free time of one site over one span, as bit sets; asked by service."""

    def __init__(self, site: SiteSupply, since: datetime, until: datetime, taken: Taken) -> None:
        first, days = clinic_supply.local_days(since, until, site.zone)
        # Whole local days, so that a stay that begins inside reaches past the end of the span.
        whole = _whole_days(first, days, site)
        self.grid = Grid.over(whole.start, whole.end)
        self.site = site
        self._first, self._days = first, days
        self._origin = int(self.grid.origin.timestamp()) // STEP_SECONDS
        self._taken = taken
        self._lanes: dict[int, int] = {}
        self.open = site.once(("open", self.grid), self._is_open)

    def _is_open(self) -> int:
        shut = bits.mask((c.span for c in self.site.closures), self.grid)
        return bits.mask(self.site.open_spans(self._first, self._days), self.grid) & ~shut

    def lane(self, lane_id: int) -> int:
        """Return the busy steps of one lane."""
        if lane_id not in self._lanes:
            origin = self._origin
            runs = [(r[0] - origin, r[1] - origin) for r in self._taken.get(lane_id, ())]
            self._lanes[lane_id] = bits.runs(runs, self.grid.size)
        return self._lanes[lane_id]

    def chair(self, chair: Unit) -> int:
        """Return the steps at which a chair is taken or shut."""
        return self.lane(chair.lanes[0]) | bits.mask((a.span for a in chair.away), self.grid)

    def person_free(self, person: Unit, need: Need) -> int:
        """Return the steps at which a person is here and has a lane (or all of them) to give."""
        lanes = [self.lane(lane) for lane in person.lanes]
        return self.is_here(person) & ~(
            bits.any_busy(lanes) if need.all_lanes else bits.full(lanes)
        )

    def there(self, need: Need, step: int, person_id: int | None = None) -> list[Unit]:
        """Return who may do it and is here for all of it from `step` on, busy or not."""
        window = window_of(need, step) & self.grid.all
        return [
            p
            for p in self.site.with_skill(need.skill)
            if person_id in (None, p.id) and not window & ~self.is_here(p)
        ]

    def is_here(self, person: Unit) -> int:
        """Return the steps at which a person works here and is not away, busy or not."""

        def work_out() -> int:
            here = bits.mask(self.site.shift_spans(person, self._first, self._days), self.grid)
            return here & ~bits.mask((a.span for a in person.away), self.grid)

        return self.site.once((person.id, self.grid), work_out)

    def chairs_from(self, need: Need, chair_id: int | None = None, among: int = -1) -> int:
        """Return the starts, of those in `among`, from which the site's chairs have room.

        One chair free for the whole stay will do. Without one, people who are to come may change
        chairs, and then it is enough that never all are taken; unless somebody who cannot change
        stands in between, or a chair is out of use for a while: such starts are tried out.
        """
        chairs = [c for c in self.site.chairs if chair_id in (None, c.id)]
        if not chairs:
            return 0
        taken = [self.chair(c) for c in chairs]
        sure = bits.any_busy(self._from(self.grid.all & ~busy, need) for busy in taken) & among
        by_count = self._from(self.grid.all & ~bits.full(taken), need) & among
        doubtful = by_count & ~sure
        if doubtful:  # seldom, and looking for what cannot change is not free
            doubtful &= self._beside_obstacles(chairs)
        for step in bits.steps_in(doubtful):
            if not self._can_be_laid(need, step, chairs):
                by_count ^= 1 << step
        return by_count

    def _beside_obstacles(self, chairs: Sequence[Unit]) -> int:
        """Return the steps of the days on which something in these chairs cannot change."""
        days = 0
        for chair in chairs:
            for run in self._taken.get(chair.lanes[0], ()):
                if run.stays:
                    days |= self._day(run.first - self._origin)
            away = bits.mask((a.span for a in chair.away), self.grid)
            while away:
                day = self._day((away & -away).bit_length() - 1)
                days |= day
                away &= ~day
        return days

    def _day(self, step: int) -> int:
        moment = self.grid.moment(step).astimezone(self.site.zone)
        span = day_span(moment.date(), self.site.zone)
        return self.between(span.start, span.end) | 1 << max(step, 0)

    def _can_be_laid(self, need: Need, step: int, chairs: Sequence[Unit]) -> bool:
        """Try to lay the chairs' claims so that one more finds room, as a booking would."""
        fixed: dict[int, list[TimeSpan]] = {}
        pieces: list[Piece] = []
        around = self._day(step)
        for chair in chairs:
            lane = chair.lanes[0]
            shut = [away.span for away in chair.away]
            fixed[lane] = list(shut)
            for run in self._taken.get(lane, ()):
                first = run.first - self._origin
                if not 0 <= first < self.grid.size or not around >> first & 1:
                    continue
                span = TimeSpan(self.grid.moment(first), self.grid.moment(run.end - self._origin))
                if run.stays or any(span.overlaps(other) for other in shut):
                    fixed[lane].append(span)
                else:
                    pieces.append(Piece(len(pieces) + 1, span, lane))
        wanted = TimeSpan(
            self.grid.moment(step + need.from_minute // 5),
            self.grid.moment(step + need.until_minute // 5),
        )
        return place([*pieces, Piece(0, wanted)], fixed) is not None

    def people_from(self, need: Need, person_id: int | None = None) -> dict[int, int]:
        """Return, by person, the starts from which that person can do it."""
        return {
            p.id: self._from(self.person_free(p, need), need)
            for p in self.site.with_skill(need.skill)
            if person_id in (None, p.id)
        }

    def starts_from(self, need: Need) -> int:
        """Return the starts whose IV start falls in a quarter-hour with room."""
        free = self.grid.all & ~bits.full(self.lane(lane) for lane in self.site.starts.lanes)
        quarters = free & bits.every(15, self.grid)  # a start takes its quarter-hour whole
        anywhere_in = quarters | quarters << 1 | quarters << 2
        return anywhere_in >> need.from_minute // 5 & self.grid.all

    def starts(
        self,
        offering: Offering,
        *,
        person_id: int | None = None,
        chair_id: int | None = None,
        patient_lane: int | None = None,
        among: int | None = None,
    ) -> int:
        """Return every step (of those in `among`) from which the whole service fits.

        Notice and horizon are not asked here.
        """
        fits = bits.lasting(self.open, offering.visit_minutes // 5)
        if among is not None:
            fits &= among
        if patient_lane is not None:
            fits &= bits.lasting(
                self.grid.all & ~self.lane(patient_lane), offering.visit_minutes // 5
            )
        for need in offering.needs:
            if need.kind is NeedKind.STARTS:
                fits &= self.starts_from(need)
            elif need.kind is NeedKind.PERSON:
                fits &= bits.any_busy(self.people_from(need, person_id).values())
        chair = offering.need(NeedKind.CHAIR)  # last, for it may have to try starts one by one
        return fits if chair is None else self.chairs_from(chair, chair_id, among=fits)

    def spare(self, offering: Offering, person_id: int | None = None) -> list[int]:
        """Return as many masks as there are chairs (or, without a chair, people to do it).

        A start is set in as many of them as could take it. Lanes of a pool are interchangeable,
        so of n chairs those are free for a stay that its busiest step leaves: a start is in the
        k-th mask when fewer than k of them are busy throughout.
        """
        need = offering.need(NeedKind.CHAIR)
        if need is not None:
            levels = bits.loads([self.chair(c) for c in self.site.chairs])
            return [self._from(self.grid.all & ~level, need) for level in levels]
        person_need = offering.need(NeedKind.PERSON)
        if person_need is None:
            return [self.grid.all]
        return list(self.people_from(person_need, person_id).values())

    def in_parts(self, parts: Collection[PartOfDay]) -> int:
        """Return the steps in any of these parts of the day on the site's wall; none named: all."""
        if not parts:
            return self.grid.all
        days = [self._first + timedelta(days=n) for n in range(self._days)]
        spans = (part.on(day, self.site.zone) for day in days for part in set(parts))
        return bits.mask(spans, self.grid)

    def between(self, since: datetime, until: datetime) -> int:
        """Return the steps whose moment is in [since, until)."""
        span = (self.grid.step_after(since), self.grid.step_after(until))
        return bits.runs([span], self.grid.size)

    def _from(self, free: int, need: Need) -> int:
        length = (need.until_minute - need.from_minute) // 5
        # Turnover may run past closing, so the grid's end is no wall: beyond it all is free.
        free |= ((1 << (length + need.until_minute // 5 + 1)) - 1) << self.grid.size
        return (bits.lasting(free, length) >> (need.from_minute // 5)) & self.grid.all


def room(
    site: SiteSupply,
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    patient_lane: int | None = None,
    but_appointment: int | None = None,
    but_hold: int | None = None,
) -> Room:
    """Return the free time of a site over the local days that a span touches: one query."""
    (only,) = rooms(
        [(site, since, until)],
        now=now,
        patient_lane=patient_lane,
        but_appointment=but_appointment,
        but_hold=but_hold,
    )
    return only


def rooms(
    wanted: Sequence[tuple[SiteSupply, datetime, datetime]],
    *,
    now: datetime,
    patient_lane: int | None = None,
    but_appointment: int | Collection[int] | None = None,
    but_hold: int | None = None,
    only_for: Collection[Offering] | None = None,
    taken: Taken | None = None,
) -> list[Room]:
    """Return what `room` does for each site with its own span: one query for all of them.

    Args:
        only_for: The services the rooms will be asked for; what these do not take is not read.
        taken: What `read_over` read, when many are looked at: then there is no query.
    """
    if not wanted:
        return []
    kinds = [None] if only_for is None else only_for
    lanes = dict.fromkeys(
        lane for site, _, _ in wanted for kind in kinds for lane in lanes_of(site, kind)
    )
    if patient_lane is not None:
        lanes[patient_lane] = None
    whole = [
        _whole_days(*clinic_supply.local_days(since, until, site.zone), site)
        for site, since, until in wanted
    ]
    first, end = min(span.start for span in whole), max(span.end for span in whole)
    if taken is None:
        taken = taken_steps(
            lanes, first, end, now=now, but_appointment=but_appointment, but_hold=but_hold
        )
    else:
        taken = _cut(taken, lanes, first, end)
    return [Room(site, since, until, taken) for site, since, until in wanted]


def read_over(
    service: ServiceCode,
    site_ids: Iterable[int],
    patient_lanes: Iterable[int],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
) -> Taken:
    """Return what is taken of all a service may take, and of these patients: one query for all.

    To be handed to `find` by who looks for many patients, or again and again, within the span.
    """
    supply = clinic_supply.current()
    offering = supply.services[service]
    lanes = dict.fromkeys(lane for i in site_ids for lane in lanes_of(supply.sites[i], offering))
    whole = timedelta(days=1)  # a look takes whole local days
    return taken_steps([*lanes, *set(patient_lanes)], since - whole, until + whole, now=now)


def _cut(taken: Taken, lanes: Iterable[int], since: datetime, until: datetime) -> Taken:
    first, end = int(since.timestamp()) // STEP_SECONDS, -(-int(until.timestamp()) // STEP_SECONDS)
    return {
        lane: [run for run in taken.get(lane, ()) if run.first < end and run.end > first]
        for lane in lanes
    }


def _whole_days(first: date, days: int, site: SiteSupply) -> TimeSpan:
    last = first + timedelta(days=days - 1)
    return TimeSpan(day_span(first, site.zone).start, day_span(last, site.zone).end)


def window_of(need: Need, step: int) -> int:
    """Return the steps a need takes of a visit that begins at `step`."""
    return bits.window(step + need.from_minute // 5, step + need.until_minute // 5)


def lanes_of(site: SiteSupply, offering: Offering | None = None) -> list[int]:
    """Return every lane of a site's chairs, people and starts; or only what a service may take."""
    units: list[Unit] = []
    if offering is None:
        units = [*site.chairs, *site.people, site.starts]
    else:
        for need in offering.needs:
            if need.kind is NeedKind.CHAIR:
                units += site.chairs
            elif need.kind is NeedKind.STARTS:
                units.append(site.starts)
            else:
                units += site.with_skill(need.skill)
    return list(dict.fromkeys(lane for unit in units for lane in unit.lanes))


def find(
    services: ServiceCode | Sequence[ServiceCode],
    *,
    site_ids: Sequence[int],
    since: date,
    until: date,
    now: datetime,
    audience: Audience,
    parts: Collection[PartOfDay] = (),
    person_id: int | None = None,
    patient_lane: int | None = None,
    but_appointment: int | Collection[int] | None = None,
    but_hold: int | None = None,
    longer_minutes: int = 0,
    taken: Taken | None = None,
) -> list[Offer]:
    """Return every start that could be booked in [since, until), in order of time, then site.

    However many services and sites are asked for, the claims are read in one query.

    Args:
        since: A moment, or a day: the midnight before it at each site.
        until: The same; of a day, nothing is offered any more.
        parts: Only in these parts of the day, by the clock on each site's wall.
        person_id: Only with this member of staff.
        patient_lane: Only when this patient is nowhere else.
        but_appointment: As if this appointment, or these, were not there.
        longer_minutes: Only where there is room for a visit so much longer than usual.
        taken: What `read_over` read, so that nothing is read here.
    """
    offers: list[Offer] = []
    for free, offering, starts in _looks(
        services,
        site_ids,
        since,
        until,
        now=now,
        audience=audience,
        parts=parts,
        person_id=person_id,
        patient_lane=patient_lane,
        but_appointment=but_appointment,
        but_hold=but_hold,
        longer_minutes=longer_minutes,
        taken=taken,
    ):
        offers += _offers(free, offering, starts, person_id)
    offers.sort(key=attrgetter("starts_at"))  # sites and services came in order
    return offers


def counts(
    services: ServiceCode | Sequence[ServiceCode],
    *,
    site_ids: Sequence[int],
    first: date,
    days: int,
    now: datetime,
    audience: Audience,
    parts: Collection[PartOfDay] = (),
    person_id: int | None = None,
    but_appointment: int | None = None,
    but_hold: int | None = None,
) -> dict[tuple[date, int, ServiceCode], int]:
    """Return how many starts `find` gives for each local day, site and service; 0 included."""
    calendar = [first + timedelta(days=n) for n in range(days)]
    result = {(d, s, c): 0 for d in calendar for s in site_ids for c in _codes(services)}
    for free, offering, starts in _looks(
        services,
        site_ids,
        first,
        first + timedelta(days=days),
        now=now,
        audience=audience,
        parts=parts,
        person_id=person_id,
        patient_lane=None,
        but_appointment=but_appointment,
        but_hold=but_hold,
    ):
        for day in calendar:
            span = day_span(day, free.site.zone)
            of_day = starts & free.between(span.start, span.end)
            result[day, free.site.id, offering.code] = of_day.bit_count()
    return result


def first_free(
    services: ServiceCode | Sequence[ServiceCode],
    *,
    site_ids: Sequence[int],
    after: date,
    now: datetime,
    audience: Audience,
    most: int = 1,
    within: timedelta = timedelta(days=60),
    parts: Collection[PartOfDay] = (),
    person_id: int | None = None,
    patient_lane: int | None = None,
) -> list[Offer]:
    """Return the first starts from a moment or day on, at most so many, in order of time.

    Looks over a long weekend, and only when that has too few at all the rest: two queries at most.
    """
    found: list[Offer] = []
    near = min(NEAR, within)
    for since, until in ((after, after + near), (after + near, after + within)):
        if len(found) < most and since < until:
            found += find(
                services,
                site_ids=site_ids,
                since=since,
                until=until,
                now=now,
                audience=audience,
                parts=parts,
                person_id=person_id,
                patient_lane=patient_lane,
            )
    return found[:most]


def nearest(
    service: ServiceCode,
    *,
    site_ids: Sequence[int],
    around: datetime,
    now: datetime,
    audience: Audience,
    most: int = 4,
    but_appointment: int | None = None,
    but_hold: int | None = None,
    longer_minutes: int = 0,
) -> list[Offer]:
    """Return the free starts closest to a moment, in order of time: what to offer instead.

    The moment itself is among them when it is free.
    """
    found: list[Offer] = []
    for free, offering, starts in _looks(
        service,
        site_ids,
        around - timedelta(days=2),
        around + timedelta(days=7),
        now=now,
        audience=audience,
        parts=(),
        person_id=None,
        patient_lane=None,
        but_appointment=but_appointment,
        but_hold=but_hold,
        longer_minutes=longer_minutes,
    ):
        here = free.grid.step(around)
        close = sorted(bits.steps_in(starts), key=lambda step: abs(step - here))[:most]
        found += _offers(free, offering, sum(1 << step for step in close))
    closest = sorted(found, key=lambda o: (abs(o.starts_at - around), o))[:most]
    return sorted(closest)


def _offers(
    free: Room, offering: Offering, starts: int, person_id: int | None = None
) -> list[Offer]:
    spare = free.spare(offering, person_id)
    return [
        Offer(free.grid.moment(step), free.site.id, offering.code, count, len(spare))
        for step, count in bits.tally(spare, starts)
    ]


def _looks(
    services: ServiceCode | Sequence[ServiceCode],
    site_ids: Sequence[int],
    since: date,
    until: date,
    *,
    now: datetime,
    audience: Audience,
    parts: Collection[PartOfDay],
    person_id: int | None,
    patient_lane: int | None,
    but_appointment: int | Collection[int] | None,
    but_hold: int | None,
    longer_minutes: int = 0,
    taken: Taken | None = None,
) -> Iterator[tuple[Room, Offering, int]]:
    """Yield, by site and service in order, the free time and the starts in it to be offered."""
    supply = clinic_supply.current()
    asked: dict[int, list[tuple[Offering, datetime, datetime]]] = {}
    for site_id, code in product(sorted(set(site_ids)), _codes(services)):
        site, offering = supply.sites[site_id], supply.services[code].lasting(longer_minutes)
        low, high = bounds(
            offering, _moment(since, site), _moment(until, site), now=now, audience=audience
        )
        is_shown = audience is Audience.DESK or offering.is_online
        if is_shown and low < high:
            asked.setdefault(site_id, []).append((offering, low, high))
    wanted = [
        (supply.sites[s], min(a[1] for a in each), max(a[2] for a in each) - timedelta.resolution)
        for s, each in asked.items()
    ]
    for free in rooms(
        wanted,
        now=now,
        patient_lane=patient_lane,
        but_appointment=but_appointment,
        but_hold=but_hold,
        only_for=list({a[0].code: a[0] for each in asked.values() for a in each}.values()),
        taken=taken,
    ):
        among = bits.every(free.site.settings.start_every_minutes, free.grid)
        among &= free.in_parts(parts)
        for offering, low, high in asked[free.site.id]:
            yield (
                free,
                offering,
                free.starts(
                    offering,
                    person_id=person_id,
                    patient_lane=patient_lane,
                    among=among & free.between(low, high),
                ),
            )


def _codes(services: ServiceCode | Sequence[ServiceCode]) -> list[ServiceCode]:
    return [services] if isinstance(services, ServiceCode) else sorted(set(services))


def _moment(when: date, site: SiteSupply) -> datetime:
    """Return a moment as it is, and a day as the midnight before it on the site's wall."""
    return when if isinstance(when, datetime) else day_span(when, site.zone).start


def bounds(
    offering: Offering, since: datetime, until: datetime, *, now: datetime, audience: Audience
) -> tuple[datetime, datetime]:
    """Return the span cut to what this audience may book: notice and horizon, or just the future.

    The desk may book what is already running late: up to 15 minutes ago.
    """
    if audience is Audience.DESK:
        return max(since, now - timedelta(minutes=15)), until
    return max(since, now + offering.notice), min(until, now + offering.horizon)


def capacity_that_day(offering: Offering, site: SiteSupply, moment: datetime) -> int:
    """Return how many bookings of a service a whole empty day could start, over all its people."""
    free = Room(site, moment, moment + STEP, {})
    quarter = bits.every(site.settings.start_every_minutes, free.grid)
    open_starts = bits.lasting(free.open, offering.visit_minutes // 5) & quarter
    need = offering.need(NeedKind.PERSON)
    if need is None:
        return open_starts.bit_count()
    return sum((m & open_starts).bit_count() for m in free.people_from(need).values())
