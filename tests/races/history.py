"""What clients saw, in the order they saw it, judged against what the database has at the end.

Pure: values in, complaints out. A time-out, a broken line, a 502 or a 503 is *unknown*, never
"failed": it may have happened.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"


@dataclass(frozen=True)
class Deed:
    """A client booked or called off under a number of its own."""

    kind: str  # "book" or "cancel"
    who: str
    start: str
    began: float
    ended: float
    outcome: str


@dataclass(frozen=True)
class Look:
    """A client read the free times of a day."""

    day: str
    offered: frozenset[str]
    began: float
    ended: float


@dataclass(frozen=True)
class Row:
    """An appointment as it stands at the end."""

    who: str
    start: str
    is_live: bool


@dataclass(frozen=True)
class Verdict:
    """What was found; every list should be empty."""

    lost: list[str]
    phantom: list[str]
    doubled: list[str]
    resurrected: list[str]
    stale: list[str]

    @property
    def is_clean(self) -> bool:
        """Say whether nothing was found."""
        return not any((self.lost, self.phantom, self.doubled, self.resurrected, self.stale))

    def line(self) -> str:
        """Return the counts as words."""
        return (
            f"{len(self.lost)} lost, {len(self.phantom)} phantom, {len(self.doubled)} doubled, "
            f"{len(self.resurrected)} resurrected, {len(self.stale)} stale offers"
        )


def check(deeds: Sequence[Deed], looks: Iterable[Look], rows: Sequence[Row]) -> Verdict:
    """Judge a history of a clinic that has room for one at a time.

    A booking acknowledged must stand unless its canceling was tried and may have worked; a row
    needs a booking that worked or may have; a start acknowledged as booked must not be offered by
    a look that began later, unless by then somebody had begun to call it off.
    """
    booked = {d.who: d for d in deeds if d.kind == "book" and d.outcome == OK}
    maybe = {d.who for d in deeds if d.kind == "book" and d.outcome != FAIL}
    calling_off: dict[str, float] = {}
    for d in deeds:
        if d.kind == "cancel" and d.outcome != FAIL:
            calling_off[d.who] = min(d.began, calling_off.get(d.who, d.began))
    off = {d.who for d in deeds if d.kind == "cancel" and d.outcome == OK}
    live = {r.who for r in rows if r.is_live}
    by_start = Counter(r.start for r in rows if r.is_live)
    by_who = Counter(r.who for r in rows)
    offered: dict[str, list[Look]] = {}
    for look in looks:
        for start in look.offered:
            offered.setdefault(start, []).append(look)
    return Verdict(
        lost=sorted(w for w in booked if w not in live and w not in calling_off),
        phantom=sorted({r.who for r in rows if r.who not in maybe}),
        doubled=sorted(
            [w for w, n in by_who.items() if n > 1] + [s for s, n in by_start.items() if n > 1]
        ),
        resurrected=sorted(off & live),
        stale=sorted(
            f"{d.who} {d.start}"
            for d in booked.values()
            for look in offered.get(d.start, ())
            if look.began > d.ended and look.ended < calling_off.get(d.who, float("inf"))
        ),
    )
