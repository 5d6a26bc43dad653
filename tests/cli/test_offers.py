"""What an operator asks of the book from a terminal."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner

from scheduler.booking.models import Appointment
from tests import make
from tests.conftest import Keep

CALLS = ["offers", "--service", "call", "--site", "woburn", "--from", "2026-03-03", "--days", "1"]


@pytest.fixture(autouse=True)
def _clinic(keep: Keep) -> None:
    with keep():
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient("June", "Okafor"), make.at(10))


def test_the_starts_of_a_day_are_listed_with_who_is_free(runner: FlaskCliRunner) -> None:
    done = runner.invoke(args=CALLS)

    assert done.exit_code == 0, done.output
    assert "Tue Mar 3  Woburn" in done.output
    assert "   9:45 AM  1 of 1 free" in done.output
    assert "  10:00 AM" not in done.output


def test_programs_get_one_document(runner: FlaskCliRunner) -> None:
    document = json.loads(runner.invoke(args=[*CALLS, "--json"]).output)

    assert document["service"] == "call"
    assert len(document["offers"]) == 39  # 8 to 6 by the quarter-hour, less the one taken
    assert document["offers"][0] == {
        "site": "woburn",
        "start": "2026-03-03T13:00:00+00:00",
        "wall": "2026-03-03T08:00",
        "free": 1,
        "of": 1,
    }


def test_why_a_time_is_not_offered_is_said_and_ends_with_one(runner: FlaskCliRunner) -> None:
    asked = ["offers", "--service", "call", "--site", "woburn", "--why", "2026-03-03T10:00"]

    said = runner.invoke(args=asked)
    document = json.loads(runner.invoke(args=[*asked, "--json"]).output)

    assert said.exit_code == 1
    assert "Woburn, 2026-03-03 10:00: not offered" in said.output
    assert "the only caller there, Ines Roy, is taken" in said.output
    assert document[0]["reasons"][0]["code"] == "people-taken"


def test_a_time_that_is_offered_ends_with_nought(runner: FlaskCliRunner) -> None:
    done = runner.invoke(
        args=["offers", "--service", "call", "--site", "woburn", "--why", "2026-03-03T11:00"]
    )

    assert (done.exit_code, done.output) == (0, "Woburn, 2026-03-03 11:00: offered\n")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--site", "boston"], "there is no site boston; there is danvers, woburn."),
        (["--person", "Nobody"], "nobody is called Nobody."),
        (["--days", "0"], "0 is not in the range"),
        (["--from", "soon"], "does not match the format"),
    ],
)
def test_what_is_not_known_is_a_line_not_a_trace(
    runner: FlaskCliRunner, option: list[str], words: str
) -> None:
    done = runner.invoke(args=["offers", "--service", "call", *option])

    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_promised_wall_time_that_no_longer_holds_is_reported_and_not_moved(
    runner: FlaskCliRunner, keep: Keep
) -> None:
    quiet = runner.invoke(args=["times", "check"])
    with keep() as session:
        june = session.scalars(sa.select(Appointment)).one()
        june.ends_at += timedelta(hours=1)
        june.starts_at += timedelta(hours=1)  # as if the zone's rules had changed under it

    told = runner.invoke(args=["times", "check", "--json"])

    assert (quiet.exit_code, quiet.output) == (0, "0 to decide.\n")
    assert told.exit_code == 1
    (one,) = json.loads(told.output)
    assert (one["promised"], one["shows"]) == ("2026-03-03T10:00", "2026-03-03T11:00")
