"""A booking under way while the clinic closes: it waits, and then sees the closure."""

import threading
from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import event

from scheduler.booking import withdrawal
from scheduler.booking.allocation import Wish
from scheduler.booking.errors import NotOffered
from scheduler.booking.withdrawal import withdraw_supply
from scheduler.clinic import hours
from scheduler.clinic import queries as clinic
from scheduler.core.db import db, transaction
from scheduler.core.timespan import TimeSpan
from scheduler.patients import queries as patients
from tests import make
from tests.conftest import Keep

WAIT = 20


def race(app: Flask, now: datetime) -> list[BaseException]:
    """Close the site while somebody books there; return what the booking was told."""
    told: list[BaseException] = []
    about_to_wait = threading.Event()

    def book() -> None:
        with app.app_context():
            is_sqlite = db.engine.dialect.name == "sqlite"

            def watch(*args: object) -> None:
                if "FOR UPDATE" in str(args[2]):
                    about_to_wait.set()

            me = threading.get_ident()

            def mine(*args: object) -> None:
                if threading.get_ident() == me:
                    watch(*args)

            event.listen(db.engine, "before_cursor_execute", mine)
            try:
                if is_sqlite:  # its one write lock is taken at the very beginning
                    about_to_wait.set()
                with transaction():
                    site = clinic.site_called("woburn")
                    make.call(site, patients.search("duarte")[0], now=now)
            except NotOffered as refusal:
                told.append(refusal)
            finally:
                event.remove(db.engine, "before_cursor_execute", mine)
                about_to_wait.set()

    booker = threading.Thread(target=book)
    with app.app_context():
        with transaction():
            site = clinic.site_called("woburn")
            span = TimeSpan(make.at(0), make.at(0, days=2))

            def close() -> None:
                booker.start()
                assert about_to_wait.wait(WAIT)
                hours.close(site, span, "Snow", actor="staff:9", now=now)

            withdraw_supply(close, seen=(), actor="staff:9", now=now)
        booker.join(WAIT)
    assert not booker.is_alive()
    return told


@pytest.fixture(autouse=True)
def _clinic(keep: Keep) -> None:
    with keep():
        make.clinic_day()
        make.patient()


def test_who_books_while_the_clinic_closes_is_refused_instead_of_stranded(
    app: Flask, now: datetime
) -> None:
    (refusal,) = race(app, now)

    assert "Woburn" in str(refusal)
    with app.app_context():
        assert withdrawal.stranded(now=now) == []


def test_even_a_booking_that_looked_too_early_is_seen_by_the_list(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the supply is not read again under the lock."""
    monkeypatch.setattr(Wish, "renewed", lambda self: self)
    told = race(app, now)

    with app.app_context():
        found = withdrawal.to_replace(now=now)
        if db.engine.dialect.name == "sqlite":
            assert len(told) == 1  # the write lock comes before the first look
        else:
            assert told == []
            assert [one.hit.patient_name for one in found] == ["Ana Duarte"]
