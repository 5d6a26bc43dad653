"""Worklists, the inbox, calls and the simulated phone."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.booking.models import Appointment, Status
from scheduler.core.db import db
from scheduler.jobs import answer
from scheduler.messaging.models import InboundText, SimulatedText
from scheduler.messaging.senders import simulated
from scheduler.tasks.models import Task
from scheduler.treatment.models import CallOutcome
from tests import make
from tests.conftest import Once, SignIn, StoppedClock

NUMBER = "+17815550111"


@pytest.fixture
def settings() -> dict[str, object]:
    return {"environment": "demo"}


@pytest.fixture(autouse=True)
def _call(once: Once, clock: StoppedClock) -> None:
    """Ana's call is at 11; she has written something nobody can understand."""

    def made() -> None:
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient(), make.at(11, days=0))
        reference = simulated.texted_by_patient(NUMBER, "Is there parking?", now=clock())
        answer.take_in(provider_ref=reference, number=NUMBER, body="Is there parking?", now=clock())

    once(made)


def send(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


def call(app: Flask) -> Appointment:
    with app.app_context():
        found = db.session.scalars(select(Appointment)).one()
        db.session.expunge_all()
        return found


def test_a_call_is_started_and_its_outcome_recorded(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    clock.set(make.at(11, days=0))
    client = signed_in()
    ana = call(app)
    path = f"/desk/appointments/{ana.public_id}"
    assert "Ana Duarte" in client.get("/desk/to-call").text

    send(client, f"{path}/arrive", version=ana.version)
    assert call(app).status is Status.ARRIVED
    nothing = send(client, f"{path}/outcome", version=ana.version + 1)
    assert nothing.status_code == 422
    assert "Choose what the call came to." in nothing.text

    send(client, f"{path}/outcome", version=ana.version + 1, outcome="candidate", note="Asks.")
    assert call(app).status is Status.FULFILLED
    assert "Candidate" in client.get("/desk").text
    assert "No more calls today" in client.get("/desk/to-call").text
    with app.app_context():
        assert db.session.scalars(select(CallOutcome)).one().note == "Asks."


def test_nobody_has_missed_what_has_not_begun(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in()
    ana = call(app)
    path = f"/desk/appointments/{ana.public_id}"

    early = send(client, f"{path}/no-show", version=ana.version)
    assert early.status_code == 409
    assert "has not begun yet" in early.text

    clock.set(make.at(11, 12, days=0))
    client = signed_in()
    send(client, f"{path}/no-show", version=ana.version)
    assert "Not reached" in client.get("/desk").text
    send(client, f"{path}/undo", version=call(app).version)
    assert call(app).status is Status.BOOKED


def test_a_text_nobody_understood_is_a_task_and_unread_until_somebody_reads_it(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    assert "Is there parking?" in client.get("/desk/tasks").text
    assert "1 not read" in client.get("/desk/inbox").text
    with app.app_context():
        text_id = db.session.scalars(select(InboundText.id)).one()
    assert "Is there parking?" in client.get(f"/desk/inbox/{text_id}").text

    send(client, f"/desk/inbox/{text_id}/read")

    assert "not read" not in client.get("/desk/inbox").text
    assert "Nothing waits for you" in client.get("/desk/tasks").text


def test_a_task_is_closed_once_and_with_words(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    with app.app_context():
        task_id = db.session.scalars(select(Task.id)).one()
    path = f"/desk/tasks/{task_id}/close"

    assert "Say in a few words" in send(client, path, version=1, outcome=" ").text
    assert 'value="Called back"' in send(client, path, version="x", outcome="Called back").text
    assert send(client, path, version=1, outcome="Answered").status_code == 303
    again = send(client, path, version=1, outcome="Answered")
    assert again.status_code == 409
    assert "closed this task already" in again.text


def test_what_is_typed_on_the_simulated_phone_comes_in_as_a_text(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    assert "Is there parking?" in client.get("/desk/phone").text
    with app.app_context():
        phone = db.session.scalars(select(SimulatedText.id)).first()
    path = f"/desk/phone/{phone}"

    assert send(client, path, body=" ").status_code == 422
    assert send(client, path, body="STOP").status_code == 303

    assert "STOP" in client.get(path).text
    assert "Said stop" in client.get("/desk/tasks").text


def test_nobody_signed_out_sees_the_simulated_phone(client: FlaskClient) -> None:
    assert client.get("/desk/phone").status_code == 303
