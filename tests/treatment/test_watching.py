"""When vital signs are due, and what must be so before somebody goes home: pure arithmetic."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from scheduler.treatment import rules, vocabulary
from scheduler.treatment.models import EventKind
from scheduler.treatment.rules import Limits, Line
from tests.course import at

START = at(4, 10)
LIMITS = Limits(score_least=9, pressure_percent=20, oxygen_least=92)


def line(kind: EventKind, minute: int, data: Mapping[str, Any] | None = None) -> Line:
    """One line of a record, so many minutes after the start."""
    when = START + timedelta(minutes=minute)
    return Line(minute + 100, kind, when, data or {}, None, "staff:3", when, None, None, False)


def due(*lines: Line) -> int | None:
    """In which minute vital signs are due: first after 10, then every 15, in recovery every 20."""
    found = rules.next_observation(
        list(lines), first_minutes=10, every_minutes=15, recovery_minutes=20
    )
    return None if found is None else int((found - START).total_seconds() // 60)


def test_vital_signs_are_due_by_the_schedule_counted_from_the_last_ones() -> None:
    before, start = line(EventKind.VITALS, -5), line(EventKind.START, 0)
    seen, end = line(EventKind.VITALS, 13), line(EventKind.END, 40)

    assert due(before) is None
    assert due(before, start) == 10
    assert due(before, start, seen) == 28
    assert due(before, start, seen, end) == 33, "in recovery by its own beat"
    assert due(before, start, end) == 10, "never looked at: long due"
    assert due(before, start, seen, end, line(EventKind.SAFE, 60)) is None


def record(
    scores: str = "22222", systolic: int | None = 120, oxygen: int | None = 98
) -> list[Line]:
    """A record from the vital signs before the start to those after the end."""
    last = {"systolic": systolic, "oxygen": oxygen}
    return [
        line(EventKind.VITALS, -5, {"systolic": 120, "oxygen": 80}),
        line(EventKind.START, 0),
        line(EventKind.VITALS, 15, {"systolic": 200, "oxygen": 80}),
        line(EventKind.END, 40),
        *(
            line(EventKind.DISCHARGE, 50, {"item": item, "points": int(points)})
            for item, points in zip(vocabulary.DISCHARGE, scores, strict=False)
        ),
        line(EventKind.VITALS, 55, {k: v for k, v in last.items() if v is not None}),
    ]


@pytest.mark.parametrize(
    ("given", "met"),
    [
        (record(), (True, True, True)),
        (record("22221"), (True, True, True)),
        (record("22211"), (False, True, True)),
        (record("2222"), (False, True, True)),
        (record(systolic=96), (True, True, True)),
        (record(systolic=95), (True, False, True)),
        (record(systolic=None), (True, False, True)),
        (record(oxygen=91), (True, True, False)),
        (record(oxygen=None), (True, True, False)),
        (record()[1:], (True, False, True)),
    ],
    ids=[
        "all well",
        "one point missing",
        "two points missing",
        "one item not looked at",
        "as far off as may be",
        "too far off",
        "pressure not measured at the end",
        "too little oxygen",
        "oxygen not measured at the end",
        "never measured before",
    ],
)
def test_the_criteria_of_going_home_are_met_one_by_one(
    given: list[Line], met: tuple[bool, ...]
) -> None:
    found = rules.going_home(given, LIMITS)

    assert tuple(c.is_met for c in found) == met


def test_a_record_of_before_there_were_points_is_still_read() -> None:
    old = [line(EventKind.DISCHARGE, 50, {"item": "walks", "is_met": True})]

    assert rules.points(old) == {"walks": 2}


def test_the_hours_before_a_visit_are_hours_that_pass_though_the_clock_springs() -> None:
    visit = at(8, 9)  # 9:00 AM on the day on which 2:00 becomes 3:00
    by = rules.clock_times(visit, heavy_hours=8, light_hours=6, drink_hours=2, medicines_hours=2)

    assert by.heavy == visit - timedelta(hours=8)
    assert by.heavy.astimezone(visit.tzinfo).hour == (visit.hour - 8) % 24
    assert by.light == at(8, 3), "six hours before 9:00 AM, for there was no 2:00"
