"""The app as gunicorn serves it, with one thing changed in its own process for an experiment.

gunicorn tests.support.wrapped:app, with the names of experiments in EXPERIMENT and a folder they
may use in EXPERIMENT_FOLDER. Negative controls take a guard away here; the product has no switch.
"""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import request
from sqlalchemy import event
from sqlalchemy.orm import Session

import wsgi
from scheduler.booking import allocation, forms
from scheduler.booking import service as booking
from scheduler.core import clock
from scheduler.plans import service as plans

FOLDER = Path(os.environ.get("EXPERIMENT_FOLDER", "."))
STALE_S = 2.0


def stale_look() -> None:
    """Take the lock away, and do not see what was taken a moment ago: check, and then insert."""
    look: Callable[..., list[Any]] = allocation.clear
    first_seen: dict[int, float] = {}

    def a_moment_ago(*where: Any, **how: Any) -> list[Any]:
        now = time.monotonic()
        return [
            claim
            for claim in look(*where, **how)
            if now - first_seen.setdefault(claim.claim_id, now) > STALE_S
        ]

    allocation.clear = a_moment_ago  # type: ignore[assignment]
    booking.lock = plans.lock = lambda _: None  # type: ignore[assignment]


def forgotten_forms() -> None:
    """Forget which forms were used."""
    forms.earlier_result = forms.known_result = lambda *_, **__: None  # type: ignore[assignment]
    forms.spend = lambda *_, **__: None  # type: ignore[assignment]


def no_share() -> None:
    """Let visitors keep as much of a day as they like."""
    booking._leave_room_for_others = lambda *_, **__: None  # type: ignore[assignment]


def die_at(step: str) -> Callable[[], None]:
    """Make a worker process die once, when a booking's form is about to be kept, or just was."""

    def arm() -> None:
        flag = FOLDER / f"die-{step}"

        def strike(session: Session) -> None:
            if not _is_booking() or session.in_nested_transaction() or not flag.exists():
                return
            if step == "before_commit":
                session.flush()
            flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Session, step, strike)

    return arm


def _is_booking() -> bool:
    return bool(request) and request.method == "POST" and request.path == "/book/details"


def jumping_clock() -> None:
    """Read the clock with the hours of a file added, as if somebody had set the machine's."""
    hours = FOLDER / "hours"

    def now() -> datetime:
        ahead = hours.read_text() if hours.exists() else ""
        return datetime.now(UTC) + timedelta(hours=float(ahead or 0))

    clock.now = now


EXPERIMENTS: dict[str, Callable[[], None]] = {
    "stale look": stale_look,
    "forgotten forms": forgotten_forms,
    "no share": no_share,
    "die before commit": die_at("before_commit"),
    "die after commit": die_at("after_commit"),
    "jumping clock": jumping_clock,
}

for name in filter(None, os.environ.get("EXPERIMENT", "").split(",")):
    EXPERIMENTS[name]()

app = wsgi.app
