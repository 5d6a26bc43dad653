"""A watchdog learns whether pages are served and whether texts would go out."""

from flask import Flask
from flask.testing import FlaskClient

from scheduler.jobs import beat
from tests.conftest import StoppedClock


def test_without_a_worker_the_pages_are_well_and_the_worker_silent(client: FlaskClient) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json == {"database": "ok", "worker": "silent"}


def test_a_worker_that_beats_is_heard_and_missed_after_two_minutes(
    app: Flask, client: FlaskClient, clock: StoppedClock
) -> None:
    with app.app_context():
        beat.run("worker-1", clock.moment, now=clock.moment)

    assert client.get("/health").json == {"database": "ok", "worker": "ok"}
    clock.advance(minutes=2)
    assert client.get("/health").json == {"database": "ok", "worker": "silent"}
