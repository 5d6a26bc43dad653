"""The list of people to call: everybody no message has reached, and what came of the call."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import deliver
from scheduler.messaging import consent
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import Refused
from scheduler.patients.models import Patient
from scheduler.reports import counts, unreached
from scheduler.tasks.models import Task
from tests import make
from tests.conftest import NOW, Keep, SignIn, StoppedClock
from tests.messaging.kit import FakeSender, agree, delivery, queue


@pytest.fixture(autouse=True)
def _five_people(app: Flask, keep: Keep, clock: StoppedClock) -> None:
    """June said stop, Ben was never asked, Ana's phone takes no texts; Eva and Tom need no call."""
    with keep():
        woburn, _ = make.two_sites()
        june, ben, ana, eva, tom = (
            make.patient(name, "Okafor", mobile=f"+1781555010{n}", home_site_id=woburn.id)
            for n, name in enumerate(("June", "Ben", "Ana", "Eva", "Tom"))
        )
        for patient in (june, ana, eva):
            agree(patient, NOW)
        consent.revoke(
            june.mobile or "",
            wording="stop",
            source="text",
            actor="patient",
            origin="test",
            now=NOW,
        )
        make.call(woburn, june, make.at(10), notify=False)
        make.call(woburn, ben, make.at(9, days=2), notify=False)
        make.call(woburn, eva, make.at(11), notify=False)
        make.call(woburn, tom, make.at(11, days=9), notify=False)  # not asked, and far off
        queue(ana, NOW)
    refused = Refused(Trouble.BAD_NUMBER, "30006", "this number takes no texts")
    with app.app_context():
        deliver.run(delivery(FakeSender([refused]), clock))


def listed(page: str) -> list[str]:
    return re.findall(r'class="person-link"[^>]*>(\w+) Okafor', page)


def note(client: FlaskClient, page: str, name: str, answer: str) -> TestResponse:
    """Choose an answer at somebody's row, as the page has it."""
    row = next(r for r in page.split("<li>") if f">{name} Okafor<" in r)
    path = re.search(r'action="([^"]+)"', row)
    assert path
    return client.post(
        path[1],
        data={
            "csrf_token": make.form_token(client, "/desk"),
            "visit": re.findall(r'name="visit" value="([^"]+)"', row),
            "answer": answer,
        },
    )


def test_everybody_no_message_reaches_is_called_until_they_have_heard(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in()
    page = client.get("/desk/not-reached").text
    assert listed(page) == ["June", "Ben", "Ana"]  # whoever comes next first
    assert "Said stop to texts" in page
    assert "Never asked about texts" in page
    assert "A text did not arrive: this number takes no texts" in page
    with app.app_context():
        assert counts.waiting(now=clock()).not_reached == 3

    assert "Choose what came of the call." in note(client, page, "June", "").text
    note(client, page, "June", "no-answer")
    again = client.get("/desk/not-reached").text
    assert "No answer, Some Front Desk, 10:00 AM" in again
    assert listed(again) == ["June", "Ben", "Ana"]

    note(client, page, "June", "will-come")
    note(client, page, "Ben", "left-message")
    note(client, page, "Ana", "told")

    assert "nobody must be called" in client.get("/desk/not-reached").text
    with app.app_context():
        confirmed = (
            select(Patient.given_name)
            .join(Appointment, Appointment.patient_id == Patient.id)
            .where(Appointment.confirmed_at.is_not(None))
        )
        assert db.session.scalars(confirmed).all() == ["June"]
        still_open = select(func.count()).select_from(Task).where(Task.closed_at.is_(None))
        assert db.session.scalar(still_open) == 0

        clock.advance(days=1)  # a message left yesterday is not an answer
        assert [row.patient.given_name for row in unreached.people(now=clock())] == ["Ben"]
        assert counts.waiting(now=clock()).not_reached == 1


def test_who_asks_for_another_time_keeps_this_one_until_there_is_one(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()

    note(client, client.get("/desk/not-reached").text, "June", "other-time")

    assert "Asked for another time" in client.get("/desk/tasks").text
    assert listed(client.get("/desk/not-reached").text) == ["Ben", "Ana"]
    with app.app_context():
        states = db.session.scalars(select(Appointment.confirmed_at)).all()
    assert states == [None] * 4


def test_a_row_that_is_out_of_date_or_not_ours_to_answer_changes_nothing(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    page = client.get("/desk/not-reached").text
    ids = re.findall(r'name="visit" value="([^"]+)"', page)
    june, ben = re.findall(r'action="(/desk/not-reached/[^"]+)"', page)[:2]
    token = {"csrf_token": make.form_token(client, "/desk"), "answer": "will-come"}

    assert client.post(june, data=token | {"visit": ids[1]}).status_code == 422  # Ben's
    assert client.post(ben, data=token | {"visit": "no-such"}).status_code == 404
    admin = signed_in(Role.ADMIN)
    token = {"csrf_token": make.form_token(admin, "/desk"), "answer": "will-come"}
    assert admin.post(june, data=token | {"visit": ids[0]}).status_code == 403
    with app.app_context():
        states = db.session.scalars(select(Appointment.confirmed_at)).all()
    assert states == [None] * 4
