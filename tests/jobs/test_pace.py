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


@pytest.mark.parametrize("rate", [0.5, 1, 20, 25])
def test_no_second_ever_sees_more_than_the_rate(rate: float) -> None:
    hands, rng = Hands(), random.Random(7)
    pace = Pace(rate, hands.wait, clock=hands)
    begun = []

    for _ in range(400):
        assert pace.keep()
        begun.append(hands.at)
        hands.at += rng.choice([0, 0.001, 0.03, 0.2, 3.0])

    gaps = [b - a for a, b in pairwise(begun)]
    assert min(gaps) >= 1 / rate - 1e-9
    quick = Pace(rate, hands.wait, clock=hands)
    first = hands.at
    for _ in range(101):
        quick.keep()
    assert (hands.at - first) * rate == pytest.approx(100, rel=0.01)  # and it gets that far


def test_no_rate_is_as_fast_as_it_goes_and_who_is_told_to_stop_sends_no_more() -> None:
    hands = Hands()
    free = Pace(0, hands.wait, clock=hands)
    told_to_stop = Pace(1, lambda seconds: True, clock=hands)

    assert all(free.keep() for _ in range(100))
    assert hands.at == 1_000.0
    assert told_to_stop.keep()
    assert not told_to_stop.keep()
