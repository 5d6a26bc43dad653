"""Chains the record's entries that are old enough."""

from datetime import datetime

from scheduler.audit import service as audit
from scheduler.core.db import transaction


def run(*, now: datetime) -> int:
    """Seal one portion; return how many entries."""
    with transaction():
        return audit.seal_old(now=now)
