"""Processes that are warm when they race: forked from one that has the app and has rehearsed.

A process that books for the first time compiles its statements while it holds the lock; thirty-two
of those in a row measure the compiler and come near to the database's patience on a busy machine.
In production a process books many times. So one process builds the app and rehearses; the racers
are its forks, each with connections of its own.
"""

import multiprocessing
import multiprocessing.connection
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from flask import Flask

from scheduler.app import create_app
from scheduler.core.db import db, transaction
from tests.races import PRELOADED
from tests.support import databases

T = TypeVar("T")
#: No promise about time: only so that a harness that hangs ends.
PATIENCE_S = 600


class Rehearsed(Exception):
    """Raised at the end of a rehearsal, so that nothing of it is kept."""


def rehearse(deed: Callable[[], object]) -> None:
    """Do something in a transaction and keep none of it."""
    try:
        with transaction():
            deed()
            raise Rehearsed
    except Rehearsed:
        pass


def raised(url: str, work: Callable[..., T], *args: Any) -> T:
    """Return what `work(app, *args)` returns in a warm process of its own.

    Raises:
        AssertionError: it failed there; the text says how.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    results = context.SimpleQueue()
    process = context.Process(target=_live, args=(url, databases.KEYS, work, args, results))
    process.start()
    assert multiprocessing.connection.wait([results._reader, process.sentinel], PATIENCE_S)  # type: ignore[attr-defined]
    found, trouble = (None, "it died") if results.empty() else results.get()
    process.join(timeout=PATIENCE_S)
    assert trouble is None, trouble
    return found  # type: ignore[no-any-return]


def forked(deed: Callable[[], object]) -> BaseProcess:
    """Start a fork of this warm process; its connections are its own."""

    def live() -> None:
        db.engine.dispose(close=False)  # those of the parent stay the parent's
        deed()
        db.session.remove()
        db.engine.dispose()
        os._exit(0)

    db.session.remove()
    db.engine.dispose()
    child = multiprocessing.get_context("fork").Process(target=live)
    child.start()
    return child


def _live(
    url: str, keys: str, work: Callable[..., Any], args: tuple[Any, ...], results: Any
) -> None:
    app: Flask = create_app(databases.config(url, keys=keys))
    with app.app_context():
        try:
            results.put((work(app, *args), None))
        except Exception as error:  # whatever it was, the test must hear of it
            results.put((None, f"{type(error).__name__}: {error}"))
        finally:
            db.session.remove()
            db.engine.dispose()
