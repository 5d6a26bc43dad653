"""Mail, against a server that plays one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.calendars.documents import CalendarVisit, Method, document
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import NoAnswer, Refused, Taken
from scheduler.messaging.senders.smtp import SmtpMail
from scheduler.messaging.states import Channel
from tests.messaging.senders.test_twilio import outgoing as text
from tests.support import smtp_server
from tests.support.smtp_server import SmtpServer

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ADDRESS = "ana@example.org"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with smtp_server.playing(tmp_path / "mail") as played:
        yield played


def mail(port: int) -> SmtpMail:
    """The sender under test."""
    return SmtpMail(
        host="127.0.0.1",
        port=port,
        user="",
        password="",
        starttls=False,
        mail_from="Emerge Wellness <appointments@clinic.example>",
    )


def letter(method: Method = "REQUEST") -> Outgoing:
    """An invitation ready to go."""
    visit = CalendarVisit(
        uid="abc",
        starts_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=1, minutes=15),
        sequence=0,
        is_call=True,
        place=None,
        phone="+17815550100",
        attendee=ADDRESS,
        organizer="appointments@example.org",
        host="example.org",
    )
    return replace(
        text("Your appointment is set.\n"),
        channel=Channel.EMAIL,
        recipient=ADDRESS,
        subject="Emerge Wellness: sua visita às 10",
        attachment=document(visit, method=method, now=NOW),
        attachment_method=method,
    )


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_an_invitation_says_its_method_in_its_type_and_inside(
    server: SmtpServer, method: Method
) -> None:
    outcome = mail(server.port).send(letter(method), now=NOW)

    assert outcome == Taken("<pub-1@clinic.example>", "sent")
    [got] = server.mails()
    assert got["Message-ID"] == "<pub-1@clinic.example>"
    assert got["Subject"] == "Emerge Wellness: sua visita às 10"
    assert got.get_content_type() == "multipart/mixed"
    words, entry = list(next(iter(got.iter_parts())).iter_parts())
    assert words.get_content_type() == "text/plain"
    assert entry.get_content_type() == "text/calendar"
    assert entry["Content-Type"].params["method"] == method
    assert f"METHOD:{method}" in entry.get_content()
    [file] = got.iter_attachments()
    assert file.get_filename() == "appointment.ics"


@pytest.mark.parametrize(
    ("answer", "kind"), [("451 later", Trouble.LATER), ("554 never", Trouble.NEVER)]
)
def test_a_refusal_is_read_by_its_first_figure(
    server: SmtpServer, answer: str, kind: Trouble
) -> None:
    server.answers.append(answer)

    outcome = mail(server.port).send(letter(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert server.mails() == []


def test_an_address_that_is_not_known_is_not_tried_again(server: SmtpServer) -> None:
    server.refused.add(ADDRESS)

    outcome = mail(server.port).send(letter(), now=NOW)

    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (Trouble.NEVER, "550")


def test_no_server_means_it_is_not_out() -> None:
    outcome = mail(1).send(letter(), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.LATER


def test_a_line_that_drops_after_the_mail_was_given_is_no_answer(server: SmtpServer) -> None:
    server.answers.append("421 going down")
    outcome = mail(server.port).send(letter(), now=NOW)

    assert isinstance(outcome, Refused | NoAnswer)
    assert server.mails() == []


@pytest.mark.parametrize("address", ["a,b@example.org", "😀@example.org", "a@b.c\r\nBcc: x@y.zz"])
def test_what_is_not_one_address_is_refused_before_anybody_is_called(
    server: SmtpServer, address: str
) -> None:
    outcome = mail(server.port).send(replace(letter(), recipient=address), now=NOW)

    assert isinstance(outcome, Refused)
    assert outcome.kind is Trouble.NEVER
