"""The supply from a terminal: the same words about who is hit, before anything is changed."""

import json
from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select

from scheduler.audit.models import AuditEntry
from scheduler.clinic import hours, places, queries, roster, terms
from scheduler.clinic.models import Closure, Service
from scheduler.core.db import db
from scheduler.core.timespan import wall_text
from tests import make
from tests.conftest import Once


@pytest.fixture(autouse=True)
def _clinic(once: Once) -> None:
    """Tomorrow Ana is called at 10 and Ben comes at 11."""

    def made() -> None:
        site = make.clinic_day()
        make.call(site, make.patient())
        make.infusion(site, make.patient("Ben", "Ito", mobile="+17815550122"), make.at(11))

    once(made)


def supply(runner: FlaskCliRunner, *words: str) -> Result:
    return runner.invoke(args=["supply", *words])


CLOSE = ("close", "woburn", "--from", "2026-03-03", "--reason", "Snow")


def closures(app: Flask) -> list[Closure]:
    with app.app_context():
        return list(db.session.scalars(select(Closure)))


def test_a_closure_that_hits_somebody_changes_nothing_without_yes(
    runner: FlaskCliRunner, app: Flask
) -> None:
    asked = supply(runner, *CLOSE)

    assert asked.exit_code == 2
    assert "2026-03-03 10:00  Woburn     Ana Duarte" in asked.output
    assert "Ben Ito" in asked.output
    assert "Nothing was changed" in asked.output
    assert closures(app) == []


def test_with_yes_it_is_done_and_the_list_says_who_waits(
    runner: FlaskCliRunner, app: Flask
) -> None:
    done = supply(runner, *CLOSE, "--yes")
    listed = supply(runner, "waiting")
    (closure,) = closures(app)
    opened = supply(runner, "reopen", str(closure.id))

    assert done.exit_code == 0, done.output
    assert "Closed." in done.output
    assert "Woburn is closed: Snow." in listed.output
    assert "2 with their place again." in opened.output
    assert "Everybody has their place." in supply(runner, "waiting").output


def test_programs_read_the_same_as_json(runner: FlaskCliRunner) -> None:
    asked = supply(runner, *CLOSE, "--json")
    document = json.loads(asked.output)
    shown = json.loads(supply(runner, "show", "--json").output)

    assert asked.exit_code == 2
    assert document["saved"] is False
    assert [hit["wall"] for hit in document["hits"]] == ["2026-03-03T10:00", "2026-03-03T11:00"]
    assert document["hits"][0]["why"] == ["Woburn is closed: Snow."]
    assert shown["sites"][0]["chairs"] == ["Chair 1", "Chair 2"]
    assert shown["sites"][0]["hours"][0] == "mon 08:00-18:00"


def test_part_of_a_day_and_one_chair_hit_only_whom_they_must(
    runner: FlaskCliRunner, app: Flask
) -> None:
    morning = supply(
        runner,
        *CLOSE[:2],
        "--from",
        "2026-03-03T08:00",
        "--until",
        "2026-03-03T10:30",
        "--reason",
        "Drill",
    )
    chair = supply(runner, *CLOSE, "--chair", "Chair 1")

    assert "Ana Duarte" in morning.output
    assert "Ben Ito" not in morning.output
    assert chair.exit_code == 0, chair.output
    assert "1 with another chair or lane" in chair.output


def test_hours_and_shifts_are_set_from_a_day_on(runner: FlaskCliRunner, app: Flask) -> None:
    asked = supply(
        runner, "hours", "woburn", "--days", "tue-wed", "--open", "08:00", "--close", "11:00",
        "--from", "2026-03-03",
    )  # fmt: skip
    done = supply(runner, "hours", "woburn", "--days", "sat,sun", "--shut", "--from", "2026-03-07")
    shift = supply(
        runner, "shifts", "Caller 1", "--days", "tue", "--site", "woburn", "--at", "12:00",
        "--to", "18:00", "--from", "2026-03-03", "--yes",
    )  # fmt: skip

    assert asked.exit_code == 2
    assert "Ben Ito" in asked.output
    assert done.exit_code == shift.exit_code == 0, done.output + shift.output
    assert "Ana Duarte" in shift.output
    with app.app_context():
        rows = hours.hours_of(queries.site_called("woburn"))
        saturday = [r for r in rows if r.weekday == 5]
        assert [r.valid_until for r in saturday] == [date(2026, 3, 6)]
        caller = next(p for p in roster.people() if p.name == "Caller 1")
        tuesday = [r for r in roster.shifts_of(caller) if r.weekday == 1]
        assert tuesday[-1].since == time(12)


def test_people_come_change_are_away_and_leave(runner: FlaskCliRunner, app: Flask) -> None:
    words = ("person", "Bea Novak", "--skill", "nurse", "--lanes", "3")
    assert supply(runner, *words).exit_code == 0
    assert supply(runner, "person", "Bea Novak", "--lanes", "2").exit_code == 0
    tuesdays = ("--days", "tue", "--site", "woburn", "--at", "09:00", "--to", "17:00")
    from_third = ("--from", "2026-03-03")
    assert supply(runner, "shifts", "Bea Novak", *tuesdays, *from_third).exit_code == 0
    away = supply(runner, "off", "Nurse 1", "--from", "2026-03-03")
    assert away.exit_code == 2
    assert "Nurse 1 is away." in away.output
    assert supply(runner, "off", "Nurse 1", "--from", "2026-03-03", "--yes").exit_code == 0
    listed = json.loads(supply(runner, "people", "--json").output)["people"]
    off = next(p for p in listed if p["name"] == "Nurse 1")["off"]
    assert (off[0]["from"], off[0]["until"]) == ("2026-03-03T00:00", "2026-03-04T00:00")
    assert "  works      tue 09:00-17:00 woburn from 2026-03-03" in supply(runner, "people").output
    assert supply(runner, "back", str(off[0]["id"])).exit_code == 0
    assert supply(runner, "person", "Bea Novak", "--leaves").exit_code == 0
    assert "Bea Novak                2  nurse  (left)" in supply(runner, "people").output
    assert supply(runner, "person", "Nurse 1", "--no-skill").exit_code == 2  # Ben is hers


def test_a_chair_a_number_and_a_holiday(runner: FlaskCliRunner, app: Flask) -> None:
    assert supply(runner, "chair", "woburn", "Window").exit_code == 0
    assert supply(runner, "chair", "woburn", "Window", "--rename", "Door").exit_code == 0
    assert supply(runner, "chair", "woburn", "Door", "--retire").exit_code == 0
    assert supply(runner, "chair", "woburn", "Chair 1", "--rename", "Door").exit_code == 0
    twice = supply(runner, "chair", "woburn", "Door")
    assert "Another chair here has this name." in twice.output
    assert supply(runner, "set", "woburn", "recovery_minutes", "45").exit_code == 0
    assert supply(runner, "holidays", "woburn", "--close", "2026-04-20").exit_code == 0
    assert supply(runner, "holidays", "woburn", "--open", "2026-05-25").exit_code == 0
    listed = supply(runner, "holidays", "woburn").output
    numbers = supply(runner, "numbers", "woburn").output

    assert "recovery_minutes                         45  Recovery takes (minutes)" in numbers
    assert "2026-04-20  closed     Patriots' Day" in listed
    assert "2026-05-25  open       Memorial Day" in listed
    assert "to decide" in listed
    with app.app_context():
        site = queries.site_called("woburn")
        assert [c.name for c in places.chairs_of(site, retired=True)] == ["Door"]
        assert terms.chosen(site)["recovery_minutes"] == 45


def test_a_service_changes_what_is_named_and_keeps_the_rest(
    runner: FlaskCliRunner, app: Flask
) -> None:
    asked = supply(runner, "service", "infusion", "--skill", "approve-plans")
    assert asked.exit_code == 2
    assert "Nurse 1 does not do this any more." in asked.output
    done = supply(
        runner, "service", "infusion", "--minutes", "90", "--takes", "chair:0-100",
        "--takes", "person:0-90", "--skill", "anybody", "--notice-hours", "48",
        "--whole-person", "--without", "starts",
    )  # fmt: skip
    assert done.exit_code == 0, done.output

    listed = json.loads(supply(runner, "services", "--json").output)["services"]
    assert next(s for s in listed if s["code"] == "infusion") == {
        "code": "infusion",
        "name": "Infusion",
        "minutes": 90,
        "notice_hours": 48.0,
        "horizon_days": 180,
        "online": False,
        "skill": None,
        "whole_person": True,
        "takes": {"chair": [0, 100], "person": [0, 90]},
    }
    said = supply(runner, "services").output
    assert "infusion         90 min  anybody        chair 0-100, person 0-90, the whole" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call", "--without", "chair"), "takes no chair."),
        (("infusion", "--without", "person"), "Somebody must watch this visit."),
        (("call", "--takes", "person:0-15", "--without", "person"), "either --takes or --without"),
        (("call", "--minutes", "16"), "in steps of five"),
        (("call", "--takes", "person:15-5"), "The end must come after the beginning."),
        (("call", "--takes", "person:now"), "write it like chair:0-95"),
        (("infusion", "--online"), "Only the call is booked online."),
        (("call", "--skill", "wizard"), "'wizard' is not one of"),
        (("massage",), "'massage' is not one of"),
    ],
)
def test_a_service_that_cannot_be_so_is_refused_in_a_line(
    runner: FlaskCliRunner, words: tuple[str, ...], said: str
) -> None:
    done = supply(runner, "service", *words)

    assert done.exit_code in (1, 2)
    assert said in done.output
    assert "Traceback" not in done.output


def test_another_site_is_opened_with_the_services_when_there_are_none(
    runner: FlaskCliRunner, app: Flask
) -> None:
    done = supply(
        runner, "site", "salem", "--name", "Salem", "--address", "5 Wharf Street",
        "--phone", "978 555 0177",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    with app.app_context():
        assert [s.code for s in queries.sites()] == ["woburn", "salem"]
        assert len(db.session.scalars(select(Service)).all()) == 4


def test_a_site_changes_what_is_named_and_keeps_the_rest(
    runner: FlaskCliRunner, app: Flask
) -> None:
    with app.app_context():
        stood = queries.site_called("woburn")
        kept = (stood.name, stood.address, stood.phone)

    done = supply(runner, "site", "Woburn", "--starts", "1")
    nowhere = supply(runner, "site", "woburn", "--address", " ")
    long = supply(runner, "site", "woburn", "--address", "x" * 201)
    new = supply(runner, "site", "salem", "--starts", "1")
    clock = supply(runner, "site", "woburn", "--zone", "America/Chicago")

    assert done.exit_code == 0, done.output
    assert "Enter the address" in nowhere.output
    assert "Use at most 200 letters." in long.output
    assert "A new one needs --name, --address and --phone." in new.output
    assert "Woburn keeps its clock, America/New_York." in clock.output
    with app.app_context():
        site = queries.site_called("woburn")
        assert (site.name, site.address, site.phone) == kept
        assert len(places.lanes_in_use(places.starts_of(site))) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("close", "boston", "--from", "2026-03-03", "--reason", "x"),
        ("close", "woburn", "--from", "2026-03-03", "--reason", " "),
        ("close", "woburn", "--from", "2026-02-03", "--reason", "x"),
        ("close", "woburn", "--from", "2026-03-08T02:30", "--until", "2026-03-08T05:00",
         "--reason", "x"),
        ("close", "woburn", "--from", "2026-03-03", "--reason", "x", "--chair", "Chair 9"),
        ("hours", "woburn", "--days", "someday", "--shut", "--from", "2026-03-03"),
        ("hours", "woburn", "--days", "mon", "--from", "2026-03-03"),
        ("hours", "woburn", "--days", "mon", "--shut", "--from", "2026-03-03",
         "--until", "2026-03-03"),
        ("off", "Nobody", "--from", "2026-03-03"),
        ("reopen", "99"),
        ("back", "99"),
        ("set", "woburn", "undo_minutes", "999"),
        ("holidays", "woburn", "--close", "2026-04-21"),
        ("show", "--site", "boston"),
        ("holidays", "boston"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_line(
    runner: FlaskCliRunner, app: Flask, words: tuple[str, ...]
) -> None:
    done = supply(runner, *words)

    assert done.exit_code == 1, done.output
    assert done.output.startswith("Error: ")
    assert "Traceback" not in done.output
    assert closures(app) == []


def test_the_ends_of_the_calendar_are_no_days_of_the_clinic(runner: FlaskCliRunner) -> None:
    for words in (
        ("close", "woburn", "--from", "9999-12-31", "--reason", "x"),
        ("off", "Nurse 1", "--from", "0001-01-01T00:00"),
        ("hours", "woburn", "--days", "all", "--shut", "--from", "9999-12-31"),
    ):
        done = supply(runner, *words)
        assert done.exit_code == 2
        assert "not so far away" in done.output


def test_midnight_is_a_moment_and_a_day_is_whole(runner: FlaskCliRunner, app: Flask) -> None:
    evening = ("--from", "2026-03-04T20:00", "--reason", "Heating")
    assert supply(runner, "close", "woburn", *evening, "--until", "2026-03-05T00:00").exit_code == 0
    assert supply(runner, "close", "woburn", *evening, "--until", "2026-03-05").exit_code == 0

    ends = sorted(wall_text(c.ends_at, ZoneInfo(make.ZONE)) for c in closures(app))
    assert ends == ["2026-03-05T00:00", "2026-03-06T00:00"]


def test_every_change_says_that_an_operator_made_it(runner: FlaskCliRunner, app: Flask) -> None:
    supply(runner, *CLOSE, "--yes")
    with app.app_context():
        row = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "closure.added")
        ).one()

        assert row.actor == "operator"
