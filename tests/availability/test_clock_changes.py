"""R-30: days on which the clock changes, against a walk over the minutes of UTC.

The oracle asks of every single minute what the clock on the wall shows; it knows no spans.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.availability import grid as bits
from scheduler.booking.allocation import Wish, allocate
from scheduler.booking.offers import Room
from scheduler.clinic.models import NeedKind, ResourceKind, ServiceCode
from scheduler.clinic.settings import Settings
from scheduler.clinic.supply import Need, Offering, SiteSupply, Unit, Weekly
from scheduler.core.timespan import day_span

ZONES = (
    "America/New_York",
    "America/Chicago",
    "Europe/London",
    "America/Phoenix",
    "Australia/Lord_Howe",
    "UTC",
)
YEARS = range(2025, 2032)
ALWAYS = date(2020, 1, 1)
MINUTE = timedelta(minutes=1)
OPENS, CLOSES = time(0, 30), time(9)  # the changes of all these zones lie in between
WORKS, GOES = time(0, 45), time(8, 30)


def change_days(zone: ZoneInfo, year: int) -> list[date]:
    """Return the days on which this zone's offset changes; of one that has none, New York's."""
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]

    def offset(of: ZoneInfo, day: date) -> timedelta | None:
        return datetime.combine(day, time(0), tzinfo=of).utcoffset()

    def changing(of: ZoneInfo) -> list[date]:
        return [d for d in days if offset(of, d) != offset(of, d + timedelta(days=1))]

    return changing(zone) or changing(ZoneInfo(ZONES[0]))


def site(zone: ZoneInfo, day: date) -> SiteSupply:
    """One chair, one nurse, open over the change."""

    def weekly(since: time, until: time) -> Weekly:
        return Weekly(1, day.weekday(), since, until, ALWAYS, None)

    nurse = Unit(
        2, ResourceKind.PERSON, "Nurse", (2,), frozenset({"nurse"}), (weekly(WORKS, GOES),)
    )
    chair = Unit(1, ResourceKind.CHAIR, "Chair 1", (1,))
    starts = Unit(3, ResourceKind.STARTS, "starts", (3,))
    return SiteSupply(
        1, "any", "Any", zone, "", "", Settings(), (chair,), (nurse,), starts,
        (weekly(OPENS, CLOSES),), (),
    )  # fmt: skip


def offering(minutes: int) -> Offering:
    """A stay of so many real minutes, with the nurse for all of it."""
    needs = (
        Need(NeedKind.CHAIR, 0, minutes, None, False),
        Need(NeedKind.PERSON, 0, minutes, "nurse", False),
        Need(NeedKind.STARTS, 15, 30, None, False),
    )
    return Offering(
        ServiceCode.INFUSION, "Any", minutes, timedelta(0), timedelta(9999), False, False, needs
    )


def walked(zone: ZoneInfo, day: date, minutes: int) -> set[datetime]:
    """Return the quarter-hours from which every minute of the stay is worked, minute by minute."""
    noon = datetime.combine(day, time(12), tzinfo=zone).astimezone(UTC)
    first = noon - timedelta(hours=20)
    worked = []
    for n in range(40 * 60):
        wall = (first + n * MINUTE).astimezone(zone)
        worked.append(wall.date() == day and WORKS <= wall.time() < GOES)
    return {
        first + n * MINUTE
        for n in range(len(worked) - minutes)
        if (first + n * MINUTE).minute % 15 == 0 and all(worked[n : n + minutes])
    }


@pytest.mark.parametrize("minutes", [85, 240])
@pytest.mark.parametrize("name", ZONES)
def test_every_offer_of_a_day_the_clock_changes_exists_once_and_lasts_what_it_says(
    name: str, minutes: int
) -> None:
    zone, service = ZoneInfo(name), offering(minutes)
    checked = 0
    for year in YEARS:
        for day in change_days(zone, year):
            here = site(zone, day)
            span = day_span(day, zone)
            room = Room(here, span.start, span.start + bits.STEP, {})
            starts = room.starts(service, among=bits.every(15, room.grid))
            offered = [room.grid.moment(step) for step in bits.steps_in(starts)]

            assert len(set(offered)) == len(offered)
            assert set(offered) == walked(zone, day, minutes), (name, day)
            for start in offered:
                wish = Wish(service, here, start)
                found = allocate(wish, room, room.grid.step(start), [], now=span.start)
                chair = next(c for c in found.choices if c.lane_id == 1)
                assert chair.span.end - chair.span.start == timedelta(minutes=minutes)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize(("name", "hours"), [("America/New_York", {23, 25}), ("UTC", {24})])
def test_a_day_is_as_long_as_it_is(name: str, hours: set[int]) -> None:
    zone = ZoneInfo(name)
    spans = [day_span(day, zone) for day in change_days(zone, 2026)]

    assert {(s.end - s.start) // timedelta(hours=1) for s in spans} == hours


def test_adding_wall_hours_would_be_wrong() -> None:
    """Negative control: by the wall alone, four hours over November's change are five."""
    zone = ZoneInfo("America/New_York")
    start = datetime.combine(date(2026, 11, 1), WORKS, tzinfo=zone)

    by_wall = (start + timedelta(minutes=240)).astimezone(UTC)  # the wall's sum, not the clock's

    assert by_wall - start.astimezone(UTC) == timedelta(hours=5)
