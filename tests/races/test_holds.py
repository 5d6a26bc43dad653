"""R-07 over HTTP, with no worker running: holds neither leak nor lock out."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.core.db import db
from tests.races import portal
from tests.races.portal import Guest
from tests.support.gate import at_once
from tests.support.served import Served, serving

pytestmark = pytest.mark.usefixtures("real_time")

FULL = bool(os.environ.get("EMERGE_PROVE"))
HOLDS = 1000 if FULL else 60
BROWSERS = 40 if FULL else 20
STARTS_A_DAY = 40
SHARE = STARTS_A_DAY * 30 // 100


@pytest.fixture
def served(app: Flask, database_url: str, tmp_path: Path) -> Iterator[Served]:
    """One caller, a web server whose clock can be put forward, and no worker."""
    portal.clinic(app, callers=1)
    with serving(database_url, tmp_path, experiment="jumping clock") as running:
        yield running


def put_clock(served: Served, hours: float) -> None:
    new = served.folder / "hours.new"
    new.write_text(str(hours))
    new.rename(served.folder / "hours")


def kept(app: Flask, *, since: datetime, until: datetime) -> int:
    """Count the times kept by visitors now, by the claims that stand in others' way."""
    with app.app_context():
        found = db.session.scalar(
            sa.text(
                "SELECT count(DISTINCT h.id) FROM hold h JOIN claim c ON c.hold_id = h.id "
                "WHERE h.expires_at > :now AND h.starts_at >= :since AND h.starts_at < :until"
            ).bindparams(*(sa.bindparam(n, type_=_moment()) for n in ("now", "since", "until"))),
            {"now": datetime.now(UTC), "since": since, "until": until},
        )
        db.session.rollback()
        return int(found or 0)


def _moment() -> sa.types.TypeEngine[datetime]:
    return db.metadata.tables["hold"].c.expires_at.type


def on_day(app: Flask, day: datetime) -> int:
    return kept(app, since=day, until=day + timedelta(days=1))


def test_a_hold_that_ran_out_is_honoured_or_refused_with_other_times(
    app: Flask, served: Served
) -> None:
    slow, quick, lucky = Guest(served), Guest(served), Guest(served)
    assert slow.choose(portal.at(10)).status == 303
    assert lucky.choose(portal.at(11)).status == 303
    assert quick.choose(portal.at(10)).status == 409, "it is kept while it lasts"

    put_clock(served, 0.5)
    assert quick.choose(portal.at(10)).status == 303
    assert quick.send().status == 303

    late = slow.send()
    assert late.status == 409
    assert late.value("given_name") == slow.form["given_name"]
    assert late.starts
    assert portal.booked(app, slow) == 0
    assert slow.send(start=late.starts[0]).status == 303, "the time offered instead is there"
    assert lucky.send().status == 303, "it ran out, but nobody took it"
    assert [portal.booked(app, who) for who in (slow, quick, lucky)] == [1, 1, 1]


def test_visitors_keep_two_each_and_a_third_of_a_day_together(
    app: Flask, served: Served, subtests: pytest.Subtests
) -> None:
    with subtests.test("one browser, many times"):
        greedy = Guest(served)
        token = greedy.times(portal.at(8)).value("csrf_token")
        statuses = set()
        for n in range(HOLDS):
            start = portal.at(8, days=3 + n // 40 % 25) + timedelta(minutes=15 * (n % 40))
            form = {
                "csrf_token": token,
                "site": "woburn",
                "day": start.astimezone(portal.ZONE).date().isoformat(),
                "start": start.isoformat(timespec="minutes"),
            }
            statuses.add(greedy.browser.post("/book/time", form).status)
            if n % 20 == 0:
                assert kept(app, since=portal.at(0, days=0), until=portal.at(0, days=40)) <= 2
        left = kept(app, since=portal.at(0, days=0), until=portal.at(0, days=40))
        print(f"holds of one browser, {_kind(app)}: {HOLDS} asked for, {left} kept at the end")
        assert statuses == {303}
        assert left == 2

    day = portal.at(0, days=29)
    with subtests.test("many browsers at one instant"):
        guests = [Guest(served) for _ in range(BROWSERS)]
        forms = [
            who.hold_form(day + timedelta(hours=8, minutes=15 * n)) for n, who in enumerate(guests)
        ]
        pairs = zip(guests, forms, strict=True)
        shots = [who.browser.aim("/book/time", form) for who, form in pairs]
        met = [answer.status for answer in at_once(shots)]
        print(
            f"holds of one day, {_kind(app)}: {len(met)} browsers at once, "
            f"{met.count(303)} kept of {STARTS_A_DAY} starts, {met.count(429)} told to wait"
        )
        assert on_day(app, day) == met.count(303) == SHARE
        assert met.count(429) == len(met) - SHARE

    with subtests.test("another day is open, and this one again when they ran out"):
        assert Guest(served).choose(portal.at(12, days=28)).status == 303
        put_clock(served, 0.5)
        late = Guest(served)
        assert late.choose(day + timedelta(hours=8)).status == 303
        assert late.send().status == 303


@pytest.mark.prove
def test_without_the_share_a_day_is_seen_to_be_locked(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    """Negative control."""
    portal.clinic(app, callers=1)
    with serving(database_url, tmp_path, experiment="no share") as running:
        day = portal.at(0, days=5)
        for n in range(SHARE + 2):
            start = day + timedelta(hours=8, minutes=15 * n)
            assert Guest(running).choose(start).status == 303

    assert on_day(app, day) > SHARE


def _kind(app: Flask) -> str:
    with app.app_context():
        return db.engine.dialect.name
