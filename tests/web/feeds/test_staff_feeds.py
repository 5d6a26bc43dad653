"""Calendars of staff: one secret each, initials at most, closed when they should be."""

import re
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from icalendar import Calendar
from sqlalchemy import select

from scheduler.accounts.models import FeedKey, Role, Staff
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.clinic.models import Resource
from scheduler.core.db import db
from scheduler.core.tokens import digest
from scheduler.messaging.lint import telling
from scheduler.patients.links import renew_feed
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Keep, SignIn, StoppedClock

NOW = make.MONDAY


def summaries(client: FlaskClient, path: str) -> list[tuple[str, str]]:
    """Return (start, title) of every entry."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, max-age=900"
    text = answer.text.replace("\r\n ", "")
    assert telling(text) == []
    for secret in ("Ana", "Duarte", "5550111", "BEGIN:VALARM"):
        assert secret not in text
    return [
        (e.decoded("dtstart").strftime("%d %H:%M"), str(e["summary"]))
        for e in Calendar.from_ical(answer.data).walk("VEVENT")
    ]


def made(desk: FlaskClient, token: str, **form: object) -> str:
    """Press "Make an address" and return the path that is shown, this once."""
    page = desk.post("/desk/calendars", data={"csrf_token": token} | form).text
    found = re.search(r">(http://localhost/feeds/staff/[^<]+\.ics)<", page)
    assert found is not None
    path = urlsplit(found[1]).path
    assert path not in desk.get("/desk/calendars").text
    return path


def test_staff_make_read_and_close_their_own_addresses(
    app: Flask, keep: Keep, client: FlaskClient, signed_in: SignIn, clock: StoppedClock
) -> None:
    with keep():
        where = make.clinic_day()
        who = make.patient()
        call = make.call(where, who)
        make.infusion(where, who, make.at(10, days=2))
        site_id, call_id = where.id, call.id
    desk = signed_in(Role.NURSE)
    with keep():
        caller = db.session.scalars(select(Resource).where(Resource.name == "Caller 1")).one()
        db.session.scalars(select(Staff)).one().resource_id = caller.id
    token = make.form_token(desk, "/desk/calendars")
    assert "My own appointments" in desk.get("/desk/calendars").text

    mine, theirs = made(desk, token), made(desk, token, site=site_id)
    assert summaries(client, mine) == [("03 15:00", "Call A.D.")]
    assert summaries(client, theirs) == [("03 15:00", "Call A.D."), ("04 15:00", "Visit A.D.")]

    # Unchanged, it is not sent again; a move shows, and what is called off is gone.
    etag = client.get(mine).headers["ETag"]
    clock.advance(minutes=5)
    assert client.get(mine, headers={"If-None-Match": etag}).status_code == 304
    with keep():
        moved = db.session.get_one(Appointment, call_id)
        booking.move(moved, starts_at=make.at(11), version=1, actor="staff:1", now=clock())
    again = client.get(mine, headers={"If-None-Match": etag})
    assert again.status_code == 200
    assert summaries(client, mine) == [("03 16:00", "Call A.D.")]
    with keep():
        booking.cancel(db.session.get_one(Appointment, call_id), actor="staff:1", now=clock())
    assert summaries(client, mine) == []
    assert "last read Mon, Mar 2" in desk.get("/desk/calendars").text

    # A new address closes the old one; the desk closes; who leaves reads nothing more.
    newer = made(desk, token)
    unknown = client.get(f"/feeds/staff/{'x' * 32}.ics")
    assert client.get(mine).status_code == unknown.status_code == 404
    with keep():
        row = db.session.scalars(
            select(FeedKey).where(FeedKey.site_id.is_(None), FeedKey.revoked_at.is_(None))
        ).one()
        number = row.id
        secret = newer.rpartition("/")[2].removesuffix(".ics")
        assert row.token_hash == digest(secret, "staff-feed")
    closing = {"csrf_token": token}
    assert desk.post(f"/desk/calendars/{number}/close", data=closing).status_code == 303
    assert desk.post(f"/desk/calendars/{number}/close", data=closing).status_code == 404
    assert client.get(newer).status_code == 404
    with keep():
        db.session.scalars(select(Staff)).one().is_active = False
    assert client.get(theirs).status_code == 404


def test_one_kind_of_key_opens_no_other_lock(
    app: Flask, keep: Keep, client: FlaskClient, signed_in: SignIn
) -> None:
    with keep():
        make.clinic_day()
        who = make.patient()
        patients = renew_feed(who, now=NOW)
        patient_id = who.id
    desk = signed_in()
    token = make.form_token(desk, "/desk/calendars")
    staffs = made(desk, token, site=1).rpartition("/")[2].removesuffix(".ics")

    for path in (f"/feeds/staff/{patients}.ics", f"/feeds/{staffs}.ics", f"/my/{staffs}"):
        assert client.get(path).status_code == 404
    first = client.get(f"/feeds/{patients}.ics")
    assert (
        client.get(
            f"/feeds/{patients}.ics", headers={"If-None-Match": first.headers["ETag"]}
        ).status_code
        == 304
    )

    # The desk closes a patient's address for them.
    with keep():
        public_id = db.session.get_one(Patient, patient_id).public_id
    assert "Close that address" in desk.get(f"/desk/patients/{public_id}").text
    answer = desk.post(f"/desk/patients/{public_id}/calendar/close", data={"csrf_token": token})
    assert answer.status_code == 303
    assert client.get(f"/feeds/{patients}.ics").status_code == 404
