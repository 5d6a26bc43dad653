"""R-14, R-15: many workers send each text once; one that oversleeps its claim sends nothing."""

import os
import random
import signal
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from scheduler.app import create_app
from scheduler.core import clock
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import recover_leases
from scheduler.messaging import queries, rules
from scheduler.messaging.models import Message
from scheduler.messaging.states import State
from tests.jobs import crew, mortal
from tests.jobs.test_crashes import MESSAGES, by_text, crash_queue, finish
from tests.journeys.world import until
from tests.messaging.kit import ana, queue
from tests.support import databases, twilio_server

FULL = bool(os.environ.get("EMERGE_PROVE"))
WORKERS = 8 if FULL else 3
DUE = 2_000 if FULL else 60
PEOPLE = 400 if FULL else 12
SEEDS = (1, 2, 3) if FULL else (1,)
PATIENCE_S = 600


def fill(now: datetime, *, seed: int, due: int) -> None:
    """Queue texts to many people in an order of the seed's, all due."""
    numbers = list(range(1, due + 1))
    random.Random(seed).shuffle(numbers)
    with transaction():
        people = [
            ana(now, given=f"P{n}", mobile=f"+1617230{n:04}", email=None) for n in range(PEOPLE)
        ]
        for number in numbers:
            queue(
                people[number % PEOPLE],
                now - timedelta(minutes=1),
                template="visit-booked",
                dedupe_key=f"m{number}",
                expires_at=now + timedelta(days=1),
                is_reply=True,
            )


def sent_by(url: str, folder: Path, policy: str, *, seed: int, due: int = DUE) -> Counter[str]:
    """Let a crew send; return how often the provider took each text."""
    app = create_app(databases.config(url))
    with app.app_context(), twilio_server.playing(folder / f"truth-{seed}.jsonl") as server:
        fill(clock.database_now(), seed=seed, due=due)
        let_go()
        workers = [crew.start(policy, url, server.url) for _ in range(WORKERS)]
        for worker in workers:
            worker.join(timeout=PATIENCE_S)
            assert worker.exitcode == 0
        counts = queries.counts()
        let_go()
        if policy == "ours":
            assert counts == {State.SENT: due}
        with transaction():
            db.session.execute(sa.delete(Message))
        db.engine.dispose()
        return Counter(text["body"] for text in server.out())


def test_however_many_workers_each_text_goes_once(database_url: str, tmp_path: Path) -> None:
    for seed in SEEDS:
        taken = sent_by(database_url, tmp_path, "ours", seed=seed)

        doubled = sum(count - 1 for count in taken.values())
        print(
            f"workers, {database_url.partition(':')[0].partition('+')[0]}: {WORKERS} workers, "
            f"{DUE} texts, seed {seed}, {DUE - len(taken)} lost, {doubled} doubled"
        )
        assert (len(taken), doubled) == (DUE, 0)


@pytest.mark.prove
def test_workers_that_look_without_taking_send_texts_twice(
    database_url: str, tmp_path: Path
) -> None:
    taken = sent_by(database_url, tmp_path, "unclaimed", seed=1, due=30)

    doubled = sum(count - 1 for count in taken.values())
    print(f"control, {database_url.partition(':')[0]}: {doubled} doubled without claims")
    assert doubled > 0


# ---------------------------------------------------------------- asleep

#: Where a worker may fall asleep without holding the database, in order.
ASLEEP = ("after the claim", "before connecting", "answer read", "after it is noted")
QUICK = ("after the claim", "answer read")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[] if step in QUICK else [pytest.mark.prove], id=step)
        for step in ASLEEP
    ],
)
def test_a_worker_that_slept_past_its_lease_cannot_act_on_its_old_claim(
    database_url: str, tmp_path: Path, step: str
) -> None:
    app = create_app(databases.config(database_url))
    with app.app_context(), twilio_server.playing(tmp_path / "truth.jsonl") as server:
        provider = by_text(server)
        now = clock.database_now()
        let_go()
        crash_queue(provider, now)
        sleeper = mortal.start(step, "sleeps", "sms", database_url, server.url)
        seen = psutil.Process(sleeper.pid)
        until(lambda: seen.status() == psutil.STATUS_STOPPED, "the worker that falls asleep")
        # Two leases pass, by the clock the second worker reads.
        later = now + 2 * rules.LEASE
        recover_leases.run(now=later)
        ambiguous, unresolved = finish(provider, later)
        os.kill(sleeper.pid or 0, signal.SIGCONT)
        sleeper.join(timeout=60)
        states = queries.counts()
        let_go()
        db.engine.dispose()
    taken = provider.have()
    doubled = sum(count - 1 for count in taken.values())
    print(
        f"asleep, {database_url.partition(':')[0].partition('+')[0]} {step}: {MESSAGES} texts, "
        f"{MESSAGES - len(taken)} lost, {doubled} doubled, {ambiguous} ambiguous"
    )
    assert sleeper.exitcode == 0
    assert len(taken) == MESSAGES
    # Between the last check and the first byte nothing can be checked any more.
    assert doubled <= (1 if step == "before connecting" else 0)
    assert (unresolved, set(states)) == (0, {State.SENT})
