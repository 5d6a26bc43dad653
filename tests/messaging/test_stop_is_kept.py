"""What a number said in a text cannot be unsaid by somebody who types the number online."""

from datetime import timedelta

import pytest
from flask import Flask

from scheduler.messaging import consent
from tests import make
from tests.conftest import Keep

NUMBER = "+17815550111"
NOW = make.MONDAY


def said_stop() -> None:
    """The number's holder texts STOP."""
    consent.revoke(NUMBER, wording="STOP", source="text", actor="visitor", origin="-", now=NOW)


def grant_from(source: str, minutes: int) -> bool:
    """Somebody new gives the number and agrees; return whether they may be texted."""
    moment = NOW + timedelta(minutes=minutes)
    who = make.patient(f"New{minutes}", mobile=NUMBER)
    consent.grant(who, NUMBER, "yes", source=source, actor="visitor", origin="-", now=moment)
    return consent.may_text(who, now=moment)


@pytest.mark.usefixtures("app")
class TestAfterAStop:
    """A number that said STOP."""

    def test_a_tick_on_the_booking_page_does_not_open_it(self, keep: Keep) -> None:
        with keep():
            said_stop()
            assert not grant_from("portal", 1)
            assert consent.is_stopped(NUMBER)

    def test_a_word_to_the_desk_does(self, keep: Keep) -> None:
        with keep():
            said_stop()
            assert grant_from("phone", 1)

    def test_start_opens_it_for_those_who_had_agreed(self, app: Flask, keep: Keep) -> None:
        with keep():
            who = make.patient(mobile=NUMBER)
            consent.grant(who, NUMBER, "yes", source="portal", actor="visitor", origin="-", now=NOW)
            said_stop()
            assert not consent.may_text(who, now=NOW)

            assert consent.restore(NUMBER, wording="START", origin="-", now=NOW) == [who]
            assert consent.may_text(who, now=NOW)


def test_without_a_stop_the_tick_is_enough(app: Flask, keep: Keep) -> None:
    with keep():
        assert grant_from("portal", 1)
