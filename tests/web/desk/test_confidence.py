"""A number given in confidence, and phones that others read."""

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import answer, deliver
from scheduler.messaging import consent
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import NOW, Keep, SignIn, StoppedClock
from tests.messaging.kit import FACTS, FakeSender, ana, delivery, queue

HOME, OWN = "+17815550111", "+17815550122"


def send(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


def sent(app: Flask, clock: StoppedClock) -> list[tuple[str, str]]:
    sender = FakeSender()
    with app.app_context():
        deliver.run(delivery(sender, clock))
    return [(outgoing.recipient, outgoing.body) for outgoing in sender.sent]


def test_a_number_given_in_confidence_is_the_only_one_used_and_a_shared_phone_learns_nothing(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    with keep():
        woburn, _ = make.two_sites()
        patient = ana(NOW, home_site_id=woburn.id)
        topic = make.call(woburn, patient, make.at(10, days=2), notify=False).topic
        page = f"/desk/patients/{patient.public_id}"
    client = signed_in()
    form = {"preferred_name": "Nita", "phone": "(781) 555-0111", "language": "en", "version": 1}
    wrong = send(client, f"{page}/edit", private_mobile="555-01", shares_phone="y", **form)
    assert wrong.status_code == 422
    assert 'value="555-01"' in wrong.text
    form |= {"zone_name": "Pacific/Honolulu"}
    kept = send(client, f"{page}/edit", private_mobile="781 555 0122", shares_phone="y", **form)
    assert kept.status_code == 303
    shown = client.get(page).text
    assert "only this number" in shown
    assert "do not use" in shown
    assert "Others read this phone" in shown
    assert "Phone only: not asked yet" in shown  # they agreed at the other number

    send(client, f"{page}/consent", answer="yes", how="phone")
    with keep():
        patient = db.session.scalars(select(Patient)).one()
        assert patient.zone_name == "Pacific/Honolulu"
        patient.zone_name = None  # it is night there
        assert [p.id for p in db.session.scalars(select(Patient).where(consent.textable()))]
        queue(patient, NOW, topic=topic, facts={"zone": FACTS["zone"]})

    [(recipient, body)] = sent(app, clock)
    assert recipient == OWN
    assert body.startswith("Emerge Wellness: there is something for N. See it: https://")
    assert "10:" not in body

    with keep():  # nothing was asked, so nobody who holds the phone can answer for her
        answer.take_in(provider_ref="SM1", number=OWN, body="1", now=clock())
        assert db.session.scalars(select(Appointment)).one().confirmed_at is None
        answer.take_in(provider_ref="SM2", number=OWN, body="STOP", now=clock())
    assert "Phone only: said stop" in client.get(page).text
    with app.app_context():
        texted = select(Patient).where(consent.textable())
        assert db.session.scalars(texted).all() == []
    assert "Use only (781) 555-0122" not in client.get("/desk/inbox/1").text
    with keep():
        answer.take_in(provider_ref="SM3", number=HOME, body="Who is this?", now=clock())
    page = client.get("/desk/inbox/3").text
    assert "Use only (781) 555-0122" in page
    assert "reached only at another number" in page
    refused = send(client, "/desk/inbox/3/answer", words="Emerge", once="1", up_to="3")
    assert refused.status_code == 409
