"""One time was offered to several, one after the other, and all say yes at once: one has it.

Real processes, each with a connection of its own. All offers have lapsed and nobody has closed
them, so each yes is honoured if it is the first; each is pressed by the patient and by the desk.
"""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import service as booking
from scheduler.booking.allocation import Choice, choose
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.plans import waiting
from scheduler.waitlist import offers
from scheduler.waitlist import service as waitlist
from scheduler.waitlist.models import WaitlistOffer
from tests import make
from tests.conftest import Keep
from tests.races import nursery
from tests.races.crowd import overlaps, without_law

#: How many people the time was offered to; two presses each.
PEOPLE = 16 if os.environ.get("EMERGE_PROVE") else 4
TEN = make.at(10)


@pytest.fixture
def offered(app: Flask, keep: Keep) -> tuple[list[int], datetime]:
    """As many lapsed offers of one time as people, and a moment when all say yes."""
    now = make.MONDAY
    numbers = []
    with keep():
        where = make.clinic_day(callers=1)
        for n in range(PEOPLE):
            who = make.patient(f"Guest{n}", "Queue", mobile=None, email=None)
            entry = waitlist.add(
                who,
                ServiceCode.CALL,
                since=TEN,
                until=TEN + timedelta(minutes=15),
                actor="staff:1",
                now=now,
            )
            made = offers.make(entry.id, where.id, TEN, by_text=False, actor="staff:1", now=now)
            numbers.append(made.id)
            now = made.expires_at + timedelta(minutes=1)
    with app.app_context():
        db.engine.dispose()
    return numbers, now


def answered(url: str, numbers: list[int], now: datetime, *, lock_off: bool) -> Counter[str]:
    """Let two processes an offer say yes at one instant; return how often each outcome came."""
    return nursery.raised(url, _all_say_yes, numbers, now, lock_off)


def _all_say_yes(_: Flask, numbers: list[int], now: datetime, lock_off: bool) -> Counter[str]:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2 * len(numbers))
    results = context.Queue()

    def presser(number: int) -> Callable[[], None]:
        def run() -> None:
            if lock_off:
                _take_the_lock_away(number, now)
            barrier.wait(timeout=nursery.PATIENCE_S)
            results.put(_yes(number, now))
            results.close()
            results.join_thread()

        return run

    nursery.rehearse(lambda: waiting.accept_offer(numbers[0], actor="staff:1", now=now))
    children = [nursery.forked(presser(number)) for number in [*numbers, *numbers]]
    met = Counter(results.get(timeout=nursery.PATIENCE_S) for _ in children)
    for child in children:
        child.join(timeout=nursery.PATIENCE_S)
    return met


def _yes(number: int, now: datetime) -> str:
    try:
        with transaction():
            waiting.accept_offer(number, actor="staff:1", now=now)
    except Refusal as refusal:
        return refusal.code
    except sa.exc.DBAPIError as error:
        return f"error: {type(error.orig).__name__}"
    return "booked"


def _take_the_lock_away(number: int, now: datetime) -> None:
    """Look before the gate, write after it: what every system without a lock does."""
    with transaction() as session:
        offer = session.get_one(WaitlistOffer, number)
        wish = booking._wish(
            ServiceCode.CALL, offer.site_id, offer.starts_at, patient=offer.entry.patient
        )
        seen: list[Choice] = choose(wish, now=now, judged_at=now, audience=booking.Audience.DESK)
    booking.lock = lambda _: None  # type: ignore[assignment]
    booking.choose = lambda *_, **__: seen  # type: ignore[assignment]
    waiting.lock = lambda _: None  # type: ignore[assignment]


def booked(app: Flask) -> int:
    """Count what the book says."""
    with app.app_context():
        return int(db.session.scalar(sa.text("SELECT count(*) FROM appointment")) or 0)


def test_all_say_yes_and_one_has_it(
    app: Flask, database_url: str, offered: tuple[list[int], datetime]
) -> None:
    numbers, now = offered
    met = answered(database_url, numbers, now, lock_off=False)

    print(f"{2 * PEOPLE} presses on {PEOPLE} offers of one time: {dict(met)}")
    assert met["booked"] == 1
    assert met["slot-taken"] + met["offer-over"] == 2 * PEOPLE - 1
    assert (booked(app), overlaps(app)) == (1, 0)


@pytest.mark.prove
def test_without_lock_and_law_several_win(
    app: Flask, database_url: str, offered: tuple[list[int], datetime]
) -> None:
    """Negative control: the harness sees several winners when there are some."""
    without_law(app)
    numbers, now = offered
    met = answered(database_url, numbers, now, lock_off=True)

    print(f"no lock, no law: {dict(met)}")
    assert booked(app) > 1
    assert overlaps(app) > 0
