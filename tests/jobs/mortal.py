"""A worker that dies at a step of its choosing, in a process of its own (see `start`).

It dies by its own SIGKILL, from events of the database session and a wrapped sender; the product
has no switch for that. POLICY is "ours", or one of the two that promises.md says must fail:
"mark-after" (nothing is written down before the call) and "mark-before" (sent is written first).
With "sleeps" it does not die there but stops, until somebody wakes it.
"""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from scheduler.app import create_app
from scheduler.core import clock
from scheduler.core.db import db
from scheduler.jobs import deliver
from scheduler.jobs.deliver import Delivery, Pace
from scheduler.messaging import claims
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import MessageView, Send, Verdict
from scheduler.messaging.senders.outcomes import Outcome, Sender, Trace
from scheduler.messaging.senders.smtp import SmtpMail
from scheduler.messaging.senders.twilio import TwilioTexts
from scheduler.messaging.states import Channel, State
from tests.races import PRELOADED
from tests.support import databases, twilio_server

#: In the order they are passed. The two in the middle are struck by the provider instead.
STEPS = (
    "before the claim",
    "in the claim",
    "after the claim",
    "before connecting",
    "words written",
    "taken, not answered",
    "answer read",
    "before it is noted",
    "after it is noted",
)
BY_PROVIDER = ("words written", "taken, not answered")
DIES_AT_MESSAGE = 3


#: What happens at the step: gone, as a machine that lost its power.
_end = signal.SIGKILL


def die() -> None:
    """Be struck."""
    os.kill(os.getpid(), _end)


def judge(message: MessageView, now: datetime) -> Verdict:
    """Every message has words of its own, so that a double can be told from a neighbour."""
    number = int(message.dedupe_key.removeprefix("m").removesuffix("-twin"))
    starts_at = datetime(2099, 3, 1, 15, tzinfo=UTC) + timedelta(minutes=15 * number)
    facts = {
        "starts_at": starts_at.isoformat(),
        "zone": "America/New_York",
        "site": "Woburn",
        "phone": "+17815550100",
    }
    return Send(facts=facts, links={"link": "https://clinic.example/my/secret"})


class Mortal:
    """A sender that may die just before or just after the call."""

    def __init__(self, inner: Sender, step: str) -> None:
        self.inner = inner
        self.step = step
        self.calls = 0

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Send, or die."""
        self.calls += 1
        if self.step == "before connecting" and self.calls == DIES_AT_MESSAGE:
            die()
        outcome = self.inner.send(outgoing, now=now)
        if self.step == "answer read" and self.calls == DIES_AT_MESSAGE:
            die()
        return outcome

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Ask the provider."""
        return self.inner.look_for(sought)


@dataclass
class Passed:
    """How often the database was passed; each message is three transactions."""

    step: str
    claims: int = 0
    commits: int = 0

    def statement_begins(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        """A statement is about to run."""
        if is_claim(statement):
            self.claims += 1
            self._die_if("before the claim", self.claims == DIES_AT_MESSAGE)

    def statement_ended(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        """A statement has run."""
        self._die_if("in the claim", is_claim(statement) and self.claims == DIES_AT_MESSAGE)

    def committing(self, session: Session) -> None:
        """A transaction is about to be kept."""
        if session.in_nested_transaction():
            return
        self.commits += 1
        if self.commits == 3 * DIES_AT_MESSAGE:
            session.flush()
            self._die_if("before it is noted", True)

    def committed(self, session: Session) -> None:
        """A transaction was kept."""
        self._die_if("after the claim", self.commits == 3 * DIES_AT_MESSAGE - 2)
        self._die_if("after it is noted", self.commits == 3 * DIES_AT_MESSAGE)

    def _die_if(self, step: str, is_there: bool) -> None:
        if is_there and step == self.step:
            die()


def is_claim(statement: str) -> bool:
    """Say whether a statement claims a message to somebody we know."""
    return statement.startswith("WITH pick") and "JOIN patient" in statement


def strike(step: str) -> None:
    """Die at a step that the database passes."""
    passed = Passed(step)
    event.listen(db.engine, "before_cursor_execute", passed.statement_begins)
    event.listen(db.engine, "after_cursor_execute", passed.statement_ended)
    event.listen(Session, "before_commit", passed.committing)
    event.listen(Session, "after_commit", passed.committed)


def follow(policy: str) -> None:
    """Take on one of the two policies that fail."""
    if policy == "mark-after":
        claims.begin_sending = lambda outgoing, *, now: True  # type: ignore[assignment]
    elif policy == "sleeps":
        globals()["_end"] = signal.SIGSTOP
    elif policy == "mark-before":
        begin: Callable[..., bool] = claims.begin_sending

        def sent_first(outgoing: Outgoing, *, now: datetime) -> bool:
            passed = begin(outgoing, now=now)
            message = db.session.get_one(Message, outgoing.message_id)
            message.state = State.SENT
            return passed

        claims.begin_sending = sent_first  # type: ignore[assignment]


def sender(channel: str, provider: str) -> Sender:
    """The product's own sender, pointed at whoever plays the provider."""
    if channel == "sms":
        return texts(provider)
    return mail(int(provider))


def texts(url: str) -> TwilioTexts:
    """Texts through the server that plays Twilio."""
    return TwilioTexts(
        account_sid=twilio_server.ACCOUNT,
        auth_token=twilio_server.TOKEN,
        messaging_service_sid=twilio_server.SERVICE,
        from_number="",
        public_url="https://clinic.example",
        only_to=None,
        api_url=url,
    )


def mail(port: int) -> SmtpMail:
    """Mail through the server that plays a mail server."""
    return SmtpMail(
        host="127.0.0.1",
        port=port,
        user="",
        password="",
        starttls=False,
        mail_from="Emerge Wellness <appointments@clinic.example>",
    )


def start(step: str, policy: str, channel: str, url: str, provider: str) -> ForkServerProcess:
    """Start a mortal worker; its `exitcode` tells how it went."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    worker = context.Process(
        target=_main, args=(step, policy, channel, url, provider, databases.KEYS)
    )
    worker.start()
    return worker


def _main(step: str, policy: str, channel: str, url: str, provider: str, keys: str) -> None:
    """Send until death, or until nothing is due."""
    app = create_app(databases.config(url, keys=keys))
    carrier = Mortal(sender(channel, provider), step)
    with app.app_context():
        follow(policy)
        if step not in BY_PROVIDER:
            strike(step)
        deliver.run(
            Delivery(
                worker=f"mortal:{os.getpid()}",
                senders={Channel.SMS: carrier, Channel.EMAIL: carrier},
                judge=judge,
                after_sent=lambda message, now: None,
                inbound_url=None,
                clock=clock.database_now,
                pace=Pace(0, lambda seconds: None),
                jitter=random.Random(1),
            )
        )
