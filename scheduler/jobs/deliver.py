"""Sends what is due: one transaction to claim, one to say that it is going, one to note the end.

No transaction is open while the provider is called.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.db import db, let_go, transaction
from scheduler.messaging import claims, evidence, queries
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.rules import MessageView, Verdict
from scheduler.messaging.senders.outcomes import NoAnswer, Outcome, Refused, Sender, Taken
from scheduler.messaging.states import Channel

log = logging.getLogger(__name__)


@dataclass
class Pace:
    """No more than so many texts a second, as carriers ask; 0 is as fast as it goes.

    Counted where they arrive: a text is there at some moment between its beginning and its answer.
    So each begins at least its share of a second after the one before it, and a whole second after
    as many texts ago as a second may hold was *answered*. However long each call takes, and however
    many are under way, no stretch of a second sees one more. After a pause nothing is caught up.
    """

    per_second: float
    wait: Callable[[float], object]  # true, and early, when the worker is told to stop
    clock: Callable[[], float] = time.monotonic
    _next: float = 0.0

    def __post_init__(self) -> None:
        """Begin with every place of a second free."""
        self._turn = threading.Lock()
        places = max(1, int(self.per_second))
        self._filled_s = places / self.per_second if self.per_second else 0.0
        self._free_at = deque([0.0] * places)  # of each place that no call holds, the soonest first

    def keep(self) -> bool:
        """Wait until the next text may go; False when told to stop before that.

        Whoever is told True must say `answered` when its call is over, however it ended.
        """
        if not self.per_second:
            return True
        share = 1 / self.per_second
        with self._turn:
            while (ahead := self._ahead(share)) > 0:
                if self.wait(ahead):
                    return False
            self._free_at.popleft()
            self._next = self.clock() + share
        return True

    def answered(self) -> None:
        """Say that a call is over: its place in the second is free again when the second is."""
        if self.per_second:
            self._free_at.append(self.clock() + self._filled_s)

    def _ahead(self, share: float) -> float:
        """Return how long to wait: with each place held by a call, a while before another look."""
        now = self.clock()
        return max(self._next, self._free_at[0] if self._free_at else now + share) - now


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
    """Send every due message; return how many the providers took.

    May run several times at once, in threads as in workers: a message is whose claim it is.
    """
    taken = 0
    while not delivery.is_stopping():
        now = delivery.clock()
        channels = queries.channels_due(delivery.inbound_url, now=now)
        let_go()
        if not channels:
            return taken
        with transaction():
            outgoing = claims.claim_next(
                delivery.worker,
                lambda message, at=now: delivery.judge(message, at),  # type: ignore[misc]
                now=now,
                channels=channels,
            )
        if outgoing is None:
            return taken  # another worker has it, or enough was judged for one go
        taken += _send(delivery, outgoing)
    return taken


def _send(delivery: Delivery, outgoing: Outgoing) -> bool:
    if outgoing.channel is not Channel.SMS:
        outcome = _call(delivery, outgoing)
    elif delivery.pace.keep():
        try:
            outcome = _call(delivery, outgoing)
        finally:
            delivery.pace.answered()
    else:
        with transaction():
            claims.give_back(outgoing)
        return False
    if outcome is None:
        return False
    with transaction():
        note(delivery, outgoing, outcome)
    return isinstance(outcome, Taken)


def _call(delivery: Delivery, outgoing: Outgoing) -> Outcome | None:
    """Hand it to its provider; None when it is no longer ours to send."""
    with transaction():
        ours = claims.begin_sending(outgoing, now=delivery.clock())
    if not ours:
        return None
    return delivery.senders[outgoing.channel].send(outgoing, now=delivery.clock())


def note(delivery: Delivery, outgoing: Outgoing, outcome: Outcome) -> None:
    """Write down how a call ended, in the caller's transaction."""
    now = delivery.clock()
    if isinstance(outcome, Taken):
        sent = evidence.note_sent(
            outgoing.message_id, outcome.provider_ref, status=outcome.status, now=now
        )
        tell(delivery.after_sent, sent, now)
    elif isinstance(outcome, Refused):
        evidence.note_refused(
            outgoing,
            outcome.kind,
            code=outcome.code,
            text=outcome.text,
            retry_after=outcome.retry_after,
            jitter=delivery.jitter.random(),
            now=now,
        )
    elif isinstance(outcome, NoAnswer):
        evidence.note_ambiguous(outgoing, outcome.text, now=now)


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
