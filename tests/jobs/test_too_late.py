"""R-16: a reminder and a cancellation cross: nobody is left with a wrong last word."""

import os
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import notices
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment
from scheduler.clinic.models import Site
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import deliver
from scheduler.messaging import composing, outbox
from scheduler.messaging.models import Message
from scheduler.messaging.rules import MessageView, Verdict
from scheduler.messaging.states import Channel, State
from tests import make
from tests.conftest import NOW, StoppedClock
from tests.messaging.kit import FakeSender, ana, delivery

ROUNDS = 500 if os.environ.get("EMERGE_PROVE") else 8
NUMBER = "+1617230{:04}"


def judge(message: MessageView, now: object) -> Verdict:
    """Ask the book, as the worker does."""
    return notices.judge(message, public_url="https://c.example", organizer="a@c.example", now=NOW)


def told(message: MessageView, now: object) -> None:
    """Keep what was told, as the worker does."""
    notices.after_sent(message, now=NOW)


def reminded(where: int, turn: int) -> int:
    """Book a call whose reminder is due this moment; return its number."""
    with transaction():
        who = ana(NOW, given=f"P{turn}", mobile=NUMBER.format(turn), email=None)
        start = make.at(9 + turn % 8, 15 * (turn // 8 % 4), days=3 + turn // 32)
        call = make.call(db.session.get_one(Site, where), who, start, notify=False)
        db.session.execute(
            sa.update(Message).where(Message.topic == call.topic).values(send_after=NOW)
        )
        return call.id


def cancel(number: int) -> None:
    """Call it off at the desk."""
    with transaction():
        call = db.session.get_one(Appointment, number)
        booking.cancel(call, version=call.version, actor="staff:1", now=NOW)


def at_once(app: Flask, *deeds: Callable[[], object]) -> None:
    """Do things at one instant, each with a connection of its own."""
    gate = threading.Barrier(len(deeds))
    faults: list[BaseException] = []

    def go(deed: Callable[[], object]) -> None:
        try:
            with app.app_context():
                gate.wait()
                deed()
                let_go()
        except BaseException as fault:  # shown in the thread that asserts
            faults.append(fault)

    threads = [threading.Thread(target=go, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


@pytest.fixture
def where(app: Flask) -> int:
    """A clinic with many who call."""
    with app.app_context(), transaction():
        return make.clinic_day(callers=2).id


def outcome(app: Flask, sender: FakeSender, clock: StoppedClock, number: int) -> tuple[State, str]:
    """Let a day pass, for the caps; return where the reminder stands and what was said."""
    clock.advance(days=1)
    with app.app_context():
        deliver.run(delivery(sender, clock, judge=judge, told=told))
        state = db.session.scalars(
            sa.select(Message.state).where(
                Message.topic == f"appointment:{number}", Message.template == "call-tomorrow"
            )
        ).one()
        let_go()
    said = ["off" if o.view.template == "call-cancelled" else "reminder" for o in texts(sender)]
    clock.set(NOW)
    return state, ", ".join(said)


def texts(sender: FakeSender) -> list[composing.Outgoing]:
    """Return the texts among what went out."""
    return [outgoing for outgoing in sender.sent if outgoing.channel is Channel.SMS]


def test_a_reminder_never_follows_a_cancellation_and_never_has_the_last_word(
    app: Flask, where: int, clock: StoppedClock
) -> None:
    seen: dict[tuple[State, str], int] = {}
    for turn in range(ROUNDS):
        with app.app_context():
            number = reminded(where, turn)
        sender = FakeSender()
        send = lambda s=sender: deliver.run(delivery(s, clock, judge=judge, told=told))  # noqa: E731
        at_once(app, send, lambda n=number: cancel(n))
        found = outcome(app, sender, clock, number)
        seen[found] = seen.get(found, 0) + 1

    print(f"reminder against cancellation: {ROUNDS} races, {seen}")
    assert set(seen) <= {(State.CANCELLED, "off"), (State.SENT, "reminder, off")}


def test_without_taking_back_a_reminder_follows_the_cancellation(
    app: Flask, where: int, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "withdraw", lambda topic, *, now: 0)
    monkeypatch.setattr(notices, "_as_queued", _whatever_stands)
    with app.app_context():
        number = reminded(where, 0)
        cancel(number)
    sender = FakeSender()

    state, said = outcome(app, sender, clock, number)

    print(f"control: reminder {state} after the cancellation, said {said}")
    assert state in (State.SENT, State.MERGED)


def _whatever_stands(message: MessageView, *, now: object) -> Appointment:
    return db.session.get_one(Appointment, int(message.topic.partition(":")[2]))
