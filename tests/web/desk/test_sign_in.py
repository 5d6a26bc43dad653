"""Coming in and going out."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts import queries as accounts
from scheduler.accounts import service as door
from scheduler.accounts.models import Role, StaffSession
from scheduler.audit.models import AuditEntry
from scheduler.core.db import db
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock


@pytest.fixture(autouse=True)
def _rosa(once: Once) -> None:
    def made() -> None:
        make.two_sites()
        make.staff("rosa", role=Role.NURSE, name="Rosa Lima")

    once(made)


def enter(
    client: FlaskClient, username: str, password: str, path: str = "/desk/sign-in", **more: object
) -> TestResponse:
    token = make.form_token(client, "/desk/sign-in")
    form = {"username": username, "password": password, "csrf_token": token}
    return client.post(path, data=form, **more)  # type: ignore[arg-type]


def actions(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_staff_come_in_with_name_and_password_and_the_record_says_so(
    client: FlaskClient, app: Flask
) -> None:
    answer = enter(client, " Rosa ", make.PASSWORD)

    assert answer.status_code == 303
    assert answer.location == "/desk"
    assert client.get("/desk").status_code == 200
    assert "staff.signed-in" in actions(app)


@pytest.mark.parametrize(
    ("username", "password"), [("rosa", "not the password"), ("nobody", make.PASSWORD)]
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_words(
    client: FlaskClient, app: Flask, username: str, password: str
) -> None:
    answer = enter(client, username, password)

    assert answer.status_code == 422
    assert "That name and password do not fit together." in answer.text
    assert f'value="{username}"' in answer.text
    assert password not in answer.text
    assert actions(app)[-1] == "staff.sign-in-failed"


def test_a_disabled_account_opens_nothing(client: FlaskClient, keep: Keep) -> None:
    with keep():
        rosa = accounts.find_staff("rosa")
        assert rosa
        door.disable(rosa, actor="operator", now=make.MONDAY)

    assert enter(client, "rosa", make.PASSWORD).status_code == 422


@pytest.mark.parametrize("username", ["rosa", "nobody"])
def test_after_ten_failures_no_password_is_looked_at_for_an_hour(
    client: FlaskClient, clock: StoppedClock, username: str
) -> None:
    for _ in range(10):
        assert enter(client, username, "wrong wrong wrong").status_code == 422

    locked = enter(client, username, make.PASSWORD)
    clock.advance(minutes=61)
    later = enter(client, username, make.PASSWORD)

    assert locked.status_code == 429
    assert "too many tries" in locked.text
    assert later.status_code == (303 if username == "rosa" else 422)


def test_nobody_can_keep_a_colleague_out_from_elsewhere(client: FlaskClient) -> None:
    assert enter(client, "rosa", make.PASSWORD).status_code == 303
    client.post("/desk/sign-out", data={"csrf_token": make.form_token(client, "/desk")})
    for _ in range(12):
        enter(client, "rosa", "guess after guess", environ_overrides={"REMOTE_ADDR": "203.0.113.9"})

    assert enter(client, "rosa", make.PASSWORD).status_code == 303


def test_the_desk_sends_strangers_to_sign_in_and_back_to_where_they_wanted(
    client: FlaskClient,
) -> None:
    away = client.get("/desk?day=2026-03-04")
    assert away.status_code == 303
    assert away.location.startswith("/desk/sign-in?next=")

    assert enter(client, "rosa", make.PASSWORD, away.location).location == "/desk?day=2026-03-04"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_signing_in_never_leads_to_another_host(client: FlaskClient, elsewhere: str) -> None:
    answer = enter(client, "rosa", make.PASSWORD, f"/desk/sign-in?next={elsewhere}")

    assert answer.location == "/desk"


def test_a_session_unused_for_15_minutes_is_over(signed_in: SignIn, clock: StoppedClock) -> None:
    client = signed_in()
    clock.advance(minutes=14)
    assert client.get("/desk").status_code == 200
    clock.advance(minutes=14)
    assert client.get("/desk").status_code == 200
    clock.advance(minutes=15)

    assert client.get("/desk").status_code == 303
    assert "was not used for a while" in client.get("/desk/sign-in").text


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(
    signed_in: SignIn, clock: StoppedClock
) -> None:
    client = signed_in()
    for _ in range(14):
        clock.advance(minutes=1)
        assert client.get("/desk", headers={"X-Poll": "1"}).status_code in (200, 304)
    clock.advance(minutes=1)

    assert client.get("/desk", headers={"X-Poll": "1"}).status_code == 401


def test_a_session_in_use_is_over_after_12_hours(signed_in: SignIn, clock: StoppedClock) -> None:
    client = signed_in()
    for _ in range(51):
        clock.advance(minutes=14)
        assert client.get("/desk/tasks").status_code == 200
    clock.advance(minutes=10)

    assert client.get("/desk").status_code == 303


def test_a_session_that_ran_out_stays_over_when_the_clock_is_put_back(
    app: Flask, signed_in: SignIn, clock: StoppedClock
) -> None:
    client = signed_in()
    cookie = client.get_cookie("emerge")
    assert cookie
    clock.advance(days=1)
    assert client.get("/desk").status_code == 303
    clock.advance(days=-1)

    again = app.test_client()
    again.set_cookie("emerge", cookie.value)

    assert again.get("/desk").status_code == 303


def test_without_its_end_written_down_it_would_open_again(
    app: Flask, signed_in: SignIn, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr("scheduler.accounts.service.end_lapsed", lambda *_, **__: None)
    client = signed_in()
    cookie = client.get_cookie("emerge")
    assert cookie
    clock.advance(days=1)
    client.get("/desk")
    clock.advance(days=-1)

    again = app.test_client()
    again.set_cookie("emerge", cookie.value)

    assert again.get("/desk").status_code == 200


def test_signing_out_ends_the_session_on_the_server_too(app: Flask, signed_in: SignIn) -> None:
    client = signed_in()
    cookie = client.get_cookie("emerge")
    assert cookie
    client.post("/desk/sign-out", data={"csrf_token": make.form_token(client, "/desk")})

    thief = app.test_client()
    thief.set_cookie("emerge", cookie.value)

    assert thief.get("/desk").status_code == 303


def test_each_sign_in_is_a_new_session_and_its_secret_is_stored_hashed(
    app: Flask, client: FlaskClient
) -> None:
    client.get("/desk/sign-in")
    enter(client, "rosa", make.PASSWORD)

    with client.session_transaction() as cookie:
        secret = cookie["_user_id"]
    with app.app_context():
        stored = db.session.scalars(select(StaffSession.token_hash)).all()
    assert len(stored) == 1
    assert secret not in stored


def test_a_new_password_signs_out_everywhere(signed_in: SignIn, keep: Keep) -> None:
    client = signed_in(Role.NURSE, "rosa")
    with keep():
        rosa = accounts.find_staff("rosa")
        assert rosa
        door.set_password(rosa, "another calm password", actor="operator", now=make.MONDAY)

    assert client.get("/desk").status_code == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(client: FlaskClient) -> None:
    header = enter(client, "rosa", make.PASSWORD).headers["Set-Cookie"]

    assert "HttpOnly" in header
    assert "SameSite=Lax" in header


def send_after_the_session_ended(client: FlaskClient, clock: StoppedClock) -> TestResponse:
    """Rosa types a name for a booking, is away for 20 minutes, and presses the button."""
    enter(client, "rosa", make.PASSWORD)
    token = make.form_token(client, "/desk/book")
    clock.advance(minutes=20)
    typed = {"given_name": "Wilhelmina", "family_name": "Okafor", "csrf_token": token}
    return client.post("/desk/book", data=typed)


def sign_in_on(client: FlaskClient, page: TestResponse, username: str) -> TestResponse:
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    form = fields | {"username": username, "password": make.PASSWORD}
    return client.post("/desk/sign-in", data=form)


def test_what_was_sent_too_late_is_kept_sealed_until_they_are_back(
    client: FlaskClient, clock: StoppedClock
) -> None:
    page = send_after_the_session_ended(client, clock)
    back = sign_in_on(client, page, "rosa")
    again = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', back.text))
    form = client.post("/desk/book", data=again)

    assert page.status_code == 401
    assert "Wilhelmina" not in page.text
    assert 'action="/desk/book"' in back.text
    assert form.status_code == 422  # the form's own answer: a time is still to be chosen
    assert 'value="Wilhelmina"' in form.text


def test_what_was_kept_is_for_nobody_else_and_not_for_ever(
    client: FlaskClient, clock: StoppedClock, keep: Keep
) -> None:
    with keep():
        make.staff("bea", role=Role.FRONT_DESK, name="Bea Novak")
    page = send_after_the_session_ended(client, clock)

    other = sign_in_on(client, page, "bea")
    clock.advance(minutes=61)
    later = sign_in_on(client, page, "rosa")

    for answer in (other, later):
        assert "Wilhelmina" not in answer.text
    assert other.location == "/desk"


def test_a_sealed_text_that_was_made_up_is_left_alone(client: FlaskClient) -> None:
    token = make.form_token(client, "/desk/sign-in")
    for made_up in ("x", "k1.AAAA", "test.", "\0", "test." + "A" * 80):
        form = {"username": "rosa", "password": make.PASSWORD, "kept": made_up}
        answer = client.post("/desk/sign-in", data=form | {"csrf_token": token})
        assert answer.status_code == 303
        token = make.form_token(client, "/desk/patients")
        client.post("/desk/sign-out", data={"csrf_token": token})
        token = make.form_token(client, "/desk/sign-in")
