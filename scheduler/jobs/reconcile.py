"""Looks for what became of calls that ended without an answer. Evidence decides, never hope.

A signed report settles a message by itself (see the hook). Here the provider's list is asked:
the same words to the same number since the call began, and not another message's. When two of
ours with the same words wait, the list cannot say which is which, unless it has as many.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from scheduler.core.db import let_go, transaction
from scheduler.jobs.deliver import tell
from scheduler.messaging import evidence, queries
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import MessageView
from scheduler.messaging.senders.outcomes import Sender, Trace, Unreachable
from scheduler.messaging.states import Channel


def run(
    senders: Mapping[Channel, Sender],
    after_sent: Callable[[MessageView, datetime], None],
    *,
    now: datetime,
) -> int:
    """Settle what can be settled; return how many messages were."""
    waiting = queries.unanswered()
    let_go()
    settled = 0
    for sought in waiting:
        try:
            traces = senders[sought.channel].look_for(sought)
        except Unreachable:
            continue  # nothing follows from not being able to ask
        let_go()
        with transaction():
            found = _evidence(sought, traces or [])
            if found is not None:
                sent = evidence.note_sent(
                    sought.message_id, found.provider_ref, status=found.status, now=now
                )
                tell(after_sent, sent, now)
                settled += 1
            else:
                settled += evidence.settle_unanswered(sought.message_id, now=now) is not None
    return settled


def _evidence(sought: Unanswered, traces: list[Trace]) -> Trace | None:
    """Return the provider's message that is certainly this one."""
    same = [trace for trace in traces if trace.body_print == sought.body_print]
    known = queries.known_refs([trace.provider_ref for trace in same])
    free = sorted(
        (trace for trace in same if trace.provider_ref not in known), key=lambda t: t.made_at
    )
    twins = queries.twins_of(sought.body_print)
    if not free or len(free) < twins:
        return None
    return free[0]
