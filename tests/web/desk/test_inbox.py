"""The inbox: the patient's day beside what they wrote, answers, and who looks after it."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import answer, deliver
from scheduler.messaging import evidence
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.rules import Send
from scheduler.reports import reach
from scheduler.tasks.models import Task
from tests import make
from tests.conftest import NOW, Keep, SignIn, StoppedClock
from tests.messaging.kit import FACTS, FakeSender, agree, delivery, queue, still_true

NUMBER = "+17815550111"


@pytest.fixture(autouse=True)
def _question(keep: Keep) -> None:
    """Ana, who reads Spanish, has a call at 11 and asks where we are."""
    with keep():
        woburn, _ = make.two_sites()
        ana = make.patient(language="es", home_site_id=woburn.id)
        agree(ana, NOW)
        make.call(woburn, ana, make.at(11, days=0), notify=False)
        write("Is there parking?", "SM1")


def write(body: str, reference: str, *, number: str = NUMBER) -> None:
    answer.take_in(provider_ref=reference, number=number, body=body, now=NOW)


def send(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)
    assert found, name
    return found.group(1)


def went_out(app: Flask, clock: StoppedClock, said: Send | None = None) -> list[str]:
    sender = FakeSender()
    with app.app_context():
        deliver.run(delivery(sender, clock, judge=lambda m, at: said or still_true(m, at)))
    return [outgoing.body for outgoing in sender.sent]


def test_an_answer_is_looked_at_judged_and_sent_once(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in()
    went_out(app, clock)  # the fixed reply
    page = client.get("/desk/inbox/1").text
    assert "Ana Duarte" in page
    for beside in ("11:00 AM", "Not confirmed", "Le llamaremos hoy", "We will call you today"):
        assert beside in page
    assert "Le llamaremos hoy" in client.get("/desk/inbox/1?ready=will-call").text

    form = {"once": hidden(page, "once"), "up_to": hidden(page, "up_to")}
    path = "/desk/inbox/1/answer"
    for words, wrong in (
        ("  ", "Write what they should read."),
        ("Your ketamine is ready", "leave out “ketamine”"),
        ("Park behind {house}", "Leave out the curly braces"),
        ("See https://evil.example/x", "leave out “https://evil.example/x”"),
        ("far " * 90, "too long for two parts"),
    ):
        refused = send(client, path, words=words, **form)
        assert refused.status_code == 422
        assert wrong in refused.text
        assert words.strip() in refused.text

    words = "Sí, detrás de la casa"
    looked = send(client, path, words=words, look="1", **form)
    assert "Emerge Wellness: Sí, detrás de la casa. ¿Preguntas? (781) 555-0100" in looked.text
    assert "1 part, in the long alphabet" in looked.text
    for _ in range(2):
        assert send(client, path, words=words, **form).status_code == 303

    assert went_out(app, clock) == [
        "Emerge Wellness: Sí, detrás de la casa. ¿Preguntas? (781) 555-0100"
    ]
    page = client.get("/desk/inbox/1").text
    assert "Some Front Desk, Mon" in page  # who wrote it
    assert "not read" not in client.get("/desk/inbox").text
    with app.app_context():
        [task] = db.session.scalars(select(Task))
        assert task.closed_at is not None
        [sent] = db.session.scalars(select(Message).where(Message.template == "answer"))
        assert "detrás" not in str(sent.facts)  # what people write is sealed


def test_what_came_in_since_the_page_was_read_stays_unread(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    page = client.get("/desk/inbox/1").text
    form = {"once": hidden(page, "once"), "up_to": hidden(page, "up_to")}
    with keep():
        write("And is there a lift?", "SM2")

    send(client, "/desk/inbox/1/answer", words="Behind the house", **form)

    with app.app_context():
        by_age = select(InboundText).order_by(InboundText.id)
        read = [t.read_at is not None for t in db.session.scalars(by_age)]
    assert read == [True, False]


def test_a_conversation_is_taken_by_one_person_at_a_time(signed_in: SignIn) -> None:
    client, other = signed_in(), signed_in(Role.NURSE)
    page = client.get("/desk/inbox/1").text
    me = hidden(page, "who")
    path = "/desk/inbox/1/assign"

    assert send(client, path, who=me, seen="").status_code == 303
    late = send(other, path, who="", seen="")

    assert late.status_code == 409
    assert "taken or given this conversation" in late.text
    assert send(other, path, who="staff:999", seen=me).status_code == 422
    assert "Is there parking?" in client.get("/desk/inbox?show=mine").text
    assert "You look after none" in other.get("/desk/inbox?show=mine").text
    assert send(other, path, who="", seen=me).status_code == 303
    assert "You look after none" in client.get("/desk/inbox?show=mine").text


def test_who_said_stop_is_called_and_not_answered_until_they_agree_again(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    client = signed_in()
    page = client.get("/desk/inbox/1").text
    form = {"once": hidden(page, "once"), "up_to": hidden(page, "up_to"), "words": "Yes"}
    with keep():
        write("please stop texting me", "SM2")
    went_out(app, clock)

    refused = send(client, "/desk/inbox/1/answer", **form)

    assert refused.status_code == 409
    assert "They said stop. Please call them." in refused.text
    assert "Phone only" in refused.text
    assert went_out(app, clock) == []

    with app.app_context():
        patient = db.session.scalars(select(Appointment)).one().patient.public_id
    assert "Said stop" in client.get("/desk/tasks").text
    send(client, f"/desk/patients/{patient}/consent", answer="yes", how="phone")
    assert "Said stop" not in client.get("/desk/tasks").text
    assert send(client, "/desk/inbox/1/answer", **form).status_code == 303
    assert len(went_out(app, clock)) == 1


def test_who_may_be_in_danger_stands_above_all_others_until_somebody_has_seen_to_it(
    signed_in: SignIn, keep: Keep
) -> None:
    with keep():
        write("I want to kill myself", "SM2", number="+17815550112")
        write("And is there a lift?", "SM3")
    client = signed_in()

    inbox, tasks = client.get("/desk/inbox").text, client.get("/desk/tasks").text

    assert inbox.index("May be in danger: call now") < inbox.index("Ana Duarte")
    assert tasks.index("May be in danger: call now") < tasks.index("Sent a text we did not")
    send(client, "/desk/inbox/2/read")
    assert "May be in danger" not in client.get("/desk/inbox").text


def test_a_confirmation_by_a_wrong_one_can_be_taken_back_hours_later(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        appointment = db.session.scalars(select(Appointment)).one()
        queue(appointment.patient, NOW, topic=appointment.topic, facts={"zone": FACTS["zone"]})
        path = f"/desk/appointments/{appointment.public_id}/unconfirm"
        asked = Send(FACTS | {"starts_at": appointment.starts_at.isoformat()})
    went_out(app, clock, asked)
    with keep():
        write("1", "SM2")
    clock.advance(minutes=40)
    client = signed_in()
    assert "Not confirmed after all" in client.get("/desk/inbox/1").text

    assert send(client, path, version=1, back="/desk/inbox/1").status_code == 303

    with app.app_context():
        assert db.session.scalars(select(Appointment)).one().confirmed_at is None
    assert "They will come" in client.get("/desk/inbox/1").text


def test_the_reach_of_a_visit_is_seen_step_by_step_and_begins_anew_with_a_move(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    client = signed_in()

    def steps() -> dict[str, bool]:
        with app.app_context():
            [appointment] = db.session.scalars(select(Appointment))
            found = reach.of([appointment], now=clock())[appointment.id]
            return {words: at is not None for words, at in found.steps}

    with keep():
        appointment = db.session.scalars(select(Appointment)).one()
        facts = FACTS | {"starts_at": appointment.starts_at.isoformat()}
        queue(appointment.patient, NOW, topic=appointment.topic)
        public_id = appointment.public_id
    assert [words for words, taken in steps().items() if taken] == ["Planned"]

    sender = FakeSender()
    with app.app_context():
        deliver.run(delivery(sender, clock, judge=lambda message, at: Send(facts=facts)))
        [sent] = db.session.scalars(select(Message).where(Message.template == "call-tomorrow"))
        number, reference = sent.public_id, str(sent.provider_ref)
    assert [words for words, taken in steps().items() if taken] == ["Sent"]
    with keep():
        evidence.record_report(number, reference, "delivered", now=clock())
        write("1", "SM2")
    assert [words for words, taken in steps().items() if taken] == [
        "Sent",
        "Delivered",
        "Answered",
        "Confirmed",
    ]
    assert "How far word of it came" in client.get(f"/desk/appointments/{public_id}").text
    assert "Ana Duarte" in client.get("/desk/reach").text

    with keep():
        appointment = db.session.scalars(select(Appointment)).one()
        booking.move(
            appointment,
            starts_at=make.at(14, days=0),
            version=appointment.version,
            actor="staff:1",
            now=clock(),
        )
    after = steps()
    assert not any(after[step] for step in ("Sent", "Delivered", "Confirmed"))
