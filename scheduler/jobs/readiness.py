"""Has somebody call those whose visit is near and who have not said that they are ready."""

from datetime import datetime

from scheduler.core.db import let_go, transaction
from scheduler.treatment import readiness


def run(*, now: datetime) -> int:
    """Open and close the tasks of readiness; return how many changed."""
    settled = readiness.is_settled(now=now)
    let_go()
    if settled:
        return 0
    with transaction():
        return readiness.settle(now=now)
