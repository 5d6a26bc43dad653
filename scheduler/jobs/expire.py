"""Settles messages whose time has passed: late is worse than never."""

from datetime import datetime

from scheduler.core.db import transaction
from scheduler.messaging import ending


def run(*, now: datetime) -> int:
    """Expire them in portions, each its own transaction; return how many."""
    expired = 0
    while True:
        with transaction():
            portion = ending.expire_old(now=now)
        expired += portion
        if portion == 0:
            return expired
