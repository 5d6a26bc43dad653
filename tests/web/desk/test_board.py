"""The board of the day, as the desk sees and moves it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking import queries as booking
from scheduler.booking.models import Appointment, HoldKind
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.plans import service as plans
from scheduler.reports import board
from scheduler.web.desk import grid
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock


@pytest.fixture(autouse=True)
def _day(once: Once, clock: StoppedClock) -> None:
    """Woburn on the tests' Monday: Ana's call at 11, Ben's infusion at 11:30."""

    def made() -> None:
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient(), make.at(11, days=0))
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        make.infusion(woburn, ben, make.at(11, 30, days=0))

    once(made)


def appointment(app: Flask, given: str = "Ana") -> Appointment:
    with app.app_context():
        found = db.session.scalar(
            select(Appointment).where(Appointment.patient.has(given_name=given))
        )
        assert found is not None
        db.session.expunge_all()
        return found


def column(page: str, name: str) -> str:
    """Return the part of a page that is one column of the board."""
    found = re.search(rf'<section class="column[^>]*data-name="{name}".*?</section>', page, re.S)
    assert found, name
    return found.group(0)


def posted(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


def test_an_infusion_stands_in_its_chair_and_with_its_nurse(signed_in: SignIn) -> None:
    page = signed_in().get("/desk").text

    assert "Ben Ito" in column(page, "Chair 1")
    assert "Ben Ito" in column(page, "Rosa Lima")
    assert "Ana Duarte" in column(page, "Ines Roy")
    assert "Ana Duarte" not in column(page, "Chair 1")


def test_states_are_told_in_words_with_a_sign(
    signed_in: SignIn, clock: StoppedClock, keep: Keep, app: Flask
) -> None:
    client = signed_in()
    assert "Not confirmed" in client.get("/desk").text

    clock.set(make.at(11, 8, days=0))
    client = signed_in()
    assert "8 min late" in column(client.get("/desk").text, "Ines Roy")

    ana = appointment(app)
    with keep():
        plans.arrive(db.session.get_one(Appointment, ana.id), actor="staff:1", now=clock())
    clock.advance(minutes=4)
    assert "On the call 4 min" in column(client.get("/desk").text, "Ines Roy")


def test_the_strip_says_what_needs_somebody_and_when_a_chair_is_free(signed_in: SignIn) -> None:
    page = signed_in().get("/desk").text

    assert "2 not confirmed" in page
    assert "1 to call" in page
    assert "Next free chair with a nurse: 10:00" in page


def test_both_sites_and_other_days_are_one_step_away(signed_in: SignIn) -> None:
    client = signed_in()

    assert "Omar Haddad" not in client.get("/desk?site=woburn").text
    assert "Omar Haddad" in client.get("/desk?site=both").text
    assert "Tuesday, March 3" in client.get("/desk?day=2026-03-03").text
    assert "Monday, March 2" in client.get("/desk?day=nonsense&site=nowhere&view=x").text


def test_a_page_that_asks_again_is_told_nothing_changed_until_something_did(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    first = client.get("/desk")
    tag = first.headers["ETag"]
    again = client.get("/desk", headers={"X-Poll": "1", "If-None-Match": tag})
    ana = appointment(app)
    with keep():
        plans.confirm(db.session.get_one(Appointment, ana.id), actor="staff:1", now=make.MONDAY)
    changed = client.get("/desk", headers={"X-Poll": "1", "If-None-Match": tag})

    assert tag.strip('"') in first.text
    assert again.status_code == 304
    assert changed.status_code == 200
    assert "✓" in column(changed.text, "Ines Roy")


def test_looking_is_on_record_once_in_fifteen_minutes_and_polls_write_nothing(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    def looks() -> int:
        with app.app_context():
            return db.session.scalars(
                select(func.count()).where(AuditEntry.action == "board.viewed")
            ).one()

    client = signed_in()
    client.get("/desk")
    client.get("/desk")
    client.get("/desk", headers={"X-Poll": "1"})
    assert looks() == 1

    clock.advance(minutes=10)
    client.get("/desk")
    clock.advance(minutes=6)
    client.get("/desk")
    assert looks() == 2


def test_a_drag_moves_and_can_be_undone(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ana = appointment(app)
    moved = posted(
        client,
        f"/desk/appointments/{ana.public_id}/move",
        version=ana.version,
        at="2026-03-02T13:15",
        site="woburn",
        notify="y",
        back="/desk?site=woburn",
    )
    assert moved.status_code == 303
    page = client.get("/desk?site=woburn").text
    assert "Moved to Mon, Mar 2, 1:15 PM." in page
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    assert appointment(app).starts_at == make.at(13, 15, days=0)

    posted(client, f"/desk/appointments/{ana.public_id}/undo", version=version.group(1))
    assert appointment(app).starts_at == ana.starts_at


def test_after_fifteen_minutes_there_is_nothing_to_undo(
    signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in()
    ana = appointment(app)
    path = f"/desk/appointments/{ana.public_id}"
    posted(client, f"{path}/cancel", version=ana.version, notify="y")
    clock.advance(minutes=14)
    assert "Undo the cancellation" in client.get(path).text
    clock.advance(minutes=2)

    assert "Undo" not in client.get(path).text
    late = posted(client, f"{path}/undo", version=appointment(app).version)
    assert late.status_code == 409


def test_a_stale_drag_is_told_who_changed_what(signed_in: SignIn, app: Flask, keep: Keep) -> None:
    client = signed_in(Role.NURSE)
    ana = appointment(app)
    with keep():
        plans.move(
            db.session.get_one(Appointment, ana.id),
            starts_at=ana.starts_at + timedelta(hours=1),
            version=ana.version,
            actor="patient:1",
            now=make.MONDAY,
        )

    stale = client.post(
        f"/desk/appointments/{ana.public_id}/move",
        data={
            "csrf_token": make.form_token(client, "/desk"),
            "version": ana.version,
            "at": "2026-03-02T15:00",
            "site": "woburn",
        },
        headers={"X-Fragment": "1"},
    )

    assert stale.status_code == 409
    assert "The patient moved it while you had this open." in stale.text
    assert "<html" not in stale.text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Choose a time."),
        ({"at": "soon"}, "Choose one of the times."),
        ({"at": "2026-03-02T11:02"}, "Times start on five minutes"),
        ({"at": "2026-03-08T02:30"}, "skips that time"),
        ({"at": "2026-03-02T06:00"}, "too soon or has passed"),
    ],
)
def test_a_move_that_makes_no_sense_shows_the_form_with_a_reason(
    signed_in: SignIn, app: Flask, form: dict[str, str], words: str
) -> None:
    client = signed_in()
    ana = appointment(app)

    answer = posted(client, f"/desk/appointments/{ana.public_id}/move", version=ana.version, **form)

    assert answer.status_code in (409, 422)
    assert words in answer.text
    assert "Free on" in answer.text
    assert appointment(app).version == ana.version


def test_an_administrator_sees_the_board_but_moves_nothing(signed_in: SignIn, app: Flask) -> None:
    client = signed_in(Role.ADMIN)
    ana = appointment(app)

    assert client.get("/desk").status_code == 200
    answer = posted(client, f"/desk/appointments/{ana.public_id}/arrive", version=ana.version)
    assert answer.status_code == 403


def test_no_page_of_the_desk_has_inline_style_or_script(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ana = appointment(app)

    for path in ("/desk", "/desk/book", f"/desk/appointments/{ana.public_id}", "/desk/tasks"):
        page = client.get(path).text
        assert " style=" not in page
        assert "<style" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"\son\w+=", page)


def test_every_place_on_the_board_has_its_class() -> None:
    sheet = Path(grid.FILE).read_text()

    assert sheet == grid.sheet(), "run: python -m scheduler.web.desk.grid"


def dragged(client: FlaskClient, moved: Appointment, at: str, chair_id: int) -> TestResponse:
    """Let go of a card over a chair, as the board does."""
    return client.post(
        f"/desk/appointments/{moved.public_id}/move",
        data={
            "csrf_token": make.form_token(client, "/desk"),
            "version": moved.version,
            "at": at,
            "site": "woburn",
            "chair": chair_id,
        },
        headers={"X-Fragment": "1"},
    )


def test_a_drag_that_does_not_fit_is_told_who_is_there_and_what_is_free(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    with keep():
        woburn = db.session.get_one(Site, appointment(app).site_id)
        cara = make.patient("Cara", "Diaz", mobile="+17815550133")
        make.infusion(woburn, cara, make.at(14, days=0))
    client = signed_in()
    with app.app_context():
        ben = appointment(app, "Ben")
        chair = booking.placed([db.session.get_one(Appointment, ben.id)])[0].chair_id
    assert chair

    answer = dragged(client, appointment(app, "Cara"), "2026-03-02T12:30", chair)

    assert answer.status_code == 409
    assert "Chair 1 is taken then: Ben Ito, 11:30 AM. Free nearby: " in answer.text
    assert appointment(app, "Cara").starts_at == make.at(14, days=0)


def test_what_was_done_is_said_with_the_name_of_whom(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ben = appointment(app, "Ben")

    done = posted(client, f"/desk/appointments/{ben.public_id}/arrive", version=ben.version)

    assert "Ben" not in str(done.headers)  # no name travels in the cookie
    assert "<b>Ben Ito:</b> Checked in." in client.get("/desk").text


def test_the_board_has_words_of_its_own_for_each_reason_a_time_is_kept() -> None:
    assert board.KEPT_WORDS.keys() == set(HoldKind)
    assert len(set(board.KEPT_WORDS.values())) == len(HoldKind)
