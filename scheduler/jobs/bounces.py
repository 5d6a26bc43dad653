"""Takes in what mail servers gave back, so that the desk sees whom no mail has reached."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from scheduler.core.db import let_go, transaction
from scheduler.messaging import bounces, evidence, queries
from scheduler.messaging.senders.outcomes import Unreachable


class Returns(Protocol):
    """A mailbox with reports in it."""

    def reports(self) -> Sequence[tuple[bytes, bytes]]:
        """Return (number, mail) of what nobody has read yet."""

    def done(self, number: bytes) -> None:
        """Mark one as read."""


def run(mailbox: Returns, *, now: datetime) -> int:
    """Note each mail that came back; return how many were ours.

    A report is marked as read only after it was written down: twice is no harm, the same report
    has no second effect.
    """
    ours = 0
    try:
        for number, raw in mailbox.reports():
            bounce = bounces.read(raw)
            if bounce is None or not queries.known_refs([bounce.message_id]):
                continue  # a delay, or about a mail that is not ours: left for people
            let_go()
            with transaction():
                evidence.record_report(
                    bounce.public_id, bounce.message_id, "undelivered", bounce.code, now=now
                )
            mailbox.done(number)
            ours += 1
    except Unreachable:
        return ours  # asked again at the next tick
    return ours
