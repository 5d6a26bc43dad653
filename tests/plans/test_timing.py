"""Booster timing by the patient's own relief, within what was signed, with its sums."""

from datetime import date, timedelta

import pytest
from flask import Flask

from scheduler.core.errors import Invalid
from scheduler.plans import relief, timing
from scheduler.plans.acts import Ask, Line
from scheduler.plans.models import ChangeAct
from scheduler.plans.protocol import Phase
from scheduler.plans.timing import Bound, Relief
from tests import course, make
from tests.conftest import Keep
from tests.course import at

BOOSTERS = Phase("Boosters", 3, 21, 28, 35, 30, 14)
DAY = date(2026, 3, 27)


def lasted(*days: int, bound: Bound = Bound.EXACT) -> list[Relief]:
    return [Relief(DAY + timedelta(days=30 * n), d, bound, "they say") for n, d in enumerate(days)]


@pytest.mark.parametrize(
    ("reliefs", "days"),
    [
        (lasted(24), 24),
        (lasted(20, 24, 30), 24),
        (lasted(20, 30), 21),  # the lower of two, and never closer than signed
        (lasted(60), 35),  # never further apart than signed
        (lasted(5, 6, 24, 26, 28), 26),  # the newest three count
        (lasted(25, bound=Bound.AT_MOST), 25),
        (lasted(28, 30, bound=Bound.AT_LEAST), 30),
        (lasted(3, bound=Bound.AT_LEAST), None),  # too early to say
        ([], None),
    ],
)
def test_the_days_follow_what_was_felt_within_what_was_signed(
    reliefs: list[Relief], days: int | None
) -> None:
    found = timing.days_that_fit(reliefs, BOOSTERS)

    assert (found[0] if found else None) == days
    if found:
        assert "signed are 21 to 35 days" in found[1][1]


def test_a_suggestion_says_its_sums_and_the_act_that_would_do_it() -> None:
    said = timing.of_next_part(lasted(20, 24, 30), BOOSTERS, last_on=DAY)

    assert said is not None
    assert said.words == "Boosters: every 24 days would fit how long relief lasts."
    assert said.arithmetic == (
        "Relief lasted 20 days, 24 days, 30 days.",
        "The middle of what is known is 24 days; signed are 21 to 35 days: 24.",
        "Mar 27 and 24 days: Mon, Apr 20.",
    )
    assert said.ask == Ask(ChangeAct.GO_ON, days=(21, 24, 35))


def test_a_visit_that_came_late_moves_the_next_one_only_when_it_is_too_close() -> None:
    def lines(second: date) -> list[Line]:
        first = Line(1, 0, DAY, DAY, DAY, 2, 3, 5, is_past=True, on=DAY)
        return [first, Line(2, 0, second, second, second, 2, 3, 5, on=second)]

    assert timing.of_drift(lines(DAY + timedelta(days=2))) is None
    said = timing.of_drift(lines(DAY + timedelta(days=1)))
    assert said is not None
    assert said.ask == Ask(ChangeAct.DEFER, visit=2, to=DAY + timedelta(days=3))
    assert said.arithmetic[0].endswith("are 1 days; planned are 2 to 5.")


def test_after_a_series_the_boosters_follow_scores_and_what_the_patient_says(
    app: Flask, keep: Keep
) -> None:
    with keep():
        where = course.clinic()
        plan = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        for visit in plan.visits:
            assert visit.appointment is not None
            course.infuse(visit.appointment, where, score=5)
        now = at(55, 9)
        before = relief.known(plan)
        assert {(r.days, r.bound) for r in before[1:]} == {(3, Bound.AT_LEAST)}  # 5 of 8 still
        assert relief.suggestions(plan, now=now) == []  # too early to say
        last = relief.infusions(plan)[-1]
        with pytest.raises(Invalid, match="28 days ago"):
            relief.record(plan, last, 40, holds=False, actor="staff:3", now=now)

        relief.record(plan, last, 20, holds=True, actor="staff:3", now=now)
        relief.record(plan, last, 26, holds=False, actor="staff:3", now=now)  # the newest counts

        (said,) = relief.suggestions(plan, now=now)
        assert said.ask == Ask(ChangeAct.GO_ON, days=(21, 26, 35))
        assert [v.state.value for v in plan.visits] == ["held"] * 6  # nothing by itself
