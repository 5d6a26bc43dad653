"""How long an offer stands, whose turn it is, which times suit."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.timespan import PartOfDay
from scheduler.waitlist import rules
from scheduler.waitlist.rules import Fit

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # Monday, 10:00 AM


@pytest.mark.parametrize(
    ("ahead", "minutes"),
    [
        pytest.param(timedelta(days=3), 120, id="another day: two hours"),
        pytest.param(timedelta(hours=6), 30, id="the same day: half an hour"),
        pytest.param(timedelta(hours=1, minutes=20), 20, id="soon: a quarter of what is left"),
        pytest.param(timedelta(minutes=41), 10, id="sooner still: whole minutes"),
        pytest.param(timedelta(minutes=39), None, id="too near for a text"),
    ],
)
def test_an_offer_stands_shorter_as_its_time_nears(ahead: timedelta, minutes: int | None) -> None:
    until = rules.offer_until(NOW + ahead, ZONE, usual_minutes=120, same_day_minutes=30, now=NOW)

    assert until == (None if minutes is None else NOW + timedelta(minutes=minutes))


def test_just_after_midnight_it_is_another_day() -> None:
    late = NOW + timedelta(hours=11)  # 9 PM
    until = rules.offer_until(
        late + timedelta(hours=12), ZONE, usual_minutes=120, same_day_minutes=30, now=late
    )

    assert until == late + timedelta(hours=2)


def test_the_clinical_window_comes_before_age() -> None:
    old, new = NOW - timedelta(days=9), NOW
    wishes = {
        "wished long ago": rules.turn(None, old, 1),
        "wished today": rules.turn(None, new, 2),
        "due in a week": rules.turn(NOW + timedelta(days=7), old, 3),
        "due tomorrow": rules.turn(NOW + timedelta(days=1), new, 4),
    }

    assert sorted(wishes, key=lambda name: wishes[name]) == [
        "due tomorrow",
        "due in a week",
        "wished long ago",
        "wished today",
    ]


def test_a_time_suits_by_the_clock_on_the_wall() -> None:
    fit = Fit(
        since=NOW,
        until=NOW + timedelta(days=14),
        site_ids=frozenset({1}),
        weekdays=frozenset({6}),  # Sunday, and on March 8 the clock changes
        parts=frozenset({PartOfDay.AFTERNOON}),
    )
    sunday = datetime(2026, 3, 8, 17, 0, tzinfo=UTC)  # 1 PM there, after the change

    assert fit.takes(sunday, 1, ZONE)
    assert not fit.takes(sunday - timedelta(hours=2), 1, ZONE)  # 11 AM
    assert not fit.takes(sunday, 2, ZONE)
    assert not fit.takes(sunday + timedelta(days=1), 1, ZONE)
    assert not fit.takes(sunday + timedelta(days=14), 1, ZONE)
