"""Booking for somebody, finding them, their consent, and linking who booked online."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment
from scheduler.clinic import queries as clinic
from scheduler.core.db import db
from scheduler.messaging import consent
from scheduler.patients import service as people
from scheduler.patients.models import Pain, PainSince, Patient, Standing
from scheduler.plans import service as plans
from scheduler.treatment.models import Outcome
from tests import make
from tests.conftest import Keep, Once, SignIn


@pytest.fixture(autouse=True)
def _people(once: Once) -> None:
    def made() -> None:
        woburn, _ = make.two_sites()
        make.patient("June", "Okafor", mobile="+17815550134", email="june@example.org")
        enquirer = people.enquire(
            "june",
            "OKAFOR",
            mobile="+17815550134",
            email=None,
            language="es",
            pain=Pain.CRPS,
            pain_since=PainSince.YEARS,
            tried="Physio",
            home_site_id=woburn.id,
            actor="visitor",
            now=make.MONDAY,
        )
        make.call(woburn, enquirer, make.at(11))

    once(made)


def who(app: Flask, standing: Standing) -> Patient:
    with app.app_context():
        found = db.session.scalar(
            select(Patient).where(Patient.standing == standing).order_by(Patient.id)
        )
        assert found is not None
        db.session.expunge_all()
        return found


def send(
    client: FlaskClient, path: str, page: str = "/desk/patients", **form: object
) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, page), **form})


def first_time(page: str) -> str:
    found = re.search(r'name="start" value="([^"]+)"', page)
    assert found
    return found.group(1)


def count(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(model)).one()


@pytest.mark.parametrize("words", ["ju ok", "Okafor", "0134", "555-0134"])
def test_somebody_is_found_by_the_start_of_a_name_or_the_end_of_a_number(
    signed_in: SignIn, words: str
) -> None:
    found = send(signed_in(), "/desk/patients", q=words)

    assert "June" in found.text
    assert "booked online" in found.text


def test_a_search_is_on_record_with_numbers_of_records_and_no_words(
    signed_in: SignIn, app: Flask
) -> None:
    send(signed_in(), "/desk/patients", q="okafor")

    with app.app_context():
        entry = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "patients.searched.viewed")
        ).one()
        assert len(entry.detail["found"]) == 2
        assert "okafor" not in str(entry.detail)


def test_a_known_patient_is_booked_by_a_time_and_a_button(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    june = who(app, Standing.PATIENT)
    page = client.get(f"/desk/book?patient={june.public_id}").text
    before = count(app, Appointment)

    form = {
        "patient": june.public_id,
        "service": "call",
        "site": "woburn",
        "start": first_time(page),
        "once": "one-form",
        "notify": "y",
    }
    first = send(client, "/desk/book", **form)
    second = send(client, "/desk/book", **form)

    assert first.status_code == second.status_code == 303
    assert first.location == second.location  # a double click books once
    assert count(app, Appointment) == before + 1
    assert "June Okafor" in client.get(first.location).text


def test_somebody_new_is_booked_in_one_form(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    page = client.get("/desk/book").text

    booked = send(
        client,
        "/desk/book",
        given_name="Noor",
        family_name="Aziz",
        mobile="781 555 0177",
        service="call",
        site="woburn",
        start=first_time(page),
    )

    assert booked.status_code == 303
    with app.app_context():
        noor = db.session.scalars(select(Patient).where(Patient.given_name == "Noor")).one()
        assert noor.mobile == "+17815550177"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Choose a time."),
        ({"start": "whenever|woburn"}, "Choose one of the times."),
        ({"start": "2026-03-02T20:00:00+00:00|nowhere"}, "Choose one of the times."),
        ({"mobile": "123"}, "Check for a missing digit"),
        ({"given_name": ""}, "Enter their first name"),
        ({"day": "someday"}, "Not a valid date value."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    signed_in: SignIn, form: dict[str, str], words: str
) -> None:
    typed = {"given_name": "Noor", "family_name": "Aziz", "mobile": "", "service": "call"}

    answer = send(signed_in(), "/desk/book", **(typed | form))

    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="Aziz"' in answer.text


def test_a_time_taken_meanwhile_shows_what_else_is_free(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    start = first_time(client.get("/desk/book").text)
    with keep() as session:
        woburn = clinic.site_called("woburn")
        june = session.scalars(select(Patient).where(Patient.given_name == "June")).one()
        make.call(woburn, june, make.datetime.fromisoformat(start.split("|")[0]))

    answer = send(
        client,
        "/desk/book",
        given_name="Noor",
        family_name="Aziz",
        service="call",
        site="woburn",
        start=start,
    )

    assert answer.status_code == 409
    assert "The only caller there, Ines Roy, is taken" in answer.text
    assert 'value="Noor"' in answer.text
    assert 'name="start"' in answer.text


def test_consent_given_by_phone_is_kept_with_its_words(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    june = who(app, Standing.PATIENT)
    path = f"/desk/patients/{june.public_id}"
    assert "not asked yet" in client.get(path).text

    assert send(client, f"{path}/consent").status_code == 422
    send(client, f"{path}/consent", answer="yes", how="phone")
    assert "Texts: yes" in client.get(path).text
    with keep() as session:
        line = consent.ledger(session.get_one(Patient, june.id))[0]
        assert "replying STOP" in line.wording
        assert "by phone" in line.wording

    send(client, f"{path}/consent", answer="no", how="desk")
    assert "said stop" in client.get(path).text


def test_a_number_that_cannot_be_texted_is_kept_and_shown_as_no_mobile(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    june = who(app, Standing.PATIENT)
    path = f"/desk/patients/{june.public_id}"

    send(client, f"{path}/edit", version=june.version, phone="ext. 12", language="en")
    stale = send(client, f"{path}/edit", version=june.version, phone="ext. 13", language="en")

    page = client.get(path).text
    assert "No mobile" in page
    assert "ext. 12" in page
    assert stale.status_code == 409
    assert "ext. 13" in stale.text


def test_an_enquirer_is_compared_and_linked_with_their_appointments(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    enquirer, june = who(app, Standing.ENQUIRER), who(app, Standing.PATIENT)
    assert "may be June Okafor" in client.get("/desk/new-people").text
    path = f"/desk/patients/{enquirer.public_id}/merge/{june.public_id}"
    assert "Are these one person?" in client.get(path).text

    assert send(client, path).status_code == 303

    page = client.get(f"/desk/patients/{june.public_id}").text
    assert "Consultation call" in page
    moved_on = client.get(f"/desk/patients/{enquirer.public_id}")
    assert moved_on.location == f"/desk/patients/{june.public_id}"
    assert "Nobody waits to be linked" in client.get("/desk/new-people").text


def test_what_hurts_is_for_nurses_and_clinicians(signed_in: SignIn, app: Flask) -> None:
    path = f"/desk/patients/{who(app, Standing.ENQUIRER).public_id}"

    assert "CRPS" not in signed_in(Role.FRONT_DESK).get(path).text
    assert "CRPS" in signed_in(Role.NURSE).get(path).text


def test_opening_a_patient_is_on_record(signed_in: SignIn, app: Flask) -> None:
    june = who(app, Standing.PATIENT)
    signed_in().get(f"/desk/patients/{june.public_id}")

    with app.app_context():
        entry = db.session.scalars(
            select(AuditEntry).where(
                AuditEntry.action == "patient.viewed", AuditEntry.patient_id == june.id
            )
        ).one()
        assert entry.actor.startswith("staff:")


@pytest.mark.parametrize(
    "path", ["/desk/patients/nobody", "/desk/appointments/nothing", "/desk/inbox/999"]
)
def test_what_does_not_exist_is_a_kind_404(signed_in: SignIn, path: str) -> None:
    answer = signed_in().get(path)

    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_two_patients_are_not_mixed_by_an_address_edited_by_hand(
    app: Flask, signed_in: SignIn, keep: Keep
) -> None:
    with keep():
        other = make.patient("Paul", "Whitfield", mobile="+17815550135").public_id
    june = who(app, Standing.PATIENT)

    refused = send(signed_in(), f"/desk/patients/{june.public_id}/merge/{other}")

    assert refused.status_code == 422
    assert "Only somebody who booked online" in refused.text


def test_an_address_that_is_two_is_refused_at_its_field(app: Flask, signed_in: SignIn) -> None:
    june = who(app, Standing.PATIENT)

    answer = send(
        signed_in(),
        f"/desk/patients/{june.public_id}/edit",
        email="june@example.org,x@example.org",
        phone="781 555 0134",
        language="en",
        version=str(june.version),
    )

    assert answer.status_code == 422
    assert "Enter an address like name@example.com." in answer.text
    assert "june@example.org,x@example.org" in answer.text


def test_somebody_who_booked_online_twice_is_shown_as_such(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    with keep():
        for name in ("Cleo", "Cleo"):
            people.enquire(
                name,
                "Park",
                mobile="+17815550166",
                email=None,
                language="en",
                pain=Pain.CRPS,
                pain_since=PainSince.YEARS,
                tried=None,
                home_site_id=None,
                actor="visitor",
                now=make.MONDAY,
            )
    with app.app_context():
        first, second = db.session.scalars(
            select(Patient).where(Patient.given_name == "Cleo").order_by(Patient.id)
        )
    client = signed_in()

    assert client.get("/desk/new-people").text.count("booked more than once") == 2
    page = client.get(f"/desk/patients/{first.public_id}").text
    assert "Booked online more than once" in page
    assert f"/desk/patients/{second.public_id}" in page


def test_a_call_that_is_over_early_is_not_shown_as_coming(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    enquirer = who(app, Standing.ENQUIRER)
    with keep():
        call = db.session.scalars(select(Appointment)).one()
        plans.record_call(call, Outcome.CANDIDATE, note=None, actor="staff:1", now=make.MONDAY)

    page = signed_in().get(f"/desk/patients/{enquirer.public_id}").text

    coming = page.partition(">Coming</h2>")[2].partition("</section>")[0]
    assert "None." in coming
