"""R-12, R-13, R-18, R-23, R-27: what the provider does to us, and what we make of it."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from scheduler.clinic.models import Site
from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import catch_up, deliver, reconcile
from scheduler.messaging import evidence, queries, rules
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import NOW, StoppedClock
from tests.jobs import mortal
from tests.journeys.world import until
from tests.messaging.kit import ana, delivery, queue
from tests.support import twilio_server
from tests.support.twilio_server import (
    ACCEPT,
    ACCEPT_THEN_500,
    ACCEPT_THEN_DROP,
    ACCEPT_THEN_NONSENSE,
    DROP,
    HANG,
    TwilioServer,
    refuse,
    signed,
)

FULL = bool(os.environ.get("EMERGE_PROVE"))
TEXTS = 200 if FULL else 16
SEEDS = (1, 2, 3) if FULL else (5,)
CALLS = 20 if FULL else 1
MODES = (
    ACCEPT,
    ACCEPT_THEN_DROP,
    ACCEPT_THEN_500,
    ACCEPT_THEN_NONSENSE,
    DROP,
    refuse(500),
    refuse(429, 20429),
    refuse(503, retry_after=30),
)
PUBLIC = "https://clinic.example"


@pytest.fixture
def settings() -> dict[str, object]:
    return {
        "public_url": PUBLIC,
        "twilio_account_sid": twilio_server.ACCOUNT,
        "twilio_auth_token": twilio_server.TOKEN,
        "twilio_messaging_service_sid": twilio_server.SERVICE,
    }


@pytest.fixture
def server(tmp_path: Path, clock: StoppedClock) -> Iterator[TwilioServer]:
    with twilio_server.playing(tmp_path / "truth.jsonl", clock=clock) as played:
        yield played


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_the_provider_does_each_text_is_out_once(
    room: Flask,
    server: TwilioServer,
    clock: StoppedClock,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    rng = random.Random(seed)
    modes = [rng.choice(MODES) for _ in range(TEXTS)]
    twins = set(range(0, TEXTS - 1, 4))  # n and n + 1: the same words to one phone
    with transaction():
        for n in range(TEXTS):
            word = n - 1 if n - 1 in twins else n
            who = ana(NOW, given=f"P{n}", mobile=f"+1617230{word:04}", email=None)
            queue(
                who,
                NOW,
                template="visit-booked",
                dedupe_key=f"m{word}" if word == n else f"m{word}-twin",
                expires_at=NOW + timedelta(days=1),
                is_reply=True,
            )
    sender = mortal.texts(server.url)
    outfit = delivery(sender, clock, judge=mortal.judge)
    server.script = list(modes)

    deliver.run(outfit)
    for _ in range(4):
        clock.advance(minutes=6)
        reconcile.run({Channel.SMS: sender}, lambda message, at: None, now=clock())
        deliver.run(outfit)

    have = Counter((text["to"], text["body"]) for text in server.out())
    with transaction():
        rows = db.session.scalars(sa.select(Message)).all()
        meant = Counter((row.recipient, row.body_print) for row in rows)
        states = Counter(row.state for row in rows)
    lost = sum(meant.values()) - sum(min(have[key], 2) for key in have)
    extra = sum(have.values()) - TEXTS
    # Of two like texts without an answer the list cannot say which one it has.
    undecided = sum(modes[n] != ACCEPT and modes[n + 1] != ACCEPT for n in twins)
    print(
        f"evidence, seed {seed}: {TEXTS} texts, {dict(states)}, {max(lost, 0)} lost, {extra} "
        f"doubled of {undecided} undecidable pairs"
    )
    assert states == {State.SENT: TEXTS}
    assert len(have) == len(meant)
    assert 0 <= extra <= undecided
    single = [n for n in range(TEXTS) if n not in twins and n - 1 not in twins]
    counts = Counter(text["to"] for text in server.out())
    assert {counts[f"+1617230{n:04}"] for n in single} == {1}

    # The control: who does not look for evidence says what is out already once more.
    with transaction():
        who = ana(NOW, given="Late", mobile="+16172309999", email=None)
        queue(who, clock(), template="visit-booked", dedupe_key="m9999", is_reply=True)
    server.script = [ACCEPT_THEN_DROP]
    with monkeypatch.context() as blind:
        blind.setattr(sender, "look_for", lambda sought: [])
        for _ in range(4):
            deliver.run(outfit)
            clock.advance(minutes=6)
            reconcile.run({Channel.SMS: sender}, lambda message, at: None, now=clock())
    copies = sum(text["to"] == "+16172309999" for text in server.out())
    print(f"control, seed {seed}: without looking at what the provider has, {copies} copies")
    assert copies > 1


def test_reports_in_any_order_end_the_same(room: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["queued", "sent", "delivered", "undelivered", "failed"]
    orders = list(permutations(words))[:: 1 if FULL else 17]
    with transaction():
        who = ana(NOW)
        numbers = [
            queue(who, NOW, dedupe_key=f"m{n}", template="visit-booked", is_reply=True).id
            for n in range(len(orders))
        ]
    ends = set()

    for number, order in zip(numbers, orders, strict=True):
        with transaction():
            message = db.session.get_one(Message, number)
            message.state, message.sending_at = State.SENDING, NOW
            public_id = message.public_id
        for word in [w for report in order for w in (report, report)]:
            with transaction():
                before = db.session.get_one(Message, number).state
                evidence.record_report(public_id, f"SM{number}", word, now=NOW)
                after = db.session.get_one(Message, number).state
                assert after == before or before is not State.DELIVERED
        with transaction():
            ends.add(db.session.get_one(Message, number).state)

    print(f"reports: {len(orders)} orders, each report twice, end {ends}")
    assert ends == {State.DELIVERED}

    monkeypatch.setattr(rules, "moves_forward", lambda stands, reported: True)
    with transaction():
        evidence.record_report(public_id, f"SM{number}", "accepted", now=NOW)
        believed = db.session.get_one(Message, number).state
    print(f"control: who believes every report makes {believed} of what was delivered")
    assert believed is State.SENT


def test_while_the_provider_hangs_no_connection_is_held_and_people_book(
    app: Flask, server: TwilioServer, clock: StoppedClock
) -> None:
    """R-23. How long a booking takes is only printed: a machine's pace is no promise of ours."""
    with app.app_context(), transaction():
        where = make.clinic_day()
        who = ana(NOW)
        for n in range(100 if FULL else 5):
            queue(who, NOW, template="visit-booked", dedupe_key=f"m{n}", is_reply=True)
        booker, place = make.patient("Ben"), where.id
        booker_id = booker.id
    server.script = [HANG]

    def book(day: int) -> float:
        """Book a call; return the seconds it took."""
        began = time.perf_counter()
        with transaction():
            site, person = db.session.get_one(Site, place), db.session.get_one(Patient, booker_id)
            make.call(site, person, make.at(10, days=day + 1))
        return time.perf_counter() - began

    def send() -> None:
        with app.app_context():
            outfit = delivery(mortal.texts(server.url), clock, judge=mortal.judge)
            outfit.is_stopping = lambda: server.requests > 0
            deliver.run(outfit)
            let_go()

    with app.app_context():
        usual = [book(day) for day in range(CALLS + 1)][1:]  # the first warms up
        let_go()
    worker = threading.Thread(target=send)
    worker.start()
    try:
        until(lambda: server.requests == 1, "the call that hangs")
        with app.app_context():
            let_go()
            assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
            hung = [book(day) for day in range(CALLS + 1, 2 * CALLS + 1)]
            assert queries.counts()[State.SENDING] == 1
            let_go()
    finally:
        server.let_go.set()
        worker.join()
    slow, quick = (sorted(took)[len(took) * 95 // 100 - 1] * 1000 for took in (hung, usual))
    print(f"provider hangs: {CALLS} bookings, p95 {slow:.0f} ms; without it {quick:.0f} ms")


def test_what_came_in_while_we_were_down_is_taken_in_once(
    app: Flask, client: FlaskClient, server: TwilioServer, clock: StoppedClock
) -> None:
    provider = mortal.texts(server.url)
    forms = [server.comes_in(f"+1617230{n:04}", f"It is me, number {n}") for n in range(20)]
    clock.advance(minutes=30)

    def post(form: dict[str, str]) -> int:
        signature = signed(f"{PUBLIC}/hooks/twilio/text", form)
        return client.post("/hooks/twilio/text", data=form, headers=signature).status_code

    assert post(forms[0]) == 200  # the provider tries one again by itself, before our list is read
    with app.app_context():
        unfetched = len(queries.unread())
        print(f"control: without the provider's list {unfetched} of 20 is known")
        assert unfetched == 1
        fetched = [catch_up.run(provider, now=clock()) for _ in range(2)]
    assert post(forms[7]) == 200  # and one after it

    with app.app_context():
        desk = db.session.scalars(sa.select(InboundText)).all()
        assert fetched == [19, 0]
        assert Counter(text.body for text in desk) == Counter(form["Body"] for form in forms)
        assert len(queries.unread()) == 20
        let_go()
