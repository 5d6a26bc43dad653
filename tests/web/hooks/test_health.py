"""A watchdog learns whether pages are served and whether texts would go out."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler.jobs import beat
from scheduler.messaging import queries
from tests.conftest import StoppedClock


def test_without_a_worker_the_pages_are_well_and_the_worker_silent(client: FlaskClient) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json == {"database": "ok", "worker": "silent"}


def test_a_worker_that_beats_is_heard_and_missed_after_two_minutes(
    app: Flask, client: FlaskClient, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        beat.run("worker-1", clock.moment, now=clock.moment)

    assert client.get("/health").json == {"database": "ok", "worker": "ok"}
    clock.advance(minutes=2)
    assert client.get("/health").json == {"database": "ok", "worker": "silent"}

    monkeypatch.setattr(queries, "WORKER_SILENT_AFTER", timedelta(days=9))
    believed = client.get("/health").json
    print(f"control: a watch that any sign of life satisfies says {believed}")
    assert believed == {"database": "ok", "worker": "ok"}
