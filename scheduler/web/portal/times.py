"""The free times of a choice of clinics, laid out by day and by part of day."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.availability import grid
from scheduler.booking import offers
from scheduler.booking.allocation import TAKEN
from scheduler.booking.errors import SlotTaken
from scheduler.booking.offers import Audience
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core.timespan import PartOfDay, TimeSpan, day_span
from scheduler.web.i18n import gettext as _

EITHER = "either"
#: How many days the strip shows at once: two working weeks.
DAYS_SHOWN = 10


@dataclass(frozen=True)
class Where:
    """The clinics that may make the call: one, or either."""

    code: str
    sites: tuple[SiteSupply, ...]

    @property
    def zone(self) -> ZoneInfo:
        """The clock the times are told by: the first clinic's."""
        return self.sites[0].zone

    @property
    def is_either(self) -> bool:
        """Say whether the visitor does not mind which clinic."""
        return self.code == EITHER

    @property
    def site_ids(self) -> list[int]:
        """The clinics by number."""
        return [site.id for site in self.sites]


def where(code: str | None) -> Where | None:
    """Return the clinics called `code` ("woburn", "either"), or None."""
    supply = clinic_supply.current()
    if code == EITHER and supply.sites:
        return Where(EITHER, tuple(supply.sites.values()))
    site = supply.site(code or "")
    return Where(site.code, (site,)) if site else None


@dataclass(frozen=True)
class DayChoice:
    """A day that is open, with how many starts it has left; none is "full"."""

    day: date
    count: int


@dataclass(frozen=True)
class Starts:
    """The starts of one day: steps of five minutes after `since`, as bits."""

    since: datetime
    bits: int

    def __or__(self, other: "Starts") -> "Starts":
        """Return the starts of two clinics, whose days may begin at different moments."""
        since = min(self.since, other.since)
        return Starts(since, self._after(since) | other._after(since))

    @property
    def count(self) -> int:
        """How many there are."""
        return self.bits.bit_count()

    @property
    def moments(self) -> list[datetime]:
        """When they are, in order."""
        return [self.since + step * grid.STEP for step in grid.steps_in(self.bits)]

    def _after(self, since: datetime) -> int:
        return self.bits << (self.since - since) // grid.STEP


@dataclass(frozen=True)
class Part:
    """Morning, afternoon or evening, with its starts in order."""

    name: str
    moments: list[datetime]


@dataclass(frozen=True)
class Times:
    """What one page of times shows."""

    where: Where
    chosen: date | None
    days: list[DayChoice]
    earlier: date | None  # a day on the strip's page before this one
    later: date | None
    parts: list[Part]
    next_day: date | None  # where there is room, when the chosen day has none
    first_day: date
    last_day: date  # the furthest that can be booked

    @property
    def zone(self) -> ZoneInfo:
        """The clock the times are told by."""
        return self.where.zone

    @property
    def is_shut(self) -> bool:
        """Say whether nobody works on the chosen day, rather than it being full."""
        return self.chosen is not None and all(d.day != self.chosen for d in self.days)


def times(
    place: Where,
    chosen: date | None,
    *,
    now: datetime,
    but_hold: int | None = None,
    but_appointment: int | None = None,
    besides: datetime | None = None,
) -> Times:
    """Return the days and times of a call at `place`, opened at `chosen` or the first free day.

    Args:
        but_hold: The visitor's own hold, which does not stand in their way.
        but_appointment: The same for the appointment that is to be moved.
        besides: A start not worth offering: the time they have already.
    """
    zone = place.zone
    offering = clinic_supply.current().services[ServiceCode.CALL]
    first = now.astimezone(zone).date()
    last = (now + offering.horizon).astimezone(zone).date()
    starts = _starts(
        place, now=now, but_hold=but_hold, but_appointment=but_appointment, besides=besides
    )
    everything = [DayChoice(day, there.count) for day, there in sorted(starts.items())]
    free = [d.day for d in everything if d.count]
    if chosen is None:
        chosen = free[0] if free else None
    index = next((i for i, d in enumerate(everything) if chosen and d.day >= chosen), 0)
    page = index // DAYS_SHOWN * DAYS_SHOWN
    shown = everything[page : page + DAYS_SHOWN]
    rest = everything[page + DAYS_SHOWN :]
    before = everything[max(page - DAYS_SHOWN, 0) : page]
    return Times(
        where=place,
        chosen=chosen,
        days=shown,
        earlier=_opening(before),
        later=_opening(rest),
        parts=_parts(starts[chosen].moments if chosen in starts else [], zone),
        next_day=next((d for d in free if chosen and d > chosen), free[0] if free else None),
        first_day=first,
        last_day=last,
    )


def best_site(
    place: Where, start: datetime, *, now: datetime, but_appointment: int | None = None
) -> int:
    """Return which of the clinics should take a call at `start`: the one with most people free.

    Raises:
        SlotTaken: nobody is free at any of them.
    """
    found = offers.find(
        ServiceCode.CALL,
        site_ids=place.site_ids,
        since=start,
        until=start + timedelta(minutes=1),
        now=now,
        audience=Audience.ONLINE,
        but_appointment=but_appointment,
    )
    best = max(found, key=lambda o: (o.free, -o.site_id), default=None)
    if best is None:
        raise SlotTaken(TAKEN)
    return best.site_id


def _starts(
    place: Where,
    *,
    now: datetime,
    but_hold: int | None,
    but_appointment: int | None,
    besides: datetime | None,
) -> dict[date, Starts]:
    """Return the starts of each open day; an open day may have none."""
    offering = clinic_supply.current().services[ServiceCode.CALL]
    low, high = offers.bounds(
        offering, now, now + offering.horizon, now=now, audience=Audience.ONLINE
    )
    days: dict[date, Starts] = {}
    for room in offers.rooms(
        [(site, low, high) for site in place.sites],
        now=now,
        but_hold=but_hold,
        but_appointment=but_appointment,
    ):
        zone = room.site.zone
        every = grid.every(room.site.settings.start_every_minutes, room.grid)
        fits = room.starts(offering, among=every & room.between(low, high))
        if besides is not None:
            fits &= ~grid.mask([TimeSpan(besides, besides + grid.STEP)], room.grid)
        # The last step that is open may have begun before `low`: such a day is shown, and full.
        open_ = room.open & grid.mask([TimeSpan(low, high)], room.grid)
        first, number = clinic_supply.local_days(low, high, zone)
        for day in (first + timedelta(days=n) for n in range(number)):
            span = day_span(day, zone)
            since, steps = room.grid.step(span.start), (span.end - span.start) // grid.STEP
            within = (1 << steps) - 1
            if open_ >> since & within:
                there = Starts(span.start, fits >> since & within)
                days[day] = days[day] | there if day in days else there
    return days


def _opening(days: list[DayChoice]) -> date | None:
    """Return the day on which another page of the strip opens: its first free one."""
    return next((d.day for d in days if d.count), days[0].day if days else None)


def _parts(moments: list[datetime], zone: ZoneInfo) -> list[Part]:
    named = {
        PartOfDay.MORNING: Part(_("Morning"), []),
        PartOfDay.AFTERNOON: Part(_("Afternoon"), []),
        PartOfDay.EVENING: Part(_("Evening"), []),
    }
    for moment in moments:
        named[PartOfDay.of(moment.astimezone(zone).time())].moments.append(moment)
    return [part for part in named.values() if part.moments]
