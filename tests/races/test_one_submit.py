"""R-04 over HTTP: one form books once, however often and through whatever trouble it is sent."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.races import portal
from tests.races.portal import Guest
from tests.support.gate import Answer, at_once
from tests.support.served import Served, serving

pytestmark = pytest.mark.usefixtures("real_time")

FULL = bool(os.environ.get("EMERGE_PROVE"))
SENDINGS = 20
TURNS = 10 if FULL else 1
CALLERS = 12  # so many that nothing but the form's own token stands in the way of a second booking
DEATHS = "die before commit,die after commit"


@pytest.fixture
def served(app: Flask, database_url: str, tmp_path: Path) -> Iterator[Served]:
    """A served clinic whose worker processes can be made to die at a commit."""
    portal.clinic(app, callers=CALLERS)
    with serving(database_url, tmp_path, experiment=DEATHS) as running:
        yield running


def guest(served: Served, turn: int) -> Guest:
    """Somebody who has filled in the form and not sent it."""
    found = Guest(served)
    answer = found.choose(portal.at(9 + turn % 8, 15 * (turn // 8 % 4), days=3 + turn // 32))
    assert answer.status == 303, answer.words
    return found


def send_at_once(who: Guest) -> list[Answer]:
    """Send the same form twenty times at one instant, each from a window of its own."""
    windows = [who.twin() for _ in range(SENDINGS)]
    answers = at_once([w.aim("/book/details", who.form) for w in windows])
    who.browser = windows[0]
    names = {portal.reference(w) for w, a in zip(windows, answers, strict=True) if a.status == 303}
    print(
        f"one form {SENDINGS} times at once: statuses "
        f"{sorted({a.status for a in answers})}, {len(names)} reference"
    )
    assert len(names) == 1
    return answers


def is_booked_once(app: Flask, who: Guest) -> None:
    assert portal.booked(app, who) == 1
    assert portal.told(app, who) == 1


def test_the_same_form_books_once_through_any_trouble(
    app: Flask, served: Served, subtests: pytest.Subtests
) -> None:
    for turn in range(TURNS):
        with subtests.test("twenty at once", turn=turn):
            who = guest(served, 6 * turn)
            assert [a.status for a in send_at_once(who)] == [303] * SENDINGS
            is_booked_once(app, who)

        with subtests.test("other words under the same token", turn=turn):
            mark = portal.reference(who.browser)
            refused = who.send(given_name="Somebody", family_name="Else")
            assert refused.status == 409
            assert "already sent" in refused.words
            is_booked_once(app, who)
            assert portal.reference(who.browser) == mark

        with subtests.test("another time under the same token", turn=turn):
            assert who.send(start=portal.at(17).isoformat()).status == 409
            is_booked_once(app, who)

        with subtests.test("the line is cut while the answer is on its way", turn=turn):
            who = guest(served, 6 * turn + 1)
            shot = who.browser.aim("/book/details", who.form)
            shot.fire()
            shot.drop()
            assert who.send().status == 303
            is_booked_once(app, who)

        for number, step in enumerate(("before_commit", "after_commit")):
            with subtests.test("the server dies", turn=turn, step=step):
                who = guest(served, 6 * turn + 2 + number)
                (served.folder / f"die-{step}").touch()
                with pytest.raises(portal.BROKEN):
                    who.send()
                assert portal.booked(app, who) == number
                assert who.send().status == 303
                is_booked_once(app, who)

        if turn % 5:
            continue
        with subtests.test("the server is started again in between", turn=turn):
            who = guest(served, 6 * turn + 4)
            assert who.send().status == 303
            mark = portal.reference(who.browser)
            served.restart()
            assert who.send().status == 303
            assert portal.reference(who.browser) == mark
            is_booked_once(app, who)


@pytest.mark.prove
def test_a_server_that_forgets_its_forms_is_seen_to_book_twice(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    """Negative control."""
    portal.clinic(app, callers=CALLERS)
    with serving(database_url, tmp_path, experiment="forgotten forms") as running:
        who = guest(running, 0)
        windows = [who.twin() for _ in range(SENDINGS)]
        at_once([w.aim("/book/details", who.form) for w in windows])

    print(f"control, forms forgotten: {portal.booked(app, who)} bookings of one form")
    assert portal.booked(app, who) > 1
