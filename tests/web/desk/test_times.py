"""The free times of the booking page: whose, of which days, and fetched by themselves."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking.models import Appointment, Claim
from scheduler.clinic import service as clinic
from scheduler.clinic import supply
from scheduler.clinic.models import Resource
from scheduler.core.db import db, transaction
from tests import make
from tests.conftest import Once, SignIn, StoppedClock
from tests.web.desk.test_people import send


@pytest.fixture(autouse=True)
def two_callers(once: Once) -> None:
    """Woburn with two people who take calls; the second works in the mornings only."""

    def made() -> None:
        make.clinic_day(callers=1)
        site = supply.current().site("woburn")
        assert site is not None
        second = clinic.add_resource(make.ResourceKind.PERSON, "Omar Haddad", skills=("calls",))
        where = db.session.get_one(make.Site, site.id)
        clinic.add_shift(
            second, where, range(7), make.time(8), make.time(9), valid_from=make.ALWAYS
        )

    once(made)


def number(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalars(sa.select(Resource.id).where(Resource.name == name)).one()


def values(html: str) -> list[str]:
    return re.findall(r'name="start" value="([^"]+)"', html)


def test_the_times_of_one_person_and_day_are_fetched_alone(signed_in: SignIn, app: Flask) -> None:
    omar = number(app, "Omar Haddad")

    answer = signed_in().get(
        f"/desk/book/times?service=call&site=woburn&day=2026-03-03&show=day&person={omar}"
    )

    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert values(answer.text) == [
        f"2026-03-03T13:{minute:02}:00+00:00|woburn" for minute in (0, 15, 30, 45)
    ]
    assert "with Omar Haddad" in answer.text


def test_two_weeks_show_every_day_and_the_first_few_only_sixteen(signed_in: SignIn) -> None:
    client = signed_in()
    address = "/desk/book/times?service=call&site=woburn&day=2026-03-03"

    assert len(values(client.get(f"{address}&show=weeks").text)) == 14 * 40
    first = client.get(address).text
    assert len(values(first)) == 16
    assert "<small>2 of 2 people</small>" in first  # both, until Omar goes home at nine
    assert "<small>1 of 2 people</small>" in first


def test_a_part_of_the_day_is_asked_for(signed_in: SignIn) -> None:
    asked = "service=call&site=woburn&day=2026-03-03&show=day&part=afternoon"
    page = signed_in().get(f"/desk/book?{asked}").text

    assert values(page)[0] == "2026-03-03T17:00:00+00:00|woburn"
    assert "Free on Tue, Mar 3, noon to 5 PM" in page
    assert '<option selected value="afternoon">' in page


def test_what_makes_no_sense_is_as_if_nobody_had_asked(signed_in: SignIn) -> None:
    client = signed_in()
    plain = client.get("/desk/book/times").text

    assert values(plain)
    for odd in ("person=x", "person=999999", "day=9999-99-99", "show=all", "site=x", "part=x"):
        assert client.get(f"/desk/book/times?{odd}").text == plain


def test_nobody_reads_times_without_signing_in(app: Flask) -> None:
    answer = app.test_client().get("/desk/book/times", headers={"X-Fragment": "1"})

    assert answer.status_code == 401


def test_a_named_person_takes_the_call(signed_in: SignIn, app: Flask) -> None:
    omar = number(app, "Omar Haddad")

    booked = send(
        signed_in(), "/desk/book", given_name="Noor", family_name="Aziz", service="call",
        site="woburn", person=str(omar), start="2026-03-03T13:15:00+00:00|woburn",
    )  # fmt: skip

    assert booked.status_code == 303
    with app.app_context():
        appointment = db.session.scalars(sa.select(Appointment)).one()
        lanes = db.session.scalars(
            sa.select(Claim.lane_id).where(Claim.appointment_id == appointment.id)
        ).all()
        assert {lane.id for lane in db.session.get_one(Resource, omar).lanes} & set(lanes)


def test_somebody_who_does_not_do_it_there_is_refused_at_the_field(
    signed_in: SignIn, app: Flask
) -> None:
    nurse = number(app, "Nurse 1")

    answer = send(
        signed_in(), "/desk/book", given_name="Noor", family_name="Aziz", service="call",
        site="woburn", person=str(nurse), start="2026-03-03T13:15:00+00:00|woburn",
    )  # fmt: skip

    assert answer.status_code == 422
    assert "They do not do this there." in answer.text
    assert 'value="Noor"' in answer.text


def test_a_page_asks_for_the_supply_once_and_so_does_a_writer(app: Flask) -> None:
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if "supply_version" in statement:
            asked.append(statement)

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", note)
        try:
            supply.current(), supply.current()
            assert len(asked) == 1
            with transaction():
                supply.current(), supply.current()
            assert len(asked) == 2
            supply.current()
            assert len(asked) == 3
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", note)


def test_a_call_sooner_than_usual_asks_why_once_and_is_booked(
    signed_in: SignIn, clock: StoppedClock
) -> None:
    client = signed_in()
    clock.set(make.at(9, 0))
    client = signed_in()
    form = {
        "csrf_token": make.form_token(client, "/desk/book"),
        "given_name": "Ana",
        "family_name": "Duarte",
        "mobile": "",
        "service": "call",
        "site": "woburn",
        "start": f"{make.at(10).isoformat()}|woburn",
        "notify": "y",
    }

    asked = client.post("/desk/book", data=form)
    booked = client.post("/desk/book", data=form | {"excuse": "They leave town tonight."})
    story = client.get(booked.location).text

    assert asked.status_code == 409
    assert "at least 2 hours ahead" in asked.text
    assert 'name="excuse"' in asked.text
    assert 'value="Duarte"' in asked.text
    assert booked.status_code == 303
    assert "They leave town tonight." in story
