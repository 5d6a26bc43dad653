"""Real processes that all want the same slot at the same instant.

Each child has its own app, engine and connection; they meet at a barrier and book. The variants
take a guard away in the child, never in the product.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.synchronize import Barrier
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from scheduler.app import create_app
from scheduler.booking import service as booking
from scheduler.booking.allocation import Choice, choose
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.patients.models import Patient
from tests.races import PRELOADED
from tests.support import databases

PROCESSES = 32


@dataclass(frozen=True)
class Attempt:
    """What one process wanted and what came of it."""

    outcome: str  # "booked", the code of a refusal, or "error: ..."
    seconds: float


@dataclass(frozen=True)
class Race:
    """One rush."""

    attempts: Sequence[Attempt]

    @property
    def counts(self) -> Counter[str]:
        """How often each outcome came."""
        return Counter(a.outcome for a in self.attempts)

    @property
    def errors(self) -> list[str]:
        """Everything that was neither a booking nor a polite refusal."""
        return [a.outcome for a in self.attempts if a.outcome.startswith("error")]

    def line(self, name: str) -> str:
        """The one line a race prints."""
        slowest = max(a.seconds for a in self.attempts)
        counts = ", ".join(f"{n} {what}" for what, n in sorted(self.counts.items()))
        return f"{name}: {len(self.attempts)} attempts, {counts}, slowest {slowest:.2f} s"


def rush(
    url: str,
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    patient_ids: Sequence[int],
    *,
    now: datetime,
    lock_off: bool = False,
) -> Race:
    """Let one process per patient book the same start; return what each met."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    barrier = context.Barrier(len(patient_ids))
    results = context.Queue()
    children = [
        context.Process(
            target=_book_at_the_gate,
            args=(url, service, site_id, starts_at, patient_id, now, lock_off, barrier, results),
        )
        for patient_id in patient_ids
    ]
    for child in children:
        child.start()
    attempts = [results.get(timeout=120) for _ in children]
    for child in children:
        child.join(timeout=30)
    return Race(attempts)


def _book_at_the_gate(
    url: str,
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    patient_id: int,
    now: datetime,
    lock_off: bool,
    barrier: Barrier,
    results: Any,
) -> None:
    app = create_app(databases.config(url))
    with app.app_context():
        db.session.execute(sa.text("SELECT 1"))
        db.session.rollback()
        if lock_off:
            _take_the_lock_away(service, site_id, starts_at, patient_id, now)
        barrier.wait(timeout=60)
        began = time.monotonic()
        outcome = _book(service, site_id, starts_at, patient_id, now)
        results.put(Attempt(outcome, time.monotonic() - began))
        db.engine.dispose()


def _book(
    service: ServiceCode, site_id: int, starts_at: datetime, patient_id: int, now: datetime
) -> str:
    try:
        with transaction() as session:
            patient = session.get_one(Patient, patient_id)
            booking.book(service, site_id, starts_at, patient, actor="staff:1", now=now)
    except Refusal as refusal:
        return refusal.code
    except DBAPIError as error:
        return f"error: {type(error.orig).__name__}"
    return "booked"


def _take_the_lock_away(
    service: ServiceCode, site_id: int, starts_at: datetime, patient_id: int, now: datetime
) -> None:
    """Check before the gate, insert after it: what every system without a lock does."""
    with transaction() as session:
        patient = session.get_one(Patient, patient_id)
        wish = booking._wish(service, site_id, starts_at, patient=patient)
        seen: list[Choice] = choose(wish, now=now, judged_at=now, audience=booking.Audience.DESK)
    booking.lock = lambda _: None  # type: ignore[assignment]
    booking.choose = lambda *_, **__: seen  # type: ignore[assignment]
