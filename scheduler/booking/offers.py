"""What could be booked now: computed from supply and claims, never stored.

One code path serves the page, the command line, the hold and the booking: `Room` is the free
time of one site over one span; `starts` are where a service fits in it.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import aliased

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP, Grid
from scheduler.booking.models import LONGEST_CLAIM_HOURS, Claim, Hold
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import Need, Offering, SiteSupply, Unit
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan, day_span

LOOK_BACK = timedelta(hours=LONGEST_CLAIM_HOURS)


class Audience(enum.StrEnum):
    """Who asks: patients keep to notice, horizon and the quarter-hour; the desk only to sense."""

    ONLINE = "online"
    DESK = "desk"


@dataclass(frozen=True, order=True)
class Offer:
    """A start that could be booked: `free` of `of` chairs (or people) could take it."""

    starts_at: datetime
    site_id: int
    service: ServiceCode = field(compare=False)
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
    lanes: Iterable[int],
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    but_appointment: int | None = None,
    but_hold: int | None = None,
) -> list[Busy]:
    """Return the claims that count on these lanes in a span: expired holds do not.

    The lower bound on the start (the longest claim back) lets the index answer.
    """
    hold = aliased(Hold)
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
        .outerjoin(hold, Claim.hold_id == hold.id)
        .where(
            Claim.lane_id.in_(list(lanes)),
            Claim.starts_at < until,
            Claim.starts_at > since - LOOK_BACK,
            Claim.ends_at > since,
            or_(hold.id.is_(None), hold.expires_at > now),
        )
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
        if (but_appointment is None or r.appointment_id != but_appointment)
        and (but_hold is None or r.hold_id != but_hold)
    ]


class Room:
    """The free time of one site over one span, as bit sets; asked by service."""

    def __init__(
        self, site: SiteSupply, since: datetime, until: datetime, claims: Sequence[Busy]
    ) -> None:
        first, days = clinic_supply.local_days(since, until, site.zone)
        # Whole local days, so that a stay that begins inside reaches past the end of the span.
        self.grid = Grid.over(
            day_span(first, site.zone).start,
            day_span(first + timedelta(days=days - 1), site.zone).end,
        )
        self.site = site
        self._first, self._days = first, days
        self._busy: dict[int, list[TimeSpan]] = {}
        for claim in claims:
            self._busy.setdefault(claim.lane_id, []).append(claim.span)
        shut = bits.mask((c.span for c in site.closures), self.grid)
        self.open = bits.mask(site.open_spans(first, days), self.grid) & ~shut

    def lane(self, lane_id: int) -> int:
        """Return the busy steps of one lane."""
        return bits.mask(self._busy.get(lane_id, ()), self.grid)

    def chair(self, chair: Unit) -> int:
        """Return the steps at which a chair is taken or shut."""
        return self.lane(chair.lanes[0]) | bits.mask((a.span for a in chair.away), self.grid)

    def person_free(self, person: Unit, need: Need) -> int:
        """Return the steps at which a person is here and has a lane (or all of them) to give."""
        here = bits.mask(self.site.shift_spans(person, self._first, self._days), self.grid)
        here &= ~bits.mask((a.span for a in person.away), self.grid)
        lanes = [self.lane(lane) for lane in person.lanes]
        return here & ~(bits.any_busy(lanes) if need.all_lanes else bits.full(lanes))

    def chairs_from(self, need: Need, chair_id: int | None = None) -> int:
        """Return the starts from which the site's chairs have room for the need."""
        chairs = [c for c in self.site.chairs if chair_id in (None, c.id)]
        free = self.grid.all & ~bits.full(self.chair(c) for c in chairs) if chairs else 0
        return self._from(free, need)

    def people_from(self, need: Need, person_id: int | None = None) -> dict[int, int]:
        """Return, by person, the starts from which that person can do it."""
        return {
            p.id: self._from(self.person_free(p, need), need)
            for p in self.site.with_skill(need.skill)
            if person_id in (None, p.id)
        }

    def starts_from(self, need: Need) -> int:
        """Return the starts whose IV start falls in a quarter-hour with room."""
        quarter = 3
        free = self.grid.all & ~bits.full(self.lane(lane) for lane in self.site.starts.lanes)
        result = 0
        offset = need.from_minute // 5
        for step in bits.steps_in(bits.every(15, self.grid)):
            if free >> step & 1:
                window = ((1 << quarter) - 1) << step
                result |= window >> offset
        return result & self.grid.all

    def starts(
        self,
        offering: Offering,
        *,
        person_id: int | None = None,
        chair_id: int | None = None,
        patient_lane: int | None = None,
    ) -> int:
        """Return every step from which the whole service fits, notice and horizon apart."""
        fits = bits.lasting(self.open, offering.visit_minutes // 5)
        for need in offering.needs:
            if need.kind is NeedKind.CHAIR:
                fits &= self.chairs_from(need, chair_id)
            elif need.kind is NeedKind.STARTS:
                fits &= self.starts_from(need)
            else:
                fits &= bits.any_busy(self.people_from(need, person_id).values())
        if patient_lane is not None:
            fits &= bits.lasting(
                self.grid.all & ~self.lane(patient_lane), offering.visit_minutes // 5
            )
        return fits

    def count(self, offering: Offering, step: int) -> tuple[int, int]:
        """Return how many chairs (or, without a chair, people) could take this start, of how many.

        Lanes of a pool are interchangeable, so the count is the capacity less the busiest step.
        """
        need = offering.need(NeedKind.CHAIR)
        if need is not None:
            window = self._window(need, step)
            masks = [self.chair(c) & window for c in self.site.chairs]
            load = max((sum(m >> s & 1 for m in masks) for s in bits.steps_in(window)), default=0)
            return len(masks) - load, len(masks)
        person_need = offering.need(NeedKind.PERSON)
        if person_need is None:
            return 1, 1
        people = self.people_from(person_need)
        return sum(mask >> step & 1 for mask in people.values()), len(people)

    def _window(self, need: Need, step: int) -> int:
        length = (need.until_minute - need.from_minute) // 5
        return ((1 << length) - 1) << (step + need.from_minute // 5)

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
    first, days = clinic_supply.local_days(since, until, site.zone)
    start = day_span(first, site.zone).start
    end = day_span(first + timedelta(days=days - 1), site.zone).end
    claims = busy_claims(
        [*lanes_of(site), *([patient_lane] if patient_lane else [])],
        start,
        end,
        now=now,
        but_appointment=but_appointment,
        but_hold=but_hold,
    )
    return Room(site, since, until, claims)


def lanes_of(site: SiteSupply) -> list[int]:
    """Return every lane of a site's chairs, people and starts."""
    return [lane for unit in (*site.chairs, *site.people, site.starts) for lane in unit.lanes]


def find(
    service: ServiceCode,
    *,
    site_ids: Sequence[int],
    since: datetime,
    until: datetime,
    now: datetime,
    audience: Audience,
    person_id: int | None = None,
    patient_lane: int | None = None,
    but_appointment: int | None = None,
    but_hold: int | None = None,
) -> list[Offer]:
    """Return every start that could be booked in [since, until), in order of time, then site."""
    supply = clinic_supply.current()
    offering = supply.services[service]
    since, until = bounds(offering, since, until, now=now, audience=audience)
    offers: list[Offer] = []
    for site_id in site_ids:
        if until <= since:
            break
        site = supply.sites[site_id]
        free = room(
            site,
            since,
            until,
            now=now,
            patient_lane=patient_lane,
            but_appointment=but_appointment,
            but_hold=but_hold,
        )
        starts = free.starts(offering, person_id=person_id, patient_lane=patient_lane)
        starts &= bits.every(site.settings.start_every_minutes, free.grid)
        for step in bits.steps_in(starts):
            moment = free.grid.moment(step)
            if since <= moment < until:
                offers.append(Offer(moment, site_id, service, *free.count(offering, step)))
    return sorted(offers)


def counts(
    service: ServiceCode,
    *,
    site_ids: Sequence[int],
    first: date,
    days: int,
    now: datetime,
    audience: Audience,
    but_appointment: int | None = None,
    but_hold: int | None = None,
) -> dict[tuple[date, int], int]:
    """Return how many starts each local day of each site offers, from `first` on; 0 included."""
    supply = clinic_supply.current()
    offering = supply.services[service]
    result = {(first + timedelta(days=n), s): 0 for n in range(days) for s in site_ids}
    for site_id in site_ids:
        site = supply.sites[site_id]
        since = day_span(first, site.zone).start
        until = day_span(first + timedelta(days=days - 1), site.zone).end
        low, high = bounds(offering, since, until, now=now, audience=audience)
        if high <= low:
            continue
        free = room(
            site, low, high - STEP, now=now, but_appointment=but_appointment, but_hold=but_hold
        )
        starts = free.starts(offering) & bits.every(site.settings.start_every_minutes, free.grid)
        for step in bits.steps_in(starts):
            moment = free.grid.moment(step)
            if low <= moment < high:
                result[moment.astimezone(site.zone).date(), site_id] += 1
    return result


def first_free(
    service: ServiceCode,
    *,
    site_ids: Sequence[int],
    after: datetime,
    now: datetime,
    audience: Audience,
    within: timedelta = timedelta(days=60),
) -> Offer | None:
    """Return the first start after a moment, looking a week at a time, or None."""
    for week in range(max(within.days // 7, 1)):
        since = after + timedelta(days=7 * week)
        found = find(
            service,
            site_ids=site_ids,
            since=since,
            until=since + timedelta(days=7),
            now=now,
            audience=audience,
        )
        if found:
            return found[0]
    return None


def nearest(
    service: ServiceCode,
    *,
    site_ids: Sequence[int],
    around: datetime,
    now: datetime,
    audience: Audience,
    most: int = 4,
    but_appointment: int | None = None,
) -> list[Offer]:
    """Return the free starts closest to a moment, in order of time: what to offer instead."""
    found = find(
        service,
        site_ids=site_ids,
        since=around - timedelta(days=2),
        until=around + timedelta(days=7),
        now=now,
        audience=audience,
        but_appointment=but_appointment,
    )
    closest = sorted(found, key=lambda o: (abs(o.starts_at - around), o))[:most]
    return sorted(closest)


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
    free = Room(site, moment, moment + STEP, ())
    quarter = bits.every(site.settings.start_every_minutes, free.grid)
    open_starts = bits.lasting(free.open, offering.visit_minutes // 5) & quarter
    need = offering.need(NeedKind.PERSON)
    if need is None:
        return open_starts.bit_count()
    return sum((m & open_starts).bit_count() for m in free.people_from(need).values())
