"""What could be booked: for several services, sites and parts of the day, in one look."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import offers
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import hours, roster
from scheduler.clinic import service as clinic
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ResourceKind, ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.timespan import PartOfDay, TimeSpan, day_span
from tests import make

TUESDAY = date(2026, 3, 3)
SPRING = date(2026, 3, 8)  # the clocks of both sites lose an hour
SERVICES = (ServiceCode.CALL, ServiceCode.INFUSION)


@contextmanager
def claims_read() -> Iterator[list[str]]:
    """Count the statements that read claims."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if re.search(r"\bFROM claim\b", statement):
            seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def denver() -> Site:
    """A site two hours behind Woburn, open into the evening, with one of each."""
    made = clinic.add_site(
        "denver",
        "Denver",
        zone_name="America/Denver",
        address="1 Main Street, Denver, CO",
        phone="+13035550100",
        starts=2,
    )
    clinic.open_weekly(made, make.WHOLE_WEEK, time(8), time(21), valid_from=make.ALWAYS)
    clinic.add_resource(ResourceKind.CHAIR, "Chair 1", site_id=made.id, position=1)
    for name, skill in (("Kai Moon", "calls"), ("Lou Stone", "nurse")):
        who = clinic.add_resource(ResourceKind.PERSON, name, lanes=1, skills=(skill,))
        clinic.add_shift(who, made, make.WHOLE_WEEK, time(8), time(21), valid_from=make.ALWAYS)
    return made


@pytest.fixture
def sites(room: Flask) -> list[int]:
    """Woburn and Denver, with something booked at each."""
    with transaction():
        woburn, west = make.clinic_day(chairs=2), denver()
        ana, ben = make.patient(), make.patient("Ben", "Ito", mobile="+17815550122")
        make.call(woburn, ana, make.at(10))
        make.call(west, ana, make.at(14))
        make.infusion(woburn, ben, make.at(11))
        make.infusion(west, ben, make.at(15, days=4))
        return [woburn.id, west.id]


def find(sites: list[int], now: datetime, **asked: object) -> list[Offer]:
    """Ask as the desk does, for two weeks from Tuesday."""
    usual: dict[str, object] = {
        "services": SERVICES,
        "site_ids": sites,
        "since": TUESDAY,
        "until": TUESDAY + timedelta(days=14),
        "now": now,
        "audience": Audience.DESK,
    }
    return offers.find(**(usual | asked))  # type: ignore[arg-type]


def test_several_services_at_several_sites_are_what_each_gives_alone(
    sites: list[int], now: datetime
) -> None:
    together = find(sites, now)

    alone = [
        offer for code in SERVICES for site in sites
        for offer in find([site], now, services=code)
    ]  # fmt: skip
    assert len(together) > 1000
    assert together == sorted(alone)
    assert [(o.free, o.of) for o in together] == [(o.free, o.of) for o in sorted(alone)]


def test_an_offer_begins_with_the_free_count(sites: list[int], now: datetime) -> None:
    found = {(o.starts_at, o.service): o for o in find(sites[:1], now)}

    beside = found[make.at(11), ServiceCode.INFUSION]
    alone = found[make.at(14), ServiceCode.INFUSION]
    assert (beside.free, beside.of) == (1, 2)
    assert (alone.free, alone.of) == (2, 2)


@pytest.mark.parametrize("services", [ServiceCode.CALL, SERVICES])
def test_all_sites_are_read_in_one_query(
    sites: list[int], now: datetime, services: ServiceCode | tuple[ServiceCode, ...]
) -> None:
    with claims_read() as by_find:
        find(sites, now, services=services, parts=[PartOfDay.MORNING])
    with claims_read() as by_counts:
        offers.counts(
            services, site_ids=sites, first=TUESDAY, days=31, now=now, audience=Audience.ONLINE
        )

    assert (len(by_find), len(by_counts)) == (1, 1)


def test_what_is_not_booked_online_is_not_offered_there(sites: list[int], now: datetime) -> None:
    def found(audience: Audience) -> set[ServiceCode]:
        offered = offers.find(
            SERVICES,
            site_ids=sites,
            since=TUESDAY,
            until=TUESDAY + timedelta(days=2),
            now=now,
            audience=audience,
        )
        return {offer.service for offer in offered}

    assert found(Audience.DESK) == set(SERVICES)
    assert found(Audience.ONLINE) == {ServiceCode.CALL}


def test_what_lies_behind_or_beyond_the_horizon_is_not_looked_up(
    sites: list[int], now: datetime
) -> None:
    with claims_read() as read:
        past = find(sites, now, since=date(2026, 1, 5), until=date(2026, 1, 9))

    assert (past, read) == ([], [])


def test_a_day_is_each_sites_own(sites: list[int], now: datetime) -> None:
    found = find(sites, now, since=SPRING, until=SPRING + timedelta(days=1))

    zones = {s.id: s.zone for s in clinic_supply.current().sites.values()}
    walls = {(o.site_id, o.starts_at.astimezone(zones[o.site_id]).date()) for o in found}
    assert walls == {(sites[0], SPRING), (sites[1], SPRING)}
    last = max(o.starts_at for o in found if o.site_id == sites[1])
    assert last > day_span(SPRING, zones[sites[0]]).end - timedelta(hours=3)


# ------------------------------------------------------------ part of the day


@pytest.mark.parametrize(
    ("wall", "part"),
    [
        (time(0), PartOfDay.MORNING),
        (time(11, 59), PartOfDay.MORNING),
        (time(12), PartOfDay.AFTERNOON),
        (time(16, 55), PartOfDay.AFTERNOON),
        (time(17), PartOfDay.EVENING),
        (time(23, 59), PartOfDay.EVENING),
    ],
)
def test_the_clock_on_the_wall_says_which_part_of_the_day_it_is(
    wall: time, part: PartOfDay
) -> None:
    assert PartOfDay.of(wall) is part


@pytest.mark.parametrize(
    ("day", "morning"),
    [(TUESDAY, 12), (SPRING, 11), (date(2026, 11, 1), 13)],
    ids=["usual", "the clock goes forward", "the clock goes back"],
)
def test_the_parts_of_a_day_meet_and_leave_nothing_out(day: date, morning: int) -> None:
    zone = ZoneInfo("America/New_York")

    spans = [part.on(day, zone) for part in PartOfDay]

    whole = day_span(day, zone)
    assert spans[0].end - spans[0].start == timedelta(hours=morning)
    assert [s.end for s in spans[:2]] == [s.start for s in spans[1:]]
    assert (spans[0].start, spans[-1].end) == (whole.start, whole.end)


def test_a_part_of_the_day_is_by_the_wall_of_each_site_also_when_the_clock_changes(
    sites: list[int], now: datetime
) -> None:
    zones = {s.id: s.zone for s in clinic_supply.current().sites.values()}
    everything = find(sites, now)

    for part in PartOfDay:
        wanted = [
            o for o in everything
            if PartOfDay.of(o.starts_at.astimezone(zones[o.site_id]).time()) is part
        ]  # fmt: skip
        assert wanted
        assert find(sites, now, parts=[part]) == wanted


def test_several_parts_are_either(sites: list[int], now: datetime) -> None:
    both = find(sites, now, parts=[PartOfDay.EVENING, PartOfDay.MORNING])

    each = [find(sites, now, parts=[part]) for part in (PartOfDay.MORNING, PartOfDay.EVENING)]
    assert both == sorted(each[0] + each[1])


def test_a_named_person_is_the_only_one_who_counts(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day(callers=3)
        caller = next(p for p in roster.people() if p.name == "Caller 2")
        make.call(site, make.patient(), make.at(10))

    anybody = find([site.id], now, services=ServiceCode.CALL)
    named = find([site.id], now, services=ServiceCode.CALL, person_id=caller.id)

    assert {o.of for o in anybody} == {3}
    assert {(o.free, o.of) for o in named} == {(1, 1)}


# ------------------------------------------------------------ counts, and the first


@pytest.mark.parametrize("audience", list(Audience))
@pytest.mark.parametrize("parts", [(), (PartOfDay.AFTERNOON,)])
def test_a_month_of_counts_is_what_find_gives_day_by_day(
    sites: list[int], now: datetime, audience: Audience, parts: tuple[PartOfDay, ...]
) -> None:
    first = date(2026, 3, 1)  # yesterday: what is over counts nothing

    counted = offers.counts(
        SERVICES,
        site_ids=sites,
        first=first,
        days=31,
        now=now,
        audience=audience,
        parts=parts,
    )

    assert len(counted) == 31 * 2 * 2
    for day in (first + timedelta(days=n) for n in range(31)):
        found = Counter(
            (o.site_id, o.service)
            for o in find(
                sites, now, since=day, until=day + timedelta(days=1),
                audience=audience, parts=parts,
            )
        )  # fmt: skip
        mine = {(s, c): n for (d, s, c), n in counted.items() if d == day and n}
        assert mine == found, day


def first_free(sites: list[int], now: datetime, **asked: object) -> list[Offer]:
    usual: dict[str, object] = {
        "services": ServiceCode.CALL,
        "site_ids": sites,
        "after": TUESDAY,
        "now": now,
        "audience": Audience.DESK,
    }
    return offers.first_free(**(usual | asked))  # type: ignore[arg-type]


def test_the_first_free_that_is_near_takes_one_query(sites: list[int], now: datetime) -> None:
    with claims_read() as read:
        found = first_free(sites, now, most=3)

    assert found == find(sites, now, services=ServiceCode.CALL)[:3]
    assert len(read) == 1


def test_the_first_free_that_is_far_takes_two(sites: list[int], now: datetime) -> None:
    with transaction():
        for site in db.session.scalars(sa.select(Site)):
            shut = TimeSpan(make.at(0, days=0), day_span(date(2026, 4, 29), site.zone).end)
            hours.close(site, shut, "Moving", actor="staff:9", now=now)

    with claims_read() as read:
        (found,) = first_free(sites, now)

    zone = ZoneInfo("America/New_York")
    assert found.starts_at.astimezone(zone) == datetime(2026, 4, 30, 8, tzinfo=zone)
    assert len(read) == 2


def test_nothing_is_free_when_nothing_is_within(sites: list[int], now: datetime) -> None:
    with transaction():
        for site in db.session.scalars(sa.select(Site)):
            shut = TimeSpan(make.at(0, days=0), make.at(0, days=90))
            hours.close(site, shut, "Moving", actor="staff:9", now=now)

    assert first_free(sites, now) == []
    assert first_free(sites, now, within=timedelta(days=5)) == []


def test_the_first_free_keeps_to_part_of_day_and_moment(sites: list[int], now: datetime) -> None:
    (evening,) = first_free(sites[:1], now, parts=[PartOfDay.EVENING])
    (later,) = first_free(sites[:1], now, after=make.at(13, 5))

    assert evening.starts_at == make.at(17)
    assert later.starts_at == make.at(13, 15)
