"""The mailbox that mail of ours comes back to, read over IMAP.

Only reports of mail servers are opened; what people write there stays as it was, unread.
"""

import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from scheduler.messaging import rules
from scheduler.messaging.senders.outcomes import Unreachable

MOST_AT_ONCE = 50
_REPORT = re.compile(rb"multipart/report", re.IGNORECASE)


class Mailbox:
    """Somebody's INBOX, with reports in it."""

    def __init__(self, *, host: str, port: int, user: str, password: str, tls: bool) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._tls = tls

    def reports(self) -> list[tuple[bytes, bytes]]:
        """Return (number, mail) of every report nobody has read yet, without marking it.

        Raises:
            Unreachable: the server cannot be asked.
        """
        with self._open() as server:
            numbers = _words(server.uid("SEARCH", "UNSEEN"))[:MOST_AT_ONCE]
            found = []
            for number in numbers:
                head = _body(server, number, b"BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)]")
                if head is not None and _REPORT.search(head):
                    whole = _body(server, number, b"BODY.PEEK[]")
                    found += [(number, whole)] if whole is not None else []
            return found

    def done(self, number: bytes) -> None:
        """Mark a report as read.

        Raises:
            Unreachable: the server cannot be asked.
        """
        with self._open() as server:
            server.uid("STORE", number.decode(), "+FLAGS", "(\\Seen)")

    @contextmanager
    def _open(self) -> Iterator[imaplib.IMAP4]:
        seconds = rules.CALL_TIMEOUT.total_seconds()
        kind = imaplib.IMAP4_SSL if self._tls else imaplib.IMAP4
        try:
            with kind(self._host, self._port, timeout=seconds) as server:
                server.login(self._user, self._password)
                server.select("INBOX")
                yield server
        except (OSError, imaplib.IMAP4.error) as trouble:
            raise Unreachable(type(trouble).__name__) from trouble


def _words(answer: tuple[str, list[bytes | None]]) -> list[bytes]:
    lines = [line for line in answer[1] if isinstance(line, bytes)]
    return b" ".join(lines).split()


def _body(server: imaplib.IMAP4, number: bytes, what: bytes) -> bytes | None:
    _, parts = server.uid("FETCH", number.decode(), f"({what.decode()})")
    bodies = [part[1] for part in parts if isinstance(part, tuple)]
    return bodies[0] if bodies else None
