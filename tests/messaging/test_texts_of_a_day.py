"""What is due to a person on a day is one text; caps count texts; the urgent ones come first."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.core.db import db, let_go, transaction
from scheduler.jobs import deliver, reconcile
from scheduler.messaging import claims, evidence, outbox, queries, rules
from scheduler.messaging.models import Message
from scheduler.messaging.rules import Drop, MessageView, Part, Purpose, Send, Trouble, Verdict
from scheduler.messaging.senders.outcomes import NoAnswer, Refused
from scheduler.messaging.states import Channel, State
from scheduler.tasks import queries as tasks
from tests import make
from tests.conftest import NOW, StoppedClock
from tests.messaging.kit import FACTS, LINK, FakeSender, Told, again, agree, ana, delivery, queue

BOSTON = ZoneInfo("America/New_York")
READY = LINK.replace("/my/", "/ready/")
PLACE = {"address": "1 Main Street, Woburn, MA"}


def on(day: int, hour: int = 10) -> datetime:
    """A wall time in Woburn in March 2026, before and after the clocks change on the 8th."""
    return datetime(2026, 3, day, hour, tzinfo=BOSTON).astimezone(UTC)


# ---------------------------------------------------------------- arithmetic


def test_a_day_ends_at_midnight_on_the_wall_and_a_week_is_any_seven_days() -> None:
    def free(told: list[datetime], now: datetime, a_day: int = 1, a_week: int = 3) -> object:
        return rules.frees_at(told, now=now, zone=BOSTON, a_day=a_day, a_week=a_week)

    assert free([], on(2)) is None
    assert free([on(2, 8)], on(2, 20)) == on(3, 8)
    assert free([on(2, 20)], on(3, 8)) is None
    assert free([on(7, 9)], on(7, 20)) == on(8, 8)  # that night is an hour shorter
    assert free([on(2), on(3), on(5)], on(6)) == on(2) + timedelta(days=7)
    assert free([on(2), on(3), on(5)], on(2) + timedelta(days=7)) is None
    assert free([on(2), on(3), on(4), on(5)], on(6)) == on(3) + timedelta(days=7)
    assert free([], on(2), a_week=0) == on(2) + timedelta(days=7)
    assert free([on(2, 9)], on(2), a_day=2) is None


def test_a_text_that_can_wait_leaves_the_urgent_ones_their_place_in_any_seven_days() -> None:
    def room(told: list[datetime], planned: list[datetime]) -> bool:
        return rules.leaves_room(told, planned, now=on(2), a_week=3)

    assert room([], [])
    assert room([], [on(4), on(6)])
    assert not room([], [on(4), on(6), on(8)])
    assert not room([on(1)], [on(4), on(6)])
    assert room([on(1)], [on(4)])
    assert room([on(1) - timedelta(days=3)], [on(5), on(7)])  # out of the week by then


def said(queued: str, day: int, purpose: Purpose, **changes: object) -> Part:
    """A part about a visit of its own on a day."""
    values: dict[str, object] = {
        "facts": FACTS | PLACE | {"starts_at": on(day).isoformat()},
        "links": {"link": LINK},
        "topic": f"appointment:{day}",
        "memo": {str(day): "told"} if purpose is Purpose.CHANGE else {},
    }
    return Part(purpose, f"appointment:{day}", queued, Send(**(values | changes)))  # type: ignore[arg-type]


TOMORROW = said("visit-tomorrow", 3, Purpose.TOMORROW)
PREPARE = said("visit-prepare", 5, Purpose.READINESS, links={"link": LINK, "ready": READY})
AHEAD = said("visit-soon", 9, Purpose.AHEAD)
MOVED = said("changed", 12, Purpose.CHANGE, template="visit-moved", near=on(11))
GONE = said("changed", 4, Purpose.CHANGE, template="visit-cancelled", links={}, near=on(4))


@pytest.mark.parametrize(
    ("parts", "template", "dates"),
    [
        pytest.param([TOMORROW], "visit-tomorrow", None, id="one thing goes in its own words"),
        pytest.param([AHEAD, TOMORROW], "coming-up", [3, 9], id="reminders list their dates"),
        pytest.param([PREPARE, TOMORROW], "coming-up-ready", [3, 5], id="questions ride along"),
        pytest.param([MOVED, AHEAD], "dates", [9, 12], id="a change leads"),
        pytest.param([GONE, PREPARE], "dates-ready", [4, 5], id="what is off is said so"),
    ],
)
def test_several_things_are_said_in_one_text(
    parts: list[Part], template: str, dates: list[int] | None
) -> None:
    for order in (parts, parts[::-1]):
        send = rules.together(order)

        assert send.template == template
        visits = json.loads(send.facts.get("visits", "null"))
        assert visits == dates or [v[0] for v in visits] == [on(d).isoformat() for d in dates or []]
    if GONE in parts:
        assert [v[3] for v in visits] == ["cancelled", ""]


def test_of_two_words_about_one_visit_the_urgent_one_is_enough() -> None:
    soon = Part(Purpose.AHEAD, TOMORROW.topic, "visit-soon", TOMORROW.send)

    assert rules.together([soon, TOMORROW]).template == "visit-tomorrow"
    assert rules.leading([soon, TOMORROW]) is Purpose.TOMORROW
    asked = said("visit-prepare", 12, Purpose.READINESS, links={"link": LINK, "ready": READY})
    both = rules.together([asked, MOVED])  # what is to be answered first rides on
    assert (both.template, both.links["ready"]) == ("visit-moved-ready", READY)
    assert both.memo == MOVED.send.memo


def test_the_text_with_every_date_says_all_the_others_and_keeps_their_memo() -> None:
    visits = json.dumps([[on(day).isoformat(), "America/New_York", "Woburn"] for day in (3, 7)])
    every = Send(facts={"visits": visits, "phone": "+1"}, template="dates", memo={"7": "told"})
    change = Part(Purpose.CHANGE, "patient:1", "changed", every)

    send = rules.together([TOMORROW, MOVED, change])

    assert (send.template, send.memo) == ("dates", {"7": "told", "12": "told"})
    assert send.near == on(11)
    assert [v[0] for v in json.loads(send.facts["visits"])] == [
        on(d).isoformat() for d in (3, 7, 12)
    ]


# ---------------------------------------------------------------- in the outbox


def judge(message: MessageView, now: datetime) -> Verdict:
    """Each visit stands; one of the 13th was called off."""
    day = int(message.topic.partition(":")[2])
    if day == 13:
        return Drop("called off")
    return Send(
        facts=FACTS | PLACE | {"starts_at": on(day).isoformat()},
        links={"link": LINK},
        template="visit-moved" if message.template == "changed" else None,
        near=on(day) if message.template == "changed" else None,
    )


def due(who: object, template: str, day: int, at: datetime, **changes: object) -> int:
    """Queue a text about the visit of a day; return its number."""
    with transaction():
        return queue(
            who,  # type: ignore[arg-type]
            NOW,
            **{
                "template": template,
                "topic": f"appointment:{day}",
                "dedupe_key": f"{template}:{day}",
                "send_after": at,
                "expires_at": at + timedelta(days=9),
                **changes,
            },
        ).id


def states() -> Mapping[int, State]:
    """Where each message stands."""
    with transaction():
        return {m.id: m.state for m in db.session.scalars(sa.select(Message))}


class TestOneDay:
    """One person, one day."""

    @pytest.fixture(autouse=True)
    def known(self, room: Flask, clock: StoppedClock) -> None:
        with transaction():
            self.patient = ana(NOW)
        self.clock = clock
        self.sender = FakeSender()

    def run(self, moment: datetime | None = None) -> list[str]:
        """Send what is due and return the words."""
        if moment is not None:
            self.clock.set(moment)
        before = len(self.sender.sent)
        deliver.run(delivery(self.sender, self.clock, judge=judge, told=Told()))
        return [outgoing.body for outgoing in self.sender.sent[before:]]

    def test_what_is_due_later_today_is_said_now_and_tomorrows_is_not(self) -> None:
        first = due(self.patient, "visit-tomorrow", 3, on(2, 10))
        later = due(self.patient, "visit-prepare", 5, on(2, 16))
        gone = due(self.patient, "visit-soon", 13, on(2, 17))
        next_day = due(self.patient, "visit-soon", 10, on(3, 10))

        words = self.run()

        assert len(words) == 1
        assert self.sender.sent[0].expires_at == on(2, 21)  # a phone switched on at night is quiet
        assert "Tue, Mar 3, 10:00 AM; Thu, Mar 5, 10:00 AM, Woburn." in words[0]
        assert states() == {
            first: State.SENT,
            later: State.MERGED,
            gone: State.CANCELLED,
            next_day: State.QUEUED,
        }
        assert self.run(on(2, 18)) == []
        with transaction():
            assert queries.open_question("+17815550111", now=on(2, 19)) is None
            assert again(db.session.get_one(Message, later)).said_in_id == first

    def test_a_change_that_may_still_be_undone_is_waited_for(self) -> None:
        due(self.patient, "visit-tomorrow", 3, on(2, 10))
        due(self.patient, "changed", 9, on(2, 10) + timedelta(minutes=15))

        assert self.run() == []
        words = self.run(on(2, 10) + timedelta(minutes=15))

        assert len(words) == 1
        assert "Tue, Mar 3, 10:00 AM; Mon, Mar 9, 10:00 AM, Woburn." in words[0]

    def test_a_change_within_a_day_waits_for_no_cap_and_one_further_off_does(self) -> None:
        due(self.patient, "visit-soon", 9, on(2, 10))
        assert len(self.run()) == 1
        near = due(self.patient, "changed", 3, on(2, 11))
        far = due(self.patient, "changed", 6, on(2, 12))

        assert len(self.run(on(2, 11))) == 1
        assert self.run(on(2, 12)) == []
        assert states()[near] is State.SENT
        assert states()[far] is State.QUEUED
        assert len(self.run(on(3, 8))) == 1

    def test_a_change_within_a_day_is_the_text_of_the_day_for_what_rides_along(self) -> None:
        due(self.patient, "changed", 3, on(2, 10))
        due(self.patient, "visit-prepare", 5, on(2, 16))
        assert len(self.run()) == 1
        late = due(self.patient, "visit-soon", 9, on(2, 11))
        never = due(self.patient, "visit-soon", 8, on(2, 11), expires_at=on(2, 23))

        assert self.run(on(2, 12)) == []
        assert states()[late] is State.QUEUED
        with transaction():
            kept = db.session.get_one(Message, never).error_text
        assert kept == "the limit of 1 text a day kept it back until its time had passed"

    def test_no_more_than_one_a_day_and_three_a_week_and_the_urgent_ones_have_their_place(
        self,
    ) -> None:
        for day in (3, 5, 7, 9):
            due(self.patient, "visit-tomorrow", day, on(day - 1))
        due(self.patient, "visit-soon", 11, on(2, 9))
        sent: list[datetime] = []

        for hours in range(0, 24 * 9, 2):
            moment = NOW + timedelta(hours=hours)
            sent += [moment for _ in self.run(moment)]

        days = [moment.astimezone(BOSTON).date() for moment in sent]
        assert days == [date(2026, 3, d) for d in (2, 4, 6, 9)]
        assert all(b - a >= timedelta(days=7) for a, b in zip(sent, sent[3:], strict=False))
        assert all(a < b for a, b in pairwise(days))
        assert "Tue, Mar 3, 10:00 AM; Wed, Mar 11, 10:00 AM" in self.sender.sent[0].body

    def test_what_can_wait_gives_way(self) -> None:
        for day in (4, 6, 8):
            due(self.patient, "visit-tomorrow", day, on(day - 1))
        low = due(self.patient, "visit-soon", 9, on(2, 9))

        assert self.run() == []
        assert states()[low] is State.QUEUED

    def test_an_answer_is_neither_counted_nor_kept_back(self) -> None:
        due(self.patient, "visit-booked", 5, on(2), is_reply=True, dedupe_key="act")
        due(self.patient, "visit-tomorrow", 3, on(2))
        due(self.patient, "visit-booked", 6, on(2), is_reply=True, dedupe_key="act again")

        assert len(self.run()) == 3

    def test_quiet_hours_are_those_where_the_patient_lives(self) -> None:
        with transaction():
            db.session.merge(self.patient).zone_name = "America/Los_Angeles"
        due(self.patient, "visit-tomorrow", 3, on(2, 9), facts={})

        assert self.run(on(2, 10)) == []  # seven in the morning there
        assert len(self.run(on(2, 11))) == 1

    def test_a_row_that_nobody_can_judge_holds_up_nobody_and_ends_with_a_person(self) -> None:
        broken = due(self.patient, "visit-tomorrow", 3, on(2, 9), facts={"zone": "Mars/Olympus"})
        with transaction():
            other = make.patient("Ben", mobile="+17815550112")
            agree(other, NOW)
        due(other, "visit-tomorrow", 5, on(2, 10))

        assert sum(len(self.run(on(2, hour))) for hour in range(9, 18)) == 1
        assert states()[broken] is State.FAILED
        with transaction():
            assert tasks.is_open("not-sent", f"message:{broken}")

    def test_a_claim_waits_for_no_row_that_somebody_else_holds(self) -> None:
        if db.engine.dialect.name == "sqlite":
            return  # there everybody waits for the one who writes
        first = due(self.patient, "visit-tomorrow", 3, on(2, 10))
        other = due(self.patient, "visit-prepare", 5, on(2, 10))
        let_go()
        with db.engine.connect() as stop:
            stop.execute(sa.select(Message.id).where(Message.id == first).with_for_update())
            with transaction():
                found = claims.claim_next("w", lambda m: judge(m, NOW), now=NOW)
                assert found is not None
                assert (found.message_id, found.along) == (other, ())

    def test_what_is_withdrawn_under_a_workers_hands_is_not_said(self) -> None:
        first = due(self.patient, "visit-tomorrow", 3, on(2, 10))
        other = due(self.patient, "visit-prepare", 5, on(2, 16))
        with transaction():
            outgoing = claims.claim_next("w", lambda m: judge(m, NOW), now=NOW)
        assert outgoing is not None
        with transaction():
            outbox.withdraw("appointment:5", now=NOW)

        with transaction():
            assert not claims.begin_sending(outgoing, now=NOW)

        assert states() == {first: State.QUEUED, other: State.CANCELLED}
        assert "Mar 5" not in self.run()[0]

    @pytest.mark.parametrize(
        "trouble",
        ["busy", "no answer", "no answer to a change", "phone off", "refused", "stop"],
    )
    def test_what_rode_along_shares_the_fate_of_its_text(self, trouble: str) -> None:
        lead = "changed" if trouble.endswith("change") else "visit-tomorrow"
        first = due(self.patient, lead, 3, on(2, 10))
        other = due(self.patient, "visit-prepare", 5, on(2, 16))
        answers = {
            "busy": Refused(Trouble.LATER, "20429", "busy"),
            "no answer": NoAnswer("ReadTimeout"),
            "no answer to a change": NoAnswer("ReadTimeout"),
            "refused": Refused(Trouble.NEVER, "30007", "filtered"),
            "stop": Refused(Trouble.OPTED_OUT, "21610", "stopped"),
        }
        self.sender.answers = [answers[trouble]] if trouble in answers else []
        words = self.run()

        if trouble == "refused":
            assert states() == {first: State.FAILED, other: State.MERGED}
            return
        if trouble == "stop":
            assert states() == {first: State.SUPPRESSED, other: State.SUPPRESSED}
            return
        if trouble == "no answer to a change":
            later = self.clock.advance(minutes=15)
            let_go()
            reconcile.run({Channel.SMS: self.sender}, Told(), now=later)
            assert states() == {first: State.FAILED, other: State.QUEUED}
            assert "Thu, Mar 5" in self.run(on(2, 13))[0]
            return
        if trouble == "busy":
            assert states() == {first: State.QUEUED, other: State.QUEUED}
            assert self.run() == []  # neither goes before its time
        elif trouble == "no answer":
            later = self.clock.advance(minutes=15)
            let_go()
            reconcile.run({Channel.SMS: self.sender}, Told(), now=later)
        else:
            with transaction():
                row = db.session.get_one(Message, first)
                evidence.record_report(row.public_id, "SM1", "undelivered", "30003", now=NOW)
        again_said = self.run(on(2, 13))

        assert again_said == words
        assert sum(state is State.MERGED for state in states().values()) >= 1
