"""Sending, end to end but for the network."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import beat, deliver, expire, reconcile, recover_leases
from scheduler.messaging import claims, composing, consent, queries, rules
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message, SimulatedText
from scheduler.messaging.rules import MessageView, Trouble
from scheduler.messaging.senders.outcomes import NoAnswer, Refused, Trace, Unreachable
from scheduler.messaging.senders.simulated import KeptMail, Nobody, SimulatedPhones
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient
from tests.conftest import NOW, StoppedClock
from tests.messaging.kit import FakeSender, Told, again, ana, delivery, queue

pytestmark = pytest.mark.usefixtures("room")


def states() -> dict[State, int]:
    """How many messages stand where."""
    let_go()
    counted = queries.counts()
    let_go()
    return counted


def test_what_is_due_goes_out_once_and_those_above_are_told(clock: StoppedClock) -> None:
    with transaction():
        patient = ana(NOW)
        for number in range(5):
            queue(patient, NOW, template="visit-booked", is_reply=True, dedupe_key=f"m{number}")
    sender, told = FakeSender(), Told()

    first = deliver.run(delivery(sender, clock, told=told))
    second = deliver.run(delivery(sender, clock, told=told))

    assert (first, second) == (5, 0)
    assert len({outgoing.message_id for outgoing in sender.sent}) == 5
    assert len(told.messages) == 5
    assert states() == {State.SENT: 5}


def test_nothing_goes_while_texts_are_blocked_and_mail_does(clock: StoppedClock) -> None:
    with transaction():
        patient = ana(NOW)
        text = queue(patient, NOW)
        queue(patient, NOW, channel=Channel.EMAIL, template="invite", dedupe_key="mail")
    sender = FakeSender()

    deliver.run(delivery(sender, clock, inbound_url="https://clinic.example/hooks/twilio/text"))

    assert [outgoing.channel for outgoing in sender.sent] == [Channel.EMAIL]
    assert again(text).state is State.QUEUED


def test_an_account_that_is_refused_stops_the_queue_at_the_first_text(clock: StoppedClock) -> None:
    with transaction():
        patient = ana(NOW)
        for number in range(5):
            queue(patient, NOW, template="visit-booked", is_reply=True, dedupe_key=f"m{number}")
    sender = FakeSender([Refused(Trouble.STOPS_ALL, "30034", "not registered")])

    deliver.run(delivery(sender, clock))

    assert len(sender.sent) == 1
    assert states() == {State.QUEUED: 5}


def test_a_stop_that_comes_during_a_call_stops_the_next_one(clock: StoppedClock) -> None:
    with transaction():
        patient = ana(NOW)
        for number in range(3):
            queue(patient, NOW, template="visit-booked", is_reply=True, dedupe_key=f"m{number}")

    def stop(outgoing: Outgoing) -> None:
        with transaction():
            consent.revoke(
                outgoing.recipient,
                wording="STOP",
                source="text",
                actor="patient:1",
                origin="SM1",
                now=NOW,
            )

    sender = FakeSender(during=stop)
    deliver.run(delivery(sender, clock))

    assert len(sender.sent) == 1
    assert states() == {State.SENT: 1, State.SUPPRESSED: 2}


def test_trouble_above_does_not_unsay_that_a_message_went_out(clock: StoppedClock) -> None:
    with transaction():
        message = queue(ana(NOW), NOW)

    def told(message: MessageView, now: object) -> None:
        raise ZeroDivisionError

    assert deliver.run(delivery(FakeSender(), clock, told=told)) == 1
    assert again(message).state is State.SENT


def test_a_worker_told_to_stop_leaves_the_rest(clock: StoppedClock) -> None:
    with transaction():
        patient = ana(NOW)
        for number in range(5):
            queue(patient, NOW, template="visit-booked", is_reply=True, dedupe_key=f"m{number}")
    sender = FakeSender()
    outfit = delivery(sender, clock)
    outfit.is_stopping = lambda: len(sender.sent) >= 2

    deliver.run(outfit)

    assert states() == {State.SENT: 2, State.QUEUED: 3}


def lost(clock: StoppedClock, **changes: object) -> tuple[Message, FakeSender]:
    """A message whose call ended without an answer."""
    with transaction():
        message = queue(ana(NOW), NOW, **changes)
    sender = FakeSender([NoAnswer("ReadTimeout")])
    deliver.run(delivery(sender, clock))
    assert again(message).state is State.AMBIGUOUS
    let_go()
    return message, sender


def trace_of(sender: FakeSender, ref: str = "SM77") -> Trace:
    """What a provider that took the last message would show."""
    outgoing = sender.sent[-1]
    return Trace(ref, "sent", NOW, composing.body_print(outgoing.recipient, outgoing.body))


def test_a_message_found_in_the_list_was_sent_and_those_above_are_told(clock: StoppedClock) -> None:
    message, sender = lost(clock)
    sender.traces = [trace_of(sender)]
    told = Told()

    reconcile.run({Channel.SMS: sender}, told, now=clock.advance(seconds=20))

    row = again(message)
    assert (row.state, row.provider_ref) == (State.SENT, "SM77")
    assert [view.id for view in told.messages] == [row.id]


def test_a_reminder_of_which_nothing_is_found_goes_again_after_fifteen_minutes(
    clock: StoppedClock,
) -> None:
    message, sender = lost(clock)

    reconcile.run({Channel.SMS: sender}, Told(), now=clock.advance(minutes=14))
    assert again(message).state is State.AMBIGUOUS
    let_go()
    reconcile.run({Channel.SMS: sender}, Told(), now=clock.advance(minutes=1))
    assert deliver.run(delivery(sender, clock)) == 1

    assert again(message).state is State.SENT
    assert again(message).attempts == 2


def test_a_list_that_cannot_be_read_decides_nothing(clock: StoppedClock) -> None:
    message, _ = lost(clock)

    class Down(FakeSender):
        def look_for(self, sought: object) -> list[Trace] | None:
            raise Unreachable

    reconcile.run({Channel.SMS: Down()}, Told(), now=clock.advance(hours=1))

    assert again(message).state is State.AMBIGUOUS


def test_other_words_or_another_messages_text_are_no_evidence(clock: StoppedClock) -> None:
    message, sender = lost(clock)
    with transaction():
        patient = db.session.scalars(sa.select(Patient)).one()
        sibling = queue(patient, NOW, dedupe_key="other", topic="appointment:43")
        sibling.provider_ref = "SM77"
        sibling.state = State.SENT
    sender.traces = [trace_of(sender), Trace("SM78", "sent", NOW, "other words")]

    reconcile.run({Channel.SMS: sender}, Told(), now=clock.advance(minutes=1))

    assert again(message).state is State.AMBIGUOUS


def test_of_two_like_texts_one_found_settles_neither_and_two_settle_both(
    clock: StoppedClock,
) -> None:
    with transaction():
        mother = ana(NOW)
        son = ana(NOW, given="Ben", email=None)
        first = queue(mother, NOW)
        second = queue(son, NOW, dedupe_key="son", topic="appointment:43")
    sender = FakeSender([NoAnswer("ReadTimeout"), NoAnswer("ReadTimeout")])
    deliver.run(delivery(sender, clock))
    assert states() == {State.AMBIGUOUS: 2}

    sender.traces = [trace_of(sender, "SM1")]
    reconcile.run({Channel.SMS: sender}, Told(), now=clock.advance(minutes=1))
    assert states() == {State.AMBIGUOUS: 2}

    sender.traces.append(trace_of(sender, "SM2"))
    reconcile.run({Channel.SMS: sender}, Told(), now=clock.advance(minutes=1))
    assert {again(first).provider_ref, again(second).provider_ref} == {"SM1", "SM2"}


def test_after_a_time_off_only_what_is_still_of_use_goes_and_none_of_it_at_night(
    clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-17: off for an hour, for six, until eleven at night, for three days."""
    use = {"template": "visit-booked", "is_reply": True, "expires_at": NOW + timedelta(days=9)}
    sent: dict[int, set[str]] = {}
    sender = FakeSender()
    for hours in (1, 6, 13, 72):
        with transaction():
            who = ana(NOW, mobile=f"+178155502{hours:02}", email=None)
            queue(who, NOW, dedupe_key=f"reminder {hours}")
            queue(who, NOW, dedupe_key=f"of use {hours}", **use)
        clock.set(NOW + timedelta(hours=hours))
        before = len(sender.sent)
        expire.run(now=clock())
        deliver.run(delivery(sender, clock))
        sent[hours] = {outgoing.view.dedupe_key for outgoing in sender.sent[before:]}

    assert sent == {
        1: {"reminder 1", "of use 1"},
        6: {"reminder 6", "of use 6"},
        13: set(),
        72: {"of use 13", "of use 72"},
    }
    assert all(outgoing.expires_at <= outgoing.view.expires_at for outgoing in sender.sent)
    assert states() == {State.EXPIRED: 2, State.SENT: 6}

    with transaction():
        queue(who, NOW, dedupe_key="at night", **use)
    clock.set(NOW + timedelta(days=4, hours=13))
    with monkeypatch.context() as awake:
        awake.setattr(rules, "next_daytime", lambda now, zone, **day: now)
        deliver.run(delivery(sender, clock))
    print("control: without quiet hours one goes at eleven at night")
    assert sender.sent[-1].view.dedupe_key == "at night"


def test_the_simulated_phone_shows_a_text_once_however_often_it_is_sent(
    clock: StoppedClock,
) -> None:
    with transaction():
        message = queue(ana(NOW), NOW)
    phones = SimulatedPhones()
    outfit = delivery(FakeSender(), clock)
    outfit.senders = {Channel.SMS: phones, Channel.EMAIL: KeptMail()}
    with transaction():
        outgoing = claims.claim_next("w", lambda m: outfit.judge(m, NOW), now=NOW)
        assert outgoing is not None
        claims.begin_sending(outgoing, now=NOW)

    phones.send(outgoing, now=NOW)  # and the worker dies before it can write that down
    recover_leases.run(now=clock.advance(seconds=60))
    reconcile.run(outfit.senders, Told(), now=clock())

    assert again(message).state is State.DELIVERED
    assert len(db.session.scalars(sa.select(SimulatedText)).all()) == 1


def test_without_a_way_to_send_nothing_is_pretended(clock: StoppedClock) -> None:
    with transaction():
        message = queue(ana(NOW), NOW)
    outfit = delivery(FakeSender(), clock)
    outfit.senders = {Channel.SMS: Nobody("no way to send texts is set up")}

    deliver.run(outfit)

    row = again(message)
    assert (row.state, row.error_text) == (State.SUPPRESSED, "no way to send texts is set up")


def test_somebody_notices_when_no_worker_is_alive() -> None:
    assert queries.worker_is_silent(now=NOW)
    beat.run("host:1:a", NOW, now=NOW)

    assert not queries.worker_is_silent(now=NOW + timedelta(seconds=90))
    assert queries.worker_is_silent(now=NOW + timedelta(seconds=91))
