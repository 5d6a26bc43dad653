"""How often calendars may be fetched: far more often than any program does, and no more.

Counted in this process's memory: a poll writes nothing. With several processes a place may have
its share of each.
"""

import threading
from collections import Counter
from datetime import datetime

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from scheduler.audit.service import origin
from scheduler.core import clock, network
from scheduler.web import errors
from scheduler.web.i18n import gettext as _

WINDOW_SECONDS = 60
#: Fetches of one calendar in a window, and from one place: a provider asks for many people.
OF_ONE = 20
FROM_ONE_PLACE = 240


class Share:
    """Counts what each had of the present window, and forgets it with the window."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._lock = threading.Lock()
        self._window = 0
        self._had: Counter[str] = Counter()

    def wait(self, wanted: dict[str, int], *, now: datetime) -> int:
        """Count one fetch for each name of `wanted`; return for how many seconds it is too much.

        Args:
            wanted: How often each name may be counted in a window.
        """
        second = int(now.timestamp())
        window = second // WINDOW_SECONDS
        with self._lock:
            if window != self._window:
                self._window = window
                self._had.clear()
            self._had.update(wanted.keys())
            too_often = any(self._had[name] > most for name, most in wanted.items())
        return (window + 1) * WINDOW_SECONDS - second if too_often else 0


def join(bp: Blueprint) -> None:
    """Have a blueprint of calendars answer 429 to whoever comes too often."""

    @bp.before_request
    def not_too_often() -> ResponseReturnValue | None:
        share: Share = current_app.extensions.setdefault("emerge_feed_share", Share())
        place = network.place(origin.get()[0])
        wait = share.wait(
            {f"of {request.path}": OF_ONE, f"from {place}": FROM_ONE_PLACE}, now=clock.now()
        )
        return _too_often(wait) if wait else None


def _too_often(seconds: int) -> Response:
    response = errors.answer(
        429,
        code="too-many",
        heading=_("Too many tries"),
        message=_("Please wait a few minutes and try again."),
    )
    response.headers["Retry-After"] = str(seconds)
    return response
