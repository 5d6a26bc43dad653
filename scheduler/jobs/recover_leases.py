"""Takes messages from workers that have gone."""

from datetime import datetime

from scheduler.core.db import transaction
from scheduler.messaging import claims


def run(*, now: datetime) -> tuple[int, int]:
    """Return what was only claimed to the queue; call ambiguous what was being sent."""
    with transaction():
        return claims.return_expired_leases(now=now)
