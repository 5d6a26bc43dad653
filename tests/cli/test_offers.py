"""What an operator asks of the book from a terminal."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner

from scheduler.booking.models import Appointment
from scheduler.clinic import hours
from scheduler.clinic import queries as clinic
from scheduler.core.timespan import TimeSpan
from tests import make
from tests.conftest import Keep, Once

CALLS = ["offers", "--service", "call", "--site", "woburn", "--from", "2026-03-03", "--days", "1"]


@pytest.fixture(autouse=True)
def _clinic(once: Once) -> None:
    def made() -> None:
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient("June", "Okafor"), make.at(10))

    once(made)


def test_the_starts_of_a_day_are_listed_with_who_is_free(runner: FlaskCliRunner) -> None:
    done = runner.invoke(args=CALLS)

    assert done.exit_code == 0, done.output
    assert "Tue Mar 3  Woburn" in done.output
    assert "   9:45 AM  1 of 1 free" in done.output
    assert "  10:00 AM" not in done.output


def test_programs_get_one_document(runner: FlaskCliRunner) -> None:
    document = json.loads(runner.invoke(args=[*CALLS, "--json"]).output)

    asked = {name: document[name] for name in ("services", "sites", "from", "days")}
    assert asked == {"services": ["call"], "sites": ["woburn"], "from": "2026-03-03", "days": 1}
    assert len(document["offers"]) == 39  # 8 to 6 by the quarter-hour, less the one taken
    assert document["offers"][0] == {
        "service": "call",
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


BOTH = ["offers", "--service", "call", "--service", "infusion", "--from", "2026-03-03"]


def test_several_services_at_every_site_in_one_list(runner: FlaskCliRunner) -> None:
    said = runner.invoke(args=[*BOTH, "--days", "1"]).output
    document = json.loads(runner.invoke(args=[*BOTH, "--days", "1", "--json"]).output)

    assert "   8:00 AM  1 of 1 free  call" in said
    assert "   8:00 AM  2 of 2 free  infusion" in said
    assert document["sites"] == ["woburn", "danvers"]
    kinds = {(o["service"], o["site"]) for o in document["offers"]}
    # Nobody at Danvers is a nurse.
    assert kinds == {("call", "woburn"), ("infusion", "woburn"), ("call", "danvers")}


def test_only_a_part_of_the_day(runner: FlaskCliRunner) -> None:
    asked = [*CALLS, "--part-of-day", "evening", "--json"]
    walls = [o["wall"] for o in json.loads(runner.invoke(args=asked).output)["offers"]]

    assert (walls[0], walls[-1], len(walls)) == ("2026-03-03T17:00", "2026-03-03T17:45", 4)


def test_a_month_is_counted_by_day(runner: FlaskCliRunner) -> None:
    said = runner.invoke(args=[*BOTH, "--count", "--days", "2"]).output
    document = json.loads(runner.invoke(args=[*BOTH, "--count", "--days", "2", "--json"]).output)

    assert "Tue Mar 3   Woburn        call             39\n" in said
    assert document["counts"][0] == {
        "day": "2026-03-03",
        "site": "woburn",
        "service": "call",
        "starts": 39,
    }
    assert len(document["counts"]) == 2 * 2 * 2


def test_the_first_free_from_a_day_on(runner: FlaskCliRunner, keep: Keep) -> None:
    with keep():
        for site in clinic.sites():
            span = TimeSpan(make.at(0), make.at(0, days=30))
            hours.close(site, span, "Moving", actor="operator", now=make.MONDAY)

    said = runner.invoke(args=[*CALLS[:-2], "--first", "2"])
    sooner = runner.invoke(args=[*CALLS[:-2], "--first", "2", "--days", "10"])

    assert said.output == (
        "Wed Apr 1  Woburn\n   8:00 AM  1 of 1 free\n   8:15 AM  1 of 1 free\n2 starts.\n"
    )
    assert sooner.output == "0 starts.\n"


SERIES = ["offers", "--service", "infusion", "--from", "2026-03-03", "--series", "3"]


def test_a_series_says_how_many_are_open_for_each_first_day_and_the_best(
    runner: FlaskCliRunner, keep: Keep
) -> None:
    with keep():  # Thursday the 5th is shut, and the days from which a visit would fall on it
        shut = TimeSpan(make.at(0, days=3), make.at(0, days=4))
        hours.close(clinic.site_called("woburn"), shut, "Snow", actor="operator", now=make.MONDAY)
    asked = [*SERIES, "--every", "2", "--days", "4"]

    said = runner.invoke(args=asked)
    document = json.loads(runner.invoke(args=[*asked, "--json"]).output)

    assert said.exit_code == 0, said.output
    assert said.output == (
        "Tue Mar 3   2 of 3 open\n"
        "Wed Mar 4   3 of 3 open\n"
        "Thu Mar 5   2 of 3 open\n"
        "Fri Mar 6   3 of 3 open\n"
        "Best: Wed Mar 4, 3 of 3 open\n"
        "   1  Wed Mar 4   10:00 AM  Woburn\n"
        "   2  Fri Mar 6   10:00 AM  Woburn\n"
        "   3  Sun Mar 8   10:00 AM  Woburn\n"
    )
    assert document["visits"] == 3
    assert document["every"] == [[2, 2, 2], [2, 2, 2]]
    assert document["starts"][0] == {"day": "2026-03-03", "open": 2, "of": 3}
    assert (document["best"]["day"], document["best"]["open"]) == ("2026-03-04", 3)
    assert document["best"]["visits"][2] == {
        "number": 3,
        "site": "woburn",
        "start": "2026-03-08T14:00:00+00:00",
        "wall": "2026-03-08T10:00",
        "reason": None,
    }


def test_a_series_may_have_another_pace_after_each_visit(runner: FlaskCliRunner) -> None:
    asked = [*SERIES, "--every", "2-3", "--every", "4-7-9", "--days", "1", "--usual", "15:30"]

    best = json.loads(runner.invoke(args=[*asked, "--json"]).output)["best"]

    walls = [visit["wall"] for visit in best["visits"]]
    assert walls == ["2026-03-03T15:30", "2026-03-05T15:30", "2026-03-12T15:30"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--series", "3"], "say how many days lie between visits, like 2-4."),
        (["--series", "4", "--every", "2", "--every", "2"], "give it once, or once for each of"),
        (["--series", "3", "--every", "4-2"], "from the least over the target to the most"),
        (["--series", "3", "--every", "0-2"], "each from 1 to 365"),
        (["--series", "3", "--every", "soon"], "write days like 7, 2-4 or 2-3-5."),
        (["--series", "61", "--every", "2"], "61 is not in the range"),
        (["--series", "3", "--every", "2", "--service", "call"], "a series is of one service"),
        (["--every", "2"], "--every and --usual belong to --series."),
        (["--count", "--first", "1"], "Ask for one thing at a time, not for --count and --first."),
        (["--part-of-day", "noon"], "'noon' is not one of"),
        (["--why", "2026-03-03T10:00", "--part-of-day", "morning"], "leave --part-of-day out"),
    ],
)
def test_what_cannot_be_asked_is_a_line_not_a_trace(
    runner: FlaskCliRunner, options: list[str], words: str
) -> None:
    done = runner.invoke(args=["offers", "--service", "infusion", *options])

    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--site", "boston"], "there is no site boston; there is danvers, woburn."),
        (["--person", "Nobody"], "nobody is called Nobody."),
        (["--days", "0"], "0 is not in the range"),
        (["--from", "soon"], "does not match the format"),
        (["--from", "9999-12-31"], "choose a day that is not so far away."),
        (["--why", "0001-01-01T00:00"], "choose a day that is not so far away."),
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
