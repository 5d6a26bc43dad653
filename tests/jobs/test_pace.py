"""One worker never exceeds the rate it was given, however long the calls take."""

import random
from itertools import pairwise

import pytest

from scheduler.jobs.deliver import Pace


class Hands:
    """A clock that only moves when somebody waits or works."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at

    def wait(self, seconds: float) -> bool:
        """Wait; a little short of it, as real waiting may be."""
        self.at += seconds * 0.9 + 1e-6
        return False


@pytest.mark.parametrize("rate", [0.5, 1, 2.5, 20, 25])
@pytest.mark.parametrize("hands_at_work", [1, 3])
def test_no_second_sees_more_texts_arrive_than_the_rate(rate: float, hands_at_work: int) -> None:
    hands, rng = Hands(), random.Random(7)
    pace = Pace(rate, hands.wait, clock=hands)
    begun, arrived, under_way = [], [], []

    for _ in range(400):
        # As many are under way as there are hands, or as many as a second may hold.
        while len(under_way) >= min(hands_at_work, max(1, int(rate))):
            hands.at = max(hands.at, under_way.pop(0))
            pace.answered()
        assert pace.keep()
        begun.append(hands.at)
        takes = rng.choice([0, 0.001, 0.03, 0.2, 3.0])
        arrived.append(hands.at + takes * rng.random())
        under_way = sorted([*under_way, hands.at + takes])

    assert min(b - a for a, b in pairwise(begun)) >= 1 / rate - 1e-9
    places = max(1, int(rate))
    arrived.sort()
    spans = [b - a for a, b in zip(arrived, arrived[places:], strict=False)]
    assert min(spans) >= places / rate - 1e-9


def test_a_call_that_is_answered_at_once_costs_no_speed() -> None:
    hands = Hands()
    quick = Pace(20, hands.wait, clock=hands)
    first = hands.at

    for _ in range(101):
        assert quick.keep()
        quick.answered()

    assert (hands.at - first) * 20 == pytest.approx(100, rel=0.01)


def test_with_every_place_of_a_second_taken_by_a_call_nothing_goes() -> None:
    hands = Hands()
    pace = Pace(2, hands.wait, clock=hands)
    assert pace.keep()
    assert pace.keep()

    def passing(seconds: float) -> bool:
        hands.at += seconds
        return hands.at > 1_020.0  # told to stop, twenty seconds on

    pace.wait = passing

    assert not pace.keep()


def test_no_rate_is_as_fast_as_it_goes_and_who_is_told_to_stop_sends_no_more() -> None:
    hands = Hands()
    free = Pace(0, hands.wait, clock=hands)
    told_to_stop = Pace(1, lambda seconds: True, clock=hands)

    assert all(free.keep() for _ in range(100))
    assert hands.at == 1_000.0
    assert told_to_stop.keep()
    assert not told_to_stop.keep()
