"""What a number said in a text cannot be unsaid by somebody who types the number online."""

import os
from datetime import timedelta

import pytest
from flask import Flask

from scheduler.core.db import db, transaction
from scheduler.jobs import answer, deliver
from scheduler.messaging import claims, consent, rules, texts
from scheduler.messaging.consent import Word
from scheduler.messaging.models import Message
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import Refused
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Keep, StoppedClock
from tests.messaging.kit import FakeSender, delivery, queue, still_true

NUMBER = "+17815550111"
NOW = make.MONDAY
#: As people in our three languages write it; each is tried with every text there is.
SPELLINGS = (
    "STOP",
    "stop.",
    "Stop texting me",
    "UNSUBSCRIBE",
    "cancel",
    "quit",
    "wrong number",
    "PARAR",
    "no más",
    "alto",
    "Sair",
    "não quero mais",
)
TRIED = SPELLINGS if os.environ.get("EMERGE_PROVE") else ("Stop texting me", "no más")
#: Texts that go to somebody who gets texts, by the name under which they wait.
WAITING = sorted({*texts.names(), "changed"} - rules.REPLIES - {"invite", "invite-cancelled"})


def said_stop() -> None:
    """The number's holder texts STOP."""
    consent.revoke(NUMBER, wording="STOP", source="text", actor="visitor", origin="-", now=NOW)


def grant_from(source: str, minutes: int) -> bool:
    """Somebody new gives the number and agrees; return whether they may be texted."""
    moment = NOW + timedelta(minutes=minutes)
    who = make.patient(f"New{minutes}", mobile=NUMBER)
    consent.grant(who, NUMBER, "yes", source=source, actor="visitor", origin="-", now=moment)
    return consent.may_text(who, now=moment)


@pytest.mark.usefixtures("app")
class TestAfterAStop:
    """A number that said STOP."""

    def test_a_tick_on_the_booking_page_does_not_open_it(self, keep: Keep) -> None:
        with keep():
            said_stop()
            assert not grant_from("portal", 1)
            assert consent.is_stopped(NUMBER)

    def test_a_word_to_the_desk_does(self, keep: Keep) -> None:
        with keep():
            said_stop()
            assert grant_from("phone", 1)

    def test_start_opens_it_for_those_who_had_agreed(self, app: Flask, keep: Keep) -> None:
        with keep():
            who = make.patient(mobile=NUMBER)
            consent.grant(who, NUMBER, "yes", source="portal", actor="visitor", origin="-", now=NOW)
            said_stop()
            assert not consent.may_text(who, now=NOW)

            assert consent.restore(NUMBER, wording="START", origin="-", now=NOW) == [who]
            assert consent.may_text(who, now=NOW)


@pytest.mark.parametrize("spelling", TRIED)
def test_after_a_stop_in_any_spelling_no_text_of_any_kind_leaves_until_start(
    room: Flask, clock: StoppedClock, spelling: str
) -> None:
    """R-20: waiting, in a worker's hands, and still to come."""
    sender = FakeSender()
    work = delivery(sender, clock)
    with transaction():
        where, _ = make.two_sites()
        who = make.patient(mobile=NUMBER, home_site_id=where.id)
        consent.grant(who, NUMBER, "yes", source="paper", actor="staff:1", origin="-", now=NOW)
        number = who.id
        for name in WAITING:
            more = {"template": name, "topic": f"appointment:{name}", "is_reply": True}
            queue(who, NOW, dedupe_key=f"now {name}", **more)
            later = NOW + timedelta(hours=1)
            queue(who, NOW, dedupe_key=f"later {name}", send_after=later, **more)
    held = []
    for _ in range(3):
        with transaction():
            held.append(claims.claim_next("w", lambda m: still_true(m, NOW), now=NOW))

    def comes(words: str, ref: str) -> None:
        with transaction():
            answer.take_in(provider_ref=ref, number=NUMBER, body=words, now=clock())

    comes(spelling, "SM1")

    for outgoing in held:
        assert outgoing is not None
        with transaction():
            assert not claims.begin_sending(outgoing, now=clock())
    with transaction():  # somebody asks for more, not knowing
        who = db.session.get_one(Patient, number)
        for name in WAITING:
            queue(who, NOW, template=name, topic="later", dedupe_key=f"after {name}", is_reply=True)
    for hours in (0, 1, 24):
        clock.set(NOW + timedelta(hours=hours))
        deliver.run(work)
    assert [out.view.template for out in sender.sent] == ["stopped"]
    with transaction():
        assert consent.standing(db.session.get_one(Patient, number)).word is Word.REVOKED

    comes("START", "SM2")
    with transaction():
        queue(db.session.get_one(Patient, number), clock(), dedupe_key="again", is_reply=True)
    deliver.run(work)
    assert [out.view.template for out in sender.sent][1:] == ["started", "call-tomorrow"]
    with transaction():
        left = db.session.query(Message).filter(Message.channel == Channel.SMS)
        gone = left.filter(Message.state == State.SENT).count()
    assert gone == len(sender.sent)

    sender.answers = [Refused(Trouble.OPTED_OUT, "21610", "they told the provider")]
    for key in ("to the provider", "after that"):
        with transaction():
            queue(db.session.get_one(Patient, number), clock(), dedupe_key=key, is_reply=True)
        deliver.run(work)
    assert len(sender.sent) == 4  # the one that the provider refused, and no other
    with transaction():
        assert consent.standing(db.session.get_one(Patient, number)).word is Word.REVOKED


def test_without_a_stop_the_tick_is_enough(app: Flask, keep: Keep) -> None:
    with keep():
        assert grant_from("portal", 1)
