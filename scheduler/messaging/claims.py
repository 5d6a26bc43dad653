"""Who may send a message, and for how long: a claim with a number and a lease.

Whoever comes back late finds the number changed and can do nothing. `claim_next` takes a message
and whatever else is due to the same person that day; `begin_sending` commits that from now on it
may be out; then the provider is called with nothing open.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select, tuple_, update
from sqlalchemy.sql.dml import ReturningUpdate

from scheduler.core.db import db
from scheduler.messaging import composing, rules
from scheduler.messaging.composing import Judge, Outgoing
from scheduler.messaging.locks import in_order
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient

_MOST_JUDGED = 25  # in one transaction, so that a backlog never holds the write lock for long


def claim_next(
    worker: str,
    judge: Judge,
    *,
    now: datetime,
    channels: Collection[Channel] = tuple(Channel),
) -> Outgoing | None:
    """Claim the next due message that may be sent, in the caller's transaction.

    Who may be reached (expiry, death, consent, night, caps) is judged here, whether it is still
    true by `judge`, its words are made, and all of it stands or falls with the claim. Texts due
    to the same person later that day are claimed with it and said in it. What may not be sent is
    settled on the way. None means that nothing is due, or that enough was judged for one
    transaction.
    """
    for _ in range(_MOST_JUDGED):
        message = _pick(worker, channels, now)
        if message is None:
            return None
        outgoing = composing.compose(message, judge, now)
        db.session.flush()
        if outgoing is not None:
            return outgoing
    return None


def _pick(worker: str, channels: Collection[Channel], now: datetime) -> Message | None:
    """Take one row, answers first.

    The person is locked, not only the row: two workers must not make up two texts for one person
    at once. A reply to a number we do not know has nobody to lock. What somebody else holds is
    passed over: a claim waits for nobody, so it cannot be one of two that wait for each other.
    """
    told = {
        "on": tuple(channels),
        "by": now,
        "worker": worker,
        "lease": now + rules.LEASE,
    }
    for take in (_TAKE_NOBODYS, _TAKE_SOMEBODYS):
        taken = db.session.scalars(take, told).one_or_none()
        if taken is not None:
            return taken
    return None


def _taking(one: Select[Any]) -> ReturningUpdate[Message]:
    """Return the claim of a row. The CTE matters: a plain subselect may be run once per row."""
    pick = one.cte("pick")
    return (
        update(Message)
        .where(Message.id.in_(select(pick.c.id)), Message.state == State.QUEUED)
        .values(
            state=State.CLAIMED,
            claimed_by=bindparam("worker"),
            claim_number=Message.claim_number + 1,
            lease_until=bindparam("lease"),
        )
        .returning(Message)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


# Built once: to build them takes longer than to run them.
_NEXT = (
    select(Message.id)
    .where(
        Message.state == State.QUEUED,
        Message.send_after <= bindparam("by"),
        Message.channel.in_(bindparam("on", expanding=True)),
    )
    .order_by(Message.is_reply.desc(), Message.send_after, Message.id)
    .limit(1)
)
_TAKE_NOBODYS = _taking(_NEXT.where(Message.patient_id.is_(None)).with_for_update(skip_locked=True))
_TAKE_SOMEBODYS = _taking(
    _NEXT.join(Patient, Patient.id == Message.patient_id).with_for_update(
        of=(Patient, Message), skip_locked=True, key_share=True
    )
)


def begin_sending(outgoing: Outgoing, *, now: datetime) -> bool:
    """Commit that from here on the message may be out; False when the claim is no longer ours.

    The last door before the call: a message withdrawn, stopped or taken over in the meantime
    does not pass.
    """
    if not _still_ours(outgoing):
        give_back(outgoing)
        return False
    passed = db.session.scalar(
        _BEGIN,
        {
            "number": outgoing.message_id,
            "claim": outgoing.claim_number,
            "at": now,
            "lease": now + rules.LEASE,
        },
    )
    if passed is None:
        give_back(outgoing)
        return False
    if outgoing.along:
        db.session.execute(
            update(Message)
            .where(Message.id.in_([number for number, _ in outgoing.along]))
            .values(
                state=State.MERGED,
                said_in_id=outgoing.message_id,
                settled_at=now,
                claimed_by=None,
                lease_until=None,
            )
        )
    return True


_BEGIN = (
    update(Message)
    .where(
        Message.id == bindparam("number"),
        Message.claim_number == bindparam("claim"),
        Message.state == State.CLAIMED,
        Message.lease_until > bindparam("at"),
    )
    .values(
        state=State.SENDING,
        sending_at=bindparam("at"),
        lease_until=bindparam("lease"),
        attempts=Message.attempts + 1,
    )
    .returning(Message.id)
)


def _still_ours(outgoing: Outgoing) -> bool:
    """Say whether nothing that a text says too was withdrawn since it was made."""
    if not outgoing.along:
        return True
    group = [outgoing.message_id, *(number for number, _ in outgoing.along)]
    held = db.session.execute(
        select(Message.id, Message.claim_number)
        .where(Message.id.in_(group), Message.state == State.CLAIMED)
        .order_by(Message.id)
        .with_for_update()
    ).all()
    return {(row[0], row[1]) for row in held} >= set(outgoing.along)


#: A claim that ends without a call; whoever held it finds its number changed.
_UNCLAIMED = {
    Message.state: State.QUEUED,
    Message.claim_number: Message.claim_number + 1,
    Message.claimed_by: None,
    Message.lease_until: None,
}


def give_back(outgoing: Outgoing) -> None:
    """Put what is claimed and does not go back to the queue, to be judged again."""
    ours = [(outgoing.message_id, outgoing.claim_number), *outgoing.along]
    db.session.execute(
        update(Message)
        .where(
            Message.state == State.CLAIMED,
            tuple_(Message.id, Message.claim_number).in_(ours),
        )
        .values(_UNCLAIMED)
    )


def return_expired_leases(*, now: datetime) -> tuple[int, int]:
    """Take messages from workers that have gone: claimed ones back to the queue, others ambiguous.

    Returns how many of each.
    """
    back = db.session.scalars(
        update(Message)
        .where(Message.id.in_(in_order(Message.state == State.CLAIMED, Message.lease_until <= now)))
        .values(_UNCLAIMED)
        .returning(Message.id)
    ).all()
    unclear = db.session.scalars(
        update(Message)
        .where(Message.id.in_(in_order(Message.state == State.SENDING, Message.lease_until <= now)))
        .values(
            state=State.AMBIGUOUS,
            error_text="the worker went away during the call",
            lease_until=None,
        )
        .returning(Message.id)
    ).all()
    return len(back), len(unclear)
