"""What the database's connections do when they break."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from scheduler.core import db as house_db
from scheduler.core.db import db
from tests import make
from tests.conftest import Keep


@pytest.fixture
def lost_connection(app: Flask, keep: Keep) -> Iterator[list[str]]:
    """A database that is gone when a request gives its connection back."""
    with keep():
        make.clinic_day()
    tried: list[str] = []

    def gone(connection: object) -> None:
        tried.append("rollback")
        raise sa.exc.OperationalError("ROLLBACK", None, Exception("server closed the connection"))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "rollback", gone)
    yield tried
    event.remove(engine, "rollback", gone)


def test_a_page_that_is_ready_is_given_though_the_database_goes_away(
    client: FlaskClient, lost_connection: list[str]
) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert lost_connection


def test_the_next_request_finds_a_connection_again(
    client: FlaskClient, app: Flask, lost_connection: list[str]
) -> None:
    client.get("/health")
    lost_connection.clear()
    with app.app_context():
        assert db.session.scalar(sa.text("SELECT 1")) == 1
        db.session.commit()


def test_without_the_quiet_close_the_page_would_be_lost(
    app: Flask, lost_connection: list[str]
) -> None:
    """Negative control."""
    app.teardown_appcontext_funcs.remove(house_db.close_quietly)
    try:
        with pytest.raises(sa.exc.OperationalError):
            app.test_client().get("/health")
    finally:
        app.teardown_appcontext_funcs.append(house_db.close_quietly)
