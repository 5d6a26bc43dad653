"""The life of a message, on both databases."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.core.db import db, transaction
from scheduler.messaging import claims, composing, consent, ending, evidence, outbox, queries
from scheduler.messaging.models import Message
from scheduler.messaging.rules import Drop, MessageView, Send, Trouble, Verdict, Wait
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient
from scheduler.tasks import queries as tasks
from tests.conftest import NOW
from tests.messaging.kit import FACTS, LINK, again, ana, judging, queue

SEND = judging(Send(facts=FACTS, links={"link": LINK}))
LATER = NOW + timedelta(minutes=2)

pytestmark = pytest.mark.usefixtures("room")


def only(condition: sa.ColumnElement[bool]) -> Message:
    """Return the one message of which this is so."""
    return db.session.scalars(sa.select(Message).where(condition)).one()


def patient_of(message: Message) -> Patient:
    """Return whom a message is for."""
    return db.session.get_one(Patient, message.patient_id)


def reminder(patient: Patient) -> outbox.Word:
    """What would be put in the outbox for somebody who can be reached."""
    return outbox.Word(
        template="call-tomorrow",
        channel=Channel.SMS,
        patient=patient,
        facts={},
        topic="appointment:1",
        send_after=NOW,
        expires_at=LATER,
    )


def rows() -> list[Message]:
    """Return every message there is, in order."""
    return list(db.session.scalars(sa.select(Message).order_by(Message.id)))


def claimed(**changes: object) -> tuple[Message, composing.Outgoing]:
    """A message that a worker has in its hands."""
    with transaction():
        message = queue(ana(NOW), NOW, **changes)
    with transaction():
        outgoing = claims.claim_next("worker-1", SEND, now=NOW)
    assert outgoing is not None
    return message, outgoing


def test_the_same_key_twice_is_one_message() -> None:
    with transaction():
        patient = ana(NOW)
        first = queue(patient, NOW)
        second = queue(patient, NOW, template="visit-soon")

    assert first.id == second.id
    assert again(first).template == "call-tomorrow"


def test_nobody_to_reach_is_not_a_message() -> None:
    with transaction():
        patient = ana(NOW, consents=False, mobile=None)
        outbox.put([reminder(patient)], now=NOW)

    assert rows() == []


def test_a_claimed_message_is_rendered_and_keeps_no_secret() -> None:
    message, outgoing = claimed(template="call-booked")

    row = again(message)
    assert LINK in outgoing.body
    assert outgoing.body.startswith(
        "Emerge Wellness: our Woburn team will call you Tue, Mar 3, 10:45 AM."
    )
    assert row.body is not None
    assert LINK not in row.body
    assert row.body_print == composing.body_print("+17815550111", outgoing.body)
    assert row.state is State.CLAIMED


def test_a_message_is_claimed_once() -> None:
    claimed()

    with transaction():
        assert claims.claim_next("worker-2", SEND, now=NOW) is None


def test_what_is_not_due_waits() -> None:
    with transaction():
        queue(ana(NOW), NOW, send_after=NOW + timedelta(seconds=1))

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=NOW) is None


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Drop("it was called off"), State.CANCELLED),
        (Drop("nobody wants it", State.SUPPRESSED), State.SUPPRESSED),
        (Wait(NOW + timedelta(hours=1)), State.QUEUED),
        (Wait(NOW + timedelta(days=9)), State.EXPIRED),
    ],
)
def test_the_judge_decides_whether_it_is_still_true(verdict: Verdict, state: State) -> None:
    with transaction():
        message = queue(ana(NOW), NOW)

    with transaction():
        assert claims.claim_next("worker-1", judging(verdict), now=NOW) is None

    assert again(message).state is state


def test_late_is_worse_than_never() -> None:
    with transaction():
        message = queue(ana(NOW), NOW)

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=NOW + timedelta(hours=20)) is None

    assert again(message).state is State.EXPIRED


def test_old_messages_expire_by_themselves() -> None:
    with transaction():
        message = queue(ana(NOW), NOW)

    with transaction():
        assert ending.expire_old(now=NOW + timedelta(hours=20)) == 1

    assert again(message).state is State.EXPIRED


def test_without_consent_nothing_goes() -> None:
    with transaction():
        message = queue(ana(NOW, consents=False), NOW)

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=NOW) is None

    assert again(message).state is State.SUPPRESSED


def test_mail_needs_no_consent_to_texts() -> None:
    with transaction():
        queue(ana(NOW, consents=False), NOW, channel=Channel.EMAIL, template="invite")

    with transaction():
        outgoing = claims.claim_next("worker-1", SEND, now=NOW)

    assert outgoing is not None
    assert outgoing.subject == "Emerge Wellness: your appointment, Tue, Mar 3, 10:45 AM"
    assert "We will call you." in outgoing.body


def test_the_dead_are_never_contacted() -> None:
    with transaction():
        patient = ana(NOW)
        message = queue(patient, NOW)
        mail = queue(patient, NOW, channel=Channel.EMAIL, template="invite", dedupe_key="mail")
        patient.is_deceased = True

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=NOW) is None

    assert again(message).state is State.SUPPRESSED
    assert again(mail).state is State.SUPPRESSED
    with transaction():
        outbox.put([reminder(patient)], now=NOW)
    assert len(rows()) == 2


def test_a_new_number_is_used_and_needs_its_own_consent() -> None:
    with transaction():
        patient = ana(NOW)
        message = queue(patient, NOW)
        patient.mobile = "+17815550122"

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=NOW) is None

    row = again(message)
    assert (row.state, row.recipient) == (State.SUPPRESSED, "+17815550122")


def test_at_night_it_waits_for_the_morning_and_an_answer_does_not() -> None:
    night = NOW + timedelta(hours=12)  # 10:00 PM in Woburn
    with transaction():
        patient = ana(NOW)
        two_days = NOW + timedelta(days=2)
        message = queue(patient, NOW, send_after=night, expires_at=two_days)
        queue(patient, night, send_after=night, is_reply=True, dedupe_key="own-act")
        queue(patient, NOW, send_after=NOW, is_reply=True, dedupe_key="an act of this morning")

    with transaction():
        outgoing = claims.claim_next("worker-1", SEND, now=night)
    with transaction():
        assert claims.claim_next("worker-1", SEND, now=night) is None  # nobody waits for it now
    with transaction():
        outgoing = outgoing or claims.claim_next("worker-1", SEND, now=night)

    assert outgoing is not None
    assert outgoing.view.dedupe_key == "own-act"
    with transaction():
        assert claims.claim_next("worker-1", SEND, now=night) is None
    row = again(message)
    assert row.state is State.QUEUED
    assert row.send_after == NOW + timedelta(hours=22)  # 8:00 AM


def test_what_could_only_go_after_its_time_expires_at_night() -> None:
    night = NOW + timedelta(hours=12)
    with transaction():
        message = queue(ana(NOW), NOW, send_after=night, expires_at=night + timedelta(hours=1))

    with transaction():
        assert claims.claim_next("worker-1", SEND, now=night) is None

    row = again(message)
    assert row.state is State.EXPIRED
    assert row.error_text == "the night kept it back until its time had passed"


def test_what_was_withdrawn_does_not_pass_the_last_door() -> None:
    message, outgoing = claimed()
    with transaction():
        assert outbox.withdraw("appointment:42", now=NOW) == 1

    with transaction():
        assert not claims.begin_sending(outgoing, now=NOW)

    assert again(message).state is State.CANCELLED


def test_a_stop_takes_back_what_waits_and_what_is_claimed() -> None:
    message, outgoing = claimed()
    with transaction():
        waiting = queue(
            patient_of(message),
            NOW,
            dedupe_key="waiting",
            send_after=NOW + timedelta(hours=2),
        )
        stopped = consent.revoke(
            message.recipient,
            wording="STOP",
            source="text",
            actor="patient:1",
            origin="SM1",
            now=NOW,
        )

    with transaction():
        assert not claims.begin_sending(outgoing, now=NOW)

    assert stopped == 2
    assert again(message).state is State.SUPPRESSED
    assert again(waiting).state is State.SUPPRESSED


def test_a_worker_that_overslept_cannot_act_on_its_old_claim() -> None:
    message, old = claimed()
    woken = NOW + timedelta(seconds=61)
    with transaction():
        assert claims.return_expired_leases(now=woken) == (1, 0)
    with transaction():
        new = claims.claim_next("worker-2", SEND, now=woken)
    assert new is not None

    with transaction():
        assert not claims.begin_sending(old, now=woken)
        assert claims.begin_sending(new, now=woken)
        evidence.note_refused(old, Trouble.NEVER, code=None, text="stale", now=woken)

    assert again(message).state is State.SENDING


def test_a_claim_whose_lease_ran_out_does_not_pass_even_if_nobody_took_it() -> None:
    _, outgoing = claimed()

    with transaction():
        assert not claims.begin_sending(outgoing, now=NOW + timedelta(seconds=60))


def sending(**changes: object) -> tuple[Message, composing.Outgoing]:
    """A message whose call has begun."""
    message, outgoing = claimed(**changes)
    with transaction():
        assert claims.begin_sending(outgoing, now=NOW)
    return message, outgoing


def test_a_sent_message_is_reported_once_and_moves_on_by_reports() -> None:
    message, outgoing = sending()
    with transaction():
        first = evidence.note_sent(message.id, "SM1", status="queued", now=NOW)
    with transaction():
        second = evidence.note_sent(message.id, "SM1", status="queued", now=NOW)
    with transaction():
        evidence.record_report(outgoing.public_id, "SM1", "delivered", now=LATER)
        evidence.record_report(outgoing.public_id, "SM1", "sent", now=LATER)

    assert first is not None
    assert second is None
    row = again(message)
    assert (row.state, row.provider_status) == (State.DELIVERED, "delivered")


def test_a_report_that_comes_before_our_own_note_is_evidence_and_the_note_changes_nothing() -> None:
    message, outgoing = sending()

    with transaction():
        learned = evidence.record_report(outgoing.public_id, "SM1", "delivered", now=NOW)
    with transaction():
        note = evidence.note_sent(message.id, "SM1", status="queued", now=NOW)

    assert learned is not None
    assert note is None
    assert again(message).state is State.DELIVERED


def test_a_word_nobody_knows_moves_nothing_and_is_kept() -> None:
    message, outgoing = sending()

    with transaction():
        assert evidence.record_report(outgoing.public_id, "SM1", "sparkling", now=NOW) is None
        assert evidence.record_report("unknown", "SM1", "delivered", now=NOW) is None

    assert again(message).state is State.SENDING


def test_a_passing_refusal_puts_it_back_later_each_time() -> None:
    message, outgoing = sending()

    with transaction():
        evidence.note_refused(
            outgoing,
            Trouble.LATER,
            code="20429",
            text="busy",
            retry_after=timedelta(minutes=5),
            now=NOW,
        )

    row = again(message)
    assert row.state is State.QUEUED
    assert row.send_after == NOW + timedelta(minutes=5)


def test_after_many_tries_it_is_set_aside_with_a_task() -> None:
    message, outgoing = sending()
    with transaction():
        again(message).attempts = 12

    with transaction():
        evidence.note_refused(outgoing, Trouble.LATER, code=None, text="busy", now=NOW)

    assert again(message).state is State.FAILED
    assert tasks.is_open("not-sent", f"message:{message.id}")


def test_an_opt_out_known_to_the_provider_is_an_opt_out() -> None:
    message, outgoing = sending()

    with transaction():
        evidence.note_refused(outgoing, Trouble.OPTED_OUT, code="21610", text="stopped", now=NOW)

    assert again(message).state is State.SUPPRESSED
    assert consent.is_stopped(message.recipient)
    assert consent.standing(patient_of(message)).source == "provider"
    assert tasks.is_open("not-sent", f"message:{message.id}")


def test_an_unregistered_sender_stops_all_texts_until_a_person_has_looked() -> None:
    message, outgoing = sending()

    with transaction():
        evidence.note_refused(outgoing, Trouble.STOPS_ALL, code="30034", text="no", now=NOW)

    assert again(message).state is State.QUEUED
    assert queries.sending_is_blocked(None) is queries.Blocked.STOPPED


def test_texts_wait_until_a_signed_text_has_come_in() -> None:
    url = "https://clinic.example/hooks/twilio/text"

    assert queries.sending_is_blocked(url) is queries.Blocked.UNVERIFIED
    assert queries.sending_is_blocked(None) is None


def test_a_phone_that_was_off_is_tried_once_more_and_then_a_person_is_asked() -> None:
    message, outgoing = sending()
    with transaction():
        evidence.note_sent(message.id, "SM1", now=NOW)

    with transaction():
        evidence.record_report(outgoing.public_id, "SM1", "undelivered", "30003", now=LATER)

    second = only(Message.id != message.id)
    assert again(message).state is State.UNDELIVERED
    assert second.send_after == LATER + timedelta(hours=2)
    assert not tasks.is_open("not-sent", f"message:{message.id}")
    second_id, at = second.id, second.send_after
    with transaction():
        more = claims.claim_next("worker-1", SEND, now=at)
        assert more is not None
        claims.begin_sending(more, now=at)
        evidence.record_report(more.public_id, "SM2", "undelivered", "30003", now=at)
    assert tasks.is_open("not-sent", f"message:{second_id}")
    assert queries.counts() == {State.UNDELIVERED: 2}


def test_a_lost_answer_is_ambiguous_and_nothing_is_decided_for_fifteen_minutes() -> None:
    message, outgoing = sending()
    with transaction():
        evidence.note_ambiguous(outgoing, "ReadTimeout", now=NOW)

    with transaction():
        early = evidence.settle_unanswered(message.id, now=NOW + timedelta(minutes=14))
    with transaction():
        late = evidence.settle_unanswered(message.id, now=NOW + timedelta(minutes=15))

    assert (early, late) == (None, State.QUEUED)  # a reminder's late double harms nobody


def test_a_change_without_an_answer_goes_to_a_person() -> None:
    with transaction():
        message = queue(ana(NOW), NOW, template="changed")
    judge = judging(Send(facts=FACTS, links={"link": LINK}, template="call-moved"))
    with transaction():
        outgoing = claims.claim_next("worker-1", judge, now=NOW)
        assert outgoing is not None
        claims.begin_sending(outgoing, now=NOW)
        evidence.note_ambiguous(outgoing, "ReadTimeout", now=NOW)

    with transaction():
        end = evidence.settle_unanswered(message.id, now=NOW + timedelta(minutes=15))

    assert end is State.FAILED
    assert tasks.is_open("not-sent", f"message:{message.id}")


def test_a_worker_that_died_in_the_call_leaves_an_ambiguous_message() -> None:
    message, _ = sending()

    with transaction():
        assert claims.return_expired_leases(now=NOW + timedelta(seconds=60)) == (0, 1)

    assert again(message).state is State.AMBIGUOUS


def test_a_poisoned_message_is_set_aside_and_the_next_ones_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with transaction():
        poison = queue(ana(NOW), NOW)
        queue(ana(NOW, given="Ben"), NOW, dedupe_key="sound", topic="appointment:43")

    def judge(message: MessageView) -> Verdict:
        if message.id == poison.id:
            raise ZeroDivisionError
        return Send(facts=FACTS)

    def leave_it_in_front(message: Message, _reason: str, _now: datetime) -> None:
        message.state, message.claimed_by, message.lease_until = State.QUEUED, None, None

    poison_id, moment, taken = poison.id, NOW, []
    with monkeypatch.context() as patched, transaction():
        patched.setattr(ending, "set_aside", leave_it_in_front)
        stops = claims.claim_next("worker-1", judge, now=moment) is None
        print(f"control: what is not set aside stops what is behind it: {stops}")
        assert stops
    for _ in range(4):
        with transaction():
            outgoing = claims.claim_next("worker-1", judge, now=moment)
        taken += [outgoing] if outgoing else []
        moment += timedelta(minutes=5)

    assert [outgoing.view.dedupe_key for outgoing in taken] == ["sound"]
    assert again(poison).state is State.FAILED
    assert tasks.is_open("not-sent", f"message:{poison_id}")


def test_words_that_say_too_much_are_not_sent() -> None:
    with transaction():
        message = queue(ana(NOW), NOW, template="visit-soon")

    with transaction():
        judge = judging(Send(facts=FACTS | {"site": "Infusion Suite"}))
        assert claims.claim_next("worker-1", judge, now=NOW) is None

    assert again(message).error_text == "Unfit"


def test_asking_again_keeps_one_word_waiting_and_gives_each_change_its_time() -> None:
    def ask(minutes: int, now_minutes: int) -> Message:
        with transaction():
            word = outbox.Word(
                template="changed",
                channel=Channel.SMS,
                patient=patient,
                facts={},
                topic="patient:1",
                send_after=NOW + timedelta(minutes=now_minutes + minutes),
                expires_at=NOW + timedelta(days=1),
            )
            moment = NOW + timedelta(minutes=now_minutes)
            if not outbox.waits(word, now=moment):
                outbox.put([word], now=moment)
        return rows()[-1]

    with transaction():
        patient = ana(NOW)

    first = ask(15, 0)
    second = ask(15, 10)
    assert (second.id, again(second).send_after) == (first.id, NOW + timedelta(minutes=25))
    for minute in range(20, 60, 10):
        ask(15, minute)
    assert again(first).send_after == NOW + timedelta(hours=1)
    ask(0, 55)
    assert again(first).send_after == NOW + timedelta(minutes=55)


def test_nothing_is_stuck_unseen(room: Flask) -> None:
    message, outgoing = sending()

    assert list(queries.could_not_be_confirmed(now=NOW + timedelta(minutes=14))) == []
    stuck = queries.could_not_be_confirmed(now=NOW + timedelta(minutes=15))
    assert [row.id for row in stuck] == [message.id]
    with transaction():
        evidence.note_sent(message.id, "SM1", now=NOW)
    assert list(queries.could_not_be_confirmed(now=NOW + timedelta(hours=71))) == []
    assert len(queries.could_not_be_confirmed(now=NOW + timedelta(hours=72))) == 1
    with transaction():
        evidence.record_report(outgoing.public_id, "SM1", "delivered", now=LATER)
    assert list(queries.could_not_be_confirmed(now=NOW + timedelta(hours=72))) == []
