"""Sends what is due: one transaction to claim, one to say that it is going, one to note the end.

No transaction is open while the provider is called.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.db import db, let_go, transaction
from scheduler.messaging import outbox, queries
from scheduler.messaging.outbox import Outgoing
from scheduler.messaging.rules import MessageView, Verdict
from scheduler.messaging.senders.outcomes import NoAnswer, Outcome, Refused, Sender, Taken
from scheduler.messaging.states import Channel

log = logging.getLogger(__name__)


@dataclass
class Pace:
    """No more than so many texts a second, as carriers ask; 0 is as fast as it goes.

    Counted from the beginning of one text to that of the next, however long each takes, and
    without catching up: after a pause the next ones keep their distance as well.
    """

    per_second: float
    wait: Callable[[float], object]  # true, and early, when the worker is told to stop
    clock: Callable[[], float] = time.monotonic
    _next: float = 0.0

    def keep(self) -> bool:
        """Wait until the next text may go; False when told to stop before that."""
        while self.per_second and (ahead := self._next - self.clock()) > 0:
            if self.wait(ahead):
                return False
        self._next = self.clock() + (1 / self.per_second if self.per_second else 0)
        return True


@dataclass
class Delivery:
    """What a worker needs to send: who it is, who carries, who judges, who is told."""

    worker: str
    senders: Mapping[Channel, Sender]
    judge: Callable[[MessageView, datetime], Verdict]
    after_sent: Callable[[MessageView, datetime], None]
    inbound_url: str | None  # None when texts do not go through a provider
    clock: Callable[[], datetime]
    pace: Pace
    is_stopping: Callable[[], bool] = field(default=lambda: False)
    jitter: random.Random = field(default_factory=random.SystemRandom)


def run(delivery: Delivery) -> int:
    """Send every due message; return how many the providers took."""
    taken = 0
    while not delivery.is_stopping():
        now = delivery.clock()
        channels = _open_channels(delivery)
        due = queries.is_due(now=now, channels=channels)
        let_go()
        if not due:
            return taken
        with transaction():
            outgoing = outbox.claim_next(
                delivery.worker,
                lambda message, at=now: delivery.judge(message, at),  # type: ignore[misc]
                now=now,
                channels=channels,
            )
        if outgoing is None:
            return taken  # another worker has it, or enough was judged for one go
        taken += _send(delivery, outgoing)
    return taken


def _open_channels(delivery: Delivery) -> tuple[Channel, ...]:
    blocked = queries.sending_is_blocked(delivery.inbound_url)
    return (Channel.EMAIL,) if blocked else tuple(Channel)


def _send(delivery: Delivery, outgoing: Outgoing) -> bool:
    is_text = outgoing.channel is Channel.SMS
    if is_text and not delivery.pace.keep():
        with transaction():
            outbox.give_back(outgoing)
        return False
    with transaction():
        ours = outbox.begin_sending(outgoing, now=delivery.clock())
    if not ours:
        return False
    outcome = delivery.senders[outgoing.channel].send(outgoing, now=delivery.clock())
    with transaction():
        note(delivery, outgoing, outcome)
    return isinstance(outcome, Taken)


def note(delivery: Delivery, outgoing: Outgoing, outcome: Outcome) -> None:
    """Write down how a call ended, in the caller's transaction."""
    now = delivery.clock()
    if isinstance(outcome, Taken):
        sent = outbox.note_sent(
            outgoing.message_id, outcome.provider_ref, status=outcome.status, now=now
        )
        tell(delivery.after_sent, sent, now)
    elif isinstance(outcome, Refused):
        outbox.note_refused(
            outgoing,
            outcome.kind,
            code=outcome.code,
            text=outcome.text,
            retry_after=outcome.retry_after,
            jitter=delivery.jitter.random(),
            now=now,
        )
    elif isinstance(outcome, NoAnswer):
        outbox.note_ambiguous(outgoing, outcome.text, now=now)


def tell(
    after_sent: Callable[[MessageView, datetime], None], sent: MessageView | None, now: datetime
) -> None:
    """Tell the room above that a message went out; its trouble must not unsay that."""
    if sent is None:
        return
    try:
        with db.session.begin_nested():
            after_sent(sent, now)
    except Exception:
        log.exception("message %s went out, and what follows from it failed", sent.id)
