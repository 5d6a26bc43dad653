"""R-08: whoever dies in the middle of a move leaves one live appointment, the old or the new."""

import os

import pytest
from flask import Flask

from scheduler.clinic.models import Site
from scheduler.core.db import db
from tests import course, make
from tests.conftest import Keep
from tests.races import movers, nursery
from tests.races.movers import Crashes, Move

#: At full size a process dies after every statement; in `make test` after every sixth.
EVERY = 1 if os.environ.get("EMERGE_PROVE") else 6


def moves(app: Flask, keep: Keep, service: str) -> tuple[Move, Move]:
    """An appointment, the way to another day and site, and the way back."""
    with keep():
        where = course.clinic()
        patient = make.patient("June", "Okafor")
        if service == "call":
            one = make.call(db.session.get_one(Site, where.woburn), patient, course.at(4))
            site_id = where.woburn
        else:  # a first infusion takes its chat along
            one = course.first_infusion(patient, where).infusion
            site_id = where.danvers
        found = (
            Move(one.id, site_id, course.at(6, 14), make.MONDAY),
            Move(one.id, where.woburn, one.starts_at, make.MONDAY),
        )
    with app.app_context():
        db.engine.dispose()
    return found


def line(name: str, url: str, found: Crashes) -> str:
    """The one line a run prints."""
    kept_old = sum(d.book == found.old for d in found.died)
    kept_new = sum(d.book == found.new for d in found.died)
    return (
        f"{name}, {url.partition(':')[0].partition('+')[0]}: killed at {len(found.died)} steps, "
        f"old place {kept_old}, new place {kept_new}, "
        f"anything else {len(found.died) - kept_old - kept_new}"
    )


@pytest.mark.parametrize(
    "service", [pytest.param("call", marks=pytest.mark.prove), "first infusion with its chat"]
)
def test_a_move_killed_at_any_step_is_done_or_not_done(
    app: Flask, keep: Keep, database_url: str, service: str
) -> None:
    there, back = moves(app, keep, service)

    found = nursery.raised(database_url, movers.crash_everywhere, there, back, EVERY)

    print(line(f"move of a {service}", database_url, found))
    assert all(d.killed for d in found.died), [d.step for d in found.died if not d.killed]
    assert found.old != found.new
    assert {d.step: d.book for d in found.died if d.book not in (found.old, found.new)} == {}
    assert [d.step for d in found.died if d.book == found.new] == ["after commit"]


@pytest.mark.prove
def test_a_move_in_two_transactions_is_seen_to_lose_the_appointment(
    app: Flask, keep: Keep, database_url: str
) -> None:
    """Negative control: cancel, keep that, and book anew."""
    there, back = moves(app, keep, "call")

    found = nursery.raised(database_url, movers.crash_in_two, there, back, 50)

    print(line("control, a move in two transactions", database_url, found))
    assert [d for d in found.died if d.book not in (found.old, found.new)] != []
