"""When the next visit should be, by what the patient felt: a suggestion with its arithmetic. Pure.

Nothing follows from it by itself: a clinician or the desk acts on it, or not.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median_low

from scheduler.plans.acts import ANY_GAP, Ask, Line
from scheduler.plans.models import ChangeAct
from scheduler.plans.protocol import Phase

#: The newest so many infusions count: how long it lasts changes along a course.
COUNTED = 3


class Bound(enum.StrEnum):
    """How well a duration is known."""

    EXACT = "exact"  # the patient says so, and it is over
    AT_LEAST = "at-least"  # it still held then
    AT_MOST = "at-most"  # it had worn off by then


@dataclass(frozen=True)
class Relief:
    """How many days relief lasted after an infusion, as well as is known."""

    on: date
    days: int
    bound: Bound
    origin: str  # "they say", or the scores it was read from

    @property
    def words(self) -> str:
        """Return "24 days", "at least 26 days"."""
        days = "1 day" if self.days == 1 else f"{self.days} days"
        said = {Bound.EXACT: "", Bound.AT_LEAST: "at least ", Bound.AT_MOST: "at most "}
        return f"{said[self.bound]}{days}"


@dataclass(frozen=True)
class Suggestion:
    """What could be done, why in numbers, and the act that would do it."""

    words: str
    arithmetic: tuple[str, ...]
    ask: Ask


def days_that_fit(reliefs: Sequence[Relief], phase: Phase) -> tuple[int, tuple[str, ...]] | None:
    """Return after how many days the next infusion fits what the patient felt, and the sums.

    The middle of the durations that are known; without any, the earliest day by which relief had
    worn off; without that, the longest it was seen to hold, when that says anything. Always
    within the bounds that were signed. None: too little is known.
    """
    newest = sorted(reliefs, key=lambda r: r.on, reverse=True)[:COUNTED]
    known = [r for r in newest if r.bound is Bound.EXACT]
    ended = [r for r in newest if r.bound is Bound.AT_MOST]
    held = [r for r in newest if r.bound is Bound.AT_LEAST]
    said = "Relief lasted " + ", ".join(r.words for r in reversed(newest)) + "."
    if known:
        found = median_low([r.days for r in known])
        how = f"{found} days" if len(known) == 1 else f"The middle of what is known is {found} days"
    elif ended:
        found = min(r.days for r in ended)
        how = f"It had worn off by day {found}"
    elif held and max(r.days for r in held) >= phase.min_days:
        found = max(r.days for r in held)
        how = f"It was still there on day {found}"
    else:
        return None
    fits = min(max(found, phase.min_days), phase.max_days)
    bounds = f"signed are {phase.min_days} to {phase.max_days} days: {fits}."
    return fits, (said, f"{how}; {bounds}")


def of_next_part(reliefs: Sequence[Relief], phase: Phase, *, last_on: date) -> Suggestion | None:
    """Suggest when the next part of a plan should begin and how far apart its visits should be."""
    found = days_that_fit(reliefs, phase)
    if found is None:
        return None
    days, arithmetic = found
    return Suggestion(
        f"{phase.name}: every {days} days would fit how long relief lasts.",
        (*arithmetic, f"{last_on:%b} {last_on.day} and {days} days: {_day(last_on, days)}."),
        Ask(ChangeAct.GO_ON, days=(phase.min_days, days, phase.max_days)),
    )


def of_visits_ahead(
    reliefs: Sequence[Relief], lines: Sequence[Line], phase: Phase
) -> Suggestion | None:
    """Suggest another spacing for the visits ahead, where relief decides it."""
    at = next((n for n, line in enumerate(lines) if not line.is_past), None)
    found = days_that_fit(reliefs, phase)
    if at is None or at == 0 or found is None or found[0] == lines[at].target_days:
        return None
    days, arithmetic = found
    here, before = lines[at], lines[at - 1]
    ideal = before.day + timedelta(days=days)
    if here.on is not None and abs((here.on - ideal).days) <= 1:
        return None
    stands = f" It is booked {(here.on - before.day).days} days after." if here.on else ""
    return Suggestion(
        f"Visit {here.number} would fit best {days} days after visit {before.number}.{stands}",
        (
            *arithmetic,
            f"{before.day:%b} {before.day.day} and {days} days: {_day(before.day, days)}.",
        ),
        Ask(ChangeAct.RESPACE, visit=here.number, days=(phase.min_days, days, phase.max_days)),
    )


def of_drift(lines: Sequence[Line]) -> Suggestion | None:
    """Suggest to put the next visit off when the one before took place so late that it is close."""
    at = next((n for n, line in enumerate(lines) if not line.is_past), None)
    if not at:
        return None
    here, before = lines[at], lines[at - 1]
    if here.on is None or before.on is None or here.max_days >= ANY_GAP:
        return None
    gap = (here.on - before.on).days
    if gap >= here.min_days:
        return None
    fits = before.on + timedelta(days=here.target_days)
    planned = f"planned are {here.min_days} to {here.max_days}"
    return Suggestion(
        f"Visit {here.number} comes {gap} days after visit {before.number}; put it off.",
        (
            f"{_day(before.on, 0)} to {_day(here.on, 0)} are {gap} days; {planned}.",
            f"{here.target_days} days after is {_day(fits, 0)}.",
        ),
        Ask(ChangeAct.DEFER, visit=here.number, to=max(fits, here.ideal + timedelta(days=1))),
    )


def _day(since: date, days: int) -> str:
    day = since + timedelta(days=days)
    return f"{day:%a}, {day:%b} {day.day}"
