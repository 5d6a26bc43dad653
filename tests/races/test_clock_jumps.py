"""R-32: the clock of web and worker jumps an hour or a day, to and fro, while they run.

PostgreSQL keeps its own time, by which leases are judged; SQLite has none but the machine's.
"""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.clinic import service as clinics
from scheduler.clinic.models import Site
from scheduler.core.db import db, transaction
from scheduler.messaging import addresses
from tests import make
from tests.journeys.world import World, until
from tests.races import portal
from tests.races.portal import Guest
from tests.support import smtp_server, twilio_server
from tests.support.gate import Browser
from tests.support.served import Served, serving, working

pytestmark = pytest.mark.usefixtures("real_time")

#: In hours; each is where the clock stands while somebody books.
JUMPS = (0, 1, -1, 24, -24, 0)
ROUNDS = 5 if os.environ.get("EMERGE_PROVE") else 1
FIRST = 5000  # the numbers that may be texted
PROVER = "+16172100001"


def put_clock(served: Served, hours: float) -> None:
    new = served.folder / "hours.new"
    new.write_text(str(hours))
    new.rename(served.folder / "hours")


def sign_in(served: Served) -> Browser:
    browser = Browser(served.port, "198.51.100.200")
    page = browser.get("/desk/sign-in")
    answer = browser.post(
        "/desk/sign-in",
        {
            "username": "rosa",
            "password": make.PASSWORD,
            "csrf_token": page.value("csrf_token"),
        },
    )
    assert answer.status == 303, answer.words
    return browser


def is_in(browser: Browser) -> bool:
    kept = Browser(browser.port, browser.address, dict(browser.cookies))  # a copy of the cookie
    return "sign-in" not in kept.get("/desk").text[:3000]


def is_ticking(app: Flask) -> bool:
    with app.app_context():
        beats = db.session.scalar(sa.text("SELECT count(*) FROM worker_beat"))
        db.session.rollback()
        return bool(beats)


def waiting(app: Flask, guest: Guest) -> int:
    """Count the words about a booking that are still to go out."""
    with app.app_context():
        found = db.session.scalar(
            sa.text(
                "SELECT count(*) FROM message WHERE recipient = :n AND channel = 'sms' "
                "AND template = 'changed' AND state = 'queued'"
            ),
            {"n": guest.mobile},
        )
        db.session.rollback()
        return int(found or 0)


def test_no_jump_of_the_clock_loses_or_doubles_anything(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    site_id = portal.clinic(app, callers=2)
    with app.app_context(), transaction() as session:
        make.staff("rosa")
        # Texts go at any hour, as this test may be run.
        site = session.get_one(Site, site_id)
        for name, wall in (("quiet_until", "00:00"), ("quiet_from", "23:59:59.999999")):
            clinics.choose(site, name, wall, actor="operator", now=datetime.now(UTC))
    moves = [hours for _ in range(ROUNDS) for hours in JUMPS]
    numbers = [FIRST + n for n in range(2 * len(moves))]
    allowed = [f"+1617{230 + n // 10000}{n % 10000:04}" for n in numbers]
    with (
        twilio_server.playing(tmp_path / "texts.jsonl") as twilio,
        smtp_server.playing(tmp_path / "mail") as mail,
    ):
        settings = {
            "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio_server.TOKEN,
            "TWILIO_MESSAGING_SERVICE_SID": twilio_server.SERVICE,
            "TWILIO_API_URL": twilio.url,
            "ALLOWED_NUMBERS": ",".join([*allowed, PROVER]),
            "TEXTS_PER_SECOND": "50",
        }
        with (
            serving(
                database_url, tmp_path, experiment="jumping clock", settings=settings
            ) as served,
            working(served),
        ):
            # A worker that is still starting would plan its first tick by a clock that has jumped.
            until(lambda: is_ticking(app), "the worker", within=240)
            world = World(served.base, twilio, mail, served.environment)
            assert world.hook(
                addresses.inbound(served.base), twilio.comes_in(PROVER, "HELP")
            ) == 200  # fmt: skip
            desk = sign_in(served)
            assert is_in(desk)
            guests = _book_at_each(served, desk, moves, numbers)
            put_clock(served, 0)
            assert not is_in(desk), "it ran out while the clock stood a day ahead"
            fresh = sign_in(served)
            assert is_in(fresh)
            # By PostgreSQL's own clock a text that was queued tomorrow is due tomorrow.
            due = [guest for guest, hours in guests if hours <= 0]
            until(lambda: all(world.texts(g.mobile) for g in due), "the texts due", within=240)
            texts = Counter({g.mobile: len(world.texts(g.mobile)) for g, _ in guests})

    lost = [
        g.mobile
        for g, _ in guests
        if portal.booked(app, g) != 1 or texts[g.mobile] + waiting(app, g) < 1
    ]
    doubled = [g.mobile for g, _ in guests if texts[g.mobile] + waiting(app, g) > 1]
    print(
        f"clock jumps, {database_url.partition(':')[0].partition('+')[0]}: {len(moves)} jumps "
        f"of {min(moves)} to {max(moves)} h, {len(guests)} bookings, {sum(texts.values())} texts "
        f"sent, {len(lost)} lost, {len(doubled)} doubled"
    )
    assert (lost, doubled) == ([], [])


def _book_at_each(
    served: Served, desk: Browser, moves: list[int], numbers: list[int]
) -> list[tuple[Guest, int]]:
    """Let one book at each place of the clock, and one more whose text is under way at the jump."""
    guests: list[tuple[Guest, int]] = []
    for turn, hours in enumerate(moves):
        put_clock(served, hours)
        for k in range(2):
            guest = Guest(served, number=numbers[2 * turn + k])
            start = portal.at(9 + turn % 8, 30 * k, days=5 + turn // 8)
            kept = guest.choose(start)
            assert kept.status == 303, f"{hours} h: {kept.words[:300]}"
            booked = guest.send()
            assert booked.status == 303, f"{hours} h: {booked.words[:300]}"
            assert guest.send().status == 303, "sent again, it is the same booking"
            guests.append((guest, hours))
        if hours == 24:
            assert not is_in(desk)
    return guests
