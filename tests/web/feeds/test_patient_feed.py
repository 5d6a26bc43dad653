"""One calendar address that stays right, and tells nobody why."""

import re
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from icalendar import Calendar

from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.messaging.lint import telling
from scheduler.patients.links import mint_link, renew_feed, revoke_links
from scheduler.patients.models import Patient
from scheduler.web.feeds import limits
from tests import make
from tests.conftest import Keep, Once, StoppedClock

NOW = make.MONDAY


@pytest.fixture
def ana(app: Flask, once: Once) -> int:
    """Somebody with a call tomorrow and a visit the day after; her id."""

    def made() -> int:
        where = make.clinic_day()
        who = make.patient()
        make.call(where, who)
        make.infusion(where, who, make.at(10, days=2))
        return who.id

    return once(made)


def address(keep: Keep, patient_id: int) -> str:
    """Return the path of a fresh feed."""
    with keep() as session:
        token = renew_feed(session.get_one(Patient, patient_id), now=NOW)
    return f"/feeds/{token}.ics"


def entries(client: FlaskClient, path: str) -> list[tuple[str, int, str]]:
    """Return (start, sequence, status) of every entry."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.mimetype == "text/calendar"
    return [
        (e.decoded("dtstart").isoformat(), int(e["sequence"]), str(e["status"]))
        for e in Calendar.from_ical(answer.data).walk("VEVENT")
    ]


def test_every_date_is_there_and_a_move_shows(keep: Keep, client: FlaskClient, ana: int) -> None:
    path = address(keep, ana)
    assert [e[0] for e in entries(client, path)] == [
        "2026-03-03T15:00:00+00:00",
        "2026-03-04T15:00:00+00:00",
    ]

    with keep():
        call = db.session.get_one(Appointment, 1)
        booking.move(call, starts_at=make.at(11), version=1, actor="staff:1", now=NOW)

    assert entries(client, path)[0] == ("2026-03-03T16:00:00+00:00", 1, "CONFIRMED")


def test_what_was_called_off_is_shown_so(keep: Keep, client: FlaskClient, ana: int) -> None:
    path = address(keep, ana)
    with keep():
        booking.cancel(db.session.get_one(Appointment, 1), actor="staff:1", now=NOW)

    assert entries(client, path)[0][1:] == (1, "CANCELLED")


def test_it_says_nothing_of_why(keep: Keep, client: FlaskClient, ana: int) -> None:
    text = client.get(address(keep, ana)).text

    assert telling(text.replace("\r\n ", "")) == []
    for secret in ("Ana", "Duarte", "5550111"):
        assert secret not in text


def test_a_new_address_closes_the_old_one(keep: Keep, client: FlaskClient, ana: int) -> None:
    first, second = address(keep, ana), address(keep, ana)

    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200


def test_other_keys_do_not_open_it_and_it_opens_nothing_else(
    keep: Keep, client: FlaskClient, ana: int
) -> None:
    with keep() as session:
        who = session.get_one(Patient, ana)
        visit = mint_link(who, "appointment:1", expires_at=make.at(10), now=NOW)
        feed = renew_feed(who, now=NOW)
        gone = renew_feed(who, now=NOW)
        revoke_links(ana, now=NOW)

    unknown = client.get(f"/feeds/{'x' * 32}.ics")
    for path in (f"/feeds/{visit}.ics", f"/feeds/{feed}.ics", f"/feeds/{gone}.ics", f"/my/{feed}"):
        answer = client.get(path)
        assert answer.status_code == unknown.status_code == 404


def test_who_asks_too_often_is_told_to_wait_and_others_are_not(
    keep: Keep, client: FlaskClient, ana: int, clock: StoppedClock
) -> None:
    clock.set(NOW)
    path = address(keep, ana)
    for _ in range(limits.OF_ONE):
        assert client.get(path).status_code == 200

    answer = client.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert client.get(f"/feeds/{'x' * 32}.ics").status_code == 404
    clock.advance(minutes=1)
    assert client.get(path).status_code == 200


def test_the_patient_makes_the_address_on_their_own_page(
    keep: Keep, client: FlaskClient, ana: int
) -> None:
    with keep() as session:
        who = session.get_one(Patient, ana)
        token = mint_link(who, "appointment:1", expires_at=make.at(10, days=9), now=NOW)
    client.get(f"/my/{token}")
    csrf = make.form_token(client, "/my/visit")

    page = client.post("/my/visit/dates", data={"csrf_token": csrf}).text

    found = re.search(r">(http://localhost/feeds/[^<]+\.ics)<", page)
    assert found is not None
    assert len(entries(client, urlsplit(found[1]).path)) == 2
    first = client.get("/my/visit").text
    assert "calendar.google.com" in first
    assert "Wed, Mar 4, 10:00 AM, Woburn" in first  # a text with several dates leads to one
    (which,) = re.findall(r'name="which" value="([^"]+)"', first)
    for one in (which, "x", which):
        client.post("/my/visit/open", data={"csrf_token": csrf, "which": one})
        other = client.get("/my/visit").text
        assert "Wednesday, March 4, 10:00 AM" in other
    assert "Tue, Mar 3, 10:00 AM: we call you." in other
    stopped = client.post("/my/visit/dates/stop", data={"csrf_token": csrf}).text
    assert "Your calendar address is closed." in stopped
    assert "Close my calendar address" not in stopped
    assert client.get(urlsplit(found[1]).path).status_code == 404
