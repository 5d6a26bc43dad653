"""The browser in front of us: a random secret of its own, and what it was last given to see."""

from datetime import datetime, timedelta

from flask import session

from scheduler.core.tokens import digest, mint

_BROWSER = "visitor"
_VISIT = "visit"
#: How long a browser that opened a private link may go on without opening it again.
VISIT_LASTS = timedelta(minutes=30)


def holder() -> str | None:
    """Return under which name this browser's holds are kept; None when it never held anything."""
    own = session.get(_BROWSER)
    return digest(own, "holder") if isinstance(own, str) else None


def new_holder() -> str:
    """Return the same, giving the browser its secret when it has none. Only for a POST."""
    if not isinstance(session.get(_BROWSER), str):
        session[_BROWSER] = mint()
    return digest(session[_BROWSER], "holder")


def open_visit(token: str, *, is_booker: bool, now: datetime) -> None:
    """Let this browser see one appointment for half an hour.

    Args:
        token: The secret of a private link; the cookie is signed, HttpOnly and the browser's own.
        is_booker: It has just made the booking itself, so it may see a little more.
    """
    until = int((now + VISIT_LASTS).timestamp())
    session[_VISIT] = {"token": token, "until": until, "booker": is_booker}


def visit_token(*, now: datetime) -> str | None:
    """Return the secret this browser may still use, or None."""
    kept = session.get(_VISIT)
    if not isinstance(kept, dict) or kept.get("until", 0) <= now.timestamp():
        return None
    token = kept.get("token")
    return token if isinstance(token, str) else None


def is_booker() -> bool:
    """Say whether this browser made the booking it is looking at."""
    kept = session.get(_VISIT)
    return isinstance(kept, dict) and bool(kept.get("booker"))
