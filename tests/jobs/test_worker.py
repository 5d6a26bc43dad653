"""`flask worker` as an operator meets it: it comes up, works, and goes when asked."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from config import ROOT
from scheduler.app import create_app
from scheduler.core import clock
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs.runner import Ticker
from scheduler.messaging import outbox, queries
from scheduler.messaging.models import SimulatedText
from scheduler.messaging.states import State
from tests.messaging.kit import ana
from tests.support import databases

PATIENCE = 30.0  # seconds, then something is wrong


@contextmanager
def running(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process of its own, as a demo runs it."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "worker"],
        cwd=ROOT,
        env={
            **os.environ,
            "EMERGE_ENV": "demo",
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


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_sends_what_is_due_and_goes_when_asked(
    database_url: str, sign: signal.Signals
) -> None:
    app = create_app(databases.config(database_url, environment="demo"))
    with app.app_context(), transaction():
        now = clock.now()
        outbox.reply(
            "+17815550111",
            "emergency",  # goes at any hour, whenever this is run
            {"phone": "+17815550100"},
            patient=ana(now),
            topic="text:1",
            dedupe_key="emergency:1",
            now=now,
        )

    with running(database_url) as worker:
        assert until("SELECT 1 FROM simulated_text", database_url)
        assert until("SELECT 1 FROM worker_beat", database_url)
        worker.send_signal(sign)
        code = worker.wait(timeout=PATIENCE)

    with app.app_context():
        texts = db.session.scalars(sa.select(SimulatedText)).all()
        assert [text.number for text in texts] == ["+17815550111"]
        assert queries.counts() == {State.DELIVERED: 1}
        assert queries.newest_beat() is None  # it said goodbye
        let_go()
        db.engine.dispose()
    assert code == 0


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
    ticker.add_job(ran.set, "interval", seconds=1, next_run_time=clock.now() + timedelta(hours=1))
    ticking = threading.Thread(target=ticker.start)
    ticking.start()
    try:
        assert ran.wait(PATIENCE)
    finally:
        ticker.shutdown()
        ticking.join()
