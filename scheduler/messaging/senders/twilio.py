"""Texts through Twilio: the only file that knows it.

Every call is one connection, one request, 10 seconds between signs of life and 20 in all. What
happened is told apart by one question: can the request have been read? If not, the text is not
out and is tried again later. If it may have been, and no answer says so, nobody can say.
"""

import logging
import ssl
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from scheduler.messaging import addresses, rules
from scheduler.messaging.composing import Outgoing, body_print
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import (
    NoAnswer,
    Outcome,
    Refused,
    Taken,
    Trace,
    Unreachable,
)

logging.getLogger("twilio.http_client").setLevel(logging.WARNING)  # it writes numbers at INFO

T = TypeVar("T")

#: What TLS says when the two never agreed to talk, so that nothing was sent.
_HANDSHAKE = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS"}
_LIST_LENGTH = 40
_PAGE_LENGTH = 500
_MOST_LISTED = 10_000  # what goes out is listed too when all we have is a messaging service
_CLOCKS_DIFFER = timedelta(minutes=2)


class TooLong(Exception):
    """The whole call took longer than it may."""


class TwilioTexts:
    """Hands texts to Twilio and asks it what it has."""

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        messaging_service_sid: str,
        from_number: str,
        public_url: str,
        only_to: Collection[str] | None,
        api_url: str = "",
    ) -> None:
        """Take the account's names and keys.

        Args:
            only_to: The only numbers that may be texted; None means anybody (production).
            api_url: Another base address than Twilio's own, for tests.
        """
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._service = messaging_service_sid
        self._from = from_number
        self._public_url = public_url
        self._only_to = only_to
        self._api_url = api_url

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Ask Twilio to send; see the file's first lines for what the answers mean."""
        if self._only_to is not None and outgoing.recipient not in self._only_to:
            return Refused(Trouble.UNWANTED, None, "this number is not on the list of test numbers")
        line = _Line(self._api_url)
        sender = (
            {"messaging_service_sid": self._service} if self._service else {"from_": self._from}
        )
        try:
            made = _within_limit(
                lambda: self._client(line).messages.create(
                    to=outgoing.recipient,
                    body=outgoing.body,
                    status_callback=addresses.report(self._public_url, outgoing.public_id),
                    validity_period=rules.validity_seconds(outgoing.expires_at, now=now),
                    **sender,
                )
            )
        except (TwilioRestException, TwilioServiceException) as answer:
            return _refusal(answer.status, _code(answer), line.retry_after)
        except (requests.RequestException, TooLong, TwilioException, ValueError) as trouble:
            if _never_left(trouble):
                return Refused(Trouble.LATER, None, f"not reached: {type(trouble).__name__}")
            return NoAnswer(type(trouble).__name__)
        if not made.sid:
            return NoAnswer("an answer without a reference")
        return Taken(made.sid, made.status)

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Return the newest texts to this number made since the call began.

        Asked by number alone: the list's dates are the day of sending, and a text that still
        waits at Twilio has none.

        Raises:
            Unreachable: Twilio could not be asked.
        """
        line = _Line(self._api_url)
        try:
            listed = _within_limit(
                lambda: self._client(line).messages.list(to=sought.recipient, limit=_LIST_LENGTH)
            )
        except (requests.RequestException, TooLong, TwilioException, ValueError) as trouble:
            raise Unreachable(type(trouble).__name__) from None
        traces = []
        for text in listed:
            moment = text.date_created or text.date_sent
            if moment is None or str(text.direction or "").startswith("inbound"):
                continue
            made_at = _aware(moment)
            if made_at >= sought.sending_at - _CLOCKS_DIFFER:
                known = body_print(sought.recipient, text.body or "")
                traces.append(Trace(text.sid, text.status, made_at, known))
        return traces

    def came_in(self, since: datetime) -> list[tuple[str, str, str, datetime]]:
        """Return texts to us since a moment: (reference, from, body, when), oldest first.

        Raises:
            Unreachable: Twilio could not be asked.
        """
        line = _Line(self._api_url)
        filters: dict[str, Any] = {"date_sent_after": since, "page_size": _PAGE_LENGTH}
        if self._from:
            filters["to"] = self._from
        try:
            page = _within_limit(lambda: self._client(line).messages.page(**filters))
            listed = [*page]
            while len(listed) < _MOST_LISTED and page.next_page_url:
                page = _within_limit(page.next_page)
                listed += page
        except (requests.RequestException, TooLong, TwilioException, ValueError) as trouble:
            raise Unreachable(type(trouble).__name__) from None
        return [
            (text.sid, text.from_, text.body or "", _aware(text.date_created or text.date_sent))
            for text in reversed(listed)
            if str(text.direction or "").startswith("inbound")
            and (text.date_created or text.date_sent)
        ]

    def _client(self, line: "_Line") -> Client:
        return Client(self._account_sid, self._auth_token, http_client=line)


class _Line(TwilioHttpClient):  # type: ignore[misc]
    """One fresh connection a request.

    A kept one that the other side had closed would look like a call without an answer.
    """

    def __init__(self, api_url: str) -> None:
        super().__init__(pool_connections=False, timeout=rules.CALL_TIMEOUT.total_seconds())
        self._base = urlsplit(api_url) if api_url else None
        self.retry_after: timedelta | None = None

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        """Send one request and close; note how long we are asked to wait."""
        if self._base is not None:
            url = (
                urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc).geturl()
            )
        with requests.Session() as session:
            self.session = session
            answer: Response = super().request(method, url, *args, **kwargs)
        hint = (answer.headers or {}).get("Retry-After", "")
        self.retry_after = timedelta(seconds=int(hint)) if str(hint).isdigit() else None
        return answer


def _within_limit(call: Callable[[], T]) -> T:
    """Run `call`, but wait no longer than a call may take as a whole.

    A server that sends a byte now and then never times out by itself. The thread left behind
    ends with its connection.
    """
    box: list[T] = []
    fault: list[BaseException] = []

    def run() -> None:
        try:
            box.append(call())
        except BaseException as raised:  # carried over to the caller's thread
            fault.append(raised)

    thread = threading.Thread(target=run, daemon=True, name="twilio-call")
    thread.start()
    thread.join(rules.CALL_LIMIT.total_seconds())
    if fault:
        raise fault[0]
    if not box:
        raise TooLong
    return box[0]


def _refusal(status: int, code: str | None, retry_after: timedelta | None) -> Outcome:
    if status >= 500:
        if status == 503 and retry_after is not None:
            return Refused(Trouble.LATER, code, f"busy ({status})", retry_after)
        return NoAnswer(f"answered {status}")
    if status == 408:
        return NoAnswer("answered 408")
    return Refused(rules.trouble(code, status), code, f"refused ({status})", retry_after)


def _code(answer: TwilioRestException | TwilioServiceException) -> str | None:
    return str(answer.code) if answer.code else None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _never_left(trouble: Exception) -> bool:
    """Say whether it is certain that the request was not read: no connection came about."""
    if isinstance(trouble, requests.ConnectTimeout):
        return True
    if not isinstance(trouble, requests.ConnectionError):
        return False
    cause: Any = trouble.args[0] if trouble.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
    ):
        return True
    if isinstance(reason, urllib3.exceptions.SSLError):
        inner = reason.args[0] if reason.args else None
        return isinstance(inner, ssl.SSLCertVerificationError) or (
            isinstance(inner, ssl.SSLError) and inner.reason in _HANDSHAKE
        )
    return False
