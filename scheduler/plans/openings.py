"""How a series would go from each day it could begin: how many visits are open, and the best.

Asks the book alone: no patient, plan or protocol has to be there yet.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import accumulate, pairwise

from scheduler.booking import offers
from scheduler.booking.offers import Audience
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.errors import Invalid
from scheduler.core.timespan import PartOfDay
from scheduler.plans import optimiser
from scheduler.plans.optimiser import Series, Start, Visit, Wishes

MOST_VISITS = 60
LONGEST_GAP_DAYS = 365
USUAL = time(10)


@dataclass(frozen=True)
class Pace:
    """How many days after the visit before one comes: at least, ideally, at most.

    Its window reaches as far from its ideal day as the least and the most differ from the target.
    """

    min_days: int
    target_days: int
    max_days: int

    @property
    def can_be(self) -> bool:
        """Say whether the days are in order, and each from 1 to 365."""
        return 1 <= self.min_days <= self.target_days <= self.max_days <= LONGEST_GAP_DAYS

    def check(self) -> None:
        """Refuse days that cannot be.

        Raises:
            Invalid: they are out of order, below one, or over 365.
        """
        if not self.can_be:
            raise Invalid(
                f"Days between visits go from the least over the target to the most, "
                f"each from 1 to {LONGEST_GAP_DAYS}."
            )


@dataclass(frozen=True)
class Opening:
    """A series that begins on a day: which of its visits have a place, and what it costs."""

    first_on: date
    series: Series

    @property
    def open(self) -> int:
        """How many visits have a place."""
        return self.series.placed

    @property
    def of(self) -> int:
        """How many visits there are."""
        return len(self.series.placements)


@dataclass(frozen=True)
class Openings:
    """Every day a series could begin on, in order, and the best of them."""

    days: tuple[Opening, ...]
    best: Opening  # most visits placed, then the least cost, then the earliest


def openings(
    paces: Sequence[Pace],
    *,
    service: ServiceCode = ServiceCode.INFUSION,
    site_ids: Sequence[int],
    first: date,
    days: int,
    now: datetime,
    audience: Audience = Audience.DESK,
    home_site_id: int | None = None,
    usual: time = USUAL,
    min_hours: int = 48,
    parts: Collection[PartOfDay] = (),
    person_id: int | None = None,
    patient_lane: int | None = None,
    suits: Callable[[Start], bool] = lambda _: True,
    longer_minutes: int = 0,
) -> Openings:
    """Return, for each day a series could begin on, how many of its visits could be booked.

    The first visit is on that very day, each other inside its window and at its pace. All claims
    are read in one query; every series is placed exactly, as a plan's is.

    Args:
        paces: Of every visit but the first.
        days: How many first days are looked at, from `first` on; one or more.
        home_site_id: The site that is preferred; the first of `site_ids` when left out.
        usual: The time of day that is preferred, on the wall clock.
        min_hours: Between two visits, on the wall clock.
        suits: Whether a free start is one the patient could come to.
        longer_minutes: How much longer than usual each visit is.

    Raises:
        Invalid: a pace that cannot be, or too many visits.
    """
    if len(paces) >= MOST_VISITS:
        raise Invalid(f"A series has at most {MOST_VISITS} visits.")
    for pace in paces:
        pace.check()
    reach = sum(p.target_days for p in paces) + max((p.max_days for p in paces), default=0)
    found = offers.find(
        service,
        site_ids=site_ids,
        since=first,
        until=first + timedelta(days=days + reach),
        now=now,
        audience=audience,
        parts=parts,
        person_id=person_id,
        patient_lane=patient_lane,
        longer_minutes=longer_minutes,
    )
    sites = clinic_supply.current().sites  # asked once: there are thousands of starts
    free: dict[int, list[Start]] = {}
    for offer in found:
        start = Start.on_wall(offer.starts_at, offer.site_id, sites[offer.site_id].zone)
        if suits(start):
            free.setdefault(start.day, []).append(start)
    wishes = Wishes(
        home_site_id=home_site_id or site_ids[0],
        minute=usual.hour * 60 + usual.minute,
        min_hours=min_hours,
    )
    each = tuple(
        Opening(day, optimiser.place(list(_visits(day.toordinal(), paces, free)), wishes))
        for day in (first + timedelta(days=n) for n in range(days))
    )
    return Openings(each, min(each, key=lambda o: o.series.cost))


def pairs(paces: Sequence[Pace], sites: int) -> int:
    """Return how many pairs of days and sites are weighed for each first day."""
    wide = [1, *(p.max_days - p.min_days + 1 for p in paces)]
    return sum(a * b for a, b in pairwise(wide)) * sites**2


def _visits(day: int, paces: Sequence[Pace], free: dict[int, list[Start]]) -> Iterator[Visit]:
    """Yield the visits of a series that begins on a day, with what is free in their windows."""
    yield Visit(1, day, 0, 0, 0, tuple(free.get(day, ())))
    ideals = accumulate((p.target_days for p in paces), initial=day)
    next(ideals)
    for number, (pace, ideal) in enumerate(zip(paces, ideals, strict=True), start=2):
        earliest = ideal - (pace.target_days - pace.min_days)
        latest = ideal + (pace.max_days - pace.target_days)
        starts = tuple(s for d in range(earliest, latest + 1) for s in free.get(d, ()))
        yield Visit(number, ideal, pace.min_days, pace.target_days, pace.max_days, starts)
