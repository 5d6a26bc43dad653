"""A series from each first day: as many open, and as good, as trying everything would find."""

import itertools
import os
import random
from datetime import date, datetime, time, timedelta

import pytest
from flask import Flask

from scheduler.booking import offers
from scheduler.booking.errors import NotOffered, PatientBusy, SlotTaken
from scheduler.booking.offers import Audience
from scheduler.clinic import hours
from scheduler.clinic import service as clinic
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.core.errors import Invalid
from scheduler.core.timespan import PartOfDay, TimeSpan
from scheduler.plans.openings import Pace, openings
from tests import make
from tests.booking.test_offers import claims_read

FIRST = date(2026, 3, 3)
SEED = 20260303
OUT = 10**9

Free = tuple[date, int, int]  # day, minute of it, site


def starts(sites: list[int], now: datetime, days: int) -> list[Free]:
    """What the book offers day by day, by the clock on the wall."""
    known = clinic_supply.current().sites
    found = []
    for n in range(days):
        day = FIRST + timedelta(days=n)
        for o in offers.find(
            ServiceCode.INFUSION,
            site_ids=sites,
            since=day,
            until=day + timedelta(days=1),
            now=now,
            audience=Audience.DESK,
        ):
            wall = o.starts_at.astimezone(known[o.site_id].zone)
            found.append((wall.date(), wall.hour * 60 + wall.minute, o.site_id))
    return found


def brute(first: date, paces: list[Pace], free: list[Free], home: int) -> tuple[int, int]:
    """Try everything, by the rules as they are told; return the least cost and how many it opens.

    A branch ends where a rule is broken, and never because it costs much.
    """
    steps = [Pace(0, 0, 0), *paces]
    inside: list[list[tuple[int, Free]]] = []
    ideal = first
    for pace in steps:
        ideal += timedelta(days=pace.target_days)
        days_off = [((f[0] - ideal).days, f) for f in free]
        low, high = pace.min_days - pace.target_days, pace.max_days - pace.target_days
        inside.append([(off, f) for off, f in days_off if low <= off <= high])

    def least(k: int, before: Free | None, gap: Pace) -> int:
        if k == len(steps):
            return 0
        pace = steps[k]
        gap = Pace(
            gap.min_days + pace.min_days,
            gap.target_days + pace.target_days,
            gap.max_days + pace.max_days,
        )
        best = OUT + least(k + 1, before, gap)
        for off, start in inside[k]:
            together = cost_together(before, start, gap)
            if together is None:
                continue
            alone = 600 * abs(off) + (300 if start[2] != home else 0)
            rest = least(k + 1, start, Pace(0, 0, 0))
            best = min(best, alone + together + rest)
        return best

    found = least(0, None, Pace(0, 0, 0))
    return found, len(steps) - found // OUT


def cost_together(before: Free | None, start: Free, gap: Pace) -> int | None:
    """What a start costs beside the one before it; None when they may not follow one another."""
    day, minute, site = start
    if before is None:
        return abs(minute - 600)
    days = (day - before[0]).days
    if not gap.min_days <= days <= gap.max_days or days * 1440 + minute - before[1] < 48 * 60:
        return None
    total = 120 * abs(days - gap.target_days) + abs(minute - before[1])
    total += 480 if site != before[2] else 0
    return total + (240 if gap.target_days % 7 == 0 and days % 7 else 0)


def crowd(sites: list[int], days: int, dice: random.Random, now: datetime) -> None:
    """Fill the chairs so that of each day only a few starts are left."""
    for n, site_id in itertools.product(range(days), sites):
        site = db.session.get_one(make.Site, site_id)
        for start in dice.sample(range(8, 18), dice.choice((5, 8, 10))):
            who = make.patient(f"P{n}", f"S{site_id}H{start}", mobile=None, email=None)
            try:
                with db.session.begin_nested():
                    make.infusion(site, who, make.at(start, days=n + 1), now=now)
            except (SlotTaken, NotOffered, PatientBusy):
                continue


@pytest.mark.parametrize("seed", range(20 if os.environ.get("EMERGE_PROVE") else 1))
def test_it_is_as_good_as_trying_everything(room: Flask, now: datetime, seed: int) -> None:
    dice = random.Random(SEED + seed)
    with transaction():
        woburn = make.clinic_day(chairs=1)
        danvers = make.site("danvers", "Danvers", chairs=1)
        make.person(danvers, "Sam Fox", skills=("nurse",))
        sites = [woburn.id, danvers.id]
        for site in (woburn, danvers):
            # Fewer starts, so that everything can be tried.
            clinic.choose(site, "start_every_minutes", 60, actor="staff:1", now=now)
            shut = TimeSpan(make.at(0, days=3), make.at(0, days=4))
            hours.close(site, shut, "Snow", actor="staff:1", now=now)
        crowd(sites, 5, dice, now)
    free = starts(sites, now, 20)
    partly = 0
    for paces in ([Pace(2, 3, 4)] * 2, [Pace(3, 7, 8)], []):
        with claims_read() as read:
            found = openings(paces, site_ids=sites, first=FIRST, days=4, now=now)

        assert len(read) == 1
        assert [o.first_on for o in found.days] == [FIRST + timedelta(days=n) for n in range(4)]
        for one in found.days:
            wanted, are_open = brute(one.first_on, paces, free, sites[0])
            assert (one.series.cost, one.open, one.of) == (wanted, are_open, len(paces) + 1)
            partly += one.open < one.of
        assert found.best == min(found.days, key=lambda o: (o.of - o.open, o.series.cost))
    assert partly  # some are hard enough


def test_the_first_visit_is_on_the_very_day_and_each_other_in_its_window(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()

    found = openings([Pace(2, 3, 4)] * 5, site_ids=[site.id], first=FIRST, days=3, now=now)

    days = [p.start.at.date() for p in found.best.series.placements if p.start]
    assert days == [FIRST + timedelta(days=3 * n) for n in range(6)]
    assert [o.open for o in found.days] == [6, 6, 6]
    assert found.best == found.days[0]  # of equals the earliest


def test_a_part_of_the_day_and_a_busy_patient_are_kept_to(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        ana = make.patient()
        make.infusion(site, ana, make.at(9))
        lane = db.session.get_one(make.Resource, ana.resource_id).lanes[0].id

    found = openings(
        [Pace(2, 2, 2)], site_ids=[site.id], first=FIRST, days=1, now=now,
        parts=[PartOfDay.MORNING], usual=time(9), patient_lane=lane,
    )  # fmt: skip

    (only,) = found.days
    first, second = (p.start for p in only.series.placements)
    assert first is not None
    assert second is not None
    # She is there from 9 until 10:25.
    assert (first.at, second.at) == (make.at(10, 30), make.at(10, 30, days=3))


@pytest.mark.parametrize("pace", [Pace(0, 1, 2), Pace(3, 2, 4), Pace(2, 5, 4), Pace(1, 1, 366)])
def test_a_pace_that_cannot_be_is_refused(room: Flask, now: datetime, pace: Pace) -> None:
    with pytest.raises(Invalid):
        openings([pace], site_ids=[1], first=FIRST, days=1, now=now)
