"""Free time as bit sets: bit i is the i-th step of five minutes after an origin.

A day of one lane is one Python integer; "free throughout" is shifts and ANDs, "free in the
pool" is AND over lanes of "busy". Nothing here knows a database, a clock or a clinic.
"""

from collections.abc import Iterable, Iterator, Sequence
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

    def step_after(self, moment: datetime) -> int:
        """Return the first step that begins at or after `moment`."""
        return -(-int((moment - self.origin).total_seconds()) // STEP_SECONDS)

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
    return runs(((grid.step(s.start), grid.step_after(s.end)) for s in spans), grid.size)


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


def runs(pairs: Iterable[tuple[int, int]], size: int) -> int:
    """Return the steps in any half-open (first, end) pair, cut to a grid of `size` steps.

    Runs that keep apart, as claims of a lane do, are one subtraction: each is 2^end - 2^first,
    and a sum without carries has as many bits as its parts. Others are joined one by one.
    """
    cut = [(max(first, 0), min(end, size)) for first, end in pairs if first < size and end > 0]
    firsts, ends = bytearray(size // 8 + 1), bytearray(size // 8 + 1)
    steps = 0
    for first, end in cut:
        firsts[first >> 3] |= 1 << (first & 7)
        ends[end >> 3] |= 1 << (end & 7)
        steps += end - first
    low, high = int.from_bytes(firsts, "little"), int.from_bytes(ends, "little")
    apart = high - low
    if low.bit_count() == high.bit_count() == len(cut) and apart.bit_count() == steps:
        return apart
    joined = 0
    for first, end in cut:
        joined |= (1 << end) - (1 << first)
    return joined


def every(minutes: int, grid: Grid) -> int:
    """Return the steps whose moment is a whole number of `minutes` past the hour."""
    stride = minutes // 5
    first = -(grid.origin.minute // 5) % stride
    times = -(-grid.size // stride)
    comb = ((1 << stride * times) - 1) // ((1 << stride) - 1)  # 1 every `stride` bits
    return comb << first & grid.all


def steps_in(bits: int) -> Iterator[int]:
    """Yield the steps that are set, in order."""
    for place, byte in enumerate(bits.to_bytes(-(-bits.bit_length() // 8), "little")):
        for step in _SET[byte]:
            yield place * 8 + step


#: The bits that are set in each byte.
_SET = tuple(tuple(n for n in range(8) if byte >> n & 1) for byte in range(256))


def loads(lanes: Sequence[int]) -> list[int]:
    """Return, for k from 1 to the number of lanes, the steps at which at least k are busy."""
    levels = [0] * len(lanes)
    for place, busy in enumerate(lanes):
        for k in range(place, 0, -1):
            levels[k] |= levels[k - 1] & busy
        levels[0] |= busy
    return levels


def tally(masks: Sequence[int], steps: int) -> Iterator[tuple[int, int]]:
    """Yield each step that is set in `steps`, with how many of the masks have it set."""
    width = -(-max((m.bit_length() for m in (*masks, steps)), default=0) // 8)
    columns = [m.to_bytes(width, "little") for m in masks]
    for step in steps_in(steps):
        place, bit = step >> 3, 1 << (step & 7)
        yield step, sum(1 for column in columns if column[place] & bit)


def window(first: int, end: int) -> int:
    """Return the steps from `first` up to, not including, `end`."""
    return ((1 << (end - first)) - 1) << first


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
