"""A protocol answers every combination exactly once, or says in words where it does not."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from scheduler.patients.models import Pain
from scheduler.plans import library, protocol, rules
from scheduler.plans.errors import MayNotSign, NoProtocol, NotFit
from scheduler.plans.models import Impression, ProtocolState
from scheduler.plans.protocol import Act, Response, Tolerability, Unreadable
from scheduler.plans.rules import Inputs
from tests import course
from tests.conftest import Keep
from tests.course import NOW, at, person

SHIPPED = protocol.shipped()[0].read_text()


def broken(old: str, new: str) -> str:
    """The shipped protocol with one thing changed."""
    assert old in SHIPPED
    return SHIPPED.replace(old, new, 1)


ROW_10 = 'response = ["none"]\ntolerability = ["well"]'


@pytest.mark.parametrize("path", protocol.shipped(), ids=lambda p: p.stem)
def test_what_ships_is_fit(path: Path) -> None:
    table = protocol.read(path.read_text())

    assert protocol.problems(table) == []
    assert "confirmed by the clinic" in table.confirm
    assert all(row.sources for row in table.rows)


def test_each_combination_has_one_row() -> None:
    table = protocol.read(SHIPPED)

    for combination in table.combinations():
        assert len([r for r in table.rows if r.meets(combination)]) == 1


def test_a_hole_is_named_in_words() -> None:
    table = protocol.read(broken(ROW_10, 'condition = ["crps"]\n' + ROW_10))

    assert protocol.problems(table) == [
        f"No row for: {group}, no response, tolerated well, mood little burdened or mood not asked."
        for group in ("fibromyalgia", "neuropathic", "other")
    ]


def test_an_overlap_is_named_with_its_rows() -> None:
    table = protocol.read(broken(ROW_10, 'response = ["none", "unclear"]\ntolerability = ["well"]'))

    found = protocol.problems(table)
    assert len(found) == 4
    assert found[0] == (
        "More than one row (P10, P12) for: crps, unclear response, tolerated well, "
        "mood little burdened or mood not asked."
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("min_days = 2, target_days = 3", "min_days = 1, target_days = 3", "48 hours"),
        ("target_days = 3, max_days = 5", "target_days = 9, max_days = 5", "not in order"),
        ('"crps"]\n', '"crps", "other"]\n', "The condition other is in"),
        ('fibromyalgia = ["fibromyalgia"]', "fibromyalgia = []", "No group holds"),
        ('id = "P2"', 'id = "P1"', "Two rows are called P1"),
        ("partial_from_percent = 30", "partial_from_percent = 60", "percentages"),
        ("min_hours_between = 48", "min_hours_between = 721", "hours between two visits"),
        ("min_hours_between = 48", "min_hours_between = 0", "hours between two visits"),
        ("reassess_after_days = 7", "reassess_after_days = 10000000", "the review is not within"),
        ("recovery_minutes = 30", "recovery_minutes = 481", "minutes of recovery"),
        ("count = 6, min", "count = 50, min", "more than 52 visits in all"),
        ("target_days = 28, max_days = 35", "target_days = 28, max_days = 300", "two years"),
    ],
)
def test_what_makes_no_sense_is_said(old: str, new: str, says: str) -> None:
    assert any(says in p for p in protocol.problems(protocol.read(broken(old, new))))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("code = ", "no TOML"),
        ("code = 'x'", "is missing"),
        (broken('outcome = "stop"', 'outcome = "wait"'), "'wait' is none of"),
        (broken("count = 6", "count = 'six'"), "whole number"),
        (broken('condition = ["crps"]', 'condition = ["toothache"]'), "toothache"),
        (broken('"crps"]\n', '"toothache"]\n'), "toothache"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        protocol.read(text)


@pytest.mark.parametrize(
    ("baseline", "score", "response"),
    [
        (8, 8, Response.NONE),
        (10, 8, Response.NONE),
        (7, 5, Response.NONE),  # 28 percent, two points
        (10, 7, Response.PARTIAL),
        (8, 5, Response.PARTIAL),
        (8, 4, Response.SUBSTANTIAL),
        (3, 0, Response.SUBSTANTIAL),
        (2, 0, Response.UNCLEAR),
        (0, 0, Response.UNCLEAR),
        (5, 9, Response.NONE),
    ],
)
def test_a_response_is_classed_by_percent_where_percent_means_something(
    baseline: int, score: int, response: Response
) -> None:
    assert protocol.read(SHIPPED).response(baseline, score) is response


@pytest.mark.parametrize(
    ("worst", "said"),
    [
        (0, Tolerability.WELL),
        (1, Tolerability.WELL),
        (2, Tolerability.MODERATE),
        (3, Tolerability.SEVERE),
    ],
)
def test_tolerability_is_the_worst_side_effect(worst: int, said: Tolerability) -> None:
    assert protocol.read(SHIPPED).tolerability(worst) is said


@pytest.mark.parametrize("condition", Pain)
@pytest.mark.parametrize("score", [0, 4, 6, 8])
@pytest.mark.parametrize("worst", range(4))
def test_every_answer_gets_a_proposal_that_explains_itself(
    condition: Pain, score: int, worst: int
) -> None:
    inputs = Inputs(8, score, 5, True, condition, worst, Impression.MUCH_BETTER)
    said = rules.assess(inputs, protocol.read(SHIPPED))

    assert said.reasons[-1].rule == said.row_id
    assert said.sources
    assert (said.act is Act.SERIES) == bool(said.phases)
    assert said == rules.restored(said.as_data())
    assert said.would_change


def test_check_says_fit_and_ends_with_success(runner: FlaskCliRunner) -> None:
    done = runner.invoke(args=["protocols", "check", str(protocol.shipped()[0])])

    assert done.exit_code == 0
    assert "144 combinations, each in one of 14 rows" in done.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (broken(ROW_10, 'condition = ["crps"]\n' + ROW_10), "No row for: other, no response"),
        ("code = ", "no TOML"),
        ("\xff", "no TOML"),
    ],
)
def test_check_says_what_is_wrong_and_ends_with_1(
    runner: FlaskCliRunner, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)

    done = runner.invoke(args=["protocols", "check", str(file)])

    assert done.exit_code == 1
    assert says in done.output


def test_an_unfit_version_is_kept_as_a_draft_and_not_activated(app: Flask, keep: Keep) -> None:
    with keep():
        where = course.clinic()
        first = library.active()
        row = library.import_draft(
            broken(ROW_10, 'condition = ["crps"]\n' + ROW_10), actor="staff:9", now=at(3)
        )
        assert (row.number, row.state) == (2, ProtocolState.DRAFT)
        with pytest.raises(NotFit) as refused:
            library.activate(row, person(where.doctor), now=at(3))
        assert len(refused.value.problems) == 3
        assert library.active() is first


def test_an_activated_version_takes_the_place_of_the_one_before(app: Flask, keep: Keep) -> None:
    with keep():
        where = course.clinic()
        first = library.active()
        row = library.import_draft(SHIPPED, actor="staff:9", now=at(3))
        with pytest.raises(MayNotSign):
            library.activate(row, person(where.nurse), now=at(3))
        library.activate(row, person(where.doctor), now=at(3))

        assert library.active() is row
        assert first.state is ProtocolState.RETIRED


def test_without_a_protocol_nothing_is_proposed(app: Flask, keep: Keep) -> None:
    with keep():
        course.clinic(with_protocol=False)
        assert library.find_active() is None
        with pytest.raises(NoProtocol):
            library.active()


def test_a_file_that_cannot_be_read_is_not_even_kept(app: Flask, keep: Keep) -> None:
    with pytest.raises(NotFit), keep():
        library.import_draft("code = ", actor="staff:9", now=NOW)
