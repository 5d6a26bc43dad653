"""What an answer of Twilio, or none, is taken to mean; against a server that plays it."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.sealed import keyring
from scheduler.messaging import rules
from scheduler.messaging.composing import Outgoing, body_print
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import MessageView, Trouble
from scheduler.messaging.senders.outcomes import NoAnswer, Refused, Taken, Unreachable
from scheduler.messaging.senders.twilio import TwilioTexts
from scheduler.messaging.states import Channel
from tests.support import twilio_server
from tests.support.databases import KEYS
from tests.support.twilio_server import (
    ACCEPT_THEN_500,
    ACCEPT_THEN_DROP,
    ACCEPT_THEN_NONSENSE,
    DRIP,
    DROP,
    HANG,
    TwilioServer,
    refuse,
)

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ANA = "+17815550111"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TwilioServer]:
    keyring.configure(KEYS)
    with twilio_server.playing(tmp_path / "truth.jsonl", clock=lambda: NOW) as played:
        yield played


def texts(url: str, *, only_to: frozenset[str] | None = frozenset({ANA})) -> TwilioTexts:
    """The sender under test, pointed at the server."""
    return TwilioTexts(
        account_sid=twilio_server.ACCOUNT,
        auth_token=twilio_server.TOKEN,
        messaging_service_sid=twilio_server.SERVICE,
        from_number="",
        public_url="https://clinic.example",
        only_to=only_to,
        api_url=url,
    )


def outgoing(body: str = "Emerge Wellness: hello.") -> Outgoing:
    """A text ready to go."""
    expires = NOW + timedelta(hours=1)
    view = MessageView(
        id=1,
        public_id="pub-1",
        channel=Channel.SMS,
        patient_id=1,
        recipient=ANA,
        language="en",
        template="call-tomorrow",
        facts={},
        topic="appointment:1",
        dedupe_key="k",
        is_reply=False,
        created_at=NOW,
        send_after=NOW,
        expires_at=expires,
        attempts=0,
    )
    return Outgoing(1, "pub-1", 1, Channel.SMS, ANA, None, body, None, None, expires, view)


def test_a_text_is_handed_over_with_all_it_needs(server: TwilioServer) -> None:
    outcome = texts(server.url).send(outgoing(), now=NOW)

    assert outcome == Taken("SM" + f"{1:032x}", "accepted")
    [text] = server.out()
    assert text["to"] == ANA
    assert text["messaging_service_sid"] == twilio_server.SERVICE
    assert text["_callback"] == "https://clinic.example/hooks/twilio/status/pub-1"
    assert text["_validity"] == "3600"


def test_only_numbers_on_the_list_are_texted_outside_production(server: TwilioServer) -> None:
    outcome = texts(server.url, only_to=frozenset()).send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.UNWANTED
    assert server.requests == 0


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 21610, Trouble.OPTED_OUT),
        (400, 21211, Trouble.BAD_NUMBER),
        (400, 21408, Trouble.NEVER),
        (400, 30034, Trouble.STOPS_ALL),
        (429, 20429, Trouble.LATER),
        (404, 20404, Trouble.STOPS_ALL),
    ],
)
def test_a_clear_no_is_a_no(server: TwilioServer, status: int, code: int, kind: Trouble) -> None:
    server.script.append(refuse(status, code))

    outcome = texts(server.url).send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (kind, str(code))
    assert server.out() == []


def test_a_busy_server_that_says_when_is_asked_again_then(server: TwilioServer) -> None:
    server.script.append(refuse(503, retry_after=7))

    outcome = texts(server.url).send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("line", "out"),
    [
        pytest.param(ACCEPT_THEN_DROP, 1, id="taken, then the line drops"),
        pytest.param(ACCEPT_THEN_500, 1, id="taken, then a fault"),
        pytest.param(ACCEPT_THEN_NONSENSE, 1, id="taken, then half an answer"),
        pytest.param(DROP, 0, id="read, then the line drops"),
        pytest.param(refuse(500), 0, id="a fault"),
        pytest.param(refuse(502), 0, id="a fault on the way"),
        pytest.param(refuse(503), 0, id="busy, without saying until when"),
    ],
)
def test_no_clear_answer_is_no_answer(
    server: TwilioServer, line: twilio_server.Script, out: int
) -> None:
    server.script.append(line)

    outcome = texts(server.url).send(outgoing(), now=NOW)

    assert isinstance(outcome, NoAnswer)
    assert len(server.out()) == out
    assert server.requests == 1, "a call without an answer is never repeated by itself"


def test_silence_ends_after_its_time(server: TwilioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CALL_TIMEOUT", timedelta(seconds=0.2))
    server.script.append(HANG)

    assert texts(server.url).send(outgoing(), now=NOW) == NoAnswer("ReadTimeout")


def test_a_server_that_drips_cannot_hold_a_call_for_ever(
    server: TwilioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CALL_LIMIT", timedelta(seconds=0.3))
    server.script.append(DRIP)

    assert texts(server.url).send(outgoing(), now=NOW) == NoAnswer("TooLong")


def test_a_closed_door_means_it_is_not_out() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    outcome = texts(f"http://127.0.0.1:{port}").send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.LATER


def test_a_name_that_leads_nowhere_means_it_is_not_out() -> None:
    outcome = texts("http://nowhere.invalid").send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.LATER


def test_a_line_that_does_not_speak_tls_means_it_is_not_out(server: TwilioServer) -> None:
    outcome = texts(server.url.replace("http:", "https:")).send(outgoing(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.LATER


def test_what_it_has_is_known_by_number_time_and_words(server: TwilioServer) -> None:
    sender = texts(server.url)
    server.clock = lambda: NOW - timedelta(hours=1)
    sender.send(outgoing(), now=NOW)
    server.clock = lambda: NOW + timedelta(seconds=3)
    sender.send(outgoing(), now=NOW)
    server.comes_in(ANA, "1")
    sought = Unanswered(1, Channel.SMS, "pub-1", ANA, body_print(ANA, outgoing().body), NOW)

    traces = sender.look_for(sought)

    assert traces is not None
    assert [(t.provider_ref, t.body_print) for t in traces] == [
        ("SM" + f"{2:032x}", sought.body_print)
    ]


def test_a_list_that_cannot_be_read_says_nothing(server: TwilioServer) -> None:
    server.script.append(refuse(500))
    sought = Unanswered(1, Channel.SMS, "pub-1", ANA, "print", NOW)

    with pytest.raises(Unreachable):
        texts(server.url).look_for(sought)


def test_texts_that_came_in_can_be_fetched_afterwards(server: TwilioServer) -> None:
    server.longest_page = 2  # what went out lies between them, and is listed with them
    server.comes_in(ANA, "first")
    texts(server.url).send(outgoing(), now=NOW)
    texts(server.url).send(outgoing(), now=NOW)
    server.comes_in(ANA, "second")

    came = texts(server.url).came_in(NOW - timedelta(days=1))

    assert [(number, body, at) for _, number, body, at in came] == [
        (ANA, "first", NOW),
        (ANA, "second", NOW),
    ]
