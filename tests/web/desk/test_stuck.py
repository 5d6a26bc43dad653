"""R-19. Whatever a message waits for too long is seen by a person: no state is overlooked."""

import re
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import ColumnElement, update

from scheduler.core.db import db
from scheduler.messaging import queries
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel, State
from tests import make
from tests.conftest import NOW, Keep, SignIn
from tests.messaging.kit import queue

#: How long a message may wait in each state before somebody is told; the others wait for nothing.
WAITS = {
    State.QUEUED: timedelta(hours=1),  # past the moment it was due
    State.CLAIMED: timedelta(hours=1),
    State.SENDING: timedelta(minutes=15),
    State.AMBIGUOUS: timedelta(minutes=15),
    State.SENT: timedelta(hours=72),  # a phone that never said it came
}
ALL = {state.value for state in WAITS}


@pytest.fixture(autouse=True)
def _one_in_each_state_just_before_its_limit_and_one_at_it(keep: Keep) -> None:
    with keep():
        make.two_sites()
        for state in State:
            limit = WAITS.get(state, timedelta(days=2))
            for family, age in (("Early", limit - timedelta(minutes=1)), ("Late", limit)):
                who = make.patient(state.value, family)
                row = queue(who, NOW, dedupe_key=f"{state}-{family}", topic=f"test:{state}")
                row.state, row.send_after, row.sending_at = state, NOW - age, NOW - age
        mail = make.patient("mail", "Late", email="mail@example.org")
        row = queue(mail, NOW, dedupe_key="mail", channel=Channel.EMAIL, template="invite")
        row.state, row.sending_at = State.SENT, NOW - timedelta(hours=80)  # mail says nothing back


def listed(client: FlaskClient) -> tuple[set[str], set[str]]:
    """The states whose early message is on the desk's list, and those whose late one is."""
    page = client.get("/desk/not-reached").text
    early, late = (
        set(re.findall(rf'class="person-link"[^>]*>([\w-]+) {family}<', page))
        for family in ("Early", "Late")
    )
    return early, late


def test_every_state_that_waits_is_listed_at_its_limit_and_no_other_row_is(
    signed_in: SignIn, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = signed_in()
    assert listed(desk) == (set(), ALL)

    def sees_only_what_went_out(*, now: datetime) -> ColumnElement[bool]:
        return whole(now=now) & (Message.state == State.SENT)

    whole = queries.is_stuck
    monkeypatch.setattr(queries, "is_stuck", sees_only_what_went_out)
    print(f"control: a list that looks only at what went out shows {sorted(listed(desk)[1])}")
    assert listed(desk) == (set(), {State.SENT.value})
    monkeypatch.setattr(queries, "is_stuck", whole)

    with keep():
        db.session.execute(update(Message).values(state=State.DELIVERED))
    assert listed(desk) == (set(), set())
    assert "nobody must be called" in desk.get("/desk/not-reached").text
