"""When each job runs. APScheduler only ticks; the rows say what is due and who may take it.

Any number of workers may run. Nothing is kept between ticks but the database: a tick that was
missed or doubled loses and repeats nothing.
"""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask

from config import Config
from scheduler.booking import notices
from scheduler.core import clock
from scheduler.core.db import db, transaction
from scheduler.jobs import (
    beat,
    bounces,
    catch_up,
    deliver,
    expire,
    openings,
    overruns,
    readiness,
    reconcile,
    recover_leases,
    replace,
    seal_audit,
)
from scheduler.messaging import addresses, beats, rules
from scheduler.messaging.rules import MessageView, Verdict
from scheduler.messaging.senders.mailbox import Mailbox
from scheduler.messaging.senders.outcomes import Sender
from scheduler.messaging.senders.simulated import KeptMail, Nobody, SimulatedPhones
from scheduler.messaging.senders.smtp import SmtpMail
from scheduler.messaging.senders.twilio import TwilioTexts
from scheduler.messaging.states import Channel
from scheduler.treatment import readiness as before_visits
from scheduler.waitlist import notices as waitlist_notices

log = logging.getLogger(__name__)


class _Busy(logging.Filter):
    """Leaves out that a job still runs when its next tick comes: while much is sent it always does.

    The next tick after that does what this one would have done.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line of the scheduler is worth writing."""
        return "maximum number of running instances" not in str(record.msg)


logging.getLogger("apscheduler.scheduler").addFilter(_Busy())

#: How many messages may be on their way at once. A second joins when one tick's work outlasts it:
#: a provider far away, or one that hangs, holds up itself alone.
HANDS = 4

#: How long the clock may have been set back before the worker notices.
LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True)
class Tick:
    """A job and how often it runs."""

    name: str
    run: Callable[[], object]
    every_seconds: float
    at_once: int = 1  # how many of it may run side by side


class Ticker(BlockingScheduler):  # type: ignore[misc]  # APScheduler has no types
    """Ticks by the machine's clock, and goes on when somebody sets that clock back.

    APScheduler waits until the moment it has worked out; an hour set back would be an hour without
    a text. So it looks up every few seconds, and what lies further ahead than its own beat is due.
    """

    def _process_jobs(self) -> float:
        now = datetime.now(UTC)  # as APScheduler itself asks it
        for job in self.get_jobs():
            if job.next_run_time is not None and job.next_run_time - now > job.trigger.interval:
                job.modify(next_run_time=now)
        wait: float | None = super()._process_jobs()
        return LOOK_UP_SECONDS if wait is None else min(wait, LOOK_UP_SECONDS)


class Worker:
    """One worker process: its name, its senders, its ticks."""

    def __init__(
        self,
        app: Flask,
        config: Config,
        *,
        senders: dict[Channel, Sender] | None = None,
        hands: Callable[[], datetime] | None = None,
    ) -> None:
        """Join the jobs to the rooms that judge messages and are told of them.

        Args:
            senders: Who carries messages instead of those the settings name: in a rehearsal.
            hands: What time it is instead of the database's clock, likewise.

        Raises:
            ValueError: a lease could run out during a call.
        """
        if rules.LEASE < 3 * rules.CALL_LIMIT:
            raise ValueError("a lease must outlast three calls")
        self.app = app
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.stopping = threading.Event()
        self._hands = hands
        self.twilio = twilio_of(config) if senders is None else None
        self.returns = returns_of(config) if senders is None else None
        self.senders = senders or senders_of(config, self.twilio)
        self._public_url = config.public_url
        self._organizer = config.organizer
        with app.app_context():
            self.started_at = self._now()
        self.delivery = deliver.Delivery(
            worker=self.name,
            senders=self.senders,
            judge=self._judge,
            after_sent=self._after_sent,
            inbound_url=addresses.inbound(config.public_url) if self.twilio else None,
            clock=self._now,
            pace=deliver.Pace(config.texts_per_second, self.stopping.wait),
            is_stopping=self.stopping.is_set,
        )

    # The one place where messages are joined to the rooms above: whether one is still true, and
    # who is told that it went out.

    def _judge(self, message: MessageView, now: datetime) -> Verdict:
        if message.template in waitlist_notices.TEMPLATES:
            return waitlist_notices.judge(message, public_url=self._public_url, now=now)
        return notices.judge(
            message,
            public_url=self._public_url,
            organizer=self._organizer,
            asks_first=before_visits.is_unanswered,
            now=now,
        )

    def _after_sent(self, message: MessageView, now: datetime) -> None:
        notices.after_sent(message, now=now)

    def _now(self) -> datetime:
        return self._hands() if self._hands is not None else clock.database_now()

    def ticks(self) -> list[Tick]:
        """Return every job with its beat."""
        now = self._now
        ticks = [
            Tick("deliver", lambda: deliver.run(self.delivery), 1, at_once=HANDS),
            Tick("beat", lambda: beat.run(self.name, self.started_at, now=now()), 15),
            Tick("recover-leases", lambda: recover_leases.run(now=now()), 10),
            Tick(
                "reconcile",
                lambda: reconcile.run(self.senders, self.delivery.after_sent, now=now()),
                20,
            ),
            Tick("expire", lambda: expire.run(now=now()), 60),
            Tick("openings", lambda: openings.run(self.delivery.inbound_url, now=now()), 60),
            Tick("overruns", lambda: overruns.run(now=now()), 60),
            Tick("replace", lambda: replace.run(now=now()), 60),
            Tick("readiness", lambda: readiness.run(now=now()), 60),
            Tick("seal-audit", lambda: seal_audit.run(now=now()), 60),
        ]
        if self.twilio is not None:
            provider = self.twilio
            ticks.append(Tick("catch-up", lambda: catch_up.run(provider, now=now()), 300))
        if self.returns is not None:
            mailbox = self.returns
            ticks.append(Tick("bounces", lambda: bounces.run(mailbox, now=now()), 300))
        return ticks

    def run(self) -> None:
        """Tick until SIGTERM or SIGINT; what is running then is finished first."""
        ticker = Ticker(timezone="UTC", executors={"default": ThreadPoolExecutor(HANDS + 3)})
        ticker.add_listener(_heard, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        for tick in self.ticks():
            ticker.add_job(
                self._in_context(tick.run),
                "interval",
                id=tick.name,
                seconds=tick.every_seconds,
                next_run_time=clock.now(),
                coalesce=True,
                max_instances=tick.at_once,
                misfire_grace_time=30,
            )

        def stop(number: int, frame: FrameType | None) -> None:
            if not self.stopping.is_set():
                self.stopping.set()
                # Not from the handler: it interrupts the very lock that shutting down needs.
                threading.Thread(target=_shut, args=(ticker,), name="stopping").start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        log.info("worker %s is up", self.name)
        ticker.start()
        with self.app.app_context(), transaction():
            beats.leave(self.name)
        with self.app.app_context():
            db.engine.dispose()
        log.info("worker %s is done", self.name)

    def _in_context(self, job: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            with self.app.app_context():
                job()

        return run


def twilio_of(config: Config) -> TwilioTexts | None:
    """Return the way to Twilio, when one is configured."""
    if not config.sends_by_twilio:
        return None
    return TwilioTexts(
        account_sid=config.twilio_account_sid,
        auth_token=config.twilio_auth_token,
        messaging_service_sid=config.twilio_messaging_service_sid,
        from_number=config.twilio_from,
        public_url=config.public_url,
        only_to=None if config.is_production else frozenset(config.allowed_numbers),
        api_url=config.twilio_api_url,
    )


def returns_of(config: Config) -> Mailbox | None:
    """Return the mailbox that mail comes back to, when one is configured."""
    if not config.imap_host:
        return None
    return Mailbox(
        host=config.imap_host,
        port=config.imap_port,
        user=config.imap_user,
        password=config.imap_password,
        tls=config.imap_tls,
    )


def senders_of(config: Config, twilio: TwilioTexts | None) -> dict[Channel, Sender]:
    """Return who carries what in this installation. Only a demo has simulated phones."""
    texts: Sender
    mail: Sender
    if twilio is not None:
        texts = twilio
    elif config.is_demo:
        texts = SimulatedPhones()
    else:
        texts = Nobody("no way to send texts is set up")
    if config.smtp_host:
        mail = SmtpMail(
            host=config.smtp_host,
            port=config.smtp_port,
            user=config.smtp_user,
            password=config.smtp_password,
            starttls=config.smtp_starttls,
            mail_from=config.mail_from,
        )
    elif config.is_demo:
        mail = KeptMail()
    else:
        mail = Nobody("no mail server is set up")
    return {Channel.SMS: texts, Channel.EMAIL: mail}


def _shut(ticker: BlockingScheduler) -> None:
    """End the ticking, jobs that run first; a signal may come before it has begun."""
    begun = threading.Event()
    while not ticker.running:
        begun.wait(0.05)
    ticker.shutdown(wait=True)


def _heard(event: JobExecutionEvent) -> None:
    if event.exception is not None:
        log.error("job %s failed: %s", event.job_id, type(event.exception).__name__)
    else:
        log.warning("job %s came too late for its tick", event.job_id)
