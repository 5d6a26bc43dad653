"""R-11: a crash never loses or doubles a message, at any step, by text or mail, on both databases.

Truth is what the servers that play the providers have written to the disk.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from scheduler.app import create_app
from scheduler.core import clock
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import deliver, reconcile, recover_leases
from scheduler.messaging import queries
from scheduler.messaging.senders.outcomes import Sender
from scheduler.messaging.states import Channel, State
from tests import make
from tests.jobs import mortal
from tests.messaging.kit import ana, delivery, queue
from tests.support import databases, smtp_server, twilio_server
from tests.support.smtp_server import SmtpServer
from tests.support.twilio_server import TwilioServer

MESSAGES = 5


@dataclass
class Provider:
    """Whoever plays the other end, and what it has."""

    channel: str
    address: str
    sender: Sender
    strike_when_read: Callable[[Callable[[], object]], None]
    strike_when_taken: Callable[[Callable[[], object]], None]
    have: Callable[[], Counter[str]]


def by_text(server: TwilioServer) -> Provider:
    """Twilio, as played."""
    return Provider(
        "sms",
        server.url,
        mortal.texts(server.url),
        lambda act: setattr(server, "on_read", act),
        lambda act: setattr(server, "on_accepted", act),
        lambda: Counter(text["body"] for text in server.out()),
    )


def by_mail(server: SmtpServer) -> Provider:
    """A mail server, as played. It keeps no list for us, so a mail without an answer goes again.

    The second is the same mail by its Message-ID and its calendar entry's UID: readers see one.
    So mails are counted as their readers' programs do.
    """
    return Provider(
        "email",
        str(server.port),
        mortal.mail(server.port),
        lambda act: setattr(server, "on_read", act),
        lambda act: setattr(server, "on_accepted", act),
        lambda: Counter(
            subject for subject, _ in {(m["Subject"], m["Message-ID"]) for m in server.mails()}
        ),
    )


@pytest.fixture
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    """One of the two providers, as the test asks."""
    if request.param == "sms":
        with twilio_server.playing(tmp_path / "truth.jsonl") as server:
            yield by_text(server)
    else:
        with smtp_server.playing(tmp_path / "mail") as mailboxes:
            yield by_mail(mailboxes)


@dataclass
class Run:
    """What came of one crash."""

    killed: bool
    lost: int
    doubled: int
    ambiguous: int
    unresolved: int

    def line(self, name: str) -> str:
        """The one line a run prints."""
        return (
            f"{name}: {MESSAGES} messages, killed {self.killed}, lost {self.lost}, "
            f"doubled {self.doubled}, ambiguous {self.ambiguous}, unresolved {self.unresolved}"
        )


def crash(url: str, provider: Provider, step: str, policy: str = "ours") -> Run:
    """Queue, let a worker die at a step, let another finish, and count."""
    app = create_app(databases.config(url))
    with app.app_context():
        try:
            now = clock.database_now()
            crash_queue(provider, now)
            killed = _run_mortal(url, provider, step, policy)
            ambiguous, unresolved = finish(provider, now)
        finally:
            let_go()
            db.engine.dispose()
    have = provider.have()
    return Run(
        killed=killed,
        lost=MESSAGES - len(have),
        doubled=sum(count - 1 for count in have.values()),
        ambiguous=ambiguous,
        unresolved=unresolved,
    )


def crash_queue(provider: Provider, now: datetime) -> None:
    """Queue some messages that may go at any hour."""
    with transaction():
        patient = ana(now)
        patient.zone_name = make.noon_zone()  # the second try comes too late to be an answer
        for number in range(1, MESSAGES + 1):
            queue(
                patient,
                now - timedelta(minutes=1),
                template="visit-booked" if provider.channel == "sms" else "invite",
                channel=Channel(provider.channel),
                dedupe_key=f"m{number}",
                expires_at=now + timedelta(days=1),
                is_reply=True,  # at any hour
            )


def _run_mortal(url: str, provider: Provider, step: str, policy: str) -> bool:
    seen = Counter[str]()

    def kill_at_third(name: str) -> Callable[[], None]:
        def count() -> None:
            seen[name] += 1
            if seen[name] == mortal.DIES_AT_MESSAGE and step == name:
                worker.kill()
                wait([worker.sentinel])

        return count

    provider.strike_when_read(kill_at_third("words written"))
    provider.strike_when_taken(kill_at_third("taken, not answered"))
    worker = mortal.start(step, policy, provider.channel, url, provider.address)
    worker.join(timeout=60)
    provider.strike_when_read(lambda: None)
    provider.strike_when_taken(lambda: None)
    return worker.exitcode == -signal.SIGKILL


def finish(provider: Provider, now: datetime) -> tuple[int, int]:
    """Do what a second worker does when the first is gone, a lease and a quarter of an hour on."""
    senders = {Channel.SMS: provider.sender, Channel.EMAIL: provider.sender}
    now += timedelta(minutes=2)
    recover_leases.run(now=now)
    ambiguous = queries.counts().get(State.AMBIGUOUS, 0)
    for _ in range(2):
        reconcile.run(senders, lambda message, at: None, now=now)
        now += timedelta(minutes=16)
        outfit = delivery(provider.sender, lambda at=now: at, judge=mortal.judge, senders=senders)
        deliver.run(outfit)
    unresolved = queries.counts().keys() - {State.SENT, State.DELIVERED}
    return ambiguous, len(unresolved)


#: Where text and mail differ; the other steps by mail belong to the full size.
BY_MAIL = ("before connecting", "taken, not answered", "answer read")


CASES = [
    pytest.param(channel, step, marks=[pytest.mark.prove] if rare else [], id=f"{channel}, {step}")
    for channel in ("sms", "email")
    for step in mortal.STEPS
    for rare in [channel == "email" and step not in BY_MAIL]
]


@pytest.mark.parametrize(("provider", "step"), CASES, indirect=["provider"])
def test_a_crash_neither_loses_nor_doubles(
    database_url: str, provider: Provider, step: str
) -> None:
    run = crash(database_url, provider, step)

    print(run.line(f"{database_url.partition(':')[0]} {provider.channel}, {step}"))
    assert run.killed
    assert (run.lost, run.doubled, run.unresolved) == (0, 0, 0)
    assert run.ambiguous <= 1


@pytest.mark.parametrize(
    ("policy", "step", "harm"),
    [("mark-after", "answer read", "doubled"), ("mark-before", "before connecting", "lost")],
)
def test_the_two_easy_policies_fail_the_same_test(
    database_url: str,
    tmp_path: Path,
    policy: str,
    step: str,
    harm: str,
) -> None:
    with twilio_server.playing(tmp_path / "truth.jsonl") as server:
        run = crash(database_url, by_text(server), step, policy)

    print(run.line(f"control: {database_url.partition(':')[0]}, {policy}"))
    assert run.killed
    assert getattr(run, harm) >= 1
