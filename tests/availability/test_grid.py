"""Free time as bits agrees with the obvious way of counting."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP, Grid
from scheduler.availability.lanes import Piece, place
from scheduler.core.timespan import TimeSpan

DAY = datetime(2026, 3, 3, 13, 0, tzinfo=UTC)


def span(a: int, b: int) -> TimeSpan:
    """Steps a to b of the day."""
    return TimeSpan(DAY + a * STEP, DAY + b * STEP)


spans = st.lists(
    st.tuples(st.integers(0, 59), st.integers(1, 12)).map(lambda p: span(p[0], p[0] + p[1])),
    max_size=12,
)


@given(spans)
def test_a_mask_marks_exactly_the_steps_a_span_touches(some: list[TimeSpan]) -> None:
    grid = Grid(DAY, 60)

    busy = bits.mask(some, grid)

    for step in range(60):
        here = TimeSpan(grid.moment(step), grid.moment(step + 1))
        assert (busy >> step & 1) == any(here.overlaps(s) for s in some)


@given(st.lists(st.tuples(st.integers(-20, 80), st.integers(1, 12)), max_size=12))
def test_runs_are_joined_whether_they_touch_overlap_or_stick_out(
    raw: list[tuple[int, int]],
) -> None:
    found = bits.runs([(first, first + length) for first, length in raw], 60)

    expected = {n for first, length in raw for n in range(first, first + length) if 0 <= n < 60}
    assert set(bits.steps_in(found)) == expected


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=6), st.integers(0, 2**40 - 1))
def test_loads_and_tallies_count(lanes: list[int], asked: int) -> None:
    levels = bits.loads(lanes)

    for step in range(40):
        busy = sum(lane >> step & 1 for lane in lanes)
        assert [level >> step & 1 for level in levels] == [busy > k for k in range(len(lanes))]
    assert dict(bits.tally(lanes, asked)) == {
        step: sum(lane >> step & 1 for lane in lanes) for step in bits.steps_in(asked)
    }


@given(st.integers(0, 2**60 - 1), st.integers(1, 30))
def test_lasting_means_free_at_every_step_of_the_stay(free: int, length: int) -> None:
    found = bits.lasting(free, length)

    for step in range(60):
        assert (found >> step & 1) == all(free >> (step + n) & 1 for n in range(length))


@pytest.mark.parametrize("minute", [0, 5, 40, 55])
def test_quarter_hours_are_counted_from_the_hour_not_from_the_origin(minute: int) -> None:
    grid = Grid(DAY.replace(minute=minute), 40)

    quarters = [grid.moment(s).minute for s in bits.steps_in(bits.every(15, grid))]

    assert quarters
    assert {m % 15 for m in quarters} == {0}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=14), st.integers(1, 4))
def test_what_fits_by_count_is_placed_and_nothing_else(
    raw: list[tuple[int, int]], lanes: int
) -> None:
    pieces = [Piece(n, span(a, a + length)) for n, (a, length) in enumerate(raw)]
    peak = max(
        (sum(1 for p in pieces if p.span.overlaps(span(s, s + 1))) for s in range(61)),
        default=0,
    )

    placed = place(pieces, {lane: [] for lane in range(lanes)})

    assert (placed is not None) == (peak <= lanes)
    if placed is not None:
        for one in pieces:
            for other in pieces:
                if one.key < other.key and placed[one.key] == placed[other.key]:
                    assert not one.span.overlaps(other.span)


def test_a_piece_that_may_not_move_is_left_where_it_is() -> None:
    fixed = {1: [span(0, 6)], 2: [span(6, 12)]}

    placed = place([Piece(7, span(0, 6)), Piece(8, span(6, 12))], fixed)

    assert placed == {7: 2, 8: 1}


def test_minutes_between_steps_count_as_busy() -> None:
    grid = Grid(DAY, 12)
    odd = TimeSpan(DAY + timedelta(minutes=7), DAY + timedelta(minutes=8))

    assert bits.mask([odd], grid) == 0b10
