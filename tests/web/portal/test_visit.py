"""A patient's own appointment, reached by the private link."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Status
from scheduler.core.db import db
from scheduler.patients.links import mint_link, revoke_links
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.waitlist.models import WaitlistEntry
from tests.conftest import Keep, StoppedClock
from tests.web.portal.conftest import Page, Visitor

NEW_YORK = ZoneInfo("America/New_York")
TUESDAY_NINE = datetime(2026, 3, 3, 9, 0, tzinfo=NEW_YORK)


def link_in(page: Page) -> str:
    """Return the path of the private link on the booked page."""
    return urlsplit(page.html.split('class="private-link" href="')[1].split('"')[0]).path


@pytest.fixture
def link(visitor: Visitor) -> str:
    """The private link of a call that was booked for Tuesday at nine, in Danvers."""
    return link_in(visitor.send(visitor.choose(TUESDAY_NINE, site="danvers")))


def the_call(app: Flask) -> Appointment:
    """Return the one appointment there is."""
    with app.app_context():
        return db.session.scalars(select(Appointment)).one()


def deeds(app: Flask) -> int:
    """Return how much is on record."""
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(AuditEntry)).one()


def test_the_link_shows_time_site_and_first_initial_and_no_more(link: str, other: Visitor) -> None:
    page = other.get(link)

    assert other.path == "/my/visit"
    assert "Tuesday, March 3, 9:00 AM" in page.text
    assert "Danvers" in page.text
    assert "J." in page.text
    for secret in ("June", "Okafor", "0134", "crps", "CRPS", "pain"):
        assert secret not in page.html.split("</header>")[1].split("<footer")[0]


def test_opening_the_link_changes_nothing(app: Flask, link: str, other: Visitor) -> None:
    before = deeds(app)
    for path in (link, "/my/visit", "/my/visit/move", "/my/visit/cancel", link):
        assert other.get(path).status == 200

    assert deeds(app) == before
    assert the_call(app).status is Status.BOOKED


def test_pages_of_the_link_are_not_kept_not_found_and_tell_nobody(
    link: str, other: Visitor
) -> None:
    for path in (link, "/my/visit", "/my/visit/move", "/my/visit/cancel", "/my/" + "x" * 32):
        headers = other.get(path).response.headers
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in headers["X-Robots-Tag"]
        assert headers["Cache-Control"] == "no-store"


def test_titles_reached_from_the_link_hold_no_medical_word(link: str, other: Visitor) -> None:
    for path in (link, "/my/visit/move", "/my/visit/cancel", "/my/" + "y" * 32):
        title = other.get(path).title.lower()
        for word in ("pain", "infusion", "ketamine", "treatment", "therapy", "clinic", "call"):
            assert word not in title


@pytest.mark.parametrize("case", ["unknown", "expired", "revoked", "merged away"])
def test_dead_links_all_look_the_same(
    app: Flask, link: str, other: Visitor, clock: StoppedClock, keep: Keep, case: str
) -> None:
    unknown = other.get("/my/" + "A" * 32)
    if case == "unknown":
        link = "/my/" + "B" * 32
    elif case == "expired":
        clock.set(TUESDAY_NINE.astimezone(UTC) + timedelta(days=1, minutes=15))
    else:
        with keep() as session:
            revoke_links(session.scalars(select(Patient.id)).one(), now=clock())
    page = other.get(link)

    assert page.status == 404
    assert "This link no longer works" in page.text
    assert "(781) 555-0100" in page.text
    same = [p.html.replace(p.response.request.path, "") for p in (page, unknown)]
    assert same[0] == same[1]


def test_the_link_works_until_a_day_after_the_visit(
    link: str, other: Visitor, clock: StoppedClock
) -> None:
    clock.set(TUESDAY_NINE.astimezone(UTC) + timedelta(days=1, minutes=14))

    assert "This appointment is over" in other.get(link).text


def test_the_cookie_is_short_and_dies_with_the_link(
    app: Flask, link: str, other: Visitor, clock: StoppedClock, keep: Keep
) -> None:
    other.get(link)
    clock.advance(minutes=29)
    assert other.get("/my/visit").status == 200
    clock.advance(minutes=2)
    assert other.get("/my/visit").status == 404

    other.get(link)
    with keep() as session:
        revoke_links(session.scalars(select(Patient.id)).one(), now=clock())
    assert other.get("/my/visit").status == 404


def test_without_the_link_there_is_nothing_to_see(visitor: Visitor) -> None:
    for path in (
        "/my/visit",
        "/my/visit/move",
        "/my/visit/cancel",
        "/my/visit/appointment.ics",
        "/book/booked",
    ):
        assert visitor.get(path).status == 404
    page = visitor.get("/book/time?site=woburn")
    for path in ("/my/visit/move", "/my/visit/cancel", "/my/visit/undo"):
        assert visitor.post(path, page.hidden()).status == 404


def test_the_call_is_moved_to_a_chosen_time(app: Flask, link: str, other: Visitor) -> None:
    other.get(link)
    page = other.get("/my/visit/move")
    assert "2026-03-03T14:00+00:00" not in page.starts, "the time they have is not offered"
    page = other.post("/my/visit/move", page.hidden() | {"start": "2026-03-04T16:00+00:00"})

    assert other.path == "/my/visit"
    assert "This is your new time." in page.text
    assert "Wednesday, March 4, 11:00 AM" in page.text
    assert the_call(app).starts_at == datetime(2026, 3, 4, 16, tzinfo=UTC)


def test_moving_twice_with_one_form_moves_once(app: Flask, link: str, other: Visitor) -> None:
    other.get(link)
    form = other.get("/my/visit/move").hidden() | {"start": "2026-03-04T16:00+00:00"}
    other.post("/my/visit/move", form)
    page = other.post("/my/visit/move", form)

    assert page.status == 200
    assert the_call(app).version == 2


def test_the_call_may_move_to_the_other_clinic(app: Flask, link: str, other: Visitor) -> None:
    other.get(link)
    page = other.get("/my/visit/move?site=woburn")
    other.post("/my/visit/move", page.hidden() | {"start": "2026-03-04T16:00+00:00"})

    assert the_call(app).site_id == 1


def test_a_stale_move_is_refused_and_says_so(
    app: Flask, link: str, other: Visitor, keep: Keep, now: datetime
) -> None:
    other.get(link)
    page = other.get("/my/visit/move")
    with keep() as session:
        plans.move(
            session.scalars(select(Appointment)).one(),
            starts_at=datetime(2026, 3, 5, 15, tzinfo=UTC),
            version=1,
            actor="staff:1",
            now=now,
        )

    page = other.post("/my/visit/move", page.hidden() | {"start": "2026-03-04T16:00+00:00"})

    assert page.status == 409
    assert "Our team changed this while you had the page open." in page.text
    assert "Thursday, March 5, 10:00 AM" in page.text
    assert the_call(app).starts_at == datetime(2026, 3, 5, 15, tzinfo=UTC)


def test_a_stale_cancel_is_refused_and_says_so(
    app: Flask, link: str, other: Visitor, keep: Keep, now: datetime
) -> None:
    other.get(link)
    page = other.get("/my/visit/cancel")
    with keep() as session:
        plans.move(
            session.scalars(select(Appointment)).one(),
            starts_at=datetime(2026, 3, 5, 15, tzinfo=UTC),
            version=1,
            actor="staff:1",
            now=now,
        )

    page = other.post("/my/visit/cancel", page.hidden())

    assert page.status == 409
    assert "Our team changed this" in page.text
    assert the_call(app).status is Status.BOOKED


def test_a_time_taken_meanwhile_keeps_the_old_one(
    app: Flask, link: str, visitor: Visitor, other: Visitor
) -> None:
    other.get(link)
    page = other.get("/my/visit/move?day=2026-03-04")
    third = Visitor(app.test_client(), address="192.0.2.5")
    third.choose(datetime(2026, 3, 4, 11, tzinfo=NEW_YORK), site="danvers")

    page = other.post("/my/visit/move", page.hidden() | {"start": "2026-03-04T16:00+00:00"})

    assert page.status == 409
    assert page.text.count("Wed, Mar 4, 11:00 AM was just taken by someone else.") == 2
    assert page.starts
    assert the_call(app).starts_at == TUESDAY_NINE


@pytest.mark.parametrize("start", ["", "later", "2026-03-04T16:00"])
def test_a_move_without_a_time_asks_for_one(link: str, other: Visitor, start: str) -> None:
    other.get(link)
    page = other.get("/my/visit/move?day=2026-03-04")
    page = other.post("/my/visit/move", page.hidden() | {"start": start})

    assert page.status == 422
    assert page.text.count("Choose one of the times.") == 2
    assert "Wednesday, March 4" in page.text


def test_they_are_told_of_a_sooner_time_if_they_ask_and_no_more_when_they_think_again(
    app: Flask, link: str, other: Visitor
) -> None:
    def wishes() -> list[tuple[str | None, str | None]]:
        with app.app_context():
            return [(w.topic, w.outcome) for w in db.session.scalars(select(WaitlistEntry))]

    ask, stop = "Tell me if something sooner comes free", "Stop looking for a sooner time"
    topic = the_call(app).topic
    page = other.get(link)
    assert ask in page.text
    page = other.post("/my/visit/sooner", page.hidden())
    assert "You keep this time until you say yes." in page.text
    assert ask not in page.text
    other.post("/my/visit/sooner", page.hidden())  # pressed twice
    assert wishes() == [(topic, None)]
    page = other.post("/my/visit/sooner/stop", page.hidden())
    assert ask in page.text
    assert stop not in page.text
    assert wishes() == [(topic, "the patient asked to")]


def test_cancelling_asks_first_and_can_be_undone_for_fifteen_minutes(
    app: Flask, link: str, other: Visitor, clock: StoppedClock
) -> None:
    other.get(link)
    page = other.get("/my/visit/cancel")
    assert "No, keep my time" in page.text
    page = other.post("/my/visit/cancel", page.hidden())
    assert "Your appointment is cancelled" in page.text
    assert "We keep your time until 10:15 AM." in page.text
    clock.advance(minutes=14)

    page = other.post("/my/visit/undo", page.hidden())

    assert "You have your time back." in page.text
    assert the_call(app).status is Status.BOOKED
    assert the_call(app).starts_at == TUESDAY_NINE


def test_the_time_is_kept_from_others_while_it_can_be_taken_back(
    app: Flask, link: str, visitor: Visitor, other: Visitor, clock: StoppedClock
) -> None:
    visitor.get(link)
    visitor.post("/my/visit/cancel", visitor.get("/my/visit/cancel").hidden())
    free = "2026-03-03T14:00+00:00"
    assert free not in other.get("/book/time?site=danvers&day=2026-03-03").starts

    clock.advance(minutes=16)

    assert free in other.get("/book/time?site=danvers&day=2026-03-03").starts
    page = visitor.get("/my/visit")
    assert "Get my time back" not in page.text
    assert "Book another call" in page.text
    visitor.post("/my/visit/undo", visitor.get("/book/time?site=danvers").hidden())
    assert the_call(app).status is Status.CANCELLED


def test_cancelling_and_undoing_twice_does_no_harm(app: Flask, link: str, other: Visitor) -> None:
    other.get(link)
    form = other.get("/my/visit/cancel").hidden()
    other.post("/my/visit/cancel", form)
    page = other.post("/my/visit/cancel", form)
    assert page.status == 200
    assert "Your appointment is cancelled" in page.text
    undo = page.hidden()
    other.post("/my/visit/undo", undo)
    page = other.post("/my/visit/undo", undo)

    assert page.status == 200
    assert the_call(app).status is Status.BOOKED


def test_what_the_desk_cancelled_is_not_taken_back_online(
    app: Flask, link: str, other: Visitor, keep: Keep, now: datetime
) -> None:
    with keep() as session:
        plans.cancel(session.scalars(select(Appointment)).one(), actor="staff:1", now=now)

    page = other.get(link)

    assert "Your appointment is cancelled" in page.text
    assert "Get my time back" not in page.text


def test_once_it_has_begun_nothing_can_be_changed(
    app: Flask, link: str, other: Visitor, clock: StoppedClock
) -> None:
    other.get(link)
    form = other.get("/my/visit/cancel").hidden()
    clock.set(TUESDAY_NINE.astimezone(UTC))
    page = other.get(link)
    assert "I cannot make it" not in page.text

    other.post("/my/visit/cancel", form)
    other.post("/my/visit/move", form | {"start": "2026-03-04T16:00+00:00"})

    assert the_call(app).status is Status.BOOKED
    assert the_call(app).starts_at == TUESDAY_NINE


def test_the_calendar_file_names_time_and_nothing_medical(link: str, other: Visitor) -> None:
    other.get(link)
    response = other.get("/my/visit/appointment.ics").response

    assert response.content_type.startswith("text/calendar")
    assert 'filename="appointment.ics"' in response.headers["Content-Disposition"]
    assert "DTSTART:20260303T140000Z" in response.text
    for word in ("pain", "infusion", "ketamine", "June", "Okafor"):
        assert word not in response.text


def test_the_page_speaks_the_patients_language_until_another_is_chosen(
    visitor: Visitor, other: Visitor
) -> None:
    link = link_in(visitor.send(visitor.choose(TUESDAY_NINE), language="pt_BR"))

    assert '<html lang="pt-BR">' in other.get(link).html
    assert '<html lang="es">' in other.get("/my/visit?lang=es").html
    assert '<html lang="es">' in other.get("/my/visit").html


def test_a_link_minted_later_leaves_the_first_working(
    app: Flask, link: str, other: Visitor, keep: Keep, now: datetime
) -> None:
    with keep() as session:
        appointment = session.scalars(select(Appointment)).one()
        mint_link(
            appointment.patient, appointment.topic, expires_at=now + timedelta(days=3), now=now
        )

    assert other.get(link).status == 200
