"""Hold, book, move, cancel and take back, as the book promises."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import forms, offers, queries, rules
from scheduler.booking import service as booking
from scheduler.booking.errors import (
    FormUsed,
    HoldGone,
    NoAuthority,
    NotOffered,
    Overtaken,
    PatientBusy,
    SlotTaken,
    TooClose,
    TooManyHolds,
    WrongState,
)
from scheduler.booking.models import Appointment, Claim, Hold, Status
from scheduler.booking.offers import Audience
from scheduler.booking.rules import Event
from scheduler.clinic import service as clinic
from scheduler.clinic import standard, supply
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db
from scheduler.messaging.models import Message
from scheduler.messaging.states import State
from scheduler.patients.models import Patient
from tests import make
from tests.conftest import Keep, Once
from tests.make import at

CALL = ServiceCode.CALL
NOW = make.MONDAY


@pytest.fixture
def where(app: Flask, once: Once) -> int:
    """A clinic with one caller, one nurse and two chairs; its site id."""

    def made() -> int:
        return make.clinic_day().id

    return once(made)


def free(site_id: int, *, now: datetime = NOW, service: ServiceCode = CALL) -> list[datetime]:
    """What the portal would offer tomorrow."""
    return [
        o.starts_at
        for o in offers.find(
            service,
            site_ids=[site_id],
            since=at(0),
            until=at(23),
            now=now,
            audience=Audience.DESK,
        )
    ]


def claims() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(Claim)) or 0


def reread(appointment_id: int) -> Appointment:
    return db.session.get_one(Appointment, appointment_id)


def site(site_id: int) -> Site:
    return db.session.get_one(Site, site_id)


def test_a_held_time_is_not_offered_to_others(keep: Keep, where: int) -> None:
    with keep():
        booking.hold(CALL, where, at(10), holder="ana", now=NOW)
        assert at(10) not in free(where)
        assert at(10, 15) in free(where)


def test_a_hold_expires_by_itself_with_no_worker_running(keep: Keep, where: int) -> None:
    with keep():
        booking.hold(CALL, where, at(10), holder="ana", now=NOW)
    later = NOW + timedelta(minutes=10)
    with keep():
        assert at(10) in free(where, now=later)
        booking.hold(CALL, where, at(10), holder="ben", now=later)


def test_an_expired_hold_that_nobody_took_is_honoured(keep: Keep, where: int) -> None:
    with keep():
        held = booking.hold(CALL, where, at(10), holder="ana", now=NOW)
        held_id = held.id
    with keep():
        booked = booking.book_held(
            held_id,
            holder="ana",
            patient=make.patient(),
            actor="visitor",
            now=NOW + timedelta(minutes=45),
        )
        assert booked.starts_at == at(10)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Hold)) == 0


def test_an_expired_hold_that_somebody_took_is_refused_with_other_times(
    keep: Keep, where: int
) -> None:
    later = NOW + timedelta(minutes=20)
    with keep():
        held_id = booking.hold(CALL, where, at(10), holder="ana", now=NOW).id
    with keep():
        make.call(site(where), make.patient("Ben"), now=later)
    with pytest.raises(SlotTaken) as refused, keep():
        booking.book_held(held_id, holder="ana", patient=make.patient(), actor="visitor", now=later)
    with keep():
        near = [o.starts_at for o in refused.value.alternatives()]
        assert at(9, 45) in near
        assert at(10) not in near


def test_one_browser_keeps_at_most_two_times(keep: Keep, where: int) -> None:
    with keep():
        for hour in (9, 10, 11):
            booking.hold(CALL, where, at(hour), holder="ana", now=NOW + timedelta(seconds=hour))
        kept = db.session.scalars(sa.select(Hold.starts_at).order_by(Hold.starts_at)).all()
        assert kept == [at(10), at(11)]


def test_visitors_together_keep_at_most_a_third_of_a_day(keep: Keep, where: int) -> None:
    with keep():
        starts = free(where)
        allowed = len(starts) * 30 // 100
        for start in starts[:allowed]:
            booking.hold(CALL, where, start, holder=f"browser {start}", now=NOW)

        with pytest.raises(TooManyHolds):
            booking.hold(CALL, where, starts[allowed], holder="one too many", now=NOW)


def test_a_hold_of_another_browser_cannot_be_booked(keep: Keep, where: int) -> None:
    with keep():
        held_id = booking.hold(CALL, where, at(10), holder="ana", now=NOW).id
    with pytest.raises(HoldGone), keep():
        booking.book_held(held_id, holder="ben", patient=make.patient(), actor="visitor", now=NOW)


def test_a_hold_can_be_renewed_but_not_for_ever(keep: Keep, where: int) -> None:
    with keep():
        held = booking.hold(CALL, where, at(10), holder="ana", now=NOW)
        for minutes in (5, 12, 20, 28):
            booking.renew(held, now=NOW + timedelta(minutes=minutes))
        assert held.expires_at == NOW + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("start", "audience"),
    [
        pytest.param(at(7), Audience.DESK, id="before opening"),
        pytest.param(at(17, 50), Audience.DESK, id="runs past closing"),
        pytest.param(at(10, 3), Audience.DESK, id="off the five minutes"),
        pytest.param(at(10, 5), Audience.ONLINE, id="off the quarter-hour, online"),
        pytest.param(NOW + timedelta(minutes=105), Audience.ONLINE, id="too soon, online"),
        pytest.param(at(10, days=40), Audience.ONLINE, id="too far, online"),
        pytest.param(NOW - timedelta(hours=2), Audience.DESK, id="in the past"),
    ],
)
def test_what_is_not_offered_cannot_be_booked_by_asking(
    keep: Keep, where: int, start: datetime, audience: Audience
) -> None:
    with pytest.raises(NotOffered), keep():
        make.call(site(where), make.patient(), start, audience=audience)
    with keep():
        assert claims() == 0


def test_a_closed_day_is_not_offered_and_not_booked(keep: Keep, where: int) -> None:
    with keep():
        clinic.close(site(where), at(0), at(23), "Snow", actor="staff:1", now=NOW)
    with keep():
        assert free(where) == []
    with pytest.raises(NotOffered), keep():
        make.call(site(where), make.patient())


def test_nobody_is_in_two_places(keep: Keep, where: int) -> None:
    with keep():
        ana = make.patient()
        make.infusion(site(where), ana)
        ana_id = ana.id
    with pytest.raises(PatientBusy), keep():
        make.call(site(where), db.session.get_one(Patient, ana_id), at(11))


def test_an_infusion_takes_chair_nurse_start_and_patient_together(keep: Keep, where: int) -> None:
    with keep():
        booked = make.infusion(site(where), make.patient())
        spans = {
            (c.lane.resource_id, (c.starts_at - at(10)), (c.ends_at - at(10)))
            for c in booked.claims
        }
        minutes = sorted((a.seconds // 60, b.seconds // 60) for _, a, b in spans)
        assert minutes == [(0, 85), (0, 85), (0, 95), (15, 30)]


def test_an_infusion_without_authority_is_refused(keep: Keep, where: int) -> None:
    with pytest.raises(NoAuthority), keep():
        booking.book(ServiceCode.INFUSION, where, at(10), make.patient(), actor="staff:1", now=NOW)


def test_no_more_ivs_start_in_a_quarter_hour_than_the_site_allows(app: Flask, keep: Keep) -> None:
    with keep():
        standard.add_services()
        busy = make.site(chairs=4, starts=2)
        make.person(busy, "Rosa", skills=("nurse",), lanes=3)
        make.person(busy, "Dev", skills=("nurse",), lanes=3)
        for n in range(2):
            make.infusion(busy, make.patient(f"P{n}"))
        with pytest.raises(SlotTaken):
            make.infusion(busy, make.patient("P3"))
        make.infusion(busy, make.patient("P4"), at(10, 15))


def test_a_nurse_watches_three_and_not_four(app: Flask, keep: Keep) -> None:
    with keep():
        standard.add_services()
        busy = make.site(chairs=6, starts=6)
        make.person(busy, "Rosa", skills=("nurse",), lanes=3)
        for n in range(3):
            make.infusion(busy, make.patient(f"P{n}"))
        with pytest.raises(SlotTaken):
            make.infusion(busy, make.patient("P4"))


def test_what_fits_by_count_is_booked_although_no_one_lane_is_free(app: Flask, keep: Keep) -> None:
    """Two chairs, visits laid so that each chair has a gap too short: they are re-laid."""
    with keep():
        standard.add_services()
        busy = make.site(chairs=2, starts=6)
        make.person(busy, "Rosa", skills=("nurse",), lanes=3)
        first = make.infusion(busy, make.patient("A"), at(8))
        make.infusion(busy, make.patient("B"), at(9))
        third = make.infusion(busy, make.patient("C"), at(10, 45))
        assert at(9, 45) in free(busy.id, service=ServiceCode.INFUSION)

        make.infusion(busy, make.patient("D"), at(9, 45))

        assert {first.version, third.version} == {1}
        assert first.sequence == third.sequence == 0


def test_a_move_keeps_the_old_time_when_the_new_one_is_taken(keep: Keep, where: int) -> None:
    with keep():
        make.call(site(where), make.patient("Ben"), at(11))
        mine = make.call(site(where), make.patient())
        mine_id = mine.id
    with pytest.raises(SlotTaken), keep():
        booking.move(reread(mine_id), starts_at=at(11), version=1, actor="staff:1", now=NOW)
    with keep():
        mine = reread(mine_id)
        assert (mine.starts_at, mine.version, len(mine.claims)) == (at(10), 1, 2)


def test_a_move_by_a_few_minutes_does_not_clash_with_itself(keep: Keep, where: int) -> None:
    with keep():
        mine = make.call(site(where), make.patient())
        booking.move(mine, starts_at=at(10, 5), version=1, actor="staff:1", now=NOW)
        assert (mine.starts_at, mine.wall_start, mine.sequence) == (
            at(10, 5),
            "2026-03-03T10:05",
            1,
        )


def test_a_stale_move_is_refused_and_says_who_did_what(keep: Keep, where: int) -> None:
    with keep():
        mine = make.call(site(where), make.patient())
        booking.move(mine, starts_at=at(11), version=1, actor="patient:1", now=NOW)
        mine_id = mine.id
    with pytest.raises(Overtaken, match="The patient moved it"), keep():
        booking.move(reread(mine_id), starts_at=at(12), version=1, actor="staff:1", now=NOW)


def test_a_desk_cancel_frees_the_time_at_once(keep: Keep, where: int) -> None:
    with keep():
        mine = make.call(site(where), make.patient())
        booking.cancel(mine, actor="staff:1", now=NOW)
        assert mine.status is Status.CANCELLED
        assert at(10) in free(where)


def test_a_patients_cancel_keeps_the_time_for_fifteen_minutes(keep: Keep, where: int) -> None:
    with keep():
        mine = make.call(site(where), make.patient())
        booking.cancel(mine, actor="patient:1", now=NOW, by_patient=True)
        assert at(10) not in free(where)
        assert at(10) in free(where, now=NOW + timedelta(minutes=15))

        booking.reinstate(mine, actor="patient:1", now=NOW + timedelta(minutes=14))
        assert (mine.status, len(mine.claims)) == (Status.BOOKED, 2)


def test_an_undo_answers_taken_when_somebody_was_quicker(keep: Keep, where: int) -> None:
    with keep():
        mine = make.call(site(where), make.patient())
        booking.cancel(mine, actor="staff:1", now=NOW)
        make.call(site(where), make.patient("Ben"))
        mine_id = mine.id
    with pytest.raises(SlotTaken), keep():
        booking.reinstate(reread(mine_id), actor="staff:1", now=NOW)
    with keep():
        assert reread(mine_id).status is Status.CANCELLED


def test_an_infusion_is_not_taken_back_beside_one_booked_meanwhile(keep: Keep, where: int) -> None:
    with keep():
        june = make.patient()
        mine = make.infusion(site(where), june, at(9))
        booking.cancel(mine, actor="staff:1", now=NOW)
        make.infusion(site(where), june, at(13))
        mine_id = mine.id
    with pytest.raises(TooClose), keep():
        booking.reinstate(reread(mine_id), actor="staff:1", now=NOW)
    with keep():
        assert reread(mine_id).status is Status.CANCELLED


def other_caller(mine: Appointment) -> int:
    has = queries.placed([mine])[0].person_id
    callers = supply.current().sites[mine.site_id].with_skill("calls")
    return next(p.id for p in callers if p.id != has)


VERBS = {
    Event.CONFIRM: lambda a, now: booking.confirm(a, actor="staff:1", now=now),
    Event.MOVE: lambda a, now: booking.move(
        a, starts_at=a.starts_at + timedelta(days=1), version=a.version, actor="staff:1", now=now
    ),
    Event.RESEAT: lambda a, now: booking.reseat(
        a, person_id=other_caller(a), version=a.version, actor="staff:1", now=a.starts_at
    ),
    Event.ARRIVE: lambda a, now: booking.arrive(a, actor="staff:1", now=now),
    Event.UNARRIVE: lambda a, now: booking.unarrive(a, actor="staff:1", now=now),
    Event.FULFIL: lambda a, now: booking.fulfil(a, actor="staff:1", now=now),
    Event.REOPEN: lambda a, now: booking.reopen(a, actor="staff:1", now=now),
    Event.NO_SHOW: lambda a, now: booking.no_show(a, actor="staff:1", now=now),
    Event.CANCEL: lambda a, now: booking.cancel(a, actor="staff:1", now=now),
    Event.REINSTATE: lambda a, now: booking.reinstate(a, actor="staff:1", now=now),
    Event.STRIKE: lambda a, now: booking.strike(a, actor="staff:1", now=now),
}


@pytest.mark.parametrize("state", Status)
def test_each_state_takes_exactly_the_events_of_the_table(
    keep: Keep, where: int, state: Status, subtests: pytest.Subtests
) -> None:
    with keep():
        make.person(site(where), "Second caller")
    for number, event in enumerate(Event):
        with subtests.test(event.value):
            start = at(9) + timedelta(minutes=15 * number)
            after = start + timedelta(minutes=20)  # it has begun, so that every event could be
            with keep() as session:
                mine = make.call(site(where), make.patient(f"P{number}"), start)
                mine_id = mine.id
                if state not in (Status.BOOKED, Status.ARRIVED, Status.FULFILLED):
                    session.execute(sa.delete(Claim).where(Claim.appointment_id == mine_id))
                mine.status = state
            wanted = rules.next_state(state, event)

            if wanted is None:
                with pytest.raises(WrongState) as refused, keep():
                    VERBS[event](reread(mine_id), after)
                assert refused.value.status == 409
                wanted = state
            else:
                with keep():
                    VERBS[event](reread(mine_id), after)

            with keep():
                mine = reread(mine_id)
                assert mine.status is wanted
                assert bool(mine.claims) == mine.is_live


def test_a_form_sent_twice_leads_to_one_result(keep: Keep) -> None:
    with keep():
        assert forms.earlier_result("token", "body", now=NOW) is None
        forms.spend("token", "body", "appointment:1", now=NOW)
        assert forms.earlier_result("token", "body", now=NOW) == "appointment:1"
        with pytest.raises(FormUsed):
            forms.earlier_result("token", "another body", now=NOW)
        assert forms.earlier_result("token", "body", now=NOW + timedelta(hours=24)) is None


def test_the_day_is_read_with_chair_and_person(keep: Keep, where: int) -> None:
    with keep():
        booked = make.infusion(site(where), make.patient())
        found = queries.between([where], at(0), at(23))
        assert [p.appointment.id for p in found] == [booked.id]
        assert found[0].chair_id is not None
        assert found[0].person_id is not None


def test_another_chair_at_the_same_time_takes_no_reminder_away(keep: Keep, where: int) -> None:
    def waiting() -> set[tuple[str, str]]:
        rows = db.session.scalars(sa.select(Message).where(Message.state == State.QUEUED))
        return {(row.template, row.topic) for row in rows}

    with keep():
        mine = make.infusion(site(where), make.patient(mobile="+17815550111"), at(10, days=9))
        mine_id, spoken = mine.id, waiting()
        assert {template for template, _ in spoken} >= {"visit-soon", "visit-tomorrow"}
    with keep():
        mine = reread(mine_id)
        chairs = {c.id for c in supply.current().sites[where].chairs}
        before = queries.placed([mine])[0].chair_id
        other = min(chairs - {before})
        booking.move(
            mine, starts_at=mine.starts_at, chair_id=other, version=1, actor="staff:1", now=NOW
        )
        assert queries.placed([mine])[0].chair_id == other
        assert waiting() == spoken
