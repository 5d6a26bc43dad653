"""The list of people to call: everybody no message has reached, and what came of the call."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import deliver
from scheduler.messaging import consent, ending
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import Refused
from scheduler.patients.models import Patient
from scheduler.reports import counts, unreached
from scheduler.tasks import service as tasks
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
    assert "A text of Mar 2 did not arrive: this number takes no texts" in page
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


def test_who_gets_no_texts_is_called_about_what_was_moved_or_called_off(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        tom = db.session.scalars(select(Appointment).order_by(Appointment.id.desc())).first()
        assert tom is not None
        moved = tom.id
        who = db.session.get_one(Patient, tom.patient_id)
        other = make.call(tom.site, who, make.at(9, days=12))
        off, unsaid = other.id, make.call(tom.site, who, make.at(9, days=14)).id

    def act(verb: Callable[..., object], number: int, **more: object) -> None:
        with keep():
            appointment = db.session.get_one(Appointment, number)
            verb(appointment, version=appointment.version, actor="staff:1", now=clock(), **more)

    client = signed_in()
    assert "Tom" not in listed(client.get("/desk/not-reached").text)  # booked: the desk said so
    act(booking.move, moved, starts_at=make.at(13, days=10))
    act(booking.cancel, off)
    act(booking.cancel, unsaid, notify=False)  # they were on the phone
    assert "Tom" not in listed(client.get("/desk/not-reached").text)  # may be undone yet
    clock.advance(minutes=15)
    client = signed_in()
    page = client.get("/desk/not-reached").text
    row = next(r for r in page.split("<li>") if ">Tom Okafor<" in r)
    assert "Moved from Wed, Mar 11, 12:00 PM" in row  # by then the clocks have changed
    assert "Called off" in row
    assert len(re.findall(r'name="visit"', row)) == 2
    with app.app_context():
        assert counts.waiting(now=clock()).not_reached == 4

    note(client, page, "Tom", "no-answer")
    assert "Tom" in listed(client.get("/desk/not-reached").text)
    act(booking.move, moved, starts_at=make.at(11, days=9))  # undone: they know that time
    assert note(client, page, "Tom", "told").status_code == 422  # the page shows what was
    page = client.get("/desk/not-reached").text
    assert "Moved from" not in page
    note(client, page, "Tom", "left-message")
    assert "Tom" not in listed(client.get("/desk/not-reached").text)


def test_what_nobody_can_say_arrived_is_seen_on_the_list_until_somebody_called(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        eva = db.session.scalars(select(Patient).where(Patient.given_name == "Eva")).one()
        hers = db.session.scalars(select(Appointment).where(Appointment.patient_id == eva.id)).one()
        eva_id = eva.id
        later = NOW + timedelta(minutes=1)
        queue(eva, NOW, dedupe_key="eva", send_after=later, topic=hers.topic)
    client = signed_in()
    assert "Eva" not in listed(client.get("/desk/not-reached").text)
    clock.advance(hours=2)
    client = signed_in()
    page = client.get("/desk/not-reached").text
    assert "A text waits too long to go out" in page
    assert "Eva" in listed(page)
    assert "Late, unsure" in client.get("/desk/reach").text
    assert "Not confirmed: call" in client.get("/desk?day=2026-03-03").text
    note(client, page, "Eva", "told")
    assert "Eva" not in listed(client.get("/desk/not-reached").text)
    with keep():  # of a message that is not kept any more
        tasks.open_task(ending.NOT_SENT, "message:999999", patient_id=eva_id, now=clock())
    page = client.get("/desk/not-reached").text
    assert "A message did not arrive" in next(r for r in page.split("<li>") if ">Eva Okafor<" in r)


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
