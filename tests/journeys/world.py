"""The product as it runs: a real web server, a real worker, and everybody they talk to."""

import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scheduler.messaging import addresses
from tests.support import databases, programs, smtp_server, twilio_server
from tests.support.programs import Program
from tests.support.smtp_server import SmtpServer
from tests.support.twilio_server import TwilioServer

T = TypeVar("T")
PHONE = "+17815550177"
OTHER_PHONE = "+17815550178"
PATIENCE_S = 45.0


@dataclass
class World:
    """Where everything answers."""

    base: str
    twilio: TwilioServer
    mail: SmtpServer
    environment: dict[str, str]

    def text_in(self, number: str, body: str) -> int:
        """Somebody texts the clinic: Twilio calls our hook, signed; return our answer's status."""
        form = self.twilio.comes_in(number, body)
        return self.hook(addresses.inbound(self.base), form)

    def hook(self, url: str, form: dict[str, str]) -> int:
        """Send a signed webhook."""
        request = urllib.request.Request(  # noqa: S310  our own address
            url,
            data=urllib.parse.urlencode(form).encode(),
            headers=twilio_server.signed(url, form),
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return int(answer.status)

    def texts(self, number: str = PHONE) -> list[str]:
        """Return what reached a phone, oldest first."""
        return self.twilio.bodies_to(number)


def until(look: Callable[[], T], what: str, *, within: float = PATIENCE_S) -> T:
    """Wait until `look` finds something and return it; say what was awaited when it never comes."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)  # a poll of other processes, not a way to order them
    raise AssertionError(f"waited {within:.0f} s in vain for {what}")


@contextmanager
def running(database_url: str, folder: Path) -> Iterator[World]:
    """Start Twilio, a mail server, gunicorn and a worker, all real processes or servers."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with (
        twilio_server.playing(folder / "texts.jsonl") as twilio,
        smtp_server.playing(folder / "mail") as mail,
    ):
        environment = os.environ | {
            "EMERGE_ENV": "test",
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
            "EMERGE_KEYS": databases.KEYS,
            "PUBLIC_URL": base,
            "PORT": str(port),
            "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio_server.TOKEN,
            "TWILIO_MESSAGING_SERVICE_SID": twilio_server.SERVICE,
            "TWILIO_API_URL": twilio.url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mail.port),
            "SMTP_STARTTLS": "0",
            "ALLOWED_NUMBERS": f"{PHONE},{OTHER_PHONE}",
            "TEXTS_PER_SECOND": "50",
        }
        world = World(base, twilio, mail, environment)
        with _process(web_command(port), environment), _process(WORKER, environment):
            until(lambda: answers(base), "the web server")
            yield world


def web_command(port: int, *, workers: int = 2, app: str = "wsgi:app") -> list[str]:
    """Return the production server's command line."""
    return [
        *(sys.executable, "-m", "gunicorn", app, "-k", "scheduler.web.server.FairWorker"),
        *("-w", str(workers), "--threads", "4", "--no-control-socket"),
        *("-b", f"127.0.0.1:{port}", "--log-level", "warning"),
    ]


WORKER = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[Program]:
    process = programs.start(command, environment, None)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=2):  # noqa: S310
            return True
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
