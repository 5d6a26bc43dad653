"""Thirty-two people want one slot at once: one gets it, the others hear so, nobody waits long."""

import os

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from tests import make
from tests.conftest import Keep
from tests.races.bookers import PROCESSES, Race, rush
from tests.races.crowd import without_law

#: How many slots the crowd wants one after the other; at full size, for `make prove`, eight.
SLOTS = 8 if os.environ.get("EMERGE_PROVE") else 1


@pytest.fixture
def crowd(app: Flask, keep: Keep) -> tuple[int, list[int]]:
    """A site with one caller, and as many people as there are processes."""
    with keep():
        where = make.clinic_day(callers=1)
        people = [
            make.patient(f"Guest{n}", "Crowd", mobile=None, email=None) for n in range(PROCESSES)
        ]
        found = where.id, [p.id for p in people]
    with app.app_context():
        db.engine.dispose()
    return found


def kind(url: str) -> str:
    """Name the database in a printed line."""
    return url.partition(":")[0].partition("+")[0]


def overlaps(app: Flask) -> int:
    """Count pairs of claims of one lane that share a moment: the oracle, in plain SQL."""
    with app.app_context():
        return int(
            db.session.scalar(
                sa.text(
                    "SELECT count(*) FROM claim a JOIN claim b ON a.lane_id = b.lane_id "
                    "AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at"
                )
            )
            or 0
        )


def booked(app: Flask) -> int:
    """Count what the book says."""
    with app.app_context():
        return int(db.session.scalar(sa.text("SELECT count(*) FROM appointment")) or 0)


def run(
    database_url: str, crowd: tuple[int, list[int]], *, lock_off: bool = False, slots: int = 1
) -> list[Race]:
    """Hold a race for each of so many slots, an hour apart."""
    site_id, people = crowd
    return rush(
        database_url,
        ServiceCode.CALL,
        site_id,
        [make.at(9 + number) for number in range(slots)],
        people,
        now=make.MONDAY,
        lock_off=lock_off,
    )


def test_one_of_thirty_two_is_booked_and_none_deadlocks(
    app: Flask, database_url: str, crowd: tuple[int, list[int]]
) -> None:
    for number, race in enumerate(run(database_url, crowd, slots=SLOTS), 1):
        print(race.line(f"{kind(database_url)}, slot {number} of {SLOTS}"))
        assert race.counts == {"booked": 1, "slot-taken": PROCESSES - 1}
    assert booked(app) == SLOTS
    assert overlaps(app) == 0


def test_with_only_the_lock_off_the_database_still_refuses(
    app: Flask, database_url: str, crowd: tuple[int, list[int]]
) -> None:
    """Without the lock those who wait for each other on PostgreSQL may all be turned away."""
    (race,) = run(database_url, crowd, lock_off=True)

    print(race.line(f"{kind(database_url)}, lock off"))
    assert overlaps(app) == 0
    assert booked(app) == race.counts["booked"] <= 1
    assert race.counts.total() == PROCESSES


@pytest.mark.prove
def test_with_lock_and_constraint_off_the_race_is_lost(
    app: Flask,
    database_url: str,
    crowd: tuple[int, list[int]],
) -> None:
    """Negative control: the harness sees double bookings when there are some."""
    without_law(app)
    (race,) = run(database_url, crowd, lock_off=True)

    print(race.line(f"{kind(database_url)}, both off"))
    assert booked(app) > 1
    assert overlaps(app) > 0
