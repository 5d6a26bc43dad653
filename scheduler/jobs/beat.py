"""Says that this worker is alive, so that somebody notices when none is."""

from datetime import datetime

from scheduler.core.db import transaction
from scheduler.messaging import beats


def run(worker: str, started_at: datetime, *, now: datetime) -> None:
    """Write the beat."""
    with transaction():
        beats.beat(worker, started_at=started_at, now=now)
