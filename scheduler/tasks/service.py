"""Opening and closing what a person must do."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from scheduler.audit import service as audit
from scheduler.core.db import db, violated
from scheduler.core.errors import NotFound, Stale
from scheduler.tasks.models import Task

_ONE_OPEN = "uq_task_open_kind_topic"


def open_task(
    kind: str,
    topic: str,
    *,
    now: datetime,
    due_at: datetime | None = None,
    patient_id: int | None = None,
    site_id: int | None = None,
    note: str | None = None,
) -> Task:
    """Ask a person to do something; due at once unless `due_at` says later.

    While a task of this kind on this topic is open it stays the one: a second asking gives that
    one back, due at the earlier of the two moments.
    """
    due = due_at or now
    task = _open(kind, topic)
    if task is None:
        task = Task(
            kind=kind,
            topic=topic,
            patient_id=patient_id,
            site_id=site_id,
            note=note,
            created_at=now,
            due_at=due,
        )
        try:
            with db.session.begin_nested():
                db.session.add(task)
        except IntegrityError as clash:
            other = _open(kind, topic)
            if other is None or not (violated(clash, _ONE_OPEN) or "task.kind" in str(clash.orig)):
                raise
            task = other
    task.due_at = min(task.due_at, due)
    db.session.flush()
    return task


def close(task_id: int, outcome: str, *, version: int, actor: str, now: datetime) -> Task:
    """Close a task with what came of it.

    Raises:
        NotFound: there is no such task.
        Stale: somebody closed or changed it since it was read.
    """
    task = db.session.scalar(select(Task).where(Task.id == task_id).with_for_update())
    if task is None:
        raise NotFound("This task does not exist.")
    if task.closed_at is not None:
        raise Stale("Somebody has closed this task already.")
    if task.version != version:
        raise Stale("Somebody has changed this task since you opened it.")
    task.closed_at = now
    task.closed_by = actor
    task.outcome = outcome
    task.version += 1
    audit.record(
        "task-closed",
        f"task:{task.id}",
        actor=actor,
        now=now,
        patient_id=task.patient_id,
        kind=task.kind,
        topic=task.topic,
        outcome=outcome,
    )
    return task


def close_by_event(kind: str, topic: str, outcome: str, *, actor: str, now: datetime) -> bool:
    """Close the open task of this kind on this topic, if any: what it asked for has happened."""
    task = _open(kind, topic)
    if task is None:
        return False
    close(task.id, outcome, version=task.version, actor=actor, now=now)
    return True


def assign(task_id: int, assignee: str | None, *, version: int, actor: str, now: datetime) -> Task:
    """Give a task to somebody ("staff:3"), or back to everybody.

    Raises:
        NotFound: there is no such task.
        Stale: somebody closed or changed it since it was read.
    """
    task = db.session.scalar(select(Task).where(Task.id == task_id).with_for_update())
    if task is None:
        raise NotFound("This task does not exist.")
    if task.closed_at is not None or task.version != version:
        raise Stale("Somebody has changed this task since you opened it.")
    task.assignee = assignee
    task.version += 1
    audit.record(
        "task-assigned",
        f"task:{task.id}",
        actor=actor,
        now=now,
        patient_id=task.patient_id,
        assignee=assignee,
    )
    return task


def hand_over(since_id: int, target_id: int) -> None:
    """Give one patient's tasks to another: they are one person."""
    db.session.execute(update(Task).where(Task.patient_id == since_id).values(patient_id=target_id))


def _open(kind: str, topic: str) -> Task | None:
    return db.session.scalar(
        select(Task).where(Task.kind == kind, Task.topic == topic, Task.closed_at.is_(None))
    )
