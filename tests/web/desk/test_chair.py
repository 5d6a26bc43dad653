"""What the pages at the chair and of a plan say about what was done, and what comes next."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.core.db import db
from scheduler.messaging import consent
from scheduler.patients.models import Pain, Patient
from tests import course, make
from tests.conftest import Keep, Once, SignIn, StoppedClock


@pytest.fixture
def visits(once: Once, clock: StoppedClock) -> dict[str, str]:
    """June's draft plan, and Ben who is in the chair; each by its public id."""

    def made() -> dict[str, str]:
        where = course.clinic()
        june = make.patient("June", "Okafor", pain=Pain.CRPS, home_site_id=where.woburn)
        plan = course.draft(june, where)
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        running = course.first_infusion(ben, where, course.at(9, 10)).infusion
        return {"plan": plan.public_id, "ben": running.public_id}

    found = once(made)
    clock.set(course.at(9, 10, 5))
    return found


def deed(client: FlaskClient, visit: str, name: str, **form: object) -> TestResponse:
    page = f"/desk/session/{visit}"
    token = make.form_token(client, page)
    return client.post(f"{page}/{name}", data={"csrf_token": token, **form}, follow_redirects=True)


def test_saving_nothing_says_so_and_a_tap_shows_what_it_recorded(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    client = signed_in(role=Role.NURSE)

    nothing = deed(client, visits["ben"], "before").text
    assert "Nothing new was filled in." in nothing
    assert "Last recorded" not in nothing

    told = deed(client, visits["ben"], "before", score="8").text
    assert re.search(r"Last recorded: <b>Pain 8 of 10, before</b>", told)


def test_an_infusion_is_not_closed_by_the_button_that_closes_a_call(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    client = signed_in(role=Role.NURSE)
    page = f"/desk/appointments/{visits['ben']}"
    version = re.search(r'name="version" value="(\d+)"', client.get(page).text)
    assert version
    token = make.form_token(client, page)

    client.post(f"{page}/arrive", data={"csrf_token": token, "version": version[1]})

    seen = client.get(page).text
    assert '<button class="button button-plain">Done, recorded on paper</button>' in seen
    version = re.search(r'name="version" value="(\d+)"', seen)
    assert version
    form = {"csrf_token": token, "version": version[1]}

    assert client.post(f"{page}/close", data=form).status_code == 409
    assert client.post(f"{page}/close-on-paper", data=form).status_code == 303
    assert "Closed. Its record is on paper." in client.get(page).text


def test_the_front_desk_does_not_vouch_for_an_infusion(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    client = signed_in(role=Role.FRONT_DESK)
    page = f"/desk/appointments/{visits['ben']}"
    token = make.form_token(client, page)

    answer = client.post(f"{page}/close-on-paper", data={"csrf_token": token, "version": "1"})

    assert answer.status_code == 403


def test_the_text_that_waits_is_shown_with_the_visit_it_is_about(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    page = signed_in().get(f"/desk/appointments/{visits['ben']}").text

    about = page.partition("Messages about it")[2].partition("</section>")[0]
    assert "about what changed" in about


def test_a_date_chosen_at_the_other_clinic_does_not_call_the_first_one_full(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    client = signed_in(role=Role.CLINICIAN)
    page = f"/desk/plans/{visits['plan']}"
    shown = client.get(page).text
    other = re.search(r'name="v1" id="v1-\d" value="([^"]+\|danvers)"', shown)
    assert other, re.findall(r'name="v1" id="v1-\d" value="([^"]+)"', shown)
    token = make.form_token(client, page)

    again = client.post(f"{page}/preview", data={"csrf_token": token, "v1": other[1]}).text

    assert "your choice" in again
    assert "Woburn full" not in again


def test_a_wrong_password_on_declining_is_said_where_it_was_typed(
    signed_in: SignIn, visits: dict[str, str]
) -> None:
    client = signed_in(role=Role.CLINICIAN)
    page = f"/desk/plans/{visits['plan']}"
    version = re.search(r'name="version" value="(\d+)"', client.get(page).text)
    assert version
    token = make.form_token(client, page)

    answer = client.post(
        f"{page}/decline",
        data={"csrf_token": token, "version": version[1], "reason": "No", "password": "no"},
    )

    assert answer.status_code == 422
    assert 'id="decline-password-error"' in answer.text
    assert 'id="password-error"' not in answer.text


@pytest.mark.parametrize(
    ("agreed", "told"),
    [
        (True, "One text with all dates goes out Mon, Mar 9, 10:05 AM."),
        (False, "No text goes out. Please tell them the dates."),
    ],
)
def test_booking_all_visits_says_when_the_one_text_leaves(
    signed_in: SignIn, visits: dict[str, str], keep: Keep, agreed: bool, told: str
) -> None:
    if agreed:
        with keep():
            june = db.session.scalars(select(Patient).where(Patient.given_name == "June")).one()
            consent.grant(
                june,
                june.mobile or "",
                "yes",
                source="desk",
                actor="staff:1",
                origin="-",
                now=make.MONDAY,
            )
    client = signed_in(role=Role.CLINICIAN)
    page = f"/desk/plans/{visits['plan']}"
    shown = client.get(page).text
    dates = dict(re.findall(r'name="(v\d)" id="v\d-0" value="([^"]+)"', shown))
    version = re.search(r'name="version" value="(\d+)"', shown)
    assert version
    form = {
        "csrf_token": make.form_token(client, page),
        "version": version[1],
        "deed": "book",
        "password": make.PASSWORD,
        **dates,
    }

    done = client.post(f"{page}/approve", data=form, follow_redirects=True).text

    said = done.partition('id="said"')[2][:200]
    assert f"6 visits booked. {told}" in said
