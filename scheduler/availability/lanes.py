"""Putting claims into interchangeable lanes.

Greedy by start is optimal for intervals: if the count allows it at every moment, it finds room.
(The classic interval-partitioning argument: a lane is opened only when all others are busy.)
Claims that may not move (already begun, pinned to one chair, or taking every lane) are placed
first; with them in the way greedy may fail where a cleverer search would not, so it is followed
by a bounded search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.core.timespan import TimeSpan

SEARCH_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Piece:
    """One claim to be placed: `key` is the caller's name for it."""

    key: int
    span: TimeSpan
    lane: int | None = None  # where it is now; kept when it can be


def place(
    pieces: Sequence[Piece], fixed: Mapping[int, Sequence[TimeSpan]]
) -> dict[int, int] | None:
    """Return a lane for every piece, or None when they do not all fit.

    Args:
        pieces: what may be put in any lane.
        fixed: what stays, by lane; its keys are the lanes of the pool.
    """
    taken = {lane: list(spans) for lane, spans in fixed.items()}
    order = sorted(pieces, key=lambda p: (p.span.start, p.span.end, p.key))
    placed: dict[int, int] = {}
    steps = 0

    def fits(span: TimeSpan, lane: int) -> bool:
        return not any(span.overlaps(other) for other in taken[lane])

    def put(index: int) -> bool:
        nonlocal steps
        if index == len(order):
            return True
        piece = order[index]
        lanes = sorted(taken, key=lambda lane: (lane != piece.lane, lane))
        for lane in lanes:
            steps += 1
            if steps > SEARCH_STEPS:
                return False
            if fits(piece.span, lane):
                taken[lane].append(piece.span)
                placed[piece.key] = lane
                if put(index + 1):
                    return True
                taken[lane].pop()
                del placed[piece.key]
        return False

    return placed if put(0) else None
