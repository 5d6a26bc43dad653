"""Signs of life of the workers that send."""

from datetime import datetime, timedelta

from sqlalchemy import delete

from scheduler.core.db import db
from scheduler.messaging.models import WorkerBeat

_FORGOTTEN_AFTER = timedelta(days=7)


def beat(worker: str, *, started_at: datetime, now: datetime) -> None:
    """Note that a worker is alive; those not heard of for a week are forgotten."""
    known = db.session.get(WorkerBeat, worker)
    if known is None:
        db.session.add(WorkerBeat(worker=worker, started_at=started_at, beat_at=now))
    else:
        known.beat_at = now
    db.session.execute(delete(WorkerBeat).where(WorkerBeat.beat_at < now - _FORGOTTEN_AFTER))
    db.session.flush()


def leave(worker: str) -> None:
    """Note that a worker has stopped on purpose."""
    db.session.execute(delete(WorkerBeat).where(WorkerBeat.worker == worker))
