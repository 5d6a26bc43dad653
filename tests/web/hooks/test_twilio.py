"""What the provider tells us: believed when signed, once, and never too much."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import service as clinic
from scheduler.core.db import db, transaction
from scheduler.jobs import catch_up, deliver
from scheduler.messaging import consent, outbox, queries
from scheduler.messaging.models import DeliveryReport, InboundText, Message
from scheduler.messaging.rules import MOST_REPLIES_A_DAY
from scheduler.messaging.states import State
from scheduler.patients.models import Patient
from scheduler.tasks.models import Task
from tests import make
from tests.conftest import NOW, Keep, Once, StoppedClock
from tests.messaging.kit import FACTS, FakeSender, ana, delivery, queue
from tests.support import twilio_server
from tests.support.twilio_server import inbound_form, report_form, signed, signed_with_shared_key

PUBLIC = "https://clinic.example"
TEXTS = f"{PUBLIC}/hooks/twilio/text"
NUMBER = "+17815550111"
SID = "SM" + "a" * 32


@pytest.fixture
def settings() -> dict[str, object]:
    return {
        "public_url": PUBLIC,
        "twilio_account_sid": twilio_server.ACCOUNT,
        "twilio_auth_token": twilio_server.TOKEN,
        "twilio_shared_key": twilio_server.SHARED_KEY,
        "twilio_messaging_service_sid": twilio_server.SERVICE,
    }


def text(client: FlaskClient, body: str, *, sid: str = SID, number: str = NUMBER) -> Any:
    """A signed text comes in."""
    form = inbound_form(number, body, sid=sid)
    return client.post("/hooks/twilio/text", data=form, headers=signed(TEXTS, form))


@pytest.fixture
def asked(app: Flask, once: Once, clock: StoppedClock) -> int:
    """Ana was asked by text whether she will take her call; returns its appointment's id."""

    def made() -> int:
        where = make.clinic_day()
        patient = ana(NOW, home_site_id=where.id)
        appointment = make.call(where, patient, make.at(10, 45, days=1), notify=False)
        number = appointment.id
        queue(patient, NOW, topic=appointment.topic, facts={"zone": FACTS["zone"]})
        return number

    number = once(made)
    send(app, clock)
    clock.advance(minutes=1)
    return number


def send(app: Flask, clock: StoppedClock) -> list[str]:
    """Send what is due; return the words."""
    sender = FakeSender()
    with app.app_context():
        deliver.run(delivery(sender, clock))
    return [outgoing.body for outgoing in sender.sent]


def read(app: Flask, query: sa.Select[Any]) -> list[Any]:
    """Read rows."""
    with app.app_context():
        return list(db.session.scalars(query).all())


def test_a_one_confirms_and_is_answered(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    answer = text(client, "1")

    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert answer.data == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
    [appointment] = read(app, sa.select(Appointment).where(Appointment.id == asked))
    assert appointment.confirmed_at == clock()
    [words] = send(app, clock)
    assert words == (
        "Emerge Wellness: thank you. You are confirmed for Tue, Mar 3, 10:45 AM."
        " Questions? Call (781) 555-0100."
    )


def test_a_one_from_somebody_who_is_here_already_is_kept_for_a_person(
    app: Flask, client: FlaskClient, keep: Keep, asked: int, clock: StoppedClock
) -> None:
    with keep():
        booking.arrive(db.session.get_one(Appointment, asked), actor="staff:1", now=clock())

    assert text(client, "1").status_code == 200

    [appointment] = read(app, sa.select(Appointment))
    assert (appointment.status, appointment.confirmed_at) == (Status.ARRIVED, None)
    assert [row.body for row in read(app, sa.select(InboundText))] == ["1"]
    assert [task.kind for task in read(app, sa.select(Task))] == ["unclear-text"]


def test_one_text_that_cannot_be_taken_in_keeps_no_stop_behind_it_waiting(
    app: Flask, keep: Keep, asked: int, clock: StoppedClock
) -> None:
    class Kept:
        def came_in(self, since: datetime) -> list[tuple[str, str, str, datetime]]:
            at = clock() - timedelta(minutes=5)
            broken: Any = None  # the provider named no number
            return [("SM1", broken, "1", at), ("SM2", NUMBER, "STOP", at)]

    with app.app_context():
        assert catch_up.run(Kept(), now=clock()) == 1

    with keep():
        [patient] = db.session.scalars(sa.select(Patient)).all()
        assert consent.standing(patient).word is consent.Word.REVOKED


def test_what_no_database_can_hold_is_taken_in_without_it(
    app: Flask, client: FlaskClient, asked: int
) -> None:
    assert text(client, "1\0", number=f"{NUMBER}\0").status_code == 200

    assert [t.number for t in read(app, sa.select(InboundText))] == [NUMBER]
    [message] = read(app, sa.select(Message).where(Message.template == "call-tomorrow"))
    assert report(client, message.public_id, "failed\0", error_code="30005\0") == 204
    [message] = read(app, sa.select(Message).where(Message.id == message.id))
    assert message.error_code == "30005"


def test_a_picture_without_a_word_is_a_text_for_a_person(
    app: Flask, client: FlaskClient, asked: int
) -> None:
    form = inbound_form(NUMBER, "", sid=SID) | {"NumMedia": "1"}

    client.post("/hooks/twilio/text", data=form, headers=signed(TEXTS, form))

    [text] = read(app, sa.select(InboundText))
    assert text.body == "(a picture, which is not kept here)"
    assert text.read_at is None


def test_a_two_opens_a_task_and_frees_nothing(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    text(client, "2")

    [task] = read(app, sa.select(Task))
    [appointment] = read(app, sa.select(Appointment).where(Appointment.id == asked))
    assert (task.kind, task.topic) == ("change-asked", f"appointment:{asked}")
    assert appointment.is_live
    assert "We will call you" in send(app, clock)[0]


def test_the_other_signature_is_believed_too(client: FlaskClient, asked: int) -> None:
    form = inbound_form(NUMBER, "1", sid=SID)

    answer = client.post(
        "/hooks/twilio/text", data=form, headers=signed_with_shared_key(TEXTS, form)
    )

    assert answer.status_code == 200


FORM = inbound_form(NUMBER, "STOP", sid=SID)
GOOD = signed(TEXTS, FORM)
Mutation = Callable[[FlaskClient], Any]


def post(form: Any, headers: dict[str, str], **more: Any) -> Mutation:
    """A request as the mutation wants it."""
    return lambda client: client.post("/hooks/twilio/text", data=form, headers=headers, **more)


MUTATIONS: dict[str, Mutation] = {
    "no signature": post(FORM, {}),
    "an empty one": post(FORM, {"X-Twilio-Signature": ""}),
    "another key": post(FORM, signed(TEXTS, FORM, token="other")),
    "an empty key": post(FORM, signed(TEXTS, FORM, token="")),
    "another address": post(FORM, signed(TEXTS + "/", FORM)),
    "http for https": post(FORM, signed(TEXTS.replace("https", "http"), FORM)),
    "another host, and it says so": post(
        FORM,
        signed("https://evil.example/hooks/twilio/text", FORM),
        base_url="https://evil.example",
    ),
    "a port": post(FORM, signed(TEXTS.replace(".example", ".example:8443"), FORM)),
    "a field more": post(FORM | {"Extra": "1"}, GOOD),
    "a field less": post({k: v for k, v in FORM.items() if k != "To"}, GOOD),
    "a field changed": post(FORM | {"Body": "1"}, GOOD),
    "a field twice": post(FORM | {"Body": ["STOP", "STOP"]}, GOOD),
    "a blank more": post(FORM | {"Body": "STOP "}, GOOD),
    "as JSON": lambda client: client.post("/hooks/twilio/text", json=FORM, headers=GOOD),
    "the old signature called new": post(
        FORM,
        GOOD | {"X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA256"},
    ),
    "an algorithm nobody knows": post(
        FORM, GOOD | {"X-Twilio-Webhooks-Signature-Settings": "algorithm=NONE"}
    ),
}


def test_a_forged_request_is_refused_and_changes_nothing(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    for name, mutated in MUTATIONS.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "scheduler.security"):
            answer = mutated(client)

        assert answer.status_code == 403, name
        assert len([r for r in caplog.records if r.name == "scheduler.security"]) == 1, name
    assert read(app, sa.select(InboundText)) == []
    assert client.post("/hooks/twilio/text", data=FORM, headers=GOOD).status_code == 200


def test_a_request_by_get_is_not_looked_at(client: FlaskClient) -> None:
    assert client.get("/hooks/twilio/text", headers=GOOD).status_code == 405


def test_without_a_key_nobody_is_believed(app: Flask, client: FlaskClient) -> None:
    app.extensions["emerge_config"] = type(app.extensions["emerge_config"])(
        **(vars(app.extensions["emerge_config"]) | {"twilio_auth_token": ""})
    )

    answer = client.post("/hooks/twilio/text", data=FORM, headers=signed(TEXTS, FORM, token=""))

    assert answer.status_code == 403


def test_the_same_text_fifty_times_has_one_effect(
    app: Flask, asked: int, clock: StoppedClock
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: text(app.test_client(), "2").status_code, range(50)))
    clock.advance(days=1)
    answers.append(text(app.test_client(), "2").status_code)

    assert set(answers) == {200}
    assert len(read(app, sa.select(InboundText))) == 1
    assert len(read(app, sa.select(Task))) == 1


@pytest.mark.parametrize("body", ["STOP", "dejen de escribirme"])
def test_a_stop_stops_everything_at_once_and_is_confirmed_once(
    app: Flask, client: FlaskClient, keep: Keep, asked: int, clock: StoppedClock, body: str
) -> None:
    with keep():
        [patient] = db.session.scalars(sa.select(Patient)).all()
        queue(patient, clock(), dedupe_key="next", send_after=clock())

    text(client, body)
    text(client, "stop", sid="SM" + "b" * 32)

    assert [words[:51] for words in send(app, clock)] == [
        "Emerge Wellness: you will get no more texts from us"
    ]
    with keep():
        [patient] = db.session.scalars(sa.select(Patient)).all()
        assert consent.standing(patient).word is consent.Word.REVOKED
        queue(patient, clock(), dedupe_key="later", send_after=clock())
    assert send(app, clock) == []
    assert {task.kind for task in read(app, sa.select(Task))} == {"stopped-texts"}


def test_start_brings_texts_back_to_those_who_had_agreed(
    app: Flask, client: FlaskClient, keep: Keep, asked: int, clock: StoppedClock
) -> None:
    with keep():
        make.patient("Ben", mobile=NUMBER, email=None)
    text(client, "STOP")
    send(app, clock)

    text(client, "START", sid="SM" + "b" * 32)

    assert "you will get texts about your appointments again" in send(app, clock)[0]
    with keep():
        ana_, ben = db.session.scalars(sa.select(Patient).order_by(Patient.id)).all()
        assert consent.may_text(ana_, now=clock())
        assert not consent.may_text(ben, now=clock())
    [stop] = read(app, sa.select(Task))
    assert (stop.kind, stop.outcome) == ("stopped-texts", "texts again")


def test_yes_is_no_answer_to_a_question(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    text(client, "YES")

    [appointment] = read(app, sa.select(Appointment))
    assert appointment.confirmed_at is None
    assert [task.kind for task in read(app, sa.select(Task))] == ["unclear-text"]


def test_what_the_provider_has_answered_itself_is_not_answered_again(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    form = inbound_form(NUMBER, "STOP", sid=SID) | {"OptOutType": "STOP"}

    client.post("/hooks/twilio/text", data=form, headers=signed(TEXTS, form))

    assert send(app, clock) == []


def test_what_is_unclear_is_for_a_person_and_answered_once_a_day(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    bodies = ["", "👍", "x" * 1600, "who is this?", "12", "\x00", "1 but later please"]

    for n, body in enumerate(bodies):
        assert text(client, body, sid=f"SM{n:032x}").status_code == 200

    assert len(read(app, sa.select(Task).where(Task.kind == "unclear-text"))) == len(bodies)
    assert len(send(app, clock)) == 1


def test_danger_is_answered_with_911_and_988_and_a_person_is_called_at_once(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    text(client, "I can't breathe")

    [task] = read(app, sa.select(Task))
    [words] = send(app, clock)
    assert (task.kind, task.due_at) == ("emergency-text", clock())
    assert "911" in words
    assert "988" in words


def test_a_one_with_two_open_questions_confirms_neither(
    app: Flask, client: FlaskClient, keep: Keep, asked: int, clock: StoppedClock
) -> None:
    with keep():
        [patient] = db.session.scalars(sa.select(Patient)).all()
        [appointment] = db.session.scalars(sa.select(Appointment)).all()
        patient.home_site_id = appointment.site_id  # a site that reminds more than once a day
        clinic.choose(appointment.site, "texts_a_day", 5, actor="staff:1", now=clock())
        queue(patient, clock(), topic="appointment:99", dedupe_key="other")
    send(app, clock)
    clock.advance(minutes=1)

    text(client, "1")

    [appointment] = read(app, sa.select(Appointment))
    assert appointment.confirmed_at is None
    assert [task.kind for task in read(app, sa.select(Task))] == ["unclear-text"]


def test_a_one_after_three_days_confirms_nothing(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    clock.advance(hours=72)

    text(client, "1")

    [appointment] = read(app, sa.select(Appointment))
    assert appointment.confirmed_at is None


def test_a_one_from_a_number_we_never_asked_confirms_nothing(
    app: Flask, client: FlaskClient, asked: int
) -> None:
    text(client, "1", number="+17815550199")

    [appointment] = read(app, sa.select(Appointment))
    [received] = read(app, sa.select(InboundText))
    assert appointment.confirmed_at is None
    assert (received.intent, received.patient_id) == ("unclear", None)


def test_a_one_about_a_time_that_was_moved_since_confirms_nothing(
    app: Flask, client: FlaskClient, keep: Keep, asked: int
) -> None:
    with keep():
        [appointment] = db.session.scalars(sa.select(Appointment)).all()
        booking.move(
            appointment, starts_at=make.at(14, days=2), version=1, actor="staff:1", now=NOW
        )

    text(client, "1")  # word of it has not left yet

    [appointment] = read(app, sa.select(Appointment))
    [received] = read(app, sa.select(InboundText))
    assert (appointment.confirmed_at, received.intent) == (None, "unclear")


def test_a_machine_that_answers_everything_is_not_answered_for_ever(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    for n in range(20):
        text(client, "1", sid=f"SM{n:032x}")

    assert len(send(app, clock)) <= 8
    for n in range(20, 50):
        text(client, "help", sid=f"SM{n:032x}")
        clock.advance(minutes=30)
    assert len(read(app, sa.select(Message).where(Message.is_reply))) == MOST_REPLIES_A_DAY
    text(client, "I want to die", sid=f"SM{50:032x}")
    assert "988" in send(app, clock)[-1]


def test_a_text_just_received_is_answered_at_any_hour_and_an_older_one_in_the_morning(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock, once: Once
) -> None:
    def answer(key: str) -> None:
        with app.app_context(), transaction():
            who = db.session.scalars(sa.select(Patient)).one()
            facts = {"phone": "+17815550100"}
            outbox.reply(
                NUMBER,
                "answer",
                facts,
                patient=who,
                topic="text:1",
                dedupe_key=key,
                now=clock(),
                words="Yes, at the back door.",
            )

    clock.set(make.at(23, days=0))
    text(client, "Where can I park?")
    assert len(send(app, clock)) == 1
    answer("at once")
    assert len(send(app, clock)) == 1
    clock.advance(hours=1)
    answer("too late for tonight")
    assert send(app, clock) == []
    clock.set(make.at(8))
    assert len(send(app, clock)) == 1


def test_a_signed_text_proves_that_we_can_be_reached(
    app: Flask, client: FlaskClient, asked: int
) -> None:
    with app.app_context():
        assert queries.sending_is_blocked(TEXTS) is queries.Blocked.UNVERIFIED

    text(client, "hello")

    with app.app_context():
        assert queries.sending_is_blocked(TEXTS) is None


def report(client: FlaskClient, public_id: str, status: str, **more: Any) -> int:
    """A signed report comes in."""
    url = f"{PUBLIC}/hooks/twilio/status/{public_id}"
    form = report_form("SM1", status, **more)
    return client.post(url.removeprefix(PUBLIC), data=form, headers=signed(url, form)).status_code


def test_reports_move_a_message_forward_only(
    app: Flask, client: FlaskClient, asked: int, clock: StoppedClock
) -> None:
    [message] = read(app, sa.select(Message).where(Message.template == "call-tomorrow"))

    for status in ("sent", "delivered", "sent", "delivered", "sparkling"):
        assert report(client, message.public_id, status) == 204

    [message] = read(app, sa.select(Message).where(Message.id == message.id))
    assert message.state is State.DELIVERED
    assert len(read(app, sa.select(DeliveryReport))) == 3


def test_a_report_about_nothing_gets_the_same_answer(client: FlaskClient, asked: int) -> None:
    assert report(client, "no-such-message", "delivered") == 204


def test_another_account_is_heard_and_left_alone(
    app: Flask, client: FlaskClient, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    form = inbound_form(NUMBER, "STOP", sid=SID) | {"AccountSid": "AC" + "9" * 32}

    answer = client.post("/hooks/twilio/text", data=form, headers=signed(TEXTS, form))

    assert answer.status_code == 200
    assert read(app, sa.select(InboundText)) == []


def test_nothing_of_a_text_or_a_number_is_logged(
    client: FlaskClient, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        text(client, "a private word")
        client.post("/hooks/twilio/text", data=FORM, headers={})

    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "private word" not in logged
    assert NUMBER not in logged
