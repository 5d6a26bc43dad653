"""Taking people on from a terminal."""

import pytest
from flask.testing import FlaskCliRunner

from tests import make
from tests.conftest import Once


@pytest.fixture(autouse=True)
def _clinic(once: Once) -> None:
    def made() -> None:
        make.two_sites()

    once(made)


ADD = ["staff", "add", "bea", "--name", "Bea Novak", "--role", "nurse", "--site", "woburn"]


def test_somebody_taken_on_is_listed(runner: FlaskCliRunner) -> None:
    done = runner.invoke(args=ADD, input="a calm new password\na calm new password\n")

    assert done.exit_code == 0, done.output
    assert "Bea Novak" in runner.invoke(args=["staff", "list"]).output


def test_a_short_password_and_a_taken_name_are_refused_in_a_line(runner: FlaskCliRunner) -> None:
    short = runner.invoke(args=[*ADD, "--password", "short"])
    runner.invoke(args=[*ADD, "--password", "a calm new password"])
    again = runner.invoke(args=[*ADD, "--password", "a calm new password"])

    assert "at least 12 characters" in short.output
    assert "already signs in as bea" in again.output
    assert "Traceback" not in short.output + again.output


def test_a_disabled_colleague_is_shown_as_such(runner: FlaskCliRunner) -> None:
    runner.invoke(args=[*ADD, "--password", "a calm new password"])

    runner.invoke(args=["staff", "disable", "bea"])

    assert "(disabled)" in runner.invoke(args=["staff", "list"]).output


def test_a_sign_in_is_said_to_be_somebody_who_works_shifts(runner: FlaskCliRunner) -> None:
    runner.invoke(args=[*ADD, "--password", "a calm new password"])

    done = runner.invoke(args=["staff", "person", "bea", "Rosa Lima"])
    listed = runner.invoke(args=["staff", "list"]).output
    gone = runner.invoke(args=["staff", "person", "bea", "--nobody"])

    assert (done.exit_code, done.output) == (0, "bea is Rosa Lima.\n")
    assert "Bea Novak  = Rosa Lima" in listed
    assert gone.exit_code == 0
    assert "= Rosa" not in runner.invoke(args=["staff", "list"]).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bea", "Nobody Known"), "Nobody here is called Nobody Known."),
        (("zoe", "Rosa Lima"), "Nobody signs in as zoe."),
        (("bea",), "Say who they are by name, or --nobody."),
        (("bea", "Rosa Lima", "--nobody"), "Say who they are by name, or --nobody."),
        (("bea", "Ines Roy"), "bea is somebody else here already."),
    ],
)
def test_a_person_that_cannot_be_theirs_is_refused_in_a_line(
    runner: FlaskCliRunner, words: tuple[str, ...], said: str
) -> None:
    runner.invoke(args=[*ADD, "--password", "a calm new password"])
    runner.invoke(args=["staff", "person", "bea", "Rosa Lima"])

    done = runner.invoke(args=["staff", "person", *words])

    assert done.exit_code in (1, 2)
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("place", "value"),
    [(2, "two words"), (2, ""), (2, "be\x07a"), (2, "b" * 81), (4, "  "), (8, "boston")],
)
def test_a_name_that_is_none_and_a_site_we_have_not_are_refused_in_a_line(
    runner: FlaskCliRunner, place: int, value: str
) -> None:
    asked = [*ADD, "--password", "a calm new password"]
    asked[place] = value

    done = runner.invoke(args=asked)

    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert "Traceback" not in done.output
