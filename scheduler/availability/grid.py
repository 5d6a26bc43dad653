"""Free time as bit sets: bit i is the i-th step of five minutes after an origin.

A day of one lane is one Python integer; "free throughout" is shifts and ANDs, "free in the
pool" is AND over lanes of "busy". Nothing here knows a database, a clock or a clinic.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.core.timespan import TimeSpan

STEP = timedelta(minutes=5)
STEP_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps of five minutes from `origin` (aware, on a step) on; `size` of them."""

    origin: datetime
    size: int

    @classmethod
    def over(cls, since: datetime, until: datetime) -> "Grid":
        """Return the grid that covers a span, widened to whole steps."""
        origin = floor(since, STEP)
        return cls(origin, -(-int((until - origin).total_seconds()) // STEP_SECONDS))

    def step(self, moment: datetime) -> int:
        """Return the step that `moment` lies in; may be before 0 or past the end."""
        return int((moment - self.origin).total_seconds() // STEP_SECONDS)

    def moment(self, step: int) -> datetime:
        """Return when a step begins."""
        return self.origin + step * STEP

    @property
    def all(self) -> int:
        """Every step."""
        return (1 << self.size) - 1


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the last whole `step` of the clock at or before `moment` (steps divide the hour)."""
    past = timedelta(minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond)
    return moment - past % step


def mask(spans: Iterable[TimeSpan], grid: Grid) -> int:
    """Return the steps that any of the spans touches (for what is busy)."""
    bits = 0
    for span in spans:
        first = max(grid.step(span.start), 0)
        last = min(-(-int((span.end - grid.origin).total_seconds()) // STEP_SECONDS), grid.size)
        if last > first:
            bits |= ((1 << (last - first)) - 1) << first
    return bits


def lasting(free: int, steps: int) -> int:
    """Return the steps from which `free` lasts for at least `steps` steps.

    Doubles the reach at each turn, so a stay of 19 steps takes 5 shifts, not 18.
    """
    reach = 1
    while reach < steps:
        jump = min(reach, steps - reach)
        free &= free >> jump
        reach += jump
    return free


def every(minutes: int, grid: Grid) -> int:
    """Return the steps whose moment is a whole number of `minutes` past the hour."""
    stride = minutes // 5
    first = -(grid.origin.minute // 5) % stride
    bits = 0
    for step in range(first, grid.size, stride):
        bits |= 1 << step
    return bits


def steps_in(bits: int) -> Iterator[int]:
    """Yield the steps that are set, in order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def full(lanes: Iterable[int]) -> int:
    """Return the steps at which every lane of a pool is busy: fewer than all is free."""
    result = -1
    for busy in lanes:
        result &= busy
    return 0 if result == -1 else result


def any_busy(lanes: Iterable[int]) -> int:
    """Return the steps at which at least one lane is busy: for what takes the whole person."""
    result = 0
    for busy in lanes:
        result |= busy
    return result
