"""`flask patients import` takes what hospitals export, once, and says what it could not take."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select, text

from scheduler.core.db import db
from scheduler.patients import queries
from scheduler.patients.models import Patient


def row(mrn: str = "M1", **changes: Any) -> dict[str, Any]:
    """A Patient as a hospital writes it, with identifiers we must not keep."""
    person: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"id-{mrn}",
        "identifier": [
            {"type": {"coding": [{"code": "SS"}]}, "value": "999-11-2222"},
            {"type": {"coding": [{"code": "MR"}]}, "value": mrn},
            {"type": {"coding": [{"code": "DL"}]}, "value": "S99912345"},
        ],
        "name": [
            {"use": "maiden", "given": ["Ada"], "family": "Before"},
            {"use": "official", "given": ["Ada", "Lou"], "family": "Quimby"},
        ],
        "gender": "female",
        "birthDate": "1961-02-28",
        "telecom": [
            {"system": "phone", "value": "781-555-0120", "use": "mobile"},
            {"system": "email", "value": "ada@example.org"},
        ],
        "address": [{"line": ["5 Elm St"], "city": "Woburn", "state": "MA", "postalCode": "01801"}],
        "communication": [{"language": {"coding": [{"code": "es-US"}]}}],
    }
    return person | changes


def phone(value: str, use: str | None = "mobile") -> list[dict[str, Any]]:
    """A telecom list with one phone."""
    entry = {"system": "phone", "value": value}
    return [entry | ({"use": use} if use else {})]


def run(runner: FlaskCliRunner, path: Path, rows: list[Any]) -> str:
    """Write the rows to a file and import it."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(runner.invoke(args=["patients", "import", str(path)]).output)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the export lies."""
    return tmp_path / "export.ndjson"


def only(app: Flask) -> Patient:
    """The one patient there is."""
    return db.session.scalars(select(Patient)).one()


def test_what_is_named_is_kept(app: Flask, runner: FlaskCliRunner, file: Path) -> None:
    output = run(runner, file, [row()])

    assert "1 lines: 1 created, 0 updated, 0 unchanged, 0 rejected" in output
    with app.app_context():
        ada = only(app)
        assert (ada.given_name, ada.family_name) == ("Ada Lou", "Quimby")
        assert str(ada.birth_date) == "1961-02-28"
        assert (ada.sex, ada.language, ada.mrn) == ("female", "es", "M1")
        assert (ada.mobile, ada.email) == ("+17815550120", "ada@example.org")
        assert (ada.address_line, ada.city, ada.state, ada.postal_code) == (
            "5 Elm St",
            "Woburn",
            "MA",
            "01801",
        )


def test_nothing_else_of_the_file_is_stored_or_said(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    output = run(runner, file, [row(), row("M2", gender="999-11-2222")])

    secrets = ("999-11-2222", "S99912345", "Before", "id-M1")
    assert not [s for s in secrets if s in output]
    with app.app_context():
        for table in db.metadata.sorted_tables:
            stored = repr(db.session.execute(text(f'SELECT * FROM "{table.name}"')).all())
            assert not [s for s in secrets if s in stored], table.name


def test_a_second_import_changes_nothing(app: Flask, runner: FlaskCliRunner, file: Path) -> None:
    rows = [row(), row("M2"), row("M3")]
    run(runner, file, rows)

    output = run(runner, file, rows)

    assert "3 lines: 0 created, 0 updated, 3 unchanged, 0 rejected" in output
    with app.app_context():
        assert {p.version for p in db.session.scalars(select(Patient))} == {1}


def test_a_changed_line_updates_and_what_the_file_lacks_stays(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    run(runner, file, [row()])

    output = run(runner, file, [row(telecom=[], address=[{"city": "Danvers"}])])

    assert "0 created, 1 updated" in output
    with app.app_context():
        assert (only(app).city, only(app).mobile) == ("Danvers", "+17815550120")


@pytest.mark.parametrize(
    ("telecom", "mobile", "kept"),
    [
        pytest.param(phone("(781) 555-0177"), "+17815550177", None, id="a mobile"),
        pytest.param(phone("617-367-4567", None), "+16173674567", None, id="no use given"),
        pytest.param(phone("617-367-4567", "home"), None, "617-367-4567", id="a landline"),
        pytest.param(phone("800-221-1212"), None, "800-221-1212", id="toll-free"),
        pytest.param(phone("555-325-8941"), None, "555-325-8941", id="no such area"),
        pytest.param(phone("12"), None, "12", id="too short"),
        pytest.param(phone("+44 20 7946 0123"), None, "+44 20 7946 0123", id="abroad"),
        pytest.param([], None, None, id="none"),
    ],
)
def test_a_phone_that_is_no_valid_mobile_is_kept_as_text(
    app: Flask,
    runner: FlaskCliRunner,
    file: Path,
    telecom: list[Any],
    mobile: str | None,
    kept: str | None,
) -> None:
    run(runner, file, [row(telecom=telecom)])

    with app.app_context():
        assert (only(app).mobile, only(app).phone_text) == (mobile, kept)


def test_broken_lines_are_named_and_do_not_stop_the_rest(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    rows: list[Any] = [
        row("M1"),
        "{not json",
        '"text"',
        "[]",
        {"resourceType": "Observation"},
        row("M2", birthDate="1961-02-30"),
        row("M3", birthDate=19610228),
        row("M4", gender="F"),
        row("M5", name=[]),
        row("M6", name="Ada"),
        row("M7", identifier=[]),
        row("M8", deceasedBoolean="yes"),
        "",
        row("M9", telecom={"system": "phone"}),
        row("M10"),
    ]

    output = run(runner, file, rows)

    assert "14 lines: 2 created, 0 updated, 0 unchanged, 12 rejected" in output
    for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14):
        assert f"line {number}: rejected: " in output


def test_a_line_that_is_not_text_is_rejected(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    file.write_bytes(b"\xff\xfe\x00bad\n" + json.dumps(row()).encode() + b"\n")

    output = runner.invoke(args=["patients", "import", str(file)]).output

    assert "line 1: rejected: the line is not UTF-8" in output
    assert "2 lines: 1 created" in output


def test_the_deceased_are_marked(app: Flask, runner: FlaskCliRunner, file: Path) -> None:
    run(
        runner,
        file,
        [row("M1", deceasedDateTime="2024-05-01T10:00:00-04:00"), row("M2", deceasedBoolean=True)],
    )

    with app.app_context():
        first, second = db.session.scalars(select(Patient).order_by(Patient.mrn)).all()
        assert (first.is_deceased, str(first.deceased_on)) == (True, "2024-05-01")
        assert second.is_deceased


def test_an_imported_person_is_found_by_name_number_and_record(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    run(runner, file, [row()])

    with app.app_context():
        for words in ("qui", "lou quimby", "QUIM ad", "0120", "M1", "781555"):
            assert [p.mrn for p in queries.search(words)] == ["M1"], words
        for words in ("uimby", "zz", "0121", ""):
            assert queries.search(words) == [], words


def test_a_missing_file_is_said_kindly(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["patients", "import", "nowhere.ndjson"])

    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_when_every_line_is_rejected_the_status_says_so(runner: FlaskCliRunner, file: Path) -> None:
    file.write_text("nonsense\n")

    assert runner.invoke(args=["patients", "import", str(file)]).exit_code == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"resourceType": "Patient", "multipleBirthInteger": ' + "9" * 5000 + "}",
        "[" * 100_000,
        json.dumps(row("M" * 5000)),
        json.dumps(row("\ud800\0")),
    ],
    ids=["a number without end", "brackets without end", "a long record number", "no writing"],
)
def test_a_line_made_to_break_the_import_is_rejected_and_the_rest_goes_on(
    runner: FlaskCliRunner, file: Path, line: str
) -> None:
    output = run(runner, file, [row("M1"), line, row("M2")])

    assert "line 2: rejected:" in output
    assert "3 lines: 2 created, 0 updated, 0 unchanged, 1 rejected" in output


def test_signs_that_are_no_writing_are_left_out(
    app: Flask, runner: FlaskCliRunner, file: Path
) -> None:
    name = {"given": ["A\u0000da", "Lou\n"], "family": "Quim\u202eby\ud800"}
    contact = [{"system": "email", "value": "a,b@example.org"}]

    output = run(runner, file, [row(name=[name], telecom=contact)])

    assert "1 created" in output
    with app.app_context():
        person = db.session.scalars(select(Patient)).one()
        assert (person.given_name, person.family_name) == ("Ada Lou", "Quimby")
        assert person.email is None
