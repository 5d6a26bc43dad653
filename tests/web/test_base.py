"""What holds for every page."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask
from flask.testing import FlaskClient

from scheduler.core.db import db
from scheduler.core.errors import Stale
from scheduler.web import guards
from tests.conftest import StoppedClock, built


@pytest.fixture
def app(database_url: str, clock: StoppedClock) -> Iterator[Flask]:
    """An app of its own with a few pages that fail."""
    app = built(database_url, {})
    bp = Blueprint("trial", __name__)

    @bp.get("/trial/refused")
    def refused() -> str:
        raise Stale("Bea moved it to 11:00 AM.")

    @bp.get("/trial/locked")
    def locked() -> str:
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("database is locked"))

    @bp.get("/trial/broken")
    def broken() -> str:
        raise ZeroDivisionError("ana@example.org")

    @bp.post("/trial/form")
    def form() -> str:
        return "never"

    app.register_blueprint(guards.protect(bp, guards.public))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app
    with app.app_context():
        db.engine.dispose()


def test_every_answer_forbids_foreign_and_inline_code(client: FlaskClient) -> None:
    response = client.get("/nowhere")

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "noindex" in response.headers["X-Robots-Tag"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "We cannot find that page"),
        ("/trial/form", 405, "That does not work here"),
        ("/trial/refused", 409, "Bea moved it to 11:00 AM."),
        ("/trial/locked", 503, "We will be right back"),
        ("/trial/broken", 500, "Something went wrong on our side"),
    ],
)
def test_a_failure_is_a_kind_page_with_a_number_and_no_stack(
    client: FlaskClient, path: str, status: int, words: str
) -> None:
    response = client.get(path)

    assert response.status_code == status
    assert words in response.text
    assert response.headers["X-Request-Id"] in response.text
    assert "Traceback" not in response.text
    assert "secret" not in response.text
    assert "ana@example.org" not in response.text


def test_a_machine_is_told_in_its_own_form(client: FlaskClient) -> None:
    response = client.get("/trial/refused", headers={"Accept": "application/json"})

    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == "stale"


def test_a_form_without_its_token_is_refused_and_keeps_what_was_typed(client: FlaskClient) -> None:
    response = client.post(
        "/trial/form", data={"name": "June <b>"}, headers={"Sec-Fetch-Site": "same-origin"}
    )

    assert response.status_code == 400
    assert 'name="name" value="June &lt;b&gt;"' in response.text
    assert "Send it once more" in response.text


def test_a_form_from_another_site_is_not_offered_again(client: FlaskClient) -> None:
    response = client.post(
        "/trial/form", data={"name": "June"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert response.status_code == 400
    assert "June" not in response.text


def test_a_page_speaks_the_language_asked_for_and_remembers_it(client: FlaskClient) -> None:
    assert '<html lang="pt-BR">' in client.get("/nowhere?lang=pt").text
    assert '<html lang="es">' in client.get("/nowhere", headers={"Accept-Language": "es-MX"}).text
    assert '<html lang="en">' in client.get("/nowhere?lang=xx").text


def test_a_static_file_is_kept_for_ever_under_a_name_that_changes_with_it(
    client: FlaskClient,
) -> None:
    page = client.get("/nowhere").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]

    with client.get(address, headers={"Accept-Encoding": "gzip"}) as response:
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Content-Encoding"] == "gzip"
    with client.get("/static/css/base.css") as unnamed:
        assert unnamed.headers["Cache-Control"] == "no-cache"
