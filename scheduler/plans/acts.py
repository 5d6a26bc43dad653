"""What each act on a running plan makes of its visits: days in, days out. Pure.

Past visits never change. Windows are whole days; a window reaches as far from its ideal day as
the least and the most days between visits differ from the target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise

from scheduler.core.errors import Invalid
from scheduler.plans.models import ChangeAct
from scheduler.plans.protocol import Phase

#: Nothing bounds how long after a break a course may go on but the window itself.
ANY_GAP = 365
LONGEST_BREAK = 180
MOST_VISITS = 60


@dataclass(frozen=True)
class Line:
    """One visit of the plan, in days on the wall of its site."""

    number: int
    phase: int
    earliest: date
    ideal: date
    last: date  # the last day of its window
    min_days: int  # after the visit before
    target_days: int
    max_days: int
    is_past: bool = False  # held, begun, or its time is over: it stays as it is
    on: date | None = None  # the day it is booked, or took place
    site_id: int | None = None  # where

    @property
    def day(self) -> date:
        """The day it is on, or best on."""
        return self.on or self.ideal


@dataclass(frozen=True)
class Ask:
    """What is to be done, as a form asks it."""

    act: ChangeAct
    visit: int = 0  # from which on; 0 where no visit is meant
    to: date | None = None  # defer: not before this day
    days: tuple[int, int, int] | None = None  # re-space: at least, best, at most
    site_id: int | None = None  # the other site


@dataclass(frozen=True)
class Made:
    """What comes of it: the visits from now on, and what they bring along."""

    lines: tuple[Line, ...]  # past ones too, in order
    phases: tuple[Phase, ...]
    dropped: frozenset[int] = frozenset()  # visits that are not to be any more
    added: frozenset[int] = frozenset()  # visits that are new
    takes: Mapping[int, int] = field(default_factory=dict)  # visit -> whose date it takes
    freed: frozenset[int] = frozenset()  # visits whose date is given back

    @property
    def ends_it(self) -> bool:
        """Say whether nothing is left ahead."""
        return not any(not line.is_past for line in self.lines)


def make(
    ask: Ask,
    lines: Sequence[Line],
    phases: Sequence[Phase],
    *,
    planned: int,
    highest: int,
    today: date,
) -> Made:
    """Return what an act makes of a plan's visits.

    Args:
        lines: Every visit that was not dropped before, in order.
        phases: Of the plan, those after its next review too.
        planned: How many of the phases the visits belong to.
        highest: The highest number a visit ever had.

    Raises:
        Invalid: the visit lies behind, or the days make no sense; `field` says which.
    """
    match ask.act:
        case ChangeAct.DEFER:
            return _defer(ask, lines, phases, today=today)
        case ChangeAct.CARRY:
            return _carry(ask, lines, phases)
        case ChangeAct.OMIT:
            return _omit(ask, lines, phases)
        case ChangeAct.RESPACE:
            return _respace(ask, lines, phases, planned=planned, today=today)
        case ChangeAct.RELOCATE:
            return _relocate(ask, lines, phases)
        case ChangeAct.GO_ON:
            return _go_on(ask, lines, phases, planned=planned, highest=highest, today=today)
        case _:
            return _end(lines, phases)


def _defer(ask: Ask, lines: Sequence[Line], phases: Sequence[Phase], *, today: date) -> Made:
    at = _ahead(ask, lines)
    here = lines[at]
    if ask.to is None:
        raise Invalid("Enter from which day on they can come again.", field="to")
    if ask.to <= max(here.ideal, today):
        raise Invalid("Choose a later day than the one it has now.", field="to")
    if (ask.to - max(here.ideal, today)).days > LONGEST_BREAK:
        raise Invalid(f"Choose a day within {LONGEST_BREAK} days.", field="to")
    found = list(lines[:at])
    last = ask.to + max(here.last - here.ideal, timedelta(days=1))
    gap = (last - (found[-1].on or found[-1].earliest)).days if found else ANY_GAP
    moved = replace(
        here, earliest=ask.to, ideal=ask.to, last=last, max_days=max(here.max_days, gap), on=None
    )
    if here.on and moved.earliest <= here.on <= moved.last:
        moved = replace(moved, on=here.on)
    found.append(moved)
    found += _chain(lines[at + 1 :], since=moved.ideal)
    return Made(tuple(found), tuple(phases))


def _chain(lines: Sequence[Line], *, since: date) -> list[Line]:
    """Move lines along at their own spacing; none comes earlier, and none needlessly."""
    found: list[Line] = []
    for line in lines:
        ideal = since + timedelta(days=line.target_days)
        if ideal <= line.ideal:
            found.append(line)
        else:
            found.append(_at(line, ideal))
        since = found[-1].ideal
    return found


def _at(line: Line, ideal: date) -> Line:
    """Return a line with its window about another day; its date stays if it lies inside."""
    moved = replace(
        line,
        earliest=ideal - (line.ideal - line.earliest),
        ideal=ideal,
        last=ideal + (line.last - line.ideal),
    )
    inside = line.on is not None and moved.earliest <= line.on <= moved.last
    return moved if inside else replace(moved, on=None)


def _carry(ask: Ask, lines: Sequence[Line], phases: Sequence[Phase]) -> Made:
    at = _ahead(ask, lines)
    rest = lines[at:]
    found = list(lines[:at])
    for here, following in pairwise(rest):
        is_first = here.number == rest[0].number
        found.append(
            replace(
                here,
                earliest=following.earliest,
                ideal=following.ideal,
                last=following.last,
                min_days=here.min_days if is_first else min(here.min_days, following.min_days),
                max_days=min(here.max_days + following.max_days, ANY_GAP)
                if is_first
                else max(here.max_days, following.max_days),
                on=following.on,
            )
        )
    final = rest[-1]
    spacing = min(final.max_days, ANY_GAP)
    added = _at(final, final.ideal + timedelta(days=final.target_days))
    if len(rest) == 1:  # it is itself the one that is late
        added = replace(added, max_days=min(spacing + final.max_days, ANY_GAP))
    found.append(replace(added, on=None))
    return Made(
        tuple(found),
        tuple(phases),
        takes={here.number: following.number for here, following in pairwise(rest)},
        freed=frozenset({rest[0].number} if len(rest) > 1 else ()),
    )


def _omit(ask: Ask, lines: Sequence[Line], phases: Sequence[Phase]) -> Made:
    at = _ahead(ask, lines)
    gone = lines[at]
    found = [*lines[:at], *lines[at + 1 :]]
    if at < len(found):  # the days between span the one that is gone
        following = found[at]
        most = min(following.max_days + gone.max_days, ANY_GAP)
        found[at] = replace(following, max_days=most)
    return Made(tuple(found), tuple(phases), dropped=frozenset({gone.number}))


def _respace(
    ask: Ask, lines: Sequence[Line], phases: Sequence[Phase], *, planned: int, today: date
) -> Made:
    at = _ahead(ask, lines)
    if ask.days is None:
        raise Invalid("Enter how many days should lie between.", field="target")
    least, target, most = ask.days
    if not 1 <= least <= target <= most <= ANY_GAP:
        raise Invalid("The days between go from least to most.", field="target")
    first = lines[at]
    kept = sum(1 for line in lines[:at] if line.phase == first.phase)
    new_phases, shift = _split(phases, first.phase, kept, planned, ask.days)
    found = list(lines[:at])
    since = found[-1].day if found else None
    for n, line in enumerate(lines[at:]):
        base = replace(
            line,
            phase=line.phase + shift,
            min_days=least,
            target_days=target,
            max_days=line.max_days if line.max_days >= ANY_GAP and since is None else most,
        )
        ideal = line.ideal if since is None else since + timedelta(days=target)
        if n == 0:
            ideal = max(ideal, today + timedelta(days=target - least + 1))
        moved = replace(
            base,
            earliest=ideal - timedelta(days=target - least),
            ideal=ideal,
            last=ideal + timedelta(days=most - target),
        )
        inside = line.on is not None and moved.earliest <= line.on <= moved.last
        found.append(moved if inside else replace(moved, on=None))
        if n == 0 and since is not None:  # it was late already: as far as its window reaches
            reach = (moved.last - since).days
            found[-1] = replace(found[-1], max_days=max(most, reach))
        since = ideal
    return Made(tuple(found), new_phases)


def _split(
    phases: Sequence[Phase], at: int, kept: int, planned: int, days: tuple[int, int, int]
) -> tuple[tuple[Phase, ...], int]:
    """Return the phases with new days from the visit on, and by how much later ones shift."""
    least, target, most = days
    found: list[Phase] = []
    shift = 0
    for index, phase in enumerate(phases):
        respaced = replace(phase, min_days=least, target_days=target, max_days=most)
        if index < at or index >= planned:
            found.append(phase)
        elif index > at or not kept:
            found.append(respaced)
        else:
            found.append(replace(phase, count=kept, reassess_after_days=None))
            found.append(replace(respaced, count=max(phase.count - kept, 1)))
            shift = 1
    return tuple(found), shift


def _relocate(ask: Ask, lines: Sequence[Line], phases: Sequence[Phase]) -> Made:
    if ask.site_id is None:
        raise Invalid("Choose a clinic.", field="site")
    found = [
        line if line.is_past or line.site_id == ask.site_id else replace(line, on=None)
        for line in lines
    ]
    return Made(tuple(found), tuple(phases))


def _go_on(
    ask: Ask,
    lines: Sequence[Line],
    phases: Sequence[Phase],
    *,
    planned: int,
    highest: int,
    today: date,
) -> Made:
    if any(not line.is_past for line in lines):
        raise Invalid("There are visits ahead. The next part follows after the last of them.")
    if planned >= len(phases):
        raise Invalid("The plan has no further part. Propose a new one from a chat.")
    rest = list(phases)
    if ask.days is not None:
        least, target, most = ask.days
        bounds = phases[planned]
        if not bounds.min_days <= least <= target <= most <= bounds.max_days:
            raise Invalid(
                f"Stay within what was signed: {bounds.min_days} to {bounds.max_days} days.",
                field="target",
            )
        rest[planned] = replace(bounds, min_days=least, target_days=target, max_days=most)
    found = list(lines)
    number = highest
    since = max((line.day for line in lines), default=today)
    added: set[int] = set()
    for index in range(planned, len(rest)):
        phase = rest[index]
        early = timedelta(days=phase.target_days - phase.min_days)
        late = timedelta(days=phase.max_days - phase.target_days)
        for _ in range(phase.count):
            ideal = since + timedelta(days=phase.target_days)
            most = phase.max_days
            if not added and ideal - early <= today:  # the best day is over already
                ideal = today + early + timedelta(days=1)
                most = max(most, (ideal + late - since).days)
            number += 1
            added.add(number)
            found.append(
                Line(
                    number, index, ideal - early, ideal, ideal + late,
                    phase.min_days, phase.target_days, most,
                )
            )  # fmt: skip
            since = ideal
        if phase.reassess_after_days is not None:
            break
    if len(found) > MOST_VISITS:
        raise Invalid(f"A plan has at most {MOST_VISITS} visits.")
    return Made(tuple(found), tuple(rest), added=frozenset(added))


def _end(lines: Sequence[Line], phases: Sequence[Phase]) -> Made:
    return Made(
        tuple(line for line in lines if line.is_past),
        tuple(phases),
        dropped=frozenset(line.number for line in lines if not line.is_past),
    )


def _ahead(ask: Ask, lines: Sequence[Line]) -> int:
    """Return where the visit stands that is asked about."""
    at = next((n for n, line in enumerate(lines) if line.number == ask.visit), None)
    if at is None:
        raise Invalid("Choose a visit of this plan.", field="visit")
    if lines[at].is_past:
        raise Invalid("That visit lies behind. Past visits never change.", field="visit")
    return at
