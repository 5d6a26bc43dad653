"""The invented clinics: their story is told to its end, and leaves something true on every page."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import walls
from scheduler.booking.models import Appointment, Status
from scheduler.cli import demo
from scheduler.core.db import db
from scheduler.messaging.models import Message
from scheduler.patients.models import Patient
from scheduler.plans.models import Plan, PlanState
from scheduler.treatment.models import Clearance, Decision, EventKind, SessionEvent
from tests.conftest import NOW
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


def test_the_story_is_told_to_its_end_and_twice_the_same(app: Flask) -> None:
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
        assert {"queued", "delivered", "cancelled"} <= kinds(Message.state)
        assert walls.drifted(now=NOW) == []
        told = db.session.execute(
            sa.select(Appointment.starts_at, Appointment.status).order_by(Appointment.id)
        ).all()
        db.session.rollback()

        demo.fill_if_empty()

        again = db.session.execute(
            sa.select(Appointment.starts_at, Appointment.status).order_by(Appointment.id)
        ).all()
    assert again == told
