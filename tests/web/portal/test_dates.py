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
