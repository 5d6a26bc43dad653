"""Real processes that all want the same slot at the same instant.

Each child is a fork of one warm process and has its own connection; they meet at a barrier and
book. The variants take a guard away in the child, never in the product.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from scheduler.booking import service as booking
from scheduler.booking.allocation import Choice, choose
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.patients.models import Patient
from tests.races import nursery

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
    starts: Sequence[datetime],
    patient_ids: Sequence[int],
    *,
    now: datetime,
    lock_off: bool = False,
) -> list[Race]:
    """Let one warm process per patient book the same starts, one after the other.

    Returns:
        What each met, a race for each start.
    """
    return nursery.raised(
        url, _hold_the_races, service, site_id, list(starts), list(patient_ids), now, lock_off
    )


def _hold_the_races(
    _: Flask,
    service: ServiceCode,
    site_id: int,
    starts: list[datetime],
    patient_ids: list[int],
    now: datetime,
    lock_off: bool,
) -> list[Race]:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(patient_ids))
    results = context.Queue()

    def race_as(patient_id: int) -> Callable[[], None]:
        def run() -> None:
            db.session.execute(sa.text("SELECT 1"))
            db.session.rollback()
            for number, start in enumerate(starts):
                if lock_off:
                    take_the_lock_away(service, site_id, start, patient_id, now)
                barrier.wait(timeout=nursery.PATIENCE_S)
                began = time.monotonic()
                outcome = _book(service, site_id, start, patient_id, now)
                results.put((number, Attempt(outcome, time.monotonic() - began)))
            results.close()
            results.join_thread()

        return run

    nursery.rehearse(
        lambda: booking.book(
            service,
            site_id,
            starts[0],
            db.session.get_one(Patient, patient_ids[0]),
            actor="staff:1",
            now=now,
        )
    )
    children = [nursery.forked(race_as(patient_id)) for patient_id in patient_ids]
    met = [results.get(timeout=nursery.PATIENCE_S) for _ in range(len(children) * len(starts))]
    for child in children:
        child.join(timeout=nursery.PATIENCE_S)
    return [Race([a for n, a in met if n == number]) for number in range(len(starts))]


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


def take_the_lock_away(
    service: ServiceCode, site_id: int, starts_at: datetime, patient_id: int, now: datetime
) -> None:
    """Check before the gate, insert after it: what every system without a lock does."""
    with transaction() as session:
        patient = session.get_one(Patient, patient_id)
        wish = booking._wish(service, site_id, starts_at, patient=patient)
        seen: list[Choice] = choose(wish, now=now, judged_at=now, audience=booking.Audience.DESK)
    booking.lock = lambda _: None  # type: ignore[assignment]
    booking.choose = lambda *_, **__: seen  # type: ignore[assignment]
