"""R-34: odd dates. Leap days, turns of the year, 53-week years, two-digit years, Easter."""

from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.clinic.supply import Weekly
from scheduler.core.timespan import day_span, exists, instant, wall_text
from scheduler.web.portal import dates

ZONE = ZoneInfo("America/New_York")
TODAY = date(2026, 11, 22)

TYPED = [
    ("2/29", date(2026, 11, 22), date(2028, 2, 29)),
    ("2/29", date(2028, 2, 29), date(2028, 2, 29)),
    ("2/29", date(2028, 3, 1), date(2032, 2, 29)),
    ("2/29", date(2096, 3, 1), date(2104, 2, 29)),  # 2100 is no leap year
    ("February 29", date(2027, 12, 1), date(2028, 2, 29)),
    ("29 de febrero", date(2027, 12, 1), date(2028, 2, 29)),
    ("29 de fevereiro de 2028", date(2026, 11, 22), date(2028, 2, 29)),
    ("2/29/28", date(2026, 11, 22), date(2028, 2, 29)),
    ("2/28", date(2027, 3, 1), date(2028, 2, 28)),
    ("3/1", date(2028, 2, 29), date(2028, 3, 1)),
    ("12/31", date(2026, 12, 31), date(2026, 12, 31)),
    ("1/1", date(2026, 12, 31), date(2027, 1, 1)),
    ("1/1", date(2027, 1, 1), date(2027, 1, 1)),
    ("12/31", date(2027, 1, 1), date(2027, 12, 31)),
    ("12/31/26", date(2026, 12, 1), date(2026, 12, 31)),
    ("31 de diciembre", date(2026, 12, 31), date(2026, 12, 31)),
    ("1 de janeiro", date(2026, 12, 31), date(2027, 1, 1)),
    ("1/3/27", date(2026, 12, 28), date(2027, 1, 3)),  # a week of the 53-week year before
    ("12/28", date(2026, 12, 28), date(2026, 12, 28)),
    ("1/1/00", date(2026, 11, 22), date(2000, 1, 1)),
    ("12/31/99", date(2026, 11, 22), date(2099, 12, 31)),
    ("4/4/27", date(2026, 11, 22), date(2027, 4, 4)),
]
NO_DAYS = ["2/29/2027", "2/29/2100", "2/30", "4/31", "29/29", "2/29/27", "31 de febrero"]
#: A day, the hours it has on the wall in Boston, its weekday, and its week in the year.
DAYS = [
    (date(2028, 2, 29), 24, 1, 9),
    (date(2028, 3, 1), 24, 2, 9),
    (date(2032, 2, 29), 24, 6, 9),
    (date(2026, 12, 27), 24, 6, 52),
    (date(2026, 12, 28), 24, 0, 53),  # 2026 has 53 weeks
    (date(2026, 12, 31), 24, 3, 53),
    (date(2027, 1, 1), 24, 4, 53),
    (date(2027, 1, 3), 24, 6, 53),
    (date(2027, 1, 4), 24, 0, 1),
    (date(2027, 12, 31), 24, 4, 52),
    (date(2028, 1, 1), 24, 5, 52),
    (date(2032, 12, 31), 24, 4, 53),
    (date(2026, 3, 8), 23, 6, 10),
    (date(2026, 11, 1), 25, 6, 44),
    (date(2026, 4, 5), 24, 6, 14),  # Easter Sundays
    (date(2027, 3, 28), 24, 6, 12),
    (date(2028, 4, 16), 24, 6, 15),
    (date(2029, 4, 1), 24, 6, 13),
    (date(2030, 4, 21), 24, 6, 16),
    (date(2031, 4, 13), 24, 6, 15),
    (date(2099, 12, 31), 24, 3, 53),
]
WALLS = [
    (date(2028, 2, 29), time(0), True),
    (date(2026, 12, 31), time(23, 55), True),
    (date(2027, 1, 1), time(0), True),
    (date(2026, 3, 8), time(1, 55), True),
    (date(2026, 3, 8), time(2), False),
    (date(2026, 3, 8), time(2, 55), False),
    (date(2026, 3, 8), time(3), True),
    (date(2026, 11, 1), time(1, 30), True),  # twice: the first is meant
    (date(2026, 11, 1), time(2), True),
    (date(2028, 12, 31), time(12), True),
]


def test_there_are_sixty_of_them() -> None:
    assert len(TYPED) + len(NO_DAYS) + len(DAYS) + len(WALLS) == 60


@pytest.mark.parametrize(("typed", "today", "meant"), TYPED)
def test_an_odd_date_is_the_one_that_is_meant(typed: str, today: date, meant: date) -> None:
    assert dates.read(typed, today=today) == meant


@pytest.mark.parametrize("typed", NO_DAYS)
def test_a_day_that_a_year_has_not_is_refused(typed: str) -> None:
    with pytest.raises(dates.NotADate):
        dates.read(typed, today=TODAY)


@pytest.mark.parametrize(("day", "hours", "weekday", "week"), DAYS)
def test_an_odd_day_is_whole_and_the_shift_of_its_weekday_holds_on_it(
    day: date, hours: int, weekday: int, week: int
) -> None:
    span = day_span(day, ZONE)
    shifts = [Weekly(1, n, time(9), time(17), date(2020, 1, 1), day) for n in range(7)]

    assert day.isocalendar().week == week
    assert span.end - span.start == timedelta(hours=hours)
    assert wall_text(span.start, ZONE) == f"{day}T00:00"
    assert wall_text(span.end, ZONE) == f"{day + timedelta(days=1)}T00:00"
    held = [shift.weekday for shift in shifts if shift.on(day, ZONE) is not None]
    assert held == [weekday]
    assert [s for s in shifts if s.on(day + timedelta(days=7), ZONE)] == []  # it was its last


@pytest.mark.parametrize(("day", "wall", "is_there"), WALLS)
def test_an_odd_time_is_on_the_clock_or_is_not(day: date, wall: time, is_there: bool) -> None:
    moment = instant(day, wall, ZONE)

    assert exists(day, wall, ZONE) is is_there
    assert (wall_text(moment, ZONE) == f"{day}T{wall:%H:%M}") is is_there
