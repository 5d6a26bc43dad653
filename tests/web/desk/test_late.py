"""Who comes late ends late: the time grows, the board says who waits, one press helps."""

import re
from datetime import datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.clinic import service as clinic
from scheduler.clinic.models import Resource, ResourceKind, Site
from scheduler.core.db import db
from scheduler.jobs import overruns
from scheduler.plans import service as plans
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.make import at


@pytest.fixture
def day(once: Once, clock: StoppedClock) -> None:
    """One chair, one nurse, one caller on the tests' Monday; Ben at 11, Cara in his chair 95 after.

    Ana's call is at 11, Dora's with the same caller at 11:20.
    """

    def made() -> None:
        woburn = make.clinic_day(chairs=1)
        for given, hour, minute in (("Ben", 11, 0), ("Cara", 12, 35)):
            who = make.patient(given, "Ito", mobile=None, email=None)
            make.infusion(woburn, who, at(hour, minute, days=0))
        for given, minute in (("Ana", 0), ("Dora", 20)):
            who = make.patient(given, "Duarte", mobile=None, email=None)
            make.call(woburn, who, at(11, minute, days=0))

    once(made)


def of(given: str) -> Appointment:
    return db.session.scalars(
        select(Appointment).where(Appointment.patient.has(given_name=given))
    ).one()


def ends(app: Flask, given: str) -> list[datetime]:
    """Return when each thing somebody's visit takes is free again."""
    with app.app_context():
        return sorted(c.ends_at for c in of(given).claims)


def deed(client: FlaskClient, app: Flask, given: str, name: str, **form: object) -> TestResponse:
    with app.app_context():
        one = of(given)
        path, version = f"/desk/appointments/{one.public_id}", one.version
    token = make.form_token(client, "/desk")
    data = {"csrf_token": token, "version": version, "back": "/desk", **form}
    return client.post(f"{path}/{name}", data=data)


def page_of(client: FlaskClient, app: Flask, given: str) -> str:
    with app.app_context():
        number = of(given).public_id
    return client.get(f"/desk/appointments/{number}").text


def late(page: str) -> str:
    found = re.search(r'<section class="[^"]*\blate\b.*?</section>', page, re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[0])).strip() if found else ""


def press(client: FlaskClient, page: str) -> TestResponse:
    """Use the button of the first way out, as it stands on the page."""
    found = re.search(r'<section class="[^"]*\blate\b.*?</section>', page, re.S)
    assert found
    form = re.search(r'<form method="post" action="([^"]+)">(.*?)</form>', found[0], re.S)
    assert form, found[0]
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[2]))
    return client.post(form[1], data=fields)


def test_who_comes_in_time_changes_nothing(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    before = ends(app, "Ben")
    clock.set(at(10, 55, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")
    clock.set(at(11, 10, days=0))
    with app.app_context():
        assert overruns.run(now=clock()) == 0

    assert ends(app, "Ben") == before
    assert late(client.get("/desk").text) == ""


def test_who_is_checked_in_late_keeps_nurse_and_chair_as_far_as_they_are_free(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    clock.set(at(11, 30, days=0))
    client = signed_in()
    assert deed(client, app, "Ben", "arrive").status_code == 303

    # Thirty minutes late: nurse and patient until 12:55; Cara has the chair from 12:35 on.
    assert at(12, 35, days=0) in ends(app, "Ben")
    assert ends(app, "Ben").count(at(12, 55, days=0)) == 2
    page = client.get("/desk").text
    assert "12:35 PM Cara Ito will wait 30 minutes for Chair 1" in late(page)
    assert "Ben Ito is expected to need it until 1:05 PM" in late(page)
    for given in ("Ben", "Cara"):
        assert "Cara Ito will wait 30 minutes" in late(page_of(client, app, given))
    assert "expected to end at 12:55 PM" in page_of(client, app, "Ben")
    assert late(page_of(client, app, "Ana")) == ""


def test_without_another_chair_the_nearest_time_is_offered_and_chosen_already(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    clock.set(at(11, 30, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")

    page = client.get("/desk").text
    link = re.search(r'<a class="button button-small" href="([^"]+/move[^"]+)">([^<]+)</a>', page)
    assert link
    assert link[2] == "Move Cara Ito to 1:15 PM…"  # not before Ben's chair is free at 1:05
    move = client.get(link[1].replace("&amp;", "&")).text
    chosen = re.findall(r'<input type="radio"[^>]*value="([^"]+)"[^>]* checked>', move)
    assert [datetime.fromisoformat(c) for c in chosen] == [at(13, 15, days=0)]

    deed(client, app, "Cara", "move", start=chosen[0], site="woburn", notify="y")
    with app.app_context():
        assert of("Cara").starts_at == at(13, 15, days=0)
        assert overruns.run(now=clock()) == 1
    assert max(ends(app, "Ben")) == at(13, 5, days=0)
    assert late(client.get("/desk").text) == ""


def test_a_chair_that_is_free_then_is_one_press_away_and_can_be_undone(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, day: None
) -> None:
    """The other chair is asked for by nobody, but Cara's was, so she is not laid elsewhere."""
    with keep():
        woburn = db.session.scalars(select(Site)).one()
        clinic.add_resource(ResourceKind.CHAIR, "Chair 2", site_id=woburn.id, position=2)
        chair = db.session.get_one(Resource, book.placed([of("Cara")])[0].chair_id)
        for claim in of("Cara").claims:
            claim.is_pinned = claim.lane_id == chair.lanes[0].id
    clock.set(at(11, 30, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")
    page = client.get("/desk").text
    assert "Give Cara Ito Chair 2" in late(page)

    assert press(client, page).status_code == 303

    page = client.get("/desk").text
    assert "At the same time, now in Chair 2." in page
    assert late(page) == ""
    with app.app_context():
        chair = book.placed([of("Cara")])[0].chair_id
        assert db.session.get_one(Resource, chair).name == "Chair 2"
        assert overruns.run(now=clock()) == 1
    assert max(ends(app, "Ben")) == at(13, 5, days=0)


def test_with_a_second_chair_the_next_visit_is_laid_there_and_nobody_waits(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, day: None
) -> None:
    with keep():
        woburn = db.session.scalars(select(Site)).one()
        clinic.add_resource(ResourceKind.CHAIR, "Chair 2", site_id=woburn.id, position=2)
    clock.set(at(11, 30, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")

    assert late(client.get("/desk").text) == ""
    assert max(ends(app, "Ben")) == at(13, 5, days=0)
    with app.app_context():
        assert of("Cara").version == 1


def test_taking_the_check_in_back_gives_the_time_back(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    before = ends(app, "Ben")
    clock.set(at(11, 30, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")
    assert ends(app, "Ben") != before

    deed(client, app, "Ben", "undo")

    assert ends(app, "Ben") == before
    assert late(client.get("/desk").text) == ""


def test_a_call_that_begins_late_names_who_is_called_next_and_who_could_do_it(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, day: None
) -> None:
    with keep():
        make.person(db.session.scalars(select(Site)).one(), "Second caller")
    clock.set(at(11, 12, days=0))
    client = signed_in()
    deed(client, app, "Ana", "arrive")

    page = client.get("/desk").text
    assert "11:20 AM Dora Duarte will wait 10 minutes for Caller 1" in late(page)
    assert "Give Dora Duarte Second caller" in late(page)
    assert press(client, page).status_code == 303
    assert late(client.get("/desk").text) == ""

    # Closed sooner than expected, the rest of the time is free again.
    with app.app_context():
        assert overruns.run(now=clock()) == 1
    assert ends(app, "Ana") == [at(11, 30, days=0)] * 2
    clock.set(at(11, 20, days=0))
    client = signed_in()
    deed(client, app, "Ana", "outcome", outcome="undecided")
    assert ends(app, "Ana") == [at(11, 20, days=0)] * 2


def test_while_nothing_begins_the_end_moves_on_but_not_for_ever(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, day: None
) -> None:
    """Ben is here in time and waits; and nobody closes Ana's call."""
    with keep():
        plans.cancel(of("Cara"), actor="staff:1", now=clock(), notify=False)
        plans.cancel(of("Dora"), actor="staff:1", now=clock(), notify=False)
    clock.set(at(11, days=0))
    client = signed_in()
    deed(client, app, "Ben", "arrive")
    deed(client, app, "Ana", "arrive")

    seen = []
    for hour, minute in ((11, 45), (12, 15), (15, 0)):
        with app.app_context():
            overruns.run(now=at(hour, minute, days=0))
        seen.append((max(ends(app, "Ben")), max(ends(app, "Ana"))))

    assert seen == [
        (at(13, 5, days=0), at(11, 45, days=0)),  # 11:45 and 40 + 30 + 10 minutes
        (at(13, 35, days=0), at(12, 15, days=0)),
        (at(13, 35, days=0), at(12, 15, days=0)),
    ]


def test_recording_is_never_refused_however_late(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    clock.set(at(17, 50, days=0))  # the clinic shuts at 6, and Cara's time is over as well
    client = signed_in()

    assert deed(client, app, "Ben", "arrive").status_code == 303
    assert deed(client, app, "Ana", "arrive").status_code == 303
    assert client.get("/desk").status_code == 200


def test_who_may_only_look_sees_who_waits_but_no_button(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    clock.set(at(11, 30, days=0))
    deed(signed_in(), app, "Ben", "arrive")

    page = signed_in(Role.ADMIN).get("/desk").text

    assert "Cara Ito will wait 30 minutes" in late(page)
    assert "Move Cara Ito" not in page


def test_who_is_checked_in_on_another_day_is_nobody_to_wait_for(
    signed_in: SignIn, app: Flask, clock: StoppedClock, day: None
) -> None:
    before = ends(app, "Ben")
    clock.set(at(9))
    client = signed_in()

    assert deed(client, app, "Ben", "arrive").status_code == 303

    assert ends(app, "Ben") == before
    assert late(client.get("/desk?day=2026-03-02").text) == ""
