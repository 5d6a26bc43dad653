"""Many desks fill one day with infusions of every length at once; the day never holds too much."""

import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply
from scheduler.clinic.models import NeedKind, Site
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Keep
from tests.races import nursery
from tests.races.bookers import take_the_lock_away
from tests.races.crowd import without_law

INFUSION = make.ServiceCode.INFUSION
PROVE = bool(os.environ.get("EMERGE_PROVE"))
DESKS, VISITS, TRIES = (24, (6, 12), 6) if PROVE else (4, (3, 4), 4)
CHAIRS, NURSES, LANES, STARTS = 8, 3, 3, 2
SEED = 2
DAY = date(2026, 3, 3)


@pytest.fixture
def crowd(app: Flask, keep: Keep) -> tuple[int, list[list[int]]]:
    """A site, and for each desk the people it is to find a place for."""
    chance = random.Random(SEED)
    with keep():
        where = make.clinic_day(chairs=CHAIRS, nurses=NURSES)
        found = [
            [
                make.patient(f"Guest{desk}x{n}", "Crowd", mobile=None, email=None).id
                for n in range(chance.randint(*VISITS))
            ]
            for desk in range(DESKS)
        ]
        site_id = where.id
    with app.app_context():
        db.engine.dispose()
    return site_id, found


def desk(site_id: int, people: list[int], seed: int) -> Counter[str]:
    """Find a place for each, at any quarter and of one to six hours; return what was answered."""
    chance = random.Random(seed)
    answers: Counter[str] = Counter()
    for number in people:
        for _ in range(TRIES):
            start = make.at(8) + timedelta(minutes=15 * chance.randrange(36))
            answer = booked(site_id, number, start, 5 * chance.randrange(56))
            answers[answer] += 1
            if answer == "booked":
                break
    return answers


def booked(site_id: int, patient: int, start: datetime, longer: int) -> str:
    """Book once; return what was answered, "busy" where the web would say "once more"."""
    try:
        with transaction() as session:
            site = session.get_one(Site, site_id)
            make.infusion(site, session.get_one(Patient, patient), start, longer_minutes=longer)
    except Refusal as refusal:
        return refusal.code
    except DBAPIError as error:
        return "busy" if "database is locked" in str(error.orig) else f"error: {error.orig!r}"
    return "booked"


def fill(_: Flask, site_id: int, people: list[list[int]], guarded: bool) -> Counter[str]:
    """Let every desk work at once, each a process; unguarded ones all want one time."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(people))
    results = context.Queue()

    def work(number: int) -> Callable[[], None]:
        def run() -> None:
            db.session.execute(sa.text("SELECT 1"))
            db.session.rollback()
            mine = people[number]
            if not guarded:
                take_the_lock_away(INFUSION, site_id, make.at(10), mine[0], make.MONDAY)
            barrier.wait(timeout=nursery.PATIENCE_S)
            if guarded:
                results.put(desk(site_id, mine, SEED + number))
            else:
                results.put(Counter([booked(site_id, mine[0], make.at(10), 0)]))
            results.close()
            results.join_thread()

        return run

    nursery.rehearse(
        lambda: make.infusion(
            db.session.get_one(Site, site_id), db.session.get_one(Patient, people[0][0])
        )
    )
    children = [nursery.forked(work(number)) for number in range(len(people))]
    met = [results.get(timeout=nursery.PATIENCE_S) for _ in children]
    for child in children:
        child.join(timeout=nursery.PATIENCE_S)
    return sum(met, Counter())


def most_at_once(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """Return the highest number of spans that share a moment: a sweep over their ends."""
    steps = sorted((moment, step) for a, b in spans for moment, step in ((a, 1), (b, -1)))
    load = most = 0
    for _, step in steps:  # what ends at a moment is over before what begins at it
        load += step
        most = max(most, load)
    return most


def load(app: Flask) -> dict[NeedKind, int]:
    """Return the most that was asked at once of each kind, counted from the appointments alone."""
    with app.app_context():
        booked_ones = sa.select(Appointment).where(Appointment.status == Status.BOOKED)
        services = supply.current().services
        spans: dict[NeedKind, list[tuple[datetime, datetime]]] = {kind: [] for kind in NeedKind}
        for one in db.session.scalars(booked_ones).unique():
            for need in services[one.service_code].lasting(one.longer_minutes).needs:
                begins = one.starts_at + timedelta(minutes=need.from_minute)
                ends = one.starts_at + timedelta(minutes=need.until_minute)
                spans[need.kind].append((begins, ends))
        db.session.remove()
        return {kind: most_at_once(those) for kind, those in spans.items()}


def said(url: str, answers: Counter[str], most: dict[NeedKind, int]) -> str:
    """Return the line this race prints."""
    kind = url.partition(":")[0].partition("+")[0]
    loads = ", ".join(f"{n} {what.value}" for what, n in most.items() if n)
    counts = ", ".join(f"{n} {what}" for what, n in sorted(answers.items()))
    return f"capacity, {kind}: {DESKS} desks, seed {SEED}, {counts}; most at once: {loads}"


def test_many_desks_never_ask_more_of_a_day_than_it_has(
    app: Flask, database_url: str, crowd: tuple[int, list[list[int]]]
) -> None:
    answers = nursery.raised(database_url, fill, *crowd, True)

    most = load(app)
    print(said(database_url, answers, most))
    assert not [answer for answer in answers if answer.startswith("error")]
    assert answers["booked"]
    assert most[NeedKind.CHAIR] <= CHAIRS
    assert most[NeedKind.PERSON] <= NURSES * LANES
    assert most[NeedKind.STARTS] <= STARTS
    if PROVE:
        assert most[NeedKind.CHAIR] == CHAIRS  # the day was full


@pytest.mark.prove
def test_desks_that_do_not_wait_for_each_other_are_seen_to_ask_too_much(
    app: Flask, database_url: str, crowd: tuple[int, list[list[int]]]
) -> None:
    """Negative control: lock and law off, and a look from before the others began."""
    without_law(app)

    answers = nursery.raised(database_url, fill, *crowd, False)

    most = load(app)
    print(said(database_url, answers, most))
    assert most[NeedKind.STARTS] == DESKS > STARTS
