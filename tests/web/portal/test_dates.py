"""Dates as people type them."""

from datetime import date

import pytest

from scheduler.web.portal import dates

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("12/04/2026", date(2026, 12, 4)),
        ("12/4/26", date(2026, 12, 4)),
        ("12-4-2026", date(2026, 12, 4)),
        (" 12.4.2026 ", date(2026, 12, 4)),
        ("2026-12-04", date(2026, 12, 4)),
        ("25/11/2026", date(2026, 11, 25)),
        ("12/4", date(2026, 12, 4)),
        ("11/22", date(2026, 11, 22)),
        ("3/3", date(2027, 3, 3)),
        ("December 4", date(2026, 12, 4)),
        ("dec 4, 2026", date(2026, 12, 4)),
        ("4 de diciembre", date(2026, 12, 4)),
        ("4 de março de 2027", date(2027, 3, 4)),
    ],
)
def test_a_date_is_understood_however_it_is_typed(typed: str, meant: date) -> None:
    assert dates.read(typed, today=TODAY) == meant


@pytest.mark.parametrize(
    "typed", ["", "soon", "4", "2/30/2027", "13/13/2026", "1/2/3/4", "mayjune 4", "2026-12", "0/0"]
)
def test_what_is_no_date_is_refused(typed: str) -> None:
    with pytest.raises(dates.NotADate):
        dates.read(typed, today=TODAY)


@pytest.mark.parametrize(
    ("typed", "today", "meant"),
    [
        ("2/29", date(2026, 11, 22), date(2028, 2, 29)),
        ("2/29", date(2028, 2, 29), date(2028, 2, 29)),
        ("2/29", date(2028, 3, 1), date(2032, 2, 29)),
        ("2/29", date(2096, 3, 1), date(2104, 2, 29)),  # 2100 is no leap year
        ("February 29", date(2027, 12, 1), date(2028, 2, 29)),
        ("29 de febrero", date(2027, 12, 1), date(2028, 2, 29)),
        ("2/29/28", date(2026, 11, 22), date(2028, 2, 29)),
        ("2/28", date(2027, 3, 1), date(2028, 2, 28)),
        ("12/31", date(2026, 12, 31), date(2026, 12, 31)),
        ("1/1", date(2026, 12, 31), date(2027, 1, 1)),
        ("1/1", date(2027, 1, 1), date(2027, 1, 1)),
        ("12/31", date(2027, 1, 1), date(2027, 12, 31)),
        ("12/31/26", date(2026, 12, 1), date(2026, 12, 31)),
        ("1/3/27", date(2026, 12, 28), date(2027, 1, 3)),  # a week of the 53-week year before
        ("1/1/00", date(2026, 11, 22), date(2000, 1, 1)),
        ("12/31/99", date(2026, 11, 22), date(2099, 12, 31)),
    ],
)
def test_odd_dates_are_the_ones_that_are_meant(typed: str, today: date, meant: date) -> None:
    assert dates.read(typed, today=today) == meant


@pytest.mark.parametrize("typed", ["2/29/2027", "2/29/2100", "2/30", "4/31", "29/29"])
def test_days_that_a_year_has_not_are_refused(typed: str) -> None:
    with pytest.raises(dates.NotADate):
        dates.read(typed, today=TODAY)
