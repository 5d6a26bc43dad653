"""Plays a mail server. What it accepted stands, flushed to the disk, in a folder: the truth."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class SmtpServer:
    """A mailbox for everybody. `answers` are given first, then "250 OK"."""

    folder: Path
    port: int
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    on_read: Callable[[], object] = lambda: None
    on_accepted: Callable[[], object] = lambda: None
    count: int = 0

    async def handle_RCPT(  # noqa: N802  the library's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Refuse some addresses."""
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep a mail: it is out from here on, whatever is answered."""
        self.on_read()
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            self.count += 1
            with (self.folder / f"{self.count:04}.eml").open("wb") as file:
                file.write(envelope.content)
                file.flush()
                os.fsync(file.fileno())
            self.on_accepted()
        return answer

    def mails(self) -> list[EmailMessage]:
        """Return every mail that was accepted, oldest first."""
        found = []
        for path in sorted(self.folder.glob("*.eml")):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found


@contextmanager
def playing(folder: Path) -> Iterator[SmtpServer]:
    """Run the server on a free port of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:  # the library cannot be given port 0
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = SmtpServer(folder, port)
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
