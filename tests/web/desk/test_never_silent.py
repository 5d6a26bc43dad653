"""Nothing is booked or moved outside hours, into a closure or away from its people in silence."""

from datetime import datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.booking.models import Appointment
from scheduler.clinic import hours
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.make import at


@pytest.fixture(autouse=True)
def _day(once: Once, clock: StoppedClock) -> None:
    """Woburn, open 8 to 6, closed for training on Wednesday from 1 to 3; Ana's call on Tuesday."""

    def made() -> None:
        woburn = make.clinic_day()
        close(woburn, at(13, days=2), at(15, days=2), "Training")
        make.call(woburn, make.patient(), at(10))

    once(made)


def close(site: Site, since: datetime, until: datetime, reason: str) -> None:
    hours.close(site, TimeSpan(since, until), reason, actor="staff:1", now=make.MONDAY)


OUTSIDE = [
    (at(7), "Woburn is not open at 7:00 AM."),
    (at(17, 50), "The visit would run past closing at 6:00 PM."),
    (at(13, 30, days=2), "Woburn is closed 1:00 PM–3:00 PM (Training)."),
    (at(12, 50, days=2), "Training"),
]


def send(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


@pytest.mark.parametrize(("moment", "words"), OUTSIDE)
def test_a_booking_outside_hours_is_refused_with_the_reason_and_what_was_typed(
    signed_in: SignIn, app: Flask, moment: datetime, words: str
) -> None:
    answer = send(
        signed_in(),
        "/desk/book",
        given_name="Noor",
        family_name="Aziz",
        service="call",
        site="woburn",
        start=f"{moment.isoformat()}|woburn",
    )

    assert answer.status_code == 409
    assert words in answer.text
    assert 'value="Noor"' in answer.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Appointment)) == 1


@pytest.mark.parametrize("is_drag", [True, False])
@pytest.mark.parametrize(("moment", "words"), OUTSIDE)
def test_a_move_outside_hours_is_refused_with_the_reason(
    signed_in: SignIn, app: Flask, moment: datetime, words: str, is_drag: bool
) -> None:
    with app.app_context():
        ana = db.session.scalars(select(Appointment)).one()
        path = f"/desk/appointments/{ana.public_id}/move"
    client = signed_in()
    token = make.form_token(client, "/desk")

    answer = client.post(
        path,
        data={"csrf_token": token, "version": 1, "at": moment.isoformat(), "site": "woburn"},
        headers={"X-Fragment": "1"} if is_drag else {},
    )

    assert answer.status_code == 409
    assert words in answer.text
    with app.app_context():
        assert db.session.scalars(select(Appointment.starts_at)).one() == at(10)


def test_a_visit_is_not_put_back_into_a_closure(signed_in: SignIn, app: Flask, keep: Keep) -> None:
    with app.app_context():
        path = f"/desk/appointments/{db.session.scalars(select(Appointment)).one().public_id}"
    client = signed_in()
    send(client, f"{path}/cancel", version=1)
    with keep():
        close(db.session.scalars(select(Site)).one(), at(8), at(12), "Snow")

    answer = send(client, f"{path}/reinstate", version=2)

    assert answer.status_code == 409
    assert "Woburn is closed 8:00 AM–12:00 PM (Snow)." in answer.text
