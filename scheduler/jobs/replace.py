"""Sees to it that everybody who lost their place is counted, whatever took it away."""

from datetime import datetime

from scheduler.booking import withdrawal
from scheduler.core.db import let_go, transaction


def run(*, now: datetime) -> int:
    """Open and close tasks as the book and the supply stand; return how many changed."""
    if withdrawal.is_in_line(now=now):
        let_go()
        return 0
    let_go()
    with transaction():
        return withdrawal.reconcile(actor="worker", now=now)
