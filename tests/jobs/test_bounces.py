"""Mail that comes back is seen by the desk; what people write to the same mailbox is left alone."""

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import ClassVar

import pytest
from flask import Flask

from scheduler.core.db import db, transaction
from scheduler.jobs import bounces
from scheduler.messaging import ending, evidence
from scheduler.messaging.bounces import read
from scheduler.messaging.models import Message
from scheduler.messaging.senders.mailbox import Mailbox
from scheduler.messaging.states import Channel, State
from scheduler.tasks import queries as tasks
from tests import make
from tests.conftest import Keep
from tests.messaging import kit

NOW = make.MONDAY


def report(
    message_id: str, *, action: str = "failed", status: str = "5.1.1", whole: bool = False
) -> bytes:
    """A report as RFC 3464 has it; `whole` gives the mail back, else only its head."""
    kind, inner = (
        ("message/rfc822", f"Message-ID: {message_id}\r\nSubject: Your visit\r\n\r\nHello.\r\n")
        if whole
        else ("text/rfc822-headers", f"Message-ID: {message_id}\r\nSubject: Your visit\r\n")
    )
    return (
        "From: MAILER-DAEMON@mx.example\r\nTo: appointments@clinic.example\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; ana@example.org\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        f"--b\r\nContent-Type: {kind}\r\n\r\n{inner}\r\n--b--\r\n"
    ).encode()


def from_a_person() -> bytes:
    """Somebody answers the mail they got."""
    letter = EmailMessage()
    letter["From"] = "ana@example.org"
    letter["Subject"] = "Thank you"
    letter.set_content("See you then.")
    return letter.as_bytes()


@dataclass
class Inbox:
    """What lies in the mailbox, and what was marked as read."""

    mails: list[bytes]
    seen: set[int] = field(default_factory=set)


class Imap(socketserver.StreamRequestHandler):
    """As much of an IMAP server as it takes (RFC 3501)."""

    inbox: ClassVar[Inbox]

    def handle(self) -> None:
        """Answer line by line until they leave."""
        self.wfile.write(b"* OK ready\r\n")
        for raw in self.rfile:
            tag, _, rest = raw.decode().strip().partition(" ")
            words = rest.upper().split()
            if words[0] == "CAPABILITY":
                self.wfile.write(b"* CAPABILITY IMAP4rev1\r\n")
            elif words[0] == "SELECT":
                self.wfile.write(f"* {len(self.inbox.mails)} EXISTS\r\n".encode())
            elif words[:2] == ["UID", "SEARCH"]:
                unseen = [
                    n for n in range(1, len(self.inbox.mails) + 1) if n not in self.inbox.seen
                ]
                self.wfile.write(f"* SEARCH {' '.join(map(str, unseen))}\r\n".encode())
            elif words[:2] == ["UID", "FETCH"]:
                self._fetch(int(words[2]), head_only="HEADER.FIELDS" in rest)
            elif words[:2] == ["UID", "STORE"]:
                self.inbox.seen.add(int(words[2]))
            elif words[0] == "LOGOUT":
                self.wfile.write(b"* BYE\r\n")
            self.wfile.write(f"{tag} OK done\r\n".encode())

    def _fetch(self, number: int, *, head_only: bool) -> None:
        mail = self.inbox.mails[number - 1]
        head = mail.split(b"\r\n\r\n")[0] if b"\r\n\r\n" in mail else mail.split(b"\n\n")[0]
        kind = [line for line in head.splitlines() if line.lower().startswith(b"content-type")]
        body = b"\r\n".join(kind) + b"\r\n\r\n" if head_only else mail
        name = "BODY[HEADER.FIELDS (CONTENT-TYPE)]" if head_only else "BODY[]"
        self.wfile.write(f"* {number} FETCH (UID {number} {name} {{{len(body)}}}\r\n".encode())
        self.wfile.write(body + b")\r\n")


@pytest.fixture
def inbox() -> Inbox:
    """An empty mailbox."""
    return Inbox([])


@pytest.fixture
def mailbox(inbox: Inbox) -> Iterator[Mailbox]:
    """The client under test, in front of a server that plays one."""
    handler = type("Played", (Imap,), {"inbox": inbox})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = server.server_address[1]
        yield Mailbox(host="127.0.0.1", port=port, user="a", password="b", tls=False)
        server.shutdown()
        thread.join()


def test_what_came_back_is_on_the_desks_list_once_and_the_rest_stays_unread(
    app: Flask, keep: Keep, inbox: Inbox, mailbox: Mailbox
) -> None:
    with keep():
        make.clinic_day()
        row = kit.queue(
            kit.ana(NOW), NOW, channel=Channel.EMAIL, template="invite", dedupe_key="mail"
        )
        row.state, row.sending_at = State.SENDING, NOW
        number, name = row.id, f"<{row.public_id}@clinic.example>"
        db.session.flush()
        evidence.note_sent(number, name, now=NOW)
    inbox.mails += [
        from_a_person(),
        report(name, action="delayed", status="4.4.1"),
        report("<somebody-elses-mail@other.example>"),
        report(name, whole=True),
        report(name),
    ]

    with app.app_context():
        bounces.run(mailbox, now=NOW)
        bounces.run(mailbox, now=NOW)

        message = db.session.get_one(Message, number)
        assert (message.state, message.error_code) == (State.UNDELIVERED, "5.1.1")
        [task] = tasks.open_tasks(kinds=(ending.NOT_SENT,))
        assert task.topic == f"message:{number}"
    assert inbox.seen == {4, 5}


def test_a_mailbox_that_cannot_be_asked_is_asked_again_later(app: Flask) -> None:
    gone = Mailbox(host="127.0.0.1", port=1, user="a", password="b", tls=False)

    with app.app_context():
        assert bounces.run(gone, now=NOW) == 0
        with transaction():
            pass  # nothing was left open


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\r\n\r\n",
        from_a_person(),
        report("<a@b>"),
        report("not a name"),
        report("<abcdefgh@clinic.example>", action="delivered"),
        report("<abcdefgh@clinic.example>").replace(b"delivery-status", b"disposition"),
    ],
)
def test_what_is_no_report_of_a_mail_of_ours_says_nothing(raw: bytes) -> None:
    assert read(raw) is None
