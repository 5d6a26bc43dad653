"""Where a request's time goes: each function of the product is watched, by the room it lives in.

Only in the benchmark's process. Time counts for the innermost part that is at work: what the
booking spends in the record counts as audit, what a flush spends on claims as claims.
"""

import importlib
import inspect
import json
import os
import pkgutil
import re
import time
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from threading import local
from typing import Any

from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

import scheduler
from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Claim
from scheduler.messaging.models import Message

#: Which part of the split the functions of a module belong to; the longest name that fits wins.
ROOMS = {
    "scheduler.web": "form",
    "scheduler.accounts": "form",
    "scheduler.booking": "rules",
    "scheduler.booking.notices": "messages",
    "scheduler.booking.forms": "form",
    "scheduler.plans": "rules",
    "scheduler.treatment": "rules",
    "scheduler.waitlist": "rules",
    "scheduler.availability": "",  # thousands of small calls: they count for their caller
    "scheduler.clinic": "rules",
    "scheduler.tasks": "rules",
    "scheduler.audit": "audit",
    "scheduler.messaging": "messages",
    "scheduler.calendars": "messages",
    "scheduler.patients": "patient",
    "scheduler.core": "",
}
PARTS = ("form", "patient", "rules", "claims", "audit", "messages", "commit")
#: What a flush writes tells what it is for.
WRITTEN = ((Claim, "claims"), (AuditEntry, "audit"), (Message, "messages"))
TABLES = {model.__tablename__: part for model, part in WRITTEN}
WRITES = re.compile(r"(?:INSERT INTO|DELETE FROM|UPDATE) (\w+)")

_state = local()


def watch(app: Flask, file: Path) -> None:
    """Watch every function of the product, and write one line a request into `file`."""
    _watch_functions(app)
    _watch_session()
    inner = app.wsgi_app

    def outer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _state.spent = dict.fromkeys(PARTS, 0.0)
        _state.stack = ["form"]
        _state.since = time.perf_counter()
        answer = inner(environ, start_response)
        _turn(None)
        line = {"path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"], **_state.spent}
        _state.stack = []
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, (json.dumps(line) + "\n").encode())
        os.close(handle)
        return answer

    app.wsgi_app = outer  # type: ignore[method-assign]


def read(file: Path, *, path: str) -> list[dict[str, float]]:
    """Return the parts of each POST to `path`, in milliseconds."""
    lines = (json.loads(line) for line in file.read_text().splitlines())
    return [
        {part: line[part] * 1000 for part in PARTS}
        for line in lines
        if line["path"] == path and line["method"] == "POST"
    ]


def _turn(part: str | None) -> None:
    """Book the time since the last turn to what was at work, and begin or end a part."""
    now = time.perf_counter()
    _state.spent[_state.stack[-1]] += now - _state.since
    _state.since = now
    if part is None:
        _state.stack.pop()
    else:
        _state.stack.append(part)


def _as(part: str, act: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(act)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if not getattr(_state, "stack", None):
            return act(*args, **kwargs)
        _turn(part)
        try:
            return act(*args, **kwargs)
        finally:
            _turn(None)

    return watched


def _watch_functions(app: Flask) -> None:
    """Put a watched function in the place of each, wherever a module knows it by name."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(scheduler.__path__, "scheduler.")
    ]
    watched: dict[Any, Any] = {}
    for module in modules:
        for act in list(vars(module).values()):
            if inspect.isfunction(act) and act.__module__ == module.__name__:
                part = _part(module.__name__)
                if part and not inspect.isgeneratorfunction(inspect.unwrap(act)):
                    watched[act] = _as(part, act)
    for module in modules:
        for name, act in list(vars(module).items()):
            if inspect.isfunction(act) and act in watched:
                setattr(module, name, watched[act])
    for endpoint, view in app.view_functions.items():
        app.view_functions[endpoint] = watched.get(view, view)


def _part(module: str) -> str:
    fits = [name for name in ROOMS if module == name or module.startswith(name + ".")]
    return ROOMS[max(fits, key=len)] if fits else ""


def _watch_session() -> None:
    plain_flush, plain_commit = Session.flush, Session.commit

    def flush(session: Session, *args: Any, **kwargs: Any) -> None:
        part = next(
            (
                part
                for model, part in WRITTEN
                for row in (*session.new, *session.dirty, *session.deleted)
                if isinstance(row, model)
            ),
            None,
        )
        act = plain_flush if part is None else _as(part, plain_flush)
        act(session, *args, **kwargs)

    Session.flush = flush  # type: ignore[method-assign]
    Session.commit = _as("commit", plain_commit)  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", _begin_statement)
    event.listen(Engine, "after_cursor_execute", _end_statement)
    event.listen(Engine, "handle_error", _end_statement)


def _begin_statement(_: object, __: object, statement: str, *___: object) -> None:
    """Count what writes without a flush for what it writes; all else for whoever asks."""
    if getattr(_state, "stack", None):
        found = WRITES.match(statement)
        _turn(TABLES.get(found.group(1), _state.stack[-1]) if found else _state.stack[-1])


def _end_statement(*_: object) -> None:
    if getattr(_state, "stack", None):
        _turn(None)
