"""A move killed at each of its steps: by SIGKILL of its own process, after the k-th statement.

The steps are counted in a rehearsal, so a statement more in the product is a step more here.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from scheduler.booking.models import Appointment
from scheduler.core.db import db, transaction
from scheduler.plans import service as plans
from tests.races import nursery

Book = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Move:
    """Which appointment goes where, and when it is done."""

    appointment_id: int
    site_id: int
    starts_at: datetime
    now: datetime


@dataclass(frozen=True)
class Died:
    """How the book stood after a process died at a step."""

    step: str
    killed: bool
    book: Book


@dataclass(frozen=True)
class Crashes:
    """What came of all the steps."""

    old: Book
    new: Book
    died: list[Died]


def crash_everywhere(_: Flask, there: Move, back: Move, every: int) -> Crashes:
    """Let a process die at each step of a move (or each `every`-th), and read the book.

    A move that was kept after all is taken back, so that each step begins alike.
    """
    old = book()
    _finish(there)
    new = book()
    _finish(back)
    assert book() == old, "the way back must lead to where it began"
    statements = _count(lambda: _move(there))  # warm by now: as many as a fork will need
    steps: list[tuple[str, int]] = [("statement", n) for n in range(1, statements + 1, every)]
    died = []
    for kind, number in [*steps, ("before commit", 0), ("after commit", 0)]:
        child = nursery.forked(lambda kind=kind, number=number: _die_at(kind, number, there))  # type: ignore[misc]
        child.join(timeout=nursery.PATIENCE_S)
        found = book()
        died.append(
            Died(f"{kind} {number or ''}".strip(), child.exitcode == -signal.SIGKILL, found)
        )
        if found == new:
            _finish(back)
    return Crashes(old, new, died)


def two_transactions() -> None:
    """Cancel and book anew, each kept by itself: what the promise says must not be done."""

    def move_in_two(move: Move) -> None:
        with transaction() as session:
            row = session.get_one(Appointment, move.appointment_id)
            plans.cancel(row, version=row.version, actor="staff:1", now=move.now)
        with transaction() as session:
            row = session.get_one(Appointment, move.appointment_id)
            plans.reinstate(row, actor="staff:1", now=move.now)
            _move(move)

    global _in_a_transaction
    _in_a_transaction = move_in_two


def crash_in_two(app: Flask, there: Move, back: Move, every: int) -> Crashes:
    """Do the same with a move of two transactions: the negative control."""
    two_transactions()
    return crash_everywhere(app, there, back, every)


def book() -> Book:
    """Return what stands in the book: appointments, and what each claims of which resource."""
    rows = db.session.execute(
        sa.text(
            "SELECT a.service_code, a.site_id, a.status, CAST(a.starts_at AS TEXT), r.kind, "
            "CAST(c.starts_at AS TEXT), CAST(c.ends_at AS TEXT), count(*) FROM appointment a "
            "LEFT JOIN claim c ON c.appointment_id = a.id LEFT JOIN lane l ON l.id = c.lane_id "
            "LEFT JOIN resource r ON r.id = l.resource_id "
            "GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7"
        )
    ).all()
    db.session.rollback()
    return tuple(tuple(row) for row in rows)


def _move(move: Move) -> None:
    row = db.session.get_one(Appointment, move.appointment_id)
    plans.move(
        row,
        starts_at=move.starts_at,
        site_id=move.site_id,
        version=row.version,
        actor="staff:1",
        now=move.now,
        notify=True,
    )


def _once(move: Move) -> None:
    with transaction():
        _move(move)


_in_a_transaction: Callable[[Move], None] = _once


def _finish(move: Move) -> None:
    with transaction():
        _move(move)
    db.session.remove()


def _count(deed: Callable[[], None]) -> int:
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        passed += 1

    event.listen(db.engine, "after_cursor_execute", count)
    nursery.rehearse(deed)
    event.remove(db.engine, "after_cursor_execute", count)
    db.session.remove()
    return passed


def _die_at(kind: str, number: int, move: Move) -> None:
    passed = 0

    def statement(*_: object) -> None:
        nonlocal passed
        passed += 1
        if kind == "statement" and passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(session: Session) -> None:
        if kind == "before commit" and not session.in_nested_transaction():
            session.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def after(session: Session) -> None:
        if kind == "after commit" and not session.in_nested_transaction():
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(db.engine, "after_cursor_execute", statement)
    event.listen(Session, "before_commit", before)
    event.listen(Session, "after_commit", after)
    _in_a_transaction(move)
