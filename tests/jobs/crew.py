"""Several workers at one outbox, each a process of its own; some fall asleep or have no fences.

"ours" is the product. "unclaimed" is the control: a worker that looks what is due without taking
it, as two cron jobs would.
"""

import multiprocessing
import os
import random
from collections.abc import Collection
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerProcess
from typing import Any

from sqlalchemy import select

from scheduler.app import create_app
from scheduler.core import clock
from scheduler.core.db import db, let_go
from scheduler.jobs import deliver
from scheduler.jobs.deliver import Delivery, Pace
from scheduler.messaging import claims, queries
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel, State
from tests.jobs import mortal
from tests.races import PRELOADED
from tests.support import databases

MOST_ROUNDS = 2_000


def start(policy: str, url: str, provider: str) -> ForkServerProcess:
    """Start one worker; it ends when nothing is left to do."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    worker = context.Process(target=_main, args=(policy, url, provider, databases.KEYS))
    worker.start()
    return worker


def _main(policy: str, url: str, provider: str, keys: str) -> None:
    app = create_app(databases.config(url, keys=keys))
    sender = mortal.texts(provider)
    with app.app_context():
        if policy == "unclaimed":
            _take_nothing()
        outfit = Delivery(
            worker=f"crew:{os.getpid()}",
            senders={Channel.SMS: sender},
            judge=mortal.judge,
            after_sent=lambda message, now: None,
            inbound_url=None,
            clock=clock.database_now,
            pace=Pace(0, lambda seconds: None),
            jitter=random.Random(1),
        )
        for _ in range(MOST_ROUNDS):
            deliver.run(outfit)
            due = queries.channels_due(None, now=clock.database_now())
            let_go()
            if not due:
                break


def _take_nothing() -> None:
    """Look at what is due and leave it there until it was sent."""

    def look(worker: str, channels: Collection[Channel], now: datetime) -> Message | None:
        due = select(Message).where(
            Message.state == State.QUEUED,
            Message.send_after <= now,
            Message.channel.in_(tuple(channels)),
        )
        order = due.order_by(Message.is_reply.desc(), Message.send_after, Message.id)
        return db.session.scalar(order.limit(1))

    def begin(outgoing: Outgoing, *, now: Any) -> bool:
        message = db.session.get_one(Message, outgoing.message_id)
        message.sending_at = now + timedelta()
        return message.state is State.QUEUED

    claims._pick = look
    claims.begin_sending = begin
