"""R-05: every way into a state, and every way into a time, tried twice at the same instant."""

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations_with_replacement

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import queries, rules
from scheduler.booking import service as booking
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import LIVE, Appointment, Status
from scheduler.booking.offers import Audience
from scheduler.booking.rules import Event
from scheduler.clinic import supply
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Keep
from tests.make import at
from tests.support.gate import together

TURNS = 5 if os.environ.get("EMERGE_PROVE") else 1
START = at(10)
NOW = at(10, 5)  # it has begun, so that it can be missed; the desk may still book it
Deed = Callable[[], object]


def at_once(app: Flask, deeds: list[Deed]) -> list[str]:
    """Do each deed in a thread and a transaction of its own; return "done" or the refusal's code.

    Raises:
        Exception: anything that is no refusal: it would have been a 500.
    """

    def alone(deed: Deed) -> Callable[[threading.Barrier], str]:
        def run(gate: threading.Barrier) -> str:
            with app.app_context():
                db.session.execute(sa.text("SELECT 1"))
                gate.wait()
                try:
                    with transaction():
                        deed()
                except Refusal as refusal:
                    return refusal.code if refusal.status == 409 else f"{refusal.status}"
                return "done"

        return run

    return together([alone(deed) for deed in deeds])


# ---------------------------------------------------------------- two on one row


def row(number: int) -> Appointment:
    return db.session.get_one(Appointment, number)


def verb(event: Event, number: int, version: int) -> Deed:
    """Return what a door does for an event."""
    how = {"actor": "staff:1", "now": NOW}
    by_version = {
        Event.ARRIVE: booking.arrive,
        Event.FULFIL: booking.fulfil,
        Event.NO_SHOW: booking.no_show,
        Event.CANCEL: booking.cancel,
        Event.STRIKE: booking.strike,
    }
    plain = {
        Event.CONFIRM: booking.confirm,
        Event.UNARRIVE: booking.unarrive,
        Event.REOPEN: booking.reopen,
        Event.REINSTATE: booking.reinstate,
    }
    if event is Event.MOVE:
        return lambda: booking.move(row(number), starts_at=at(14), version=version, **how)  # type: ignore[arg-type]
    if event is Event.RESEAT:
        return lambda: booking.reseat(
            row(number), person_id=other_caller(number), version=version, actor="staff:1", now=NOW
        )
    if event in by_version:
        return lambda: by_version[event](row(number), version=version, **how)  # type: ignore[operator]
    return lambda: plain[event](row(number), **how)  # type: ignore[operator]


def other_caller(number: int) -> int:
    one = row(number)
    has = queries.placed([one])[0].person_id
    callers = supply.current().sites[one.site_id].with_skill("calls")
    return next(p.id for p in callers if p.id != has)


#: How each state is come to from a booking.
INTO: dict[Status, tuple[Event, ...]] = {
    Status.BOOKED: (),
    Status.ARRIVED: (Event.ARRIVE,),
    Status.FULFILLED: (Event.FULFIL,),
    Status.CANCELLED: (Event.CANCEL,),
    Status.NOSHOW: (Event.NO_SHOW,),
    Status.IN_ERROR: (Event.STRIKE,),
}


def appointment(keep: Keep, site_id: int, state: Status) -> tuple[int, int]:
    """Make an appointment in a state; return its id and version."""
    with keep() as session:
        who = make.patient("Ana", "Pair", mobile=None, email=None)
        one = make.call(session.get_one(Site, site_id), who, START, now=NOW - timedelta(hours=1))
        for event in INTO[state]:
            verb(event, one.id, one.version)()
        return one.id, one.version


def clear(keep: Keep) -> None:
    """Free the time for the next pair."""
    with keep() as session:
        session.execute(sa.text("DELETE FROM claim"))
        session.execute(sa.text("DELETE FROM hold"))  # or visitors' share of the day runs out


def expected(state: Status, event: Event) -> list[str]:
    """Return what two at once must come to."""
    onward = rules.next_state(state, event)
    if onward is None:
        return ["wrong-state", "wrong-state"]
    if event is Event.CONFIRM:
        return ["done", "done"]  # saying it twice changes nothing
    return ["done", "refused"]


def test_of_two_at_once_on_one_appointment_one_wins(
    app: Flask, keep: Keep, subtests: pytest.Subtests
) -> None:
    with keep():
        site_id = make.clinic_day(callers=2).id
    pairs = 0
    for state in Status:
        for event in Event:
            for _ in range(TURNS):
                number, version = appointment(keep, site_id, state)
                before = deeds_on_record(keep, event, number)
                with subtests.test(f"{state}, {event}"):
                    pairs += 1
                    met = at_once(app, [verb(event, number, version)] * 2)

                    is_two_times_no = expected(state, event) == ["wrong-state"] * 2
                    assert sorted("refused" if m != "done" else m for m in met) == (
                        ["refused", "refused"] if is_two_times_no else expected(state, event)
                    )
                    with keep() as session:
                        one = session.get_one(Appointment, number)
                        assert one.status is (rules.next_state(state, event) or state)
                        assert bool(one.claims) == (one.status in LIVE)
                    done = deeds_on_record(keep, event, number) - before
                    assert done == (0 if is_two_times_no else 1)
                clear(keep)
    print(f"pairs of one event at once, {_kind(app)}: {pairs} tried, one winner in each")


def deeds_on_record(keep: Keep, event: Event, number: int) -> int:
    action = "appointment.confirmed" if event is Event.CONFIRM else f"appointment.{event.value}"
    with keep() as session:
        found = session.scalar(
            sa.text("SELECT count(*) FROM audit_entry WHERE action = :a AND subject = :s"),
            {"a": action, "s": f"appointment:{number}"},
        )
    return int(found or 0)


# ---------------------------------------------------------------- two rows, one time


def _kind(app: Flask) -> str:
    with app.app_context():
        return db.engine.dialect.name


class Ways:
    """Each way into a time: how it is prepared, and what is then done at once with another."""

    def __init__(self, keep: Keep, site_id: int) -> None:
        self.keep = keep
        self.site_id = site_id
        self.people = self.holds = 0

    def patient(self) -> Patient:
        self.people += 1
        return make.patient(f"P{self.people}", "Pair", mobile=None, email=None)

    def site(self) -> Site:
        return db.session.get_one(Site, self.site_id)

    def call(self, start: datetime) -> int:
        return make.call(self.site(), self.patient(), start, now=NOW).id

    def booking(self) -> Deed:
        with self.keep():
            who = self.patient().id
        return lambda: make.call(self.site(), db.session.get_one(Patient, who), START, now=NOW)

    def late_hold(self) -> Deed:
        # Of two, the second comes after the first ran out.
        self.holds += 1
        held_at = NOW - timedelta(minutes=60 if self.holds % 2 else 30)
        with self.keep():
            who, holder = self.patient().id, f"browser {self.people}"
            held = booking.hold(
                ServiceCode.CALL, self.site_id, START,
                holder=holder, now=held_at, audience=Audience.DESK,
            )  # fmt: skip
            number = held.id
        return lambda: booking.book_held(
            number,
            holder=holder,
            patient=db.session.get_one(Patient, who),
            actor="visitor",
            now=NOW,
            audience=Audience.DESK,
        )

    def move(self) -> Deed:
        with self.keep():
            number = self.call(at(11) + timedelta(minutes=15 * (self.people % 12)))
            version = row(number).version
        return lambda: booking.move(
            row(number), starts_at=START, version=version, actor="staff:1", now=NOW
        )

    def back_from_cancelled(self) -> Deed:
        with self.keep():
            number = self.call(START)
            booking.cancel(row(number), actor="staff:1", now=NOW)
        return lambda: booking.reinstate(row(number), actor="staff:1", now=NOW)

    def back_from_missed(self) -> Deed:
        with self.keep():
            number = self.call(START)
            booking.no_show(row(number), actor="staff:1", now=NOW)
        return lambda: booking.reinstate(row(number), actor="staff:1", now=NOW)

    def undone_by_the_patient(self) -> Deed:
        """Called off by the patient so long ago that the time is no longer kept for them."""
        with self.keep():
            number = self.call(START)
            booking.cancel(
                row(number), actor="patient:1", by_patient=True, now=NOW - timedelta(minutes=30)
            )
        return lambda: booking.reinstate(row(number), actor="patient:1", now=NOW)

    def names(self) -> dict[str, Callable[[], Deed]]:
        """Return the ways in the order in which they can be prepared one after the other."""
        return {
            "book a hold that ran out": self.late_hold,
            "take one's own cancellation back": self.undone_by_the_patient,
            "book": self.booking,
            "move": self.move,
            "reinstate": self.back_from_cancelled,
            "take a no-show back": self.back_from_missed,
        }


def live_at_start() -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.count())
            .select_from(Appointment)
            .where(Appointment.starts_at == START, Appointment.status.in_(LIVE))
        )
        or 0
    )


def test_of_two_ways_into_one_time_one_wins(
    app: Flask, keep: Keep, subtests: pytest.Subtests
) -> None:
    with keep():
        site_id = make.clinic_day(callers=1).id
    ways = Ways(keep, site_id)
    names = ways.names()
    tried = 0
    for first, second in combinations_with_replacement(names, 2):
        for _ in range(TURNS):
            with subtests.test(f"{first}, {second}"):
                tried += 1
                ways.holds = 0
                deeds = [names[first](), names[second]()]
                met = at_once(app, deeds)

                assert sorted(met) == ["done", SlotTaken.code]
                with keep():
                    assert live_at_start() == 1
            clear(keep)
            with keep() as session:
                session.execute(sa.text("UPDATE appointment SET status = 'entered-in-error'"))
    print(f"pairs of ways into one time, {_kind(app)}: {tried} tried, one winner in each")


def test_without_lock_and_law_both_win(
    app: Flask, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the harness sees two winners where there are two."""
    with keep() as session:
        site_id = make.clinic_day(callers=1).id
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sa.text("DROP TRIGGER ex_claim_no_overlap_insert"))
        else:
            session.execute(sa.text("ALTER TABLE claim DROP CONSTRAINT ex_claim_no_overlap"))
    ways = Ways(keep, site_id)
    deeds = [ways.booking(), ways.back_from_cancelled()]
    monkeypatch.setattr(booking, "lock", lambda _: None)
    monkeypatch.setattr("scheduler.booking.allocation.clear", lambda *_, **__: [])

    assert at_once(app, deeds) == ["done", "done"]
    with keep():
        assert live_at_start() == 2
