"""A browser of plain sockets whose requests can be held at a gate: all but their last byte sent.

When many have been prepared so, one byte each releases them together: the server gets them as
nearly at once as one machine can send them.
"""

import http.client
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import TypeVar

T = TypeVar("T")

#: Far longer than any answer should take: a harness must not fail because a machine is slow.
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    location: str
    text: str

    def value(self, name: str) -> str:
        """Return the value of the first field called `name`.

        Raises:
            AssertionError: the page has none.
        """
        for tag in re.findall(r"<input[^>]*>", self.text):
            if f'name="{name}"' in tag:
                found = re.search(r'value="([^"]*)"', tag)
                return unescape(found[1]) if found else ""
        raise AssertionError(f"no {name} on the page ({self.status}): {self.words[:300]}")

    @property
    def starts(self) -> list[str]:
        """The times to choose from."""
        return [unescape(s) for s in re.findall(r'name="start"[^>]*value="([^"]+)"', self.text)]

    @property
    def words(self) -> str:
        """The text without its tags."""
        body = re.sub(r"<(script|style|title|head).*?</\1>", " ", self.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@dataclass
class Shot:
    """A request that waits at the gate: connected, sent but for its last byte."""

    browser: "Browser"
    wire: socket.socket
    last: bytes

    def fire(self) -> None:
        """Let it go."""
        self.wire.sendall(self.last)

    def drop(self) -> None:
        """Hang up without waiting for the answer."""
        self.wire.close()

    def answer(self) -> Answer:
        """Wait for what comes back.

        Raises:
            OSError, http.client.HTTPException: the connection broke first; nobody knows whether
                it was done.
        """
        try:
            response = http.client.HTTPResponse(self.wire, method="POST")
            response.begin()
            body = response.read()
        finally:
            self.wire.close()
        self.browser.keep_cookies(response)
        self.browser.statuses.append(response.status)
        return Answer(
            response.status, response.headers.get("Location", ""), body.decode(errors="replace")
        )


@dataclass
class Browser:
    """Somebody's browser, at an address of their own (the server trusts one proxy)."""

    port: int
    address: str = "203.0.113.7"
    cookies: dict[str, str] = field(default_factory=dict)
    patience_s: float = PATIENCE_S
    statuses: list[int] = field(default_factory=list)  # of every answer, in order

    def get(self, path: str) -> Answer:
        """Open a page, following where it leads."""
        answer = self._send(self._head("GET", path))
        for _ in range(5):
            if answer.status not in (302, 303):
                break
            answer = self._send(self._head("GET", answer.location))
        return answer

    def post(self, path: str, form: dict[str, str]) -> Answer:
        """Send a form. Where it leads is not followed."""
        shot = self.aim(path, form)
        shot.fire()
        return shot.answer()

    def aim(self, path: str, form: dict[str, str]) -> Shot:
        """Prepare a form up to its last byte."""
        body = urllib.parse.urlencode(form).encode() or b" "
        head = self._head(
            "POST",
            path,
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
            "Sec-Fetch-Site: same-origin",
        )
        wire = self._connect()
        wire.sendall(head + body[:-1])
        return Shot(self, wire, body[-1:])

    def keep_cookies(self, response: http.client.HTTPResponse) -> None:
        """Remember what the server wants remembered."""
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value

    def _send(self, request: bytes) -> Answer:
        shot = Shot(self, self._connect(), b"")
        shot.wire.sendall(request)
        return shot.answer()

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=self.patience_s)

    def _head(self, method: str, path: str, *more: str) -> bytes:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"X-Forwarded-For: {self.address}",
            "Connection: close",
            "Accept: text/html",
            *([f"Cookie: {kept}"] if kept else []),
            *more,
        ]
        return "\r\n".join([*lines, "", ""]).encode()


def together(deeds: Sequence[Callable[[threading.Barrier], T]]) -> list[T]:
    """Run each deed in a thread of its own; each waits once at the barrier it is given.

    Raises:
        Exception: what went wrong in the first deed that failed; the others are let go.
    """
    gate = threading.Barrier(len(deeds))
    found: dict[int, T] = {}
    wrong: list[BaseException] = []

    def run(number: int) -> None:
        try:
            found[number] = deeds[number](gate)
        except threading.BrokenBarrierError:
            pass  # somebody else's failure, told below
        except BaseException as error:  # whatever it was, it is told below
            wrong.append(error)
            gate.abort()

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return [found[n] for n in range(len(deeds))]


def at_once(shots: Sequence[Shot]) -> list[Answer]:
    """Release prepared requests together; return the answers in their order."""

    def fired(shot: Shot) -> Callable[[threading.Barrier], Answer]:
        def run(gate: threading.Barrier) -> Answer:
            gate.wait()
            shot.fire()
            return shot.answer()

        return run

    return together([fired(shot) for shot in shots])
