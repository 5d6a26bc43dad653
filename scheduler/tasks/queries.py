"""What is waiting for a person."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, func, or_, select

from scheduler.core.db import db
from scheduler.core.errors import NotFound
from scheduler.tasks.models import Task


def task(task_id: int) -> Task:
    """Return a task.

    Raises:
        NotFound: there is none of this number.
    """
    found = db.session.get(Task, task_id)
    if found is None:
        raise NotFound("This task does not exist.")
    return found


def open_tasks(
    *, site_id: int | None = None, kinds: Sequence[str] = (), limit: int = 200
) -> Sequence[Task]:
    """Return open tasks, the most overdue first; of one site also those that belong to none."""
    wanted = select(Task).where(Task.closed_at.is_(None))
    if site_id is not None:
        wanted = wanted.where(or_(Task.site_id == site_id, Task.site_id.is_(None)))
    if kinds:
        wanted = wanted.where(Task.kind.in_(kinds))
    return db.session.scalars(wanted.order_by(Task.due_at, Task.id).limit(limit)).all()


def open_count(*, site_id: int | None = None) -> int:
    """Return how many tasks are open at a site, those that belong to no site included."""
    wanted = select(func.count()).select_from(Task).where(Task.closed_at.is_(None))
    if site_id is not None:
        wanted = wanted.where(or_(Task.site_id == site_id, Task.site_id.is_(None)))
    return db.session.scalar(wanted) or 0


def open_about(topic: str) -> Sequence[Task]:
    """Return the open tasks on one topic, oldest first."""
    return db.session.scalars(
        select(Task).where(Task.topic == topic, Task.closed_at.is_(None)).order_by(Task.id)
    ).all()


def open_of(patient_id: int) -> Sequence[Task]:
    """Return the open tasks about one patient, the most overdue first."""
    return db.session.scalars(
        select(Task)
        .where(Task.patient_id == patient_id, Task.closed_at.is_(None))
        .order_by(Task.due_at, Task.id)
    ).all()


def open_topics(kind: str) -> Sequence[str]:
    """Return the topics of every open task of one kind."""
    return db.session.scalars(
        select(Task.topic).where(Task.kind == kind, Task.closed_at.is_(None)).order_by(Task.id)
    ).all()


def closed_about(kind: str, topics: Sequence[str]) -> Sequence[Task]:
    """Return the closed tasks of one kind on any of these topics, oldest first."""
    return db.session.scalars(
        select(Task)
        .where(Task.kind == kind, Task.topic.in_(topics), Task.closed_at.is_not(None))
        .order_by(Task.id)
    ).all()


def has_open(kind: str, topic: str) -> ColumnElement[bool]:
    """Return the condition that a task of this kind on this topic is open."""
    return exists().where(Task.kind == kind, Task.topic == topic, Task.closed_at.is_(None))


def is_open(kind: str, topic: str) -> bool:
    """Say whether a task of this kind on this topic is open."""
    return bool(db.session.scalar(select(has_open(kind, topic))))


def history_of(patient_id: int, *, limit: int = 50) -> Sequence[Task]:
    """Return a patient's tasks, open and closed, newest first."""
    return db.session.scalars(
        select(Task).where(Task.patient_id == patient_id).order_by(Task.id.desc()).limit(limit)
    ).all()
