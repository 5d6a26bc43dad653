"""Real processes that sign one plan, or book its series, at the same instant; and one that dies.

Each child has its own app, engine and connection. The one that is to die kills itself from an
event of SQLAlchemy in the child, never from a hook in the product.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.synchronize import Barrier
from typing import Any

import sqlalchemy as sa
from flask import Flask

from scheduler.accounts.models import Staff
from scheduler.app import create_app
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.plans import approval, changes, scheduling
from scheduler.plans.acts import Ask
from scheduler.plans.finding import Choice
from scheduler.plans.models import Plan
from tests.races import PRELOADED, nursery
from tests.support import databases


def race(children: Sequence[tuple[Callable[..., str], tuple[Any, ...]]], url: str) -> list[str]:
    """Let each deed begin at one instant in a process of its own; return what each met."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    barrier = context.Barrier(len(children))
    results = context.Queue()
    started = [
        context.Process(
            target=_at_the_gate, args=(url, databases.KEYS, deed, args, barrier, results)
        )
        for deed, args in children
    ]
    for child in started:
        child.start()
    outcomes = [results.get(timeout=600) for _ in started]
    for child in started:
        child.join(timeout=600)
    return sorted(outcomes)


@dataclass(frozen=True)
class Death:
    """How a process that booked a series ended, and what it left: appointments, visits, claims."""

    exit_code: int | None
    left: tuple[int, ...]


def die_between(_: Flask, plan_id: int, choices: dict[int, Choice], now: datetime) -> list[Death]:
    """Book a series in processes that die when they have written 1, 2, … visits; the last lives."""
    nursery.rehearse(lambda: _schedule(plan_id, choices, now))
    deaths = []
    for after in range(1, len(choices) + 2):
        child = nursery.forked(lambda after=after: _book_and_die(plan_id, choices, after, now))  # type: ignore[misc]
        child.join(timeout=nursery.PATIENCE_S)
        left = [db.session.scalar(sa.text(f"SELECT count(*) FROM {what}")) for what in LEFT]
        db.session.rollback()
        deaths.append(Death(child.exitcode, tuple(n or 0 for n in left)))
    return deaths


LEFT = (
    "appointment WHERE service_code = 'infusion'",
    "planned_visit WHERE state = 'booked'",
    "claim c JOIN appointment a ON a.id = c.appointment_id WHERE a.service_code = 'infusion'",
)


def approve(plan_id: int, staff_id: int, version: int, now: datetime) -> str:
    """Sign the draft that was read as `version`."""
    with transaction() as session:
        plan = session.get_one(Plan, plan_id)
        approval.approve(plan, session.get_one(Staff, staff_id), version=version, now=now)
    return "signed"


def schedule(plan_id: int, choices: dict[int, Choice], version: int, now: datetime) -> str:
    """Book the series, all or nothing."""
    with transaction() as session:
        plan = session.get_one(Plan, plan_id)
        scheduling.schedule(
            plan, choices, keep_rest=False, version=version, actor="staff:4", now=now
        )
    return "booked"


def act(plan_id: int, ask: Ask, choices: dict[int, Choice], version: int, now: datetime) -> str:
    """Do an act on a plan that was read as `version`."""
    with transaction() as session:
        changes.apply(
            session.get_one(Plan, plan_id), ask, choices, reason="She travels.", keep_rest=True,
            version=version, actor="staff:4", now=now,
        )  # fmt: skip
    return "done"


def _at_the_gate(
    url: str,
    keys: str,
    deed: Callable[..., str],
    args: tuple[Any, ...],
    barrier: Barrier,
    results: Any,
) -> None:
    app = create_app(databases.config(url, keys=keys))
    with app.app_context():
        db.session.execute(sa.text("SELECT 1"))
        db.session.rollback()
        barrier.wait(timeout=600)
        try:
            outcome = deed(*args)
        except Refusal as refusal:
            outcome = f"{refusal.code}: {refusal.message}"
        except Exception as error:  # whatever it was, the race must hear of it
            outcome = f"error: {type(error).__name__}: {error}"
        results.put(outcome)
        db.engine.dispose()


def _book_and_die(plan_id: int, choices: dict[int, Choice], after: int, now: datetime) -> None:
    written = 0

    def count(_c: Any, _cur: Any, statement: str, *_: Any) -> None:
        nonlocal written
        if statement.startswith("UPDATE planned_visit"):
            written += 1
            if written == after:
                os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(db.engine, "after_cursor_execute", count)
    with transaction():
        _schedule(plan_id, choices, now)


def _schedule(plan_id: int, choices: dict[int, Choice], now: datetime) -> None:
    plan = db.session.get_one(Plan, plan_id)
    scheduling.schedule(
        plan, choices, keep_rest=True, version=plan.version, actor="staff:4", now=now
    )
