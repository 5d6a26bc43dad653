"""What a page read, so that a save can tell whether it still stands so."""

import hashlib
import json

from sqlalchemy import inspect

from scheduler.audit import queries as record
from scheduler.core.db import Model
from scheduler.core.errors import Stale


class ChangedMeanwhile(Stale):
    """Somebody else changed it since the page was read; carries who, as an actor, and what."""

    def __init__(self, subject: str, *, actor: str | None, what: str | None) -> None:
        super().__init__("Somebody changed this while you had it open. Here is how it stands now.")
        self.subject = subject
        self.actor = actor
        self.what = what


def mark(*rows: Model, more: object = None) -> str:
    """Return a short print of rows as they stand: a page carries it, a save compares it."""
    values = [
        [str(getattr(row, column.key)) for column in inspect(type(row)).columns] for row in rows
    ]
    text = json.dumps([values, str(more)])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def insist_unchanged(subject: str, now_marked: str, seen: str | None) -> None:
    """Stop when a thing is not as it was when its page was read; `seen` None says no page was.

    Raises:
        ChangedMeanwhile: it is not.
    """
    if seen is None or seen == now_marked:
        return
    last = next(iter(record.deeds(subject, most=1)), None)
    raise ChangedMeanwhile(
        subject, actor=last.actor if last else None, what=last.action if last else None
    )
