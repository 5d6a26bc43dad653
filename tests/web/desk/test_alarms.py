"""The desk sees at once when patients will not be told."""

import pytest
from flask import Flask

from scheduler.accounts.models import Role
from scheduler.jobs import beat
from scheduler.messaging import addresses, inbound
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.support import twilio_server


@pytest.fixture(autouse=True)
def clinic(once: Once) -> None:
    """The two sites; without them there is no board."""

    def made() -> None:
        make.two_sites()

    once(made)


def test_a_worker_that_is_gone_is_said_on_every_page(
    app: Flask, signed_in: SignIn, clock: StoppedClock
) -> None:
    desk = signed_in(Role.FRONT_DESK)
    for path in ("/desk", "/desk/tasks"):
        assert "the program that sends them has stopped" in desk.get(path).text

    with app.app_context():
        beat.run("worker-1", clock.moment, now=clock.moment)
    assert "has stopped" not in desk.get("/desk").text
    clock.advance(minutes=2)
    assert "has stopped" in desk.get("/desk").text


class TestWithTwilio:
    """An installation that texts for real."""

    @pytest.fixture
    def settings(self) -> dict[str, object]:
        """Twilio is set up."""
        return {
            "twilio_account_sid": twilio_server.ACCOUNT,
            "twilio_auth_token": twilio_server.TOKEN,
            "twilio_messaging_service_sid": twilio_server.SERVICE,
        }

    def test_texts_that_wait_for_the_first_one_in_are_said(
        self, signed_in: SignIn, keep: Keep, clock: StoppedClock
    ) -> None:
        desk = signed_in(Role.FRONT_DESK)
        assert "Text the number once" in desk.get("/desk").text

        with keep():
            inbound.note_route(addresses.inbound("http://localhost"), now=clock.moment)
        assert "Text the number once" not in desk.get("/desk").text
