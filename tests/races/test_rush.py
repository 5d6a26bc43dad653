"""R-01 over HTTP: a crowd wants the same two hours at once, round after round.

Visitors hold and book through the public pages, desks book infusions, move and call off, all
released by a gate against gunicorn as it serves in production.
"""

import os
import random
from pathlib import Path

import pytest
from flask import Flask

from tests.races import crowd
from tests.races.crowd import DONE, REFUSED, Attempt, Crowd
from tests.support.served import serving

pytestmark = pytest.mark.usefixtures("real_time")

FULL = bool(os.environ.get("EMERGE_PROVE"))
CLIENTS, ROUNDS, WORKERS = (48, 60, 4) if FULL else (12, 3, 2)
SEEDS = (1, 2, 3) if FULL else (1,)
CONTROL_ROUNDS = 8 if FULL else 2


def run(
    app: Flask,
    url: str,
    folder: Path,
    seed: int,
    *,
    rounds: int = ROUNDS,
    experiment: str = "",
    name: str = "rush",
) -> tuple[crowd.Clinic, list[Attempt]]:
    """Hold the rush and print its one line."""
    where = crowd.clinic(
        app,
        desks=Crowd.desks_needed(CLIENTS),
        movers=max(CLIENTS // 10, 1),
        infusions=2 * max(CLIENTS // 10, 1) + rounds,
    )
    if experiment:
        crowd.without_law(app)
    attempts: list[Attempt] = []
    with serving(url, folder, workers=WORKERS, experiment=experiment) as served:
        guests = Crowd(served, where, CLIENTS, random.Random(seed))
        for number in range(rounds):
            attempts += guests.round(number)
    counts = ", ".join(
        f"{n} {kind} {outcome[:40]}"
        for (kind, outcome), n in sorted(crowd.counted(attempts).items())
    )
    print(
        f"{name} over HTTP: {url.partition(':')[0].partition('+')[0]}, seed {seed}, "
        f"{CLIENTS} clients, {rounds} rounds, {len(attempts)} attempts, {counts}; "
        f"overlaps {crowd.overlaps(app)}, overfull minutes {crowd.overfull_minutes(app, where)}"
    )
    return where, attempts


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_booked_twice_and_who_is_told_so_has_it(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    where, attempts = run(app, database_url, tmp_path, seed)

    assert [a for a in attempts if a.outcome not in (DONE, REFUSED)] == []
    assert crowd.overlaps(app) == 0
    assert crowd.overfull_minutes(app, where) == 0
    done = crowd.counted([a for a in attempts if a.outcome == DONE])
    assert crowd.on_record(app, "appointment.booked") == done["call", DONE] + done["infusion", DONE]
    assert crowd.on_record(app, "appointment.move") == done["move", DONE]
    assert crowd.on_record(app, "appointment.cancel") == done["cancel", DONE]
    assert all(a.has_alternatives for a in attempts if a.outcome == REFUSED)
    assert sum(done.values()) >= ROUNDS, "somebody must win each round"


@pytest.mark.prove
def test_a_server_that_looked_a_moment_ago_is_seen_to_book_twice(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    """Negative control: no lock, no law, and a look that is up to two seconds old."""
    where, _ = run(
        app,
        database_url,
        tmp_path,
        SEEDS[0],
        rounds=CONTROL_ROUNDS,
        experiment="stale look",
        name="control",
    )

    assert crowd.overlaps(app) > 0
    assert crowd.overfull_minutes(app, where) > 0
