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

#: How long a search may take, each of two: a few milliseconds.
SEARCH_STEPS = 5_000


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
    order = sorted(pieces, key=lambda p: (p.span.start, p.span.end, p.key))
    # First with everybody where they are, if that can be; else as the argument goes, which moves
    # more people but never fails for want of steps when nothing stands in the way.
    return _search(order, fixed, stay=True) or _search(order, fixed, stay=False)


def _search(
    order: Sequence[Piece], fixed: Mapping[int, Sequence[TimeSpan]], *, stay: bool
) -> dict[int, int] | None:
    taken = {lane: list(spans) for lane, spans in fixed.items()}
    placed: dict[int, int] = {}
    steps = 0

    def put(index: int) -> bool:
        nonlocal steps
        if index == len(order):
            return True
        piece = order[index]
        for lane in sorted(taken, key=lambda lane: (stay and lane != piece.lane, lane)):
            steps += 1
            if steps > SEARCH_STEPS:
                return False
            if any(piece.span.overlaps(other) for other in taken[lane]):
                continue
            taken[lane].append(piece.span)
            placed[piece.key] = lane
            if put(index + 1):
                return True
            taken[lane].pop()
            del placed[piece.key]
        return False

    return placed if put(0) else None
