"""The house rules hold, and each of them notices when it is broken."""

import subprocess
from pathlib import Path

import pytest
from flask import Blueprint, Flask

from config import Config
from scheduler.app import create_app
from scheduler.core.sealed import new_key
from tests.house import checks

BINARY = {".png", ".jpg", ".ico", ".woff2", ".mo"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The app as it is, on a file of its own."""
    return create_app(
        Config(
            environment="test",
            database_url=f"sqlite:///{tmp_path_factory.mktemp('house') / 'house.db'}",
            secret_key="only-for-tests-" * 4,
            keys=new_key("test"),
            public_url="http://localhost",
        )
    )


def test_only_the_core_ends_transactions() -> None:
    assert checks.commits(checks.python_files()) == []


def test_rows_are_written_in_their_own_room() -> None:
    assert checks.constructions(checks.python_files()) == []


def test_every_route_answers_to_a_guard(house: Flask) -> None:
    assert checks.unguarded(house) == []


def test_parameters_in_paths_have_types(house: Flask) -> None:
    assert checks.untyped_parameters(house) == []


def test_paths_are_written_like_this(house: Flask) -> None:
    assert checks.crooked_paths(house) == []


def test_every_form_carries_its_token() -> None:
    assert checks.tokenless_forms(checks.templates()) == []


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checks.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(name) for name in listed.stdout.split("\0") if name]
    texts = {
        str(path): (checks.ROOT / path).read_text()
        for path in paths
        if path.suffix not in BINARY and (checks.ROOT / path).is_file()
    }

    assert texts
    assert checks.places(texts) == []


# Each check, on a planted violation.

MODELS = {
    "scheduler/clinic/models.py": (
        "from scheduler.core.db import Model\n"
        "class Thing(Model): pass\n"
        "class Chair(Thing): pass\n"
        "class Color(StrEnum): pass\n"
    )
}


def test_a_form_without_its_token_is_seen() -> None:
    with_one = '<form method="post" action="/x">{{ csrf() }}<button>Send</button></form>'
    without = with_one.replace("{{ csrf() }}", "")

    assert len(checks.tokenless_forms({"x.html": f"{with_one}\n{without}\n{with_one}"})) == 1


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("db.session.commit()", id="the session's commit"),
        pytest.param("with x:\n    connection.rollback()", id="a connection's rollback"),
    ],
)
def test_a_transaction_ended_by_hand_is_seen(code: str) -> None:
    assert len(checks.commits({"scheduler/booking/service.py": code})) == 1
    assert checks.commits({"scheduler/core/db.py": code}) == []


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("Chair(name='x')", id="by name"),
        pytest.param("models.Chair(name='x')", id="through the module"),
        pytest.param(
            "from scheduler.clinic.models import Chair as Seat\nSeat()", id="under another name"
        ),
        pytest.param("session.execute(sa.insert(Chair))", id="by a statement"),
    ],
)
def test_a_row_made_in_another_room_is_seen(code: str) -> None:
    assert len(checks.constructions(MODELS | {"scheduler/booking/service.py": code})) == 1
    assert checks.constructions(MODELS | {"scheduler/clinic/service.py": code}) == []


def test_a_value_of_another_room_may_be_made_anywhere() -> None:
    code = "Color('red'); select(Chair)"

    assert checks.constructions(MODELS | {"scheduler/booking/service.py": code}) == []


def nobody() -> None:
    """Let everybody in; for the planted blueprints below."""


def planted(path: str, *, guard: str | None = "nobody", registered: bool = True) -> Flask:
    app = Flask("planted")
    pages = Blueprint("pages", "planted")
    if guard:
        pages.guard = guard  # type: ignore[attr-defined]
    if registered:
        pages.before_request(nobody)
    pages.add_url_rule(path, "page", nobody)
    app.register_blueprint(pages)
    return app


def test_a_guarded_route_with_a_typed_parameter_in_a_tidy_path_is_no_violation() -> None:
    app = planted("/to-call/<int:patient_id>.ics")

    assert checks.unguarded(app) == []
    assert checks.untyped_parameters(app) == []
    assert checks.crooked_paths(app) == []


def test_a_blueprint_without_a_guard_is_seen() -> None:
    assert len(checks.unguarded(planted("/x", guard=None))) == 1


def test_a_guard_that_is_only_declared_is_seen() -> None:
    assert len(checks.unguarded(planted("/x", registered=False))) == 1


def test_a_route_outside_of_blueprints_is_seen() -> None:
    app = planted("/x")
    app.add_url_rule("/back-door", "back_door", nobody)

    assert len(checks.unguarded(app)) == 1


def test_a_parameter_without_a_type_is_seen() -> None:
    assert len(checks.untyped_parameters(planted("/calls/<day>"))) == 1


@pytest.mark.parametrize("path", ["/to_call", "/toCall", "/to call", "/calls/<int:n>/Undo"])
def test_a_crooked_path_is_seen(path: str) -> None:
    assert len(checks.crooked_paths(planted(path))) == 1


@pytest.mark.parametrize(
    ("line", "violations"),
    [
        pytest.param('"resolved": "https://registry.' + 'npmjs.org/x"', 1, id="a registry"),
        pytest.param("--find-links=/" + "opt/wheels", 1, id="a folder of packages"),
        pytest.param("cd /" + "home/anna/emerge", 1, id="somebody's home"),
        pytest.param("docs/work/plan.md", 0, id="a folder of the checkout"),
        pytest.param("see https://example.com/work/plan", 0, id="an address"),
        pytest.param("npm install; pip install flask", 0, id="the clients' names"),
    ],
)
def test_registries_and_machines_are_seen_by_name(line: str, violations: int) -> None:
    assert len(checks.places({"README.md": line})) == violations
