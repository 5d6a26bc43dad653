"""What no page of ours sends: it is answered, on both databases, and never with a fault."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from scheduler.audit.models import AuditEntry
from scheduler.core.db import db
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Once, SignIn, StoppedClock

FIRST_MOMENT = "0001-01-01T00:00+14:00"
LAST_MOMENT = "9999-12-31T23:59-12:00"
SUPERSCRIPT = "\u00b2"  # str.isdigit() calls it a digit, int() does not
HUGE = "99999999999999999999"


@pytest.fixture
def booked(app: Flask, once: Once) -> tuple[str, str]:
    """The public ids of an appointment and of its patient."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def made() -> tuple[str, str]:
        woburn, _ = make.two_sites()
        june = make.patient("June", "Okafor", mobile="+17815550134")
        call = make.call(woburn, june, make.at(11))
        return call.public_id, june.public_id

    return once(made)


def send(client: FlaskClient, path: str, **form: str) -> int:
    token = make.form_token(client, "/desk/patients")
    return client.post(path, data={"csrf_token": token, **form}).status_code


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("move", "start", FIRST_MOMENT),
        ("move", "at", LAST_MOMENT),
        ("move", "day", "9999-12-31"),
        ("move", "chair", SUPERSCRIPT),
        ("cancel", "version", SUPERSCRIPT),
        ("arrive", "version", HUGE),
        ("outcome", "note", "a\0b"),
    ],
)
def test_an_edited_field_of_an_appointment_is_refused_in_words(
    signed_in: SignIn, booked: tuple[str, str], verb: str, field: str, value: str
) -> None:
    form = {"version": "1", "site": "woburn", field: value}

    status = send(signed_in(), f"/desk/appointments/{booked[0]}/{verb}", **form)

    assert 400 <= status < 500 or status == 303


@pytest.mark.parametrize(
    "path",
    [
        "/desk/book?day=9999-12-31",
        "/desk/book?patient=%00",
        "/desk/appointments/a%00b",
        "/desk/patients/%00",
        f"/desk/inbox/{HUGE}",
        "/desk/inbox/2147483648",
        "/book/time?site=woburn&day=0001-01-01",
        "/book/time?site=%00&date=%00",
    ],
)
def test_an_address_edited_by_hand_leads_to_a_page(
    signed_in: SignIn, booked: tuple[str, str], path: str
) -> None:
    assert signed_in().get(path).status_code < 500


def test_nul_is_dropped_from_what_is_typed_and_the_rest_kept(
    app: Flask, signed_in: SignIn, booked: tuple[str, str]
) -> None:
    client = signed_in()

    send(client, "/desk/patients", q="ju\0ne")
    kept = send(
        client,
        f"/desk/patients/{booked[1]}/edit",
        preferred_name="Ju\0nie",
        phone="781 555 0134",
        language="en",
        version="1",
    )

    assert kept == 303
    with app.app_context():
        assert db.session.scalar(select(Patient.preferred_name)) == "Junie"


def test_a_search_takes_signs_of_patterns_for_what_they_are(
    signed_in: SignIn, booked: tuple[str, str]
) -> None:
    client = signed_in()

    for words in ("%", "_", "\\", "%%%", "' or 1=1 --"):
        token = make.form_token(client, "/desk/patients")
        page = client.post("/desk/patients", data={"csrf_token": token, "q": words})
        assert page.status_code == 200
        assert "Okafor" not in page.text


def looks(app: Flask) -> list[str]:
    with app.app_context():
        return list(
            db.session.scalars(
                select(AuditEntry.action)
                .where(AuditEntry.action.endswith(".viewed"))
                .order_by(AuditEntry.id)
            )
        )


def test_a_look_is_on_record_whatever_the_request_says_of_itself(
    app: Flask, signed_in: SignIn, booked: tuple[str, str]
) -> None:
    client, poll = signed_in(), {"X-Poll": "1"}

    client.get(f"/desk/patients/{booked[1]}", headers=poll)
    client.get(f"/desk/appointments/{booked[0]}/move", headers=poll)
    client.get(f"/desk/appointments/{booked[0]}/cancel", headers=poll)
    client.get("/desk", headers=poll)

    seen = ["patient.viewed", "appointment.viewed", "appointment.viewed", "board.viewed"]
    assert looks(app) == seen


def test_a_board_that_refreshes_itself_is_one_look(
    app: Flask, signed_in: SignIn, booked: tuple[str, str], clock: StoppedClock
) -> None:
    client = signed_in()

    client.get("/desk")
    for _ in range(3):
        clock.advance(minutes=4)
        client.get("/desk", headers={"X-Poll": "1"})

    assert looks(app) == ["board.viewed"]
