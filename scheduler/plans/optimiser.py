"""One patient's series, placed exactly: dynamic programming over candidate starts. Pure.

A visit's candidates are the starts that are free inside its window, at any site. Hard: days
between neighbours within the visit's bounds, and the least hours between two visits on the wall
clock. Soft: distance from the ideal day, uneven spacing, another weekday where weeks are the
measure, another time of day, another site, the hours at which the chairs are full, another time
than the one that stands. All costs are whole numbers, so "optimal" is exact.

The cost of a series is a sum over visits and over neighbours, so the best way to reach each
candidate is enough to know (Bellman). Between two days the time of day costs its distance in
minutes, which two sweeps over sorted starts minimise for all candidates of the day at once. Where
the spacing may be anything within weeks, the days are not tried pair by pair either: what a gap
costs rises evenly on both sides of its target, so a window slides over the days before.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from zoneinfo import ZoneInfo

DAY_OFF = 600  # for each day away from the ideal one
UNEVEN = 120  # for each day the spacing differs from its target
WEEKDAY = 240  # another weekday than the visit before, where the target is whole weeks
NOT_HOME = 300  # at the site that is not the patient's
SITE_CHANGE = 480  # at another site than the visit before
UNWISHED_DAY = 400  # on a weekday the patient would rather not
PEAK = 12  # for each tenth of the chairs that are taken at that time already
MOVED = 10_000  # at another time than the patient was told: only for what cannot be helped
# One for each minute the time of day differs from the visit before, or from the usual time.
LEFT_OUT = 10**9  # more than any series can cost: place as many as can be placed
DAY = 1440
#: From so many possible gaps on a window slides over the days; below it, their pairs are tried.
WIDE = 10


@dataclass(frozen=True, order=True)
class Start:
    """A free start: the moment, and where it lies on the wall clock of its site."""

    at: datetime
    site_id: int
    day: int = field(compare=False)  # ordinal of the local date
    minute: int = field(compare=False)  # of the local day
    crowd: int = field(compare=False, default=0)  # tenths of the chairs taken at that time

    @classmethod
    def on_wall(
        cls, moment: datetime, site_id: int, zone: ZoneInfo, *, free: int = 1, of: int = 1
    ) -> "Start":
        """Return a moment as the clock on the site's wall shows it; `free` of `of` chairs are."""
        local = moment.astimezone(zone)
        minute = local.hour * 60 + local.minute
        return cls(moment, site_id, local.toordinal(), minute, 10 * (of - free) // max(of, 1))


@dataclass(frozen=True)
class Visit:
    """A visit to be placed, in the order of the series."""

    number: int
    ideal_day: int
    min_days: int  # after the visit before
    target_days: int
    max_days: int
    starts: tuple[Start, ...]
    is_fixed: bool = False  # booked or held: its one start stays
    stands: Start | None = None  # where it is booked, when it may be moved


@dataclass(frozen=True)
class Wishes:
    """What the patient would like, and what is safe."""

    home_site_id: int
    minute: int  # the time of day they usually come
    weekdays: frozenset[int] = frozenset()  # Monday is 0; empty: any
    min_hours: int = 48  # between two visits, on the wall clock
    before: Start | None = None  # the infusion before the series


@dataclass(frozen=True)
class Placement:
    """Where a visit goes, or why it goes nowhere."""

    number: int
    start: Start | None
    reason: str | None = None


@dataclass(frozen=True)
class Series:
    """The best placement of all visits and what it costs."""

    placements: tuple[Placement, ...]
    cost: int

    @property
    def placed(self) -> int:
        """How many visits have a start."""
        return sum(1 for p in self.placements if p.start is not None)


@dataclass
class _Group:
    """The starts of one visit on one day at one site, by time, with the best way to each."""

    day: int
    site_id: int
    starts: list[Start]
    cost: list[int | None]
    came_from: list[tuple[int, int, int] | None]  # (visit, group, index)

    @cached_property
    def times(self) -> tuple[int, ...]:
        """Return the minute of each start."""
        return tuple(start.minute for start in self.starts)

    @cached_property
    def known(self) -> list[tuple[int, int, int]]:
        """Minute, cost and index of each start that can be reached; read when costs are final."""
        return [
            (s.minute, c, n)
            for n, (s, c) in enumerate(zip(self.starts, self.cost, strict=True))
            if c is not None
        ]

    @cached_property
    def minutes(self) -> list[int]:
        """Return the minutes of what is known, in order."""
        return [m for m, _, _ in self.known]

    @cached_property
    def falling(self) -> list[int]:
        """Return, for each known start, the cheapest up to it for who comes later in the day."""
        return _least((c - m for m, c, _ in self.known), reverse=False)

    @cached_property
    def rising(self) -> list[int]:
        """Return, for each known start, the cheapest from it on for who comes earlier."""
        return _least((c + m for m, c, _ in self.known), reverse=True)

    def onward(self, times: Sequence[int]) -> list[tuple[int, int]]:
        """Return cost and place of the best way on to each time of another day, all allowed."""
        known = self._nearest  # the days that follow ask for the same times again and again
        return [known.get(minute) or self._find_nearest(minute) for minute in times]

    def _find_nearest(self, minute: int) -> tuple[int, int]:
        found = self._nearest[minute] = min(self.ways(minute, len(self.known)))
        return found

    @cached_property
    def _nearest(self) -> dict[int, tuple[int, int]]:
        return {}

    def ways(self, minute: int, until: int) -> Iterator[tuple[int, int]]:
        """Yield cost and place of the ways on to a minute that may be best, of the first `until`.

        A minute of difference costs one. At least one is yielded when `until` is.
        """
        at_or_before = min(bisect_right(self.minutes, minute), until)
        if at_or_before:
            n = self.falling[at_or_before - 1]
            yield self.known[n][1] + minute - self.known[n][0], n
        if at_or_before < until == len(self.known):
            n = self.rising[at_or_before]
            yield self.known[n][1] + self.known[n][0] - minute, n
        else:  # the wall-clock hours cut the later ones off: look at what is left
            for n in range(at_or_before, until):
                yield self.known[n][1] + self.known[n][0] - minute, n


def place(visits: Sequence[Visit], wishes: Wishes) -> Series:
    """Return the cheapest placement of the series; visits that cannot be placed say why.

    As many visits as possible are placed, then the cost is the least.
    """
    found = _solve(visits, wishes, may_skip=False) or _solve(visits, wishes, may_skip=True)
    chosen, cost = found or ({}, 0)
    placements = tuple(
        Placement(v.number, chosen[k], None)
        if k in chosen
        else Placement(v.number, None, _binding(visits, wishes, chosen, k))
        for k, v in enumerate(visits)
    )
    return Series(placements, cost)


def alternatives(
    visits: Sequence[Visit], wishes: Wishes, series: Series, number: int, *, most: int = 3
) -> list[Start]:
    """Return the next best starts of one visit while all others stay: one a day and site."""
    chosen = {k: p.start for k, p in enumerate(series.placements) if p.start is not None}
    k = next(i for i, v in enumerate(visits) if v.number == number)
    now = chosen.pop(k, None)
    cost_at = _cost_at(visits, wishes, chosen, k)
    costs = ((cost_at(start), start) for start in visits[k].starts if start != now)
    ranked = sorted(
        ((cost, start) for cost, start in costs if cost is not None),
        key=lambda one: (one[0], one[1].at, one[1].site_id),
    )
    found: list[Start] = []
    taken = {(now.day, now.site_id)} if now else set()
    for _, start in ranked:
        if (start.day, start.site_id) not in taken:
            taken.add((start.day, start.site_id))
            found.append(start)
            if len(found) == most:
                return found
    # A day with nothing else to offer is better than an empty list.
    rest = (s for _, s in ranked if s not in found)
    return found + list(islice(rest, most - len(found)))


def unary(visit: Visit, start: Start, wishes: Wishes) -> int:
    """Return what a start costs by itself."""
    cost = DAY_OFF * abs(start.day - visit.ideal_day)
    cost += NOT_HOME * (start.site_id != wishes.home_site_id)
    if wishes.weekdays and (start.day - 1) % 7 not in wishes.weekdays:
        cost += UNWISHED_DAY
    if visit.stands is not None and start != visit.stands:
        cost += MOVED
    return cost + PEAK * start.crowd


def pairwise(before: Start, after: Start, target_days: int) -> int:
    """Return what two neighbouring starts cost together."""
    return _day_cost(
        after.day - before.day, target_days, changes_site=before.site_id != after.site_id
    ) + abs(after.minute - before.minute)


def allowed(
    before: Start, after: Start, *, min_days: int, max_days: int | None, min_hours: int
) -> bool:
    """Say whether two starts may follow one another."""
    gap = after.day - before.day
    if gap < min_days or (max_days is not None and gap > max_days):
        return False
    return gap * DAY + after.minute - before.minute >= min_hours * 60


def _day_cost(gap: int, target: int, *, changes_site: bool) -> int:
    cost = UNEVEN * abs(gap - target) + SITE_CHANGE * changes_site
    if target % 7 == 0 and gap % 7:
        cost += WEEKDAY
    return cost


def _solve(
    visits: Sequence[Visit], wishes: Wishes, *, may_skip: bool
) -> tuple[dict[int, Start], int] | None:
    table: list[list[_Group]] = []
    for k, visit in enumerate(visits):
        groups = _groups(visit)
        _enter(visits, k, groups, wishes, may_skip=may_skip)
        for i in _predecessors(visits, k, may_skip=may_skip):
            _step(visits, i, k, table[i], groups, wishes)
        for group in groups:
            for index, start in enumerate(group.starts):
                cost = group.cost[index]
                if cost is not None:
                    group.cost[index] = cost + unary(visit, start, wishes)
        table.append(groups)
    return _best(visits, table, may_skip=may_skip)


def _predecessors(visits: Sequence[Visit], k: int, *, may_skip: bool) -> Iterator[int]:
    """Yield the visits that may be the one before, with those between them left out."""
    for i in range(k - 1, -1, -1):
        yield i
        if not may_skip or visits[i].is_fixed:
            return


def _groups(visit: Visit) -> list[_Group]:
    found: dict[tuple[int, int], list[Start]] = {}
    for start in sorted(visit.starts, key=lambda s: (s.day, s.site_id, s.minute)):
        found.setdefault((start.day, start.site_id), []).append(start)
    return [
        _Group(day, site_id, starts, [None] * len(starts), [None] * len(starts))
        for (day, site_id), starts in found.items()
    ]


def _enter(
    visits: Sequence[Visit], k: int, groups: Sequence[_Group], wishes: Wishes, *, may_skip: bool
) -> None:
    """Begin the series with this visit, all before it left out."""
    skipped = visits[:k]
    if any(v.is_fixed for v in skipped) or (skipped and not may_skip):
        return
    visit = visits[k]
    least = sum(v.min_days for v in visits[: k + 1])
    for group in groups:
        for index, start in enumerate(group.starts):
            if not visit.is_fixed and not _after_the_one_before(least, start, wishes):
                continue
            usual = abs(start.minute - wishes.minute)
            group.cost[index] = LEFT_OUT * len(skipped) + usual


def _after_the_one_before(least: int, start: Start, wishes: Wishes) -> bool:
    return wishes.before is None or allowed(
        wishes.before, start, min_days=least, max_days=None, min_hours=wishes.min_hours
    )


def _step(
    visits: Sequence[Visit],
    i: int,
    k: int,
    before: Sequence[_Group],
    groups: Sequence[_Group],
    wishes: Wishes,
) -> None:
    """Reach visit k from visit i, what lies between left out."""
    least, target, most = _pace(visits[i + 1 : k + 1])
    left_out = LEFT_OUT * (k - i - 1)
    both_fixed = visits[i].is_fixed and visits[k].is_fixed
    # From so many days on the wall-clock hours cut nothing off, whatever the times of day.
    free = max(least, -(-(wishes.min_hours * 60 + DAY) // DAY))
    is_wide = not both_fixed and most - free >= WIDE
    nearest = free - 1 if is_wide else most
    for here in groups:
        for number, there in enumerate(before):
            gap = here.day - there.day
            if not both_fixed and not least <= gap <= nearest:
                continue
            price = left_out + _day_cost(gap, target, changes_site=here.site_id != there.site_id)
            slack = DAY if both_fixed else gap * DAY - wishes.min_hours * 60
            _carry(there, here, price, slack, (i, number))
    if is_wide:
        _slide(before, groups, i, gaps=(free, most), target=target, left_out=left_out)


def _slide(
    before: Sequence[_Group],
    groups: Sequence[_Group],
    i: int,
    *,
    gaps: tuple[int, int],
    target: int,
    left_out: int,
) -> None:
    """Carry the best costs of visit i to all days so many days after it, as `_carry` would."""
    times: dict[int, list[tuple[_Group, int]]] = {}
    for here in groups:
        for index, minute in enumerate(here.times):
            times.setdefault(minute, []).append((here, index))
    known = [(number, there) for number, there in enumerate(before) if there.known]
    sites = {there.site_id for _, there in known}
    for minute, places in times.items():
        days = list(dict.fromkeys(here.day for here, _ in places))
        ways = {number: there.onward((minute,))[0] for number, there in known}
        best_from = {
            site: _best_before(
                days,
                [(g.day, ways[number][0], number) for number, g in known if g.site_id == site],
                gaps,
                target,
            )
            for site in sites
        }
        for here, index in places:
            found = [
                (best[0] + SITE_CHANGE * (site != here.site_id), best[1])
                for site in sites
                if (best := best_from[site].get(here.day)) is not None
            ]
            if not found:
                continue
            cost, number = min(found)
            standing, origin = here.cost[index], here.came_from[index]
            is_first = origin is not None and origin[0] == i and number < origin[1]
            cost += left_out
            if standing is None or cost < standing or (cost == standing and is_first):
                here.cost[index] = cost
                here.came_from[index] = (i, number, before[number].known[ways[number][1]][2])


def _best_before(
    days: Sequence[int],
    known: Sequence[tuple[int, int, int]],
    gaps: tuple[int, int],
    target: int,
) -> dict[int, tuple[int, int]]:
    """Return, for each day, cost and number of the best of those so many days before it.

    Args:
        days: In order.
        known: Day, cost and number of what may come before, in order.
    """
    found: dict[int, tuple[int, int]] = {}
    low, high = gaps
    looks = [(days, known, 0)]
    if target % 7 == 0:  # whole weeks cost nothing more: those days by themselves
        weeks: list[tuple[list[int], list[tuple[int, int, int]]]] = [([], []) for _ in range(7)]
        for day in days:
            weeks[day % 7][0].append(day)
        for one in known:
            weeks[one[0] % 7][1].append(one)
        looks = [(days, known, WEEKDAY), *((asked, among, 0) for asked, among in weeks)]
    for least, most, slope in ((max(low, target), high, -UNEVEN), (low, min(high, target), UNEVEN)):
        for asked, among, more in looks:
            for day, cost, number in _least_within(asked, among, (least, most), slope):
                best = (cost - slope * (day - target) + more, number)
                if day not in found or best < found[day]:
                    found[day] = best
    return found


def _least_within(
    days: Sequence[int], known: Sequence[tuple[int, int, int]], gaps: tuple[int, int], slope: int
) -> Iterator[tuple[int, int, int]]:
    """Yield, for each day, it with the least cost and its number, of those so many days before.

    The cost of one counts `slope` for each day of its date.
    """
    window: deque[tuple[int, int, int]] = deque()  # cost, number, day: rising, the best first
    entering, size = 0, len(known)
    least, most = gaps
    for day in days:
        while entering < size and known[entering][0] <= day - least:
            since, cost, number = known[entering]
            entering += 1
            cost += slope * since
            while window and window[-1][0] > cost:  # of equals, the first stays the best
                window.pop()
            window.append((cost, number, since))
        while window and window[0][2] < day - most:
            window.popleft()
        if window:
            yield day, window[0][0], window[0][1]


def _carry(there: _Group, here: _Group, price: int, slack: int, origin: tuple[int, int]) -> None:
    """Carry the best costs of one day to another, a minute of difference costing one.

    `slack` is how many minutes later in the day the earlier visit may be than this one.
    """
    if not there.known:
        return
    if there.minutes[-1] - here.times[0] <= slack:
        ways: Iterable[tuple[int, tuple[int, int]]] = enumerate(there.onward(here.times))
    else:
        ways = _cut_off(there, here, slack)
    for index, (cost, n) in ways:
        best = here.cost[index]
        if best is None or cost + price < best:
            here.cost[index] = cost + price
            here.came_from[index] = (*origin, there.known[n][2])


def _cut_off(there: _Group, here: _Group, slack: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield place, and the best way to it, of each start that the wall-clock hours allow."""
    for index, minute in enumerate(here.times):
        if until := bisect_right(there.minutes, minute + slack):
            yield index, min(there.ways(minute, until))


def _least(values: Iterator[int], *, reverse: bool) -> list[int]:
    """Return, for each place, where the least value up to it (or from it on) stands."""
    listed = list(values)
    order = range(len(listed) - 1, -1, -1) if reverse else range(len(listed))
    best = None
    found = [0] * len(listed)
    for n in order:
        if best is None or listed[n] < listed[best]:
            best = n
        found[n] = best
    return found


def _best(
    visits: Sequence[Visit], table: Sequence[Sequence[_Group]], *, may_skip: bool
) -> tuple[dict[int, Start], int] | None:
    ends: list[tuple[int, int, int, int]] = []
    for k in range(len(visits) - 1, -1, -1):
        left_out = LEFT_OUT * (len(visits) - 1 - k)
        for g, group in enumerate(table[k]):
            ends.extend(
                (cost + left_out, k, g, n) for n, cost in enumerate(group.cost) if cost is not None
            )
        if not may_skip or visits[k].is_fixed:
            break
    else:
        ends.append((LEFT_OUT * len(visits), -1, 0, 0))  # nothing can be placed
    if not ends:
        return None
    cost, *place_of = min(ends)
    chosen: dict[int, Start] = {}
    at: tuple[int, int, int] | None = (place_of[0], place_of[1], place_of[2])
    while at is not None and at[0] >= 0:
        k, g, n = at
        chosen[k] = table[k][g].starts[n]
        at = table[k][g].came_from[n]
    return chosen, cost


def _neighbours(chosen: dict[int, Start], k: int) -> tuple[int | None, int | None]:
    before = max((i for i in chosen if i < k), default=None)
    after = min((i for i in chosen if i > k), default=None)
    return before, after


def _may_follow(
    visits: Sequence[Visit], wishes: Wishes, chosen: dict[int, Start], k: int
) -> Callable[[Start], bool]:
    """Return whether a start of visit k keeps the spacing to the one placed before it."""
    before, _ = _neighbours(chosen, k)
    if before is None:
        since = sum(v.min_days for v in visits[: k + 1])
        return lambda start: _after_the_one_before(since, start, wishes)
    least, _, most = _pace(visits[before + 1 : k + 1])
    there, hours = chosen[before], wishes.min_hours
    return lambda start: allowed(there, start, min_days=least, max_days=most, min_hours=hours)


def _may_precede(
    visits: Sequence[Visit], wishes: Wishes, chosen: dict[int, Start], k: int
) -> Callable[[Start], bool]:
    """Return whether a start of visit k keeps the spacing to the one placed after it."""
    _, after = _neighbours(chosen, k)
    if after is None:
        return lambda _: True
    least, _, most = _pace(visits[k + 1 : after + 1])
    there, hours = chosen[after], wishes.min_hours
    return lambda start: allowed(start, there, min_days=least, max_days=most, min_hours=hours)


def _pace(between: Sequence[Visit]) -> tuple[int, int, int]:
    """Return the least, wanted and most days that a stretch of visits takes."""
    return (
        sum(v.min_days for v in between),
        sum(v.target_days for v in between),
        sum(v.max_days for v in between),
    )


def _cost_at(
    visits: Sequence[Visit], wishes: Wishes, chosen: dict[int, Start], k: int
) -> Callable[[Start], int | None]:
    """Return what a start of visit k costs with its neighbours as they are; None: not allowed."""
    before, after = _neighbours(chosen, k)
    follows = _may_follow(visits, wishes, chosen, k)
    precedes = _may_precede(visits, wishes, chosen, k)
    _, since, _ = _pace(visits[before + 1 : k + 1] if before is not None else ())
    _, until, _ = _pace(visits[k + 1 : after + 1] if after is not None else ())

    def cost_at(start: Start) -> int | None:
        if not (follows(start) and precedes(start)):
            return None
        cost = unary(visits[k], start, wishes)
        if before is None:
            cost += abs(start.minute - wishes.minute)
        else:
            cost += pairwise(chosen[before], start, since)
        if after is not None:
            cost += pairwise(start, chosen[after], until)
        return cost

    return cost_at


def _binding(visits: Sequence[Visit], wishes: Wishes, chosen: dict[int, Start], k: int) -> str:
    """Say which constraint keeps a visit from being placed."""
    visit = visits[k]
    if not visit.starts:
        return "No time is free in its window."
    before, after = _neighbours(chosen, k)
    near = [*filter(_may_follow(visits, wishes, chosen, k), visit.starts)]
    if not near:
        if before is None:
            return (
                f"Every free time in its window is less than {visit.min_days} days "
                f"or {wishes.min_hours} hours after the visit before the series."
            )
        return (
            f"Every free time in its window is too close to visit {visits[before].number} or too "
            f"far from it: {visit.min_days} to {visit.max_days} days, "
            f"at least {wishes.min_hours} hours."
        )
    if after is not None and not any(map(_may_precede(visits, wishes, chosen, k), near)):
        following = visits[k + 1]
        return (
            f"Every free time in its window leaves visit {visits[after].number} too close or too "
            f"far: {following.min_days} to {following.max_days} days, "
            f"at least {wishes.min_hours} hours."
        )
    return "Placing it would leave another visit without a time."
