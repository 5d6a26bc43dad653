"""Why a time is not offered: from the same sums as the offers, in words for staff."""

import random
from datetime import datetime, time, timedelta

import pytest
from flask import Flask

from scheduler.availability import grid as bits
from scheduler.booking import offers, reasons
from scheduler.booking.errors import NotOffered, SlotTaken
from scheduler.booking.offers import Audience
from scheduler.clinic import service as clinic
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import transaction
from scheduler.core.timespan import day_span
from tests import make

SEED = 20260302


def why(
    site: Site,
    start: datetime,
    *,
    service: ServiceCode = ServiceCode.INFUSION,
    audience: Audience = Audience.DESK,
    **of: int,
) -> list[str]:
    """The words against a start."""
    found = reasons.why_not(service, site.id, start, now=make.MONDAY, audience=audience, **of)
    return [reason.words for reason in found]


@pytest.fixture
def woburn(room: Flask) -> Site:
    """Two chairs, one nurse with three lanes, two IV starts a quarter-hour, one caller."""
    with transaction():
        return make.clinic_day(chairs=2)


def test_an_offer_has_nothing_against_it(woburn: Site) -> None:
    assert why(woburn, make.at(10)) == []


def test_full_chairs_are_named_with_the_minutes_that_bind(woburn: Site) -> None:
    with transaction():
        for name in ("June", "Ben"):
            make.infusion(woburn, make.patient(name, "Full", mobile=None, email=None), make.at(10))

    assert "all 2 chairs are taken 10:30 AM\N{EN DASH}11:35 AM" in why(woburn, make.at(10, 30))


def test_full_starts_are_named_with_their_quarter_hour(woburn: Site) -> None:
    with transaction():
        for name in ("June", "Ben"):
            make.infusion(woburn, make.patient(name, "Full", mobile=None, email=None), make.at(10))

    assert "IV starts at 10:15 AM are full (2 a quarter-hour)" in why(woburn, make.at(10))


def test_a_nurse_at_the_limit_is_counted(woburn: Site) -> None:
    with transaction():
        for number in (3, 4, 5):
            clinic.add_resource(
                make.ResourceKind.CHAIR, f"Chair {number}", site_id=woburn.id, position=number
            )
        for minute, name in ((0, "June"), (0, "Ben"), (15, "Ana")):
            patient = make.patient(name, "Full", mobile=None, email=None)
            make.infusion(woburn, patient, make.at(10, minute))

    (said,) = why(woburn, make.at(10, 30))

    assert said.startswith("the only nurse there, ")
    assert said.endswith(" is taken 10:30 AM\N{EN DASH}11:25 AM")


def test_a_visit_past_closing_and_a_time_before_opening(woburn: Site) -> None:
    assert "the visit would run past closing at 6:00 PM" in why(woburn, make.at(17))
    assert why(woburn, make.at(6))[0] == f"{woburn.name} is not open at 6:00 AM"


def test_a_closure_says_its_reason(woburn: Site) -> None:
    with transaction():
        clinic.close(woburn, make.at(12), make.at(14), "snow", actor="operator", now=make.MONDAY)

    assert why(woburn, make.at(11)) == [
        f"{woburn.name} is closed 12:00 PM\N{EN DASH}2:00 PM (snow)"
    ]


def test_notice_horizon_and_the_past(woburn: Site) -> None:
    online = Audience.ONLINE

    soon = why(woburn, make.MONDAY + timedelta(hours=1), service=ServiceCode.CALL, audience=online)
    far = why(woburn, make.at(10, days=40), service=ServiceCode.CALL, audience=online)

    assert soon == ["it is sooner than the 2 hours of notice"]
    assert far == ["it is more than 30 days ahead"]
    assert why(woburn, make.MONDAY - timedelta(hours=1)) == ["it has passed"]


def test_the_desk_hears_the_reason_when_it_books_and_a_patient_does_not(woburn: Site) -> None:
    with transaction():
        for name in ("June", "Ben"):
            make.infusion(woburn, make.patient(name, "Full", mobile=None, email=None), make.at(10))

    with (
        pytest.raises(SlotTaken, match=r"^All 2 chairs are taken 10:30 AM.11:35 AM\.$"),
        transaction(),
    ):
        make.infusion(woburn, make.patient("Ana", "Late"), make.at(10, 30))
    with (
        pytest.raises(NotOffered, match=r"^The visit would run past closing at 6:00 PM\.$"),
        transaction(),
    ):
        make.infusion(woburn, make.patient("Bo", "Late"), make.at(17))


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_a_start_is_offered_exactly_when_nothing_is_against_it(woburn: Site, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    with transaction():
        make.person(woburn, "Nell Sato", skills=("nurse",), lanes=2)
        closed = make.at(chance.randrange(9, 16))
        clinic.close(
            woburn, closed, closed + timedelta(minutes=40), "training", actor="operator",
            now=make.MONDAY,
        )  # fmt: skip
    for number in range(14):
        try:
            with transaction():
                patient = make.patient(f"P{number}", "Random", mobile=None, email=None)
                start = make.at(chance.randrange(8, 17), chance.randrange(0, 60, 15))
                make.infusion(woburn, patient, start)
        except (SlotTaken, NotOffered):
            continue
    day = day_span(make.at(10).astimezone(woburn.zone).date(), woburn.zone)
    offered = {
        offer.starts_at
        for offer in offers.find(
            ServiceCode.INFUSION,
            site_ids=[woburn.id],
            since=day.start,
            until=day.end,
            now=make.MONDAY,
            audience=Audience.DESK,
        )
    }

    starts = [day.start + n * bits.STEP for n in range(24 * 12)]

    assert {start for start in starts if not why(woburn, start)} == offered
    assert time(8) <= min(offered).astimezone(woburn.zone).time()
