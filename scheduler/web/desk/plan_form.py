"""What the pages of a plan read from their forms: dates of visits, reasons, what suits."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from flask import request

from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import exists, instant
from scheduler.plans.finding import Choice
from scheduler.plans.preferences import PARTS, Preferences
from scheduler.web.desk import signing
from scheduler.web.fields import YEARS, read_aware, read_number

MOST_DATES = 60
_FIELD = re.compile(r"v(\d{1,3})")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_whys() -> dict[int, str]:
    """Return, for visits the page had no date for, the reason it gave.

    Raises:
        Invalid: one is too long to be kept.
    """
    return {
        int(name[3:]): signing.words_of(name, 300)
        for name in request.form
        if re.fullmatch(r"why\d{1,3}", name) and request.form[name].strip()
    }


def read_reason(name: str = "reason") -> str:
    """Return why something is done.

    Raises:
        Invalid: nothing was typed, or more than is kept.
    """
    reason = signing.words_of(name)
    if not reason:
        raise Invalid("Please say why.", field=name)
    return reason


def read_choices(*, picked_only: bool = False) -> dict[int, Choice]:
    """Read the date of each visit: picked from the list, typed, or as it was proposed.

    Raises:
        Invalid: a date was typed in part, or is none.
    """
    found: dict[int, Choice] = {}
    for name in request.form:
        match = _FIELD.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        value = request.form[name]
        typed = typed_date(number, f"Visit {number}")
        outside = signing.words_of(f"outside{number}", 300) or None
        excuse = signing.excuse(f"excuse{number}")
        if typed is not None:
            found[number] = replace(typed, outside_reason=outside, excuse=excuse)
            continue
        choice = proposed(value)
        is_picked = value != request.form.get(f"was{number}") or f"kept{number}" in request.form
        if choice is not None and (is_picked or not picked_only):
            found[number] = replace(choice, outside_reason=outside, excuse=excuse)
    return found


def read_first() -> dict[int, Choice]:
    """Return the first visit on the other day that was asked for, if one was: ("1", its start)."""
    number, _, start = request.form.get("first", "").partition("@")
    choice = proposed(start)
    visit = read_number(number)
    return {visit: choice} if choice is not None and visit else {}


def kept_choices() -> dict[int, Choice]:
    """Return what was picked, for a page shown again; what cannot be read is left out."""
    try:
        return read_choices(picked_only=True)
    except Refusal:
        return {}


def proposed(value: str) -> Choice | None:
    """Read a date as a form carries it; None when it is none."""
    written, _, code = value.partition("|")
    site = clinic_supply.current().site(code)
    moment = read_aware(written)
    return Choice(site.id, moment) if site is not None and moment is not None else None


def is_typed(key: int | str) -> bool:
    """Say whether a date was typed for a visit, instead of picked from the list."""
    return bool(request.form.get(f"day{key}") or request.form.get(f"time{key}"))


def typed_date(key: int | str, whose: str) -> Choice | None:
    """Read the date that was typed for one row of a form; None when there is none.

    Raises:
        Invalid: it was typed in part, or is none.
    """
    day, at = request.form.get(f"day{key}", ""), request.form.get(f"time{key}", "")
    if not is_typed(key):
        return None
    site = clinic_supply.current().site(request.form.get(f"site{key}", ""))
    try:
        on = date.fromisoformat(day)
        if on.year not in YEARS:
            raise ValueError
        wall = datetime.strptime(at, "%H:%M").time()  # noqa: DTZ007  a time of day
    except ValueError:
        raise Invalid(f"{whose}: enter a date and a time.", field=f"day{key}") from None
    if site is None or not exists(on, wall, site.zone):
        raise Invalid(f"{whose}: that time does not exist there.", field=f"day{key}")
    return Choice(site.id, instant(on, wall, site.zone))


def read_version() -> int:
    """Return which version of the plan the page showed.

    Raises:
        Invalid: the form does not say.
    """
    version = read_number(request.form.get("version"))
    if version is None:
        raise Invalid("Please open the plan again.")
    return version


def read_preferences() -> Preferences:
    """Read what suits the patient.

    Raises:
        Invalid: a day on which they cannot come is no date, or there are too many.
    """
    site = clinic_supply.current().site(request.form.get("site", ""))
    part = request.form.get("part", "")
    return Preferences(
        weekdays=_weekdays("weekday"),
        can=_weekdays("can"),
        escort=_weekdays("escort"),
        part=part if part in PARTS else None,
        blocked=_days(request.form.get("never", "")),
        site_id=site.id if site else None,
        only_site=site is not None and bool(request.form.get("only")),
    )


def _weekdays(name: str) -> frozenset[int]:
    return frozenset(int(d) for d in request.form.getlist(name) if d in tuple("0123456"))


def _days(written: str) -> frozenset[date]:
    found = set()
    for word in re.split(r"[\s,;]+", written.strip()):
        if not word:
            continue
        try:
            day = date.fromisoformat(word) if _DATE.fullmatch(word) else None
        except ValueError:
            day = None
        if day is None or day.year not in YEARS:
            raise Invalid(f"“{word[:20]}” is no date. Write it like 2026-03-19.", field="never")
        found.add(day)
    if len(found) > MOST_DATES:
        raise Invalid(f"Keep at most {MOST_DATES} days.", field="never")
    return frozenset(found)


def written(moment: datetime, site: SiteSupply) -> str:
    """Return a date as a form carries it."""
    return f"{moment.isoformat()}|{site.code}"


def lines_about(problems: Mapping[int, str]) -> list[str]:
    """Return what is wrong with which visit, in order."""
    return [f"Visit {number}: {why}" for number, why in sorted(problems.items())]
