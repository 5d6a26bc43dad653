"""The invented clinics: their story is told to its end, and leaves something true on every page."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import walls
from scheduler.booking.models import Appointment, Status
from scheduler.cli import demo
from scheduler.clinic import supply
from scheduler.core.db import db
from scheduler.messaging.models import Message
from scheduler.patients.models import Patient
from scheduler.plans.models import Plan, PlanState
from scheduler.reports import unreached
from scheduler.treatment.models import Clearance, Decision, EventKind, SessionEvent
from tests.conftest import NOW, dispose
from tests.support import worlds
from tests.support.databases import SqliteTemplate


@pytest.fixture
def database_url(sqlite_template: SqliteTemplate) -> Iterator[str]:
    """The address of a fresh database of one kind: the story's deeds are tested on both by name."""
    with sqlite_template.fresh() as url:
        yield url


@pytest.fixture
def settings() -> dict[str, object]:
    """A demo."""
    return {"environment": "demo"}


def test_the_story_is_told_to_its_end_and_a_second_start_changes_nothing(app: Flask) -> None:
    with app.app_context():
        demo.fill(now=NOW)

        def kinds(column: sa.orm.InstrumentedAttribute[object]) -> set[str]:
            return {str(kind) for kind in db.session.scalars(sa.select(column).distinct())}

        assert db.session.scalar(sa.select(sa.func.count()).select_from(Patient)) >= 60
        assert kinds(Appointment.status) >= {str(s) for s in Status if s is not Status.IN_ERROR}
        assert kinds(Plan.state) == {str(state) for state in PlanState}
        assert kinds(Clearance.decision) == {str(decision) for decision in Decision}
        ends = db.session.scalars(
            sa.select(SessionEvent.data).where(SessionEvent.kind == EventKind.END)
        ).all()
        assert {end["reason"] for end in ends} >= {"complete", "patient"}
        assert {"queued", "delivered", "cancelled", "merged"} <= kinds(Message.state)
        words = list(db.session.scalars(sa.select(Message.body)))
        assert any("Park for free" in said for said in words if said)
        private = db.session.scalars(sa.select(Patient.private_mobile)).all()
        sent_to = {str(number) for number in db.session.scalars(sa.select(Message.recipient))}
        assert sent_to & {number for number in private if number}
        assert any(row.changes for row in unreached.people(now=NOW))
        assert walls.drifted(now=NOW) == []
        told = book()

        demo.fill_if_empty()

        assert book() == told


@pytest.mark.prove
def test_told_twice_it_is_the_same(app: Flask, database_url: str) -> None:
    empty = worlds.save(database_url)
    told = []
    for _ in range(2):
        with app.app_context():
            demo.fill(now=NOW)
            told.append(book())
        dispose(app)
        worlds.lay_out(database_url, empty, over=None)
        supply._kept.clear()

    assert told[0] == told[1]


def book() -> list[tuple[datetime, Status]]:
    """Read the whole book in the order it was written."""
    rows = db.session.execute(
        sa.select(Appointment.starts_at, Appointment.status).order_by(Appointment.id)
    )
    found = [(start, status) for start, status in rows]
    db.session.rollback()
    return found
