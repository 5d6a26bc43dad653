"""A rehearsal shows what would be sent, in order and with the reason, and touches nothing."""

import json
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.cli import rehearse
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.messaging import texts
from scheduler.patients.models import Patient
from scheduler.waitlist import service as waitlist
from tests import course, make
from tests.conftest import Keep, StoppedClock
from tests.messaging import kit

NOW = make.MONDAY


def contents(app: Flask) -> dict[str, list[str]]:
    """Return everything that stands in the database."""
    with app.app_context():
        return {
            table.name: sorted(map(str, db.session.execute(sa.select(table)).all()))
            for table in db.metadata.sorted_tables
        }


def test_a_call_is_rehearsed_from_its_confirmation_to_the_day_and_nothing_is_changed(
    app: Flask, keep: Keep, runner: FlaskCliRunner, clock: StoppedClock
) -> None:
    with keep():
        where = make.clinic_day()
        who = kit.ana(NOW, mrn="R-17")
        call = make.call(where, who, make.at(9, days=6))
        other = make.patient("Ben", mobile="+17815550112")
        kit.agree(other, NOW)
        make.call(where, other, make.at(12, days=6))
        waitlist.add(
            who,
            call.service_code,
            since=make.at(9, days=3),
            until=make.at(9, 30, days=3),
            topic=call.topic,
            actor="staff:1",
            now=NOW,
        )
        booking.cancel(make.call(where, who, make.at(15, days=8)), actor="staff:1", now=NOW)
    before = contents(app)

    done = runner.invoke(args=["rehearse", "--patient", "R-17", "--days", "7", "--json"])

    assert done.exit_code == 0, done.output
    played = json.loads(done.output)
    said = [(one["kind"], one["name"]) for one in played["sent"]]
    assert ("text", "call-offer") in said
    assert ("text", "call-booked") in said
    assert ("text", "call-tomorrow") in said
    assert [one["at"] for one in played["sent"]] == sorted(one["at"] for one in played["sent"])
    mail = next(one for one in played["sent"] if one["name"] == "invite")
    assert mail["calendar"]["METHOD"] == "REQUEST"
    assert mail["calendar"]["DTSTART"] == "20260308T140000Z"  # summer time has begun
    assert {one["to"] for one in played["sent"]} == {"+17815550111", "ana@example.org"}
    reminder = next(one for one in played["sent"] if one["name"] == "call-tomorrow")
    assert reminder["why"] == "a day before the call"
    assert reminder["at"] == make.at(10, days=5).isoformat()  # ten by the clock on both days
    assert "/my/" not in done.output
    assert any(one["why"] for one in played["not_sent"])
    assert contents(app) == before

    words = runner.invoke(args=["rehearse", "--patient", "7815550111", "--days", "1"]).output
    assert "because the patient has not been told of it: Consultation call, Sun, Mar 8" in words
    assert "Nothing has left." in words
    nobody = runner.invoke(args=["rehearse", "--patient", "R-18"])
    assert nobody.exit_code == 1
    assert "Nobody has that" in nobody.output


def test_an_offer_made_while_nothing_else_is_due_is_shown(
    app: Flask, keep: Keep, runner: FlaskCliRunner, clock: StoppedClock
) -> None:
    with keep():
        make.clinic_day()
        make.patient("Ben", mobile="+17815550112", mrn="R-19")
        waitlist.add(
            kit.ana(NOW, mrn="R-17"),
            ServiceCode.CALL,
            since=make.at(9, days=3),
            until=make.at(9, 30, days=3),
            actor="staff:1",
            now=NOW,
        )

    done = runner.invoke(args=["rehearse", "--patient", "R-17", "--days", "1", "--json"])

    assert done.exit_code == 0, done.output
    assert {one["name"] for one in json.loads(done.output)["sent"]} == {"call-offer"}
    assert json.loads(done.output)["notes"] == []
    never_asked = runner.invoke(args=["rehearse", "--patient", "R-19", "--days", "1"]).output
    assert "Never asked about texts: no text goes to them." in never_asked


def test_a_plan_is_booked_on_the_copy_and_told_in_one_text(
    app: Flask, keep: Keep, runner: FlaskCliRunner, clock: StoppedClock
) -> None:
    with keep():
        where = course.clinic()
        who = kit.ana(NOW)
        course.approved(who, where)
        public_id = who.public_id
    clock.set(course.at(10, 9))

    done = runner.invoke(
        args=["rehearse", "--patient", public_id, "--days", "4", "--book", "--json"]
    )

    assert done.exit_code == 0, done.output
    played = json.loads(done.output)
    assert played["notes"] == ["6 of the plan's visits were booked, on the copy only."]
    names = [one["name"] for one in played["sent"]]
    assert names.count("dates") == 1
    assert names.count("invite") == 6
    texts = [one for one in played["sent"] if one["kind"] == "text"]
    days = [one["at"][:10] for one in texts if one["name"] != "dates"]
    assert len(days) == len(set(days))  # never two reminders on one day
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Appointment)) == 2
        assert db.session.scalars(sa.select(Patient)).one().public_id == public_id
    assert played["until"] == (course.at(10, 9) + timedelta(days=4)).isoformat()


def test_every_text_has_its_reason() -> None:
    for name in texts.names():
        assert rehearse.why(name)
