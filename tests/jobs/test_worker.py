"""`flask worker` as an operator meets it: it comes up, works, and goes when asked."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from config import ROOT
from scheduler.app import create_app
from scheduler.core import clock as house_clock
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs.runner import Ticker
from scheduler.messaging import outbox, queries
from scheduler.messaging.models import SimulatedText
from scheduler.messaging.states import State
from tests.conftest import StoppedClock
from tests.messaging.kit import ana
from tests.support import databases

PATIENCE = 30.0  # seconds, then something is wrong
#: A message whose words nobody can make.
POISON = {"starts_at": "2026-03-03T15:45:00+00:00", "zone": "Mars/Olympus"}
#: What ends a worker in good order; and what does not.
GOES = (signal.SIGTERM, signal.SIGINT)
SIGNS = (*GOES, signal.SIGKILL) if os.environ.get("EMERGE_PROVE") else GOES[:1]


@contextmanager
def running(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process of its own, as a demo runs it."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "worker"],
        cwd=ROOT,
        env={
            **os.environ,
            "EMERGE_ENV": "demo",
            "TEXTS_PER_SECOND": "100",
            "DATABASE_URL": url,
            "EMERGE_KEYS": databases.KEYS,
            "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
        },
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def until(what: str, url: str) -> bool:
    """Look until a query of this database gives something, or patience ends."""
    engine = sa.create_engine(url)
    pause = threading.Event()
    try:
        for _ in range(int(PATIENCE / 0.1)):
            with engine.connect() as connection:
                if connection.execute(sa.text(what)).first() is not None:
                    return True
            pause.wait(0.1)
    finally:
        engine.dispose()
    return False


@pytest.mark.parametrize("sign", SIGNS)
def test_a_worker_sends_what_is_due_goes_when_asked_and_is_missed_when_it_sleeps_or_dies(
    database_url: str, clock: StoppedClock, sign: signal.Signals
) -> None:
    """R-22. What would not come out holds up nobody; a silent worker is noticed in two minutes."""
    app = create_app(databases.config(database_url, environment="demo"))
    clock.set(datetime.now(UTC))
    with app.app_context(), transaction():
        who = ana(clock())
        for number in range(12):
            outbox.reply(
                "+17815550111",
                "emergency",  # goes at any hour, whenever this is run
                {} if number else POISON,
                patient=who,
                topic="text:1",
                dedupe_key=f"emergency:{number}",
                now=clock() - timedelta(seconds=12 - number),
            )

    with running(database_url) as worker:
        delivered = "SELECT count(*) FROM message WHERE state = 'delivered'"
        assert until(f"SELECT 1 WHERE ({delivered}) = 11", database_url)
        assert until("SELECT 1 FROM worker_beat", database_url)
        worker.send_signal(signal.SIGSTOP if sign in GOES else sign)
        with app.app_context():
            beat = queries.newest_beat()
            assert beat is not None
            let_go()
        for later, word in ((15, "ok"), (120, "silent")):
            clock.set(beat + timedelta(seconds=later))
            assert app.test_client().get("/health").json == {"database": "ok", "worker": word}
        if sign in GOES:
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(sign)
        code = worker.wait(timeout=PATIENCE)

    with app.app_context():
        texts = db.session.scalars(sa.select(SimulatedText)).all()
        assert {text.number for text in texts} == {"+17815550111"}
        assert queries.counts() == {State.DELIVERED: 11, State.QUEUED: 1}
        assert (queries.newest_beat() is None) == (sign in GOES)  # it said goodbye
        let_go()
        db.engine.dispose()
    assert code == (0 if sign in GOES else -sign)


def test_a_job_that_still_runs_at_its_next_tick_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = logging.getLogger("apscheduler.scheduler").warning

    said('Execution of job "%s" skipped: maximum number of running instances reached (%d)', "a", 1)
    said("something else")

    assert caplog.messages == ["something else"]


def test_a_clock_set_back_stops_no_tick() -> None:
    """What was worked out by a clock an hour ahead is due now, not in an hour."""
    ran = threading.Event()
    ticker = Ticker(timezone="UTC")
    ahead = house_clock.now() + timedelta(hours=1)
    ticker.add_job(ran.set, "interval", seconds=1, next_run_time=ahead)
    ticking = threading.Thread(target=ticker.start)
    ticking.start()
    try:
        assert ran.wait(PATIENCE)
    finally:
        ticker.shutdown()
        ticking.join()
