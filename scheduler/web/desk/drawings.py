"""Geometry of the drawings of a plan: numbers for SVG attributes, colours by class. Pure."""

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

TRACK = 150  # units wide
LEFT, RIGHT, TOP, BOTTOM = 30, 440, 12, 112
MOST_MONTHS = 6
APART = 70  # as wide as the label of a day; what is nearer goes without


@dataclass(frozen=True)
class Window:
    """One visit's window on its track: band from `x` wide `width`, ring, and bar if placed."""

    x: float
    width: float
    ring: float
    bar: float | None


@dataclass(frozen=True)
class Mark:
    """A score on the curve."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Curve:
    """Pain over time: a line through its marks, visits as upright bars, days below."""

    marks: Sequence[Mark]
    visits: Sequence[float]
    days: Sequence[tuple[float, datetime]]

    @property
    def points(self) -> str:
        """The line as SVG wants it."""
        return " ".join(f"{m.x},{m.y}" for m in self.marks)


def windows(
    rows: Sequence[tuple[datetime, datetime, datetime, datetime | None]],
) -> list[Window]:
    """Draw (earliest, ideal, latest, chosen) of each visit on tracks of one scale."""
    reach = max(
        (
            max(
                ideal - earliest,
                latest - ideal,
                abs(chosen - ideal) if chosen else timedelta(0),
                timedelta(days=1),
            )
            for earliest, ideal, latest, chosen in rows
        ),
        default=timedelta(days=1),
    )

    def at(moment: datetime, ideal: datetime) -> float:
        return round(TRACK / 2 + (moment - ideal) / reach * (TRACK / 2 - 6), 1)

    return [
        Window(
            x=at(earliest, ideal),
            width=round(at(latest, ideal) - at(earliest, ideal), 1),
            ring=TRACK / 2,
            bar=at(chosen, ideal) if chosen else None,
        )
        for earliest, ideal, latest, chosen in rows
    ]


def curve(
    scores: Sequence[tuple[datetime, int, str]], visits: Sequence[datetime], zone: ZoneInfo
) -> Curve | None:
    """Draw scores of 0 to 10 over time; None when there are fewer than two."""
    if len(scores) < 2:
        return None
    ordered = sorted(scores)
    first = min(ordered[0][0], *visits) - timedelta(hours=12)
    last = ordered[-1][0] + timedelta(hours=6)
    whole = last - first

    def across(moment: datetime) -> float:
        return round(LEFT + (moment - first) / whole * (RIGHT - LEFT), 1)

    def up(score: int) -> float:
        return round(BOTTOM - score / 10 * (BOTTOM - TOP), 1)

    days: list[tuple[float, datetime]] = []
    for moment, _, _ in ordered:
        x = _label(across(moment))
        same_day = days and (days[-1][1].astimezone(zone).date() == moment.astimezone(zone).date())
        if not same_day and (not days or x - days[-1][0] > APART):
            days.append((x, moment))
    return Curve(
        [Mark(across(m), up(s), words) for m, s, words in ordered],
        [across(v) for v in visits],
        days,
    )


def _label(x: float) -> float:
    """Return where the middle of a day's label is, so that all of it is on the drawing."""
    return min(max(x, LEFT + 20), RIGHT - 24)


@dataclass(frozen=True)
class Cell:
    """A square of a small calendar: its day, or none, and what is on it ("booked")."""

    day: int | None
    kind: str | None


@dataclass(frozen=True)
class Month:
    """A month of a small calendar, its weeks beginning on Monday."""

    name: str
    cells: Sequence[Cell]


def months(marks: Mapping[date, str]) -> list[Month]:
    """Return the months that hold marked days, from the first to the last, at most six."""
    if not marks:
        return []
    first, last = min(marks), max(marks)
    found: list[Month] = []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month) and len(found) < MOST_MONTHS:
        begins, length = calendar.monthrange(year, month)
        days = [date(year, month, n) for n in range(1, length + 1)]
        cells = [Cell(None, None)] * begins + [Cell(d.day, marks.get(d)) for d in days]
        found.append(Month(f"{days[0]:%B}", cells))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


AXIS_LEFT, AXIS_RIGHT, ROW = 60, 690, 22


@dataclass(frozen=True)
class Track:
    """One visit on the time line: its window as a band, its ideal day, and the day it is on."""

    number: int
    y: int
    x: float
    width: float
    ring: float
    bar: float | None
    state: str


@dataclass(frozen=True)
class Timeline:
    """Every visit of a course over the same days."""

    tracks: Sequence[Track]
    ticks: Sequence[tuple[float, datetime]]
    now: float | None
    height: int


def timeline(
    rows: Sequence[tuple[int, datetime, datetime, datetime, datetime | None, str]],
    *,
    now: datetime,
) -> Timeline | None:
    """Draw (number, earliest, ideal, latest, booked, state) of each visit over one axis."""
    if not rows:
        return None
    first = min(min(r[1], r[4] or r[1]) for r in rows)
    last = max(max(r[3], r[4] or r[3]) for r in rows)
    whole = max(last - first, timedelta(days=1))

    def across(moment: datetime) -> float:
        return round(AXIS_LEFT + (moment - first) / whole * (AXIS_RIGHT - AXIS_LEFT), 1)

    tracks = [
        Track(
            number=number,
            y=8 + n * ROW,
            x=across(earliest),
            width=round(across(latest) - across(earliest), 1),
            ring=across(ideal),
            bar=across(booked) if booked else None,
            state=state,
        )
        for n, (number, earliest, ideal, latest, booked, state) in enumerate(rows)
    ]
    step = max(whole // 5, timedelta(days=1))
    ticks = [(across(first + n * step), first + n * step) for n in range(int(whole / step))]
    ticks.append((across(last), last - timedelta(minutes=1)))
    inside = across(now) if first <= now <= last else None
    return Timeline(tracks, ticks, inside, 8 + len(rows) * ROW + 18)


def both(
    pain: Sequence[tuple[datetime, int, str]],
    peg: Sequence[tuple[datetime, float, str]],
    visits: Sequence[datetime],
    zone: ZoneInfo,
) -> tuple[Curve, Curve | None] | None:
    """Draw pain and PEG over the same days; None when there are fewer than two pain scores."""
    moments = [m for m, _, _ in pain] + [m for m, _, _ in peg]
    drawn = _over(pain, visits, zone, moments)
    if drawn is None:
        return None
    return drawn, _over(peg, visits, zone, moments) if peg else None


def _over(
    scores: Sequence[tuple[datetime, float, str]],
    visits: Sequence[datetime],
    zone: ZoneInfo,
    moments: Sequence[datetime],
) -> Curve | None:
    """Draw scores on the axis that all these moments span."""
    if len(moments) < 2:
        return None
    first = min(*moments, *visits) - timedelta(hours=12)
    whole = max(*moments, *visits) + timedelta(hours=6) - first

    def across(moment: datetime) -> float:
        return round(LEFT + (moment - first) / whole * (RIGHT - LEFT), 1)

    days: list[tuple[float, datetime]] = []
    for moment in sorted(moments):
        x = _label(across(moment))
        if not days or x - days[-1][0] > APART:
            days.append((x, moment))
    return Curve(
        [
            Mark(across(m), round(BOTTOM - s / 10 * (BOTTOM - TOP), 1), words)
            for m, s, words in sorted(scores)
        ],
        [across(v) for v in visits],
        days,
    )
