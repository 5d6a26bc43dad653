"""Dates as people type them."""

import re
from calendar import isleap
from datetime import date

from babel import Locale

from scheduler.core.words import plain
from scheduler.web.i18n import LANGUAGES

_NUMBERS = re.compile(r"(\d{1,4})\D+(\d{1,2})(?:\D+(\d{2,4}))?")
_SMALL_WORDS = {"de", "del", "do", "of", "the", "el", "o"}
_SHORTEST_MONTH = 3  # letters: "mar"


class NotADate(ValueError):
    """What was typed cannot be read as a date."""


def read(typed: str, *, today: date) -> date:
    """Return the date that was meant.

    American order: 3/4 is March 4. A first number above 12 can only be a day, so 25/11/2026 is
    read as November 25. Month names are understood in our three languages. Without a year it is
    the next such day, today included.

    Raises:
        NotADate: there is no such date, or nothing that looks like one.
    """
    text = plain(typed)[:40]
    by_name = _by_name(text)
    if by_name is not None:
        month, day, year = by_name
    else:
        numbers = _NUMBERS.fullmatch(text)
        if numbers is None:
            raise NotADate(typed)
        first, second = int(numbers[1]), int(numbers[2])
        third = int(numbers[3]) if numbers[3] else None
        if first > 31:  # 2026-03-04
            if third is None:
                raise NotADate(typed)
            year, month, day = first, second, third
        else:
            month, day, year = first, second, third
        if month > 12 >= day:
            month, day = day, month
    return _whole(month, day, year, today, typed)


def _whole(month: int, day: int, year: int | None, today: date, typed: str) -> date:
    try:
        if year is not None:
            return date(year + 2000 if year < 100 else year, month, day)
        if (month, day) == (2, 29):
            return _next_leap_day(today)
        this_year = date(today.year, month, day)
        return this_year if this_year >= today else date(today.year + 1, month, day)
    except ValueError:
        raise NotADate(typed) from None


def _next_leap_day(today: date) -> date:
    years = (y for y in range(today.year, today.year + 9) if isleap(y))  # 8 apart at most
    return next(leap for y in years if (leap := date(y, 2, 29)) >= today)


def _by_name(text: str) -> tuple[int, int, int | None] | None:
    words = re.findall(r"[^\W\d_]+", text)
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    months = {m for word in words if word not in _SMALL_WORDS for m in [_month(word)] if m}
    if len(months) != 1 or not 1 <= len(numbers) <= 2:
        return None
    return months.pop(), numbers[0], numbers[1] if len(numbers) == 2 else None


def _month(word: str) -> int | None:
    if len(word) < _SHORTEST_MONTH:
        return None
    for language in LANGUAGES:
        for number, name in Locale.parse(language).months["format"]["wide"].items():
            if plain(name).startswith(word):
                return int(number)
    return None
