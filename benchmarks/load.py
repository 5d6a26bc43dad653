"""A browser that keeps its connection, and a crowd of them on bare sockets."""

import re
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from urllib.parse import urlencode

HOST = "127.0.0.1"
PATIENCE_S = 60


class BadAnswer(Exception):
    """The server answered what nobody asked for; its figures would mean nothing."""


@dataclass(frozen=True)
class Rate:
    """How fast one kind of request was answered."""

    per_second: float
    p50_ms: float
    p95_ms: float
    count: int


@dataclass(frozen=True)
class Answer:
    """One answer, and how long it took from the last byte sent to the last received."""

    status: int
    head: str
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The page."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where it sends the browser, or the empty text."""
        found = re.search(r"^location: (.*)$", self.head, re.IGNORECASE | re.MULTILINE)
        return found.group(1).strip() if found else ""


@dataclass
class Browser:
    """Somebody's browser: its cookies, one connection, and where on the net it is."""

    port: int
    address: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    _line: HTTPConnection | None = None

    def get(self, path: str) -> Answer:
        """Open a page."""
        return self._send("GET", path, None)

    def post(self, path: str, form: dict[str, str]) -> Answer:
        """Send a form."""
        return self._send("POST", path, urlencode(form))

    def raw(self, method: str, path: str, form: dict[str, str] | None = None, *more: str) -> bytes:
        """Return the same request as the bytes a crowd sends, with `more` header lines."""
        body = urlencode(form).encode() if form is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{self.port}", *more]
        lines += self._headers(form)
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _headers(self, form: object) -> list[str]:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = ["Accept: text/html", "Accept-Language: en-US"]
        lines += [f"Cookie: {kept}"] if kept else []
        lines += [f"X-Forwarded-For: {self.address}"] if self.address else []
        return lines + (["Content-Type: application/x-www-form-urlencoded"] if form else [])

    def _send(self, method: str, path: str, body: str | None) -> Answer:
        if self._line is None:
            self._line = HTTPConnection(HOST, self.port, timeout=PATIENCE_S)
        headers = dict(line.split(": ", 1) for line in self._headers(body))
        began = time.perf_counter()
        try:
            self._line.request(method, path, body, headers)
            response = self._line.getresponse()
        except (ConnectionError, TimeoutError):  # it was kept longer than the server keeps it
            self.close()
            self._line = HTTPConnection(HOST, self.port, timeout=PATIENCE_S)
            began = time.perf_counter()
            self._line.request(method, path, body, headers)
            response = self._line.getresponse()
        content = response.read()
        taken = time.perf_counter() - began
        for _, value in (h for h in response.getheaders() if h[0].lower() == "set-cookie"):
            for name, morsel in SimpleCookie(value).items():
                self.cookies[name] = morsel.value
        return Answer(response.status, str(response.msg), content, taken)


def typed(page: str) -> dict[str, str]:
    """Return what a page's hidden fields would send: of fields of one name the first."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page):
        name, value = (re.search(rf'{a}="([^"]*)"', tag) for a in ("name", "value"))
        if name and name.group(1) not in found:
            found[name.group(1)] = unescape(value.group(1)) if value else ""
    return found


def offered(page: str) -> list[str]:
    """Return the values of the times a page offers, in its order."""
    tags = re.findall(r"<input[^>]*name=\"start\"[^>]*>", page)
    values = [re.search(r'value="([^"]*)"', tag) for tag in tags if 'type="radio"' in tag]
    return [unescape(v.group(1)) for v in values if v]


class _Client:
    """One connection of a crowd."""

    def __init__(self, port: int) -> None:
        self.line = socket.create_connection((HOST, port), timeout=PATIENCE_S)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.began = 0.0

    def send(self, request: bytes) -> None:
        """Send a request whole."""
        self.received = b""
        self.began = time.perf_counter()
        self.line.sendall(request)

    def take(self) -> tuple[bytes, bytes] | None:
        """Read what is there; return head and body once the answer is whole.

        Raises:
            BadAnswer: the server hung up, or does not say how long the answer is.
        """
        piece = self.line.recv(262144)
        if not piece:
            raise BadAnswer("the server hung up")
        self.received += piece
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.received[:end]
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is None:
            raise BadAnswer(head.decode(errors="replace"))
        body = self.received[end + 4 :]
        return (head, body) if len(body) >= int(length.group(1)) else None


def rate(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Rate:
    """Ask again and again for so long, each client the next of `requests` when it has its answer.

    Raises:
        BadAnswer: something else than 200 came back.
    """
    crowd = [_Client(port) for _ in range(clients)]
    turns = _round(requests)
    taken: list[float] = []
    with selectors.DefaultSelector() as ready:
        for client in crowd:
            ready.register(client.line, selectors.EVENT_READ, client)
        began = time.perf_counter()
        for client in crowd:
            client.send(next(turns))
        while (now := time.perf_counter()) - began < seconds or len(taken) < 2 * clients:
            for key, _ in ready.select(PATIENCE_S):
                client = key.data
                got = client.take()
                if got is None:
                    continue
                now = time.perf_counter()
                if not got[0].startswith(b"HTTP/1.1 200"):
                    raise BadAnswer(got[0].decode(errors="replace"))
                taken.append(now - client.began)
                client.send(next(turns))
        spent = now - began
    for client in crowd:
        client.line.close()
    return summary(taken, spent)


def summary(taken: Sequence[float], spent: float) -> Rate:
    """Return the rate of answers that took so many seconds each, in `spent` seconds."""
    ordered = sorted(taken)
    return Rate(
        per_second=len(ordered) / spent,
        p50_ms=statistics.median(ordered) * 1000,
        p95_ms=ordered[int(len(ordered) * 0.95)] * 1000,
        count=len(ordered),
    )


def _round(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def at_once(port: int, requests: Sequence[bytes]) -> list[Answer]:
    """Send all requests but their last byte, then all the last bytes in one loop; the answers."""
    crowd = [_Client(port) for _ in requests]
    for client, request in zip(crowd, requests, strict=True):
        client.line.sendall(request[:-1])
    answers: list[Answer] = []
    with selectors.DefaultSelector() as ready:
        for client in crowd:
            ready.register(client.line, selectors.EVENT_READ, client)
        for client, request in zip(crowd, requests, strict=True):
            client.send(request[-1:])
        waiting = len(crowd)
        while waiting:
            happened = ready.select(PATIENCE_S)
            if not happened:
                raise BadAnswer(f"{waiting} requests got no answer in {PATIENCE_S} s")
            for key, _ in happened:
                got = key.data.take()
                if got is None:
                    continue
                waiting -= 1
                ready.unregister(key.data.line)
                head, body = got
                status = int(head.split(b" ", 2)[1])
                seconds = time.perf_counter() - key.data.began
                answers.append(Answer(status, head.decode(), body, seconds))
    for client in crowd:
        client.line.close()
    return answers
