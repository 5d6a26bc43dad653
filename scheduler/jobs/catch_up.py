"""Fetches texts that came in while nobody was here to hear them.

The provider calls us once; when we are down it only writes an error to its own log. Its list
still has the text, and one that we have already is not taken in again.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from scheduler.core.db import let_go, transaction
from scheduler.jobs import answer
from scheduler.messaging import queries
from scheduler.messaging.senders.outcomes import Unreachable

log = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=3)
#: The hook comes first: what is younger than this may be on its way in.
LEAVE_TO_THE_HOOK = timedelta(minutes=1)


class Remembers(Protocol):
    """A provider that keeps what came in."""

    def came_in(self, since: datetime) -> Sequence[tuple[str, str, str, datetime]]:
        """Return (reference, from, body, when), oldest first."""


def run(provider: Remembers, *, now: datetime) -> int:
    """Take in what is missing; return how many texts were."""
    try:
        texts = provider.came_in(now - LOOK_BACK)
    except Unreachable:
        return 0
    known = queries.have_come_in([reference for reference, *_ in texts])
    let_go()
    missed = 0
    for reference, number, body, came_at in texts:
        if reference in known or came_at > now - LEAVE_TO_THE_HOOK:
            continue
        try:
            with transaction():
                came = answer.take_in(
                    provider_ref=reference, number=number, body=body, came_at=came_at, now=now
                )
        except Exception as trouble:  # those behind it must not wait: one may be a STOP
            log.error("text %s was not taken in: %s", reference, type(trouble).__name__)
            continue
        missed += came is not None
    return missed
