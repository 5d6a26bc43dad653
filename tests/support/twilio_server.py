"""Plays Twilio over HTTP. What it accepted stands, flushed to the disk, in a file: the truth.

Each request is answered by the next line of `script`; with none left it is accepted. `on_read`
and `on_accepted` are called in between, so that a test can strike there.
"""

import json
import os
import threading
import time
import urllib.parse
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "0" * 32
TOKEN = "a-token-for-tests"
SHARED_KEY = "a-shared-key-for-tests"
SERVICE = "MG" + "0" * 32
OUR_NUMBER = "+17815550100"


def _real_time() -> datetime:
    return datetime.now(UTC)


@dataclass
class Script:
    """How one request is answered."""

    mode: str = "accept"
    status: int = 201
    code: int | None = None
    retry_after: int | None = None


ACCEPT = Script()
ACCEPT_THEN_DROP = Script("accept-then-drop")
ACCEPT_THEN_500 = Script("accept-then-status", 500)
ACCEPT_THEN_NONSENSE = Script("accept-then-nonsense")
DROP = Script("drop")
HANG = Script("hang")
DRIP = Script("drip")


def refuse(status: int, code: int | None = None, *, retry_after: int | None = None) -> Script:
    """Answer with an error and take nothing."""
    return Script("refuse", status, code, retry_after)


@dataclass
class TwilioServer:
    """The other end of the line."""

    truth: Path
    clock: Callable[[], datetime] = _real_time
    script: list[Script] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)  # newest last
    longest_page: int = 1000  # how many texts one answer lists at most
    requests: int = 0
    on_read: Callable[[], object] = lambda: None
    on_accepted: Callable[[], object] = lambda: None
    let_go: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_line(self) -> Script:
        """Return how this request is answered."""
        with self._lock:
            self.requests += 1
            return self.script.pop(0) if self.script else ACCEPT

    def accept(self, form: dict[str, str]) -> dict[str, Any]:
        """Take a text: it is out from here on, whatever is answered."""
        with self._lock:
            text = {
                "sid": f"SM{len(self.texts) + 1:032x}",
                "direction": "outbound-api",
                "to": form["To"],
                "from": form.get("From") or OUR_NUMBER,
                "messaging_service_sid": form.get("MessagingServiceSid"),
                "body": form.get("Body", ""),
                "status": "accepted",
                "date_created": format_datetime(self.clock()),
                "date_sent": None,
                "error_code": None,
                "account_sid": ACCOUNT,
                "num_segments": "0",
                "_callback": form.get("StatusCallback"),
                "_validity": form.get("ValidityPeriod"),
            }
            self.texts.append(text)
            with self.truth.open("a") as file:
                file.write(json.dumps(text) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return text

    def comes_in(self, number: str, body: str) -> dict[str, str]:
        """A person texts us; returns the form of the webhook, which nobody has sent yet."""
        with self._lock:
            sid = f"SM{len(self.texts) + 1:032x}"
            self.texts.append(
                {
                    "sid": sid,
                    "direction": "inbound",
                    "to": OUR_NUMBER,
                    "from": number,
                    "body": body,
                    "status": "received",
                    "date_created": format_datetime(self.clock()),
                    "date_sent": format_datetime(self.clock()),
                    "account_sid": ACCOUNT,
                }
            )
        return inbound_form(number, body, sid=sid)

    def out(self) -> list[dict[str, Any]]:
        """Return what was accepted, as the file says."""
        if not self.truth.exists():
            return []
        return [json.loads(line) for line in self.truth.read_text().splitlines()]

    def bodies_to(self, number: str) -> list[str]:
        """Return the words that went to a number, oldest first."""
        return [text["body"] for text in self.out() if text["to"] == number]


def inbound_form(number: str, body: str, *, sid: str) -> dict[str, str]:
    """Return the fields of a webhook about a text that came in."""
    return {
        "MessageSid": sid,
        "SmsSid": sid,
        "AccountSid": ACCOUNT,
        "From": number,
        "To": OUR_NUMBER,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
    }


def report_form(sid: str, status: str, *, error_code: str | None = None) -> dict[str, str]:
    """Return the fields of a webhook about one of our texts."""
    form = {"MessageSid": sid, "MessageStatus": status, "AccountSid": ACCOUNT}
    return form | ({"ErrorCode": error_code} if error_code else {})


def signed(url: str, form: dict[str, str], *, token: str = TOKEN) -> dict[str, str]:
    """Return the headers Twilio puts on a webhook, made by Twilio's own code."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, form)}


def signed_with_shared_key(url: str, form: dict[str, str]) -> dict[str, str]:
    """Return the headers of the newer kind: SHA-256 under a shared key."""
    signature = RequestValidator(SHARED_KEY).compute_signature(url, form, "HMAC_SHA256")
    return {
        "X-Twilio-Signature": signature,
        "X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256",
    }


@contextmanager
def playing(truth: Path, *, clock: Callable[[], datetime] = _real_time) -> Iterator[TwilioServer]:
    """Run the server on a free port of this machine."""
    played = TwilioServer(truth, clock)

    class Handler(BaseHTTPRequestHandler):
        server_of_texts = played

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            _answer_post(self, played)

        def do_GET(self) -> None:
            _answer_get(self, played)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    played.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield played
    finally:
        played.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer_post(handler: BaseHTTPRequestHandler, played: TwilioServer) -> None:
    length = int(handler.headers.get("Content-Length", "0"))
    raw = handler.rfile.read(length).decode()
    form = dict(urllib.parse.parse_qsl(raw, keep_blank_values=True))
    line = played.next_line()
    played.on_read()
    if not _knows_us(handler):
        _json(handler, 401, {"code": 20003, "message": "Authenticate", "status": 401})
        return
    if line.mode in {"drop", "hang", "drip"}:
        _silence(handler, played, line.mode)
        return
    if line.mode == "refuse":
        body = {"code": line.code, "message": "refused", "more_info": "", "status": line.status}
        _json(handler, line.status, body, retry_after=line.retry_after)
        return
    text = played.accept(form)
    played.on_accepted()
    if line.mode == "accept-then-drop":
        _silence(handler, played, "drop")
    elif line.mode == "accept-then-status":
        _json(handler, line.status, {"code": None, "message": "trouble", "status": line.status})
    elif line.mode == "accept-then-nonsense":
        _bytes(handler, 201, b'{"sid": "SM')
    else:
        _json(handler, 201, {k: v for k, v in text.items() if not k.startswith("_")})


def _answer_get(handler: BaseHTTPRequestHandler, played: TwilioServer) -> None:
    line = played.next_line() if played.script else ACCEPT
    if line.mode == "refuse":
        _json(handler, line.status, {"code": line.code, "message": "", "status": line.status})
        return
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query))
    found = [text for text in reversed(played.texts) if _matches(text, query)]
    shown = [{k: v for k, v in text.items() if not k.startswith("_")} for text in found]
    size = min(int(query.get("PageSize", "50")), played.longest_page)
    number = int(query.get("Page", "0"))
    rest = urllib.parse.urlencode(query | {"Page": number + 1})
    path = urllib.parse.urlsplit(handler.path).path
    more = f"{path}?{rest}" if len(shown) > (number + 1) * size else None
    some = shown[number * size : (number + 1) * size]
    _json(handler, 200, {"messages": some, "next_page_uri": more, "page": number})


def _matches(text: dict[str, Any], query: dict[str, str]) -> bool:
    if "To" in query and text["to"] != query["To"]:
        return False
    if "From" in query and text["from"] != query["From"]:
        return False
    dated = [name for name in query if name.startswith("DateSent")]
    return not dated or text["date_sent"] is not None


def _knows_us(handler: BaseHTTPRequestHandler) -> bool:
    kind, _, encoded = handler.headers.get("Authorization", "").partition(" ")
    return kind == "Basic" and b64decode(encoded).decode() == f"{ACCOUNT}:{TOKEN}"


def _silence(handler: BaseHTTPRequestHandler, played: TwilioServer, mode: str) -> None:
    if mode == "hang":
        played.let_go.wait()
    while mode == "drip" and not played.let_go.is_set():
        try:
            handler.wfile.write(b"H" if played.requests else b"")
            handler.wfile.flush()
        except OSError:
            break
        time.sleep(0.05)
    handler.close_connection = True
    handler.connection.close()


def _json(
    handler: BaseHTTPRequestHandler, status: int, body: object, *, retry_after: int | None = None
) -> None:
    _bytes(handler, status, json.dumps(body).encode(), retry_after=retry_after)


def _bytes(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, *, retry_after: int | None = None
) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            handler.send_header("Retry-After", str(retry_after))
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        pass  # whoever asked is gone
