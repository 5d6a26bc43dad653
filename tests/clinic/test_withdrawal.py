"""Taking supply away: who is hit is known first, and nobody is lost after."""

from datetime import date, datetime, time, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler.booking import offers, withdrawal
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Claim, HoldKind
from scheduler.booking.withdrawal import PeopleAreHit, withdraw_supply
from scheduler.clinic import hours, places, roster, terms
from scheduler.clinic.hours import Period
from scheduler.clinic.models import NeedKind, Resource, ResourceKind, ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.timespan import TimeSpan
from scheduler.jobs import replace
from scheduler.reports import board
from scheduler.tasks import queries as tasks
from tests import make

ACTOR = "staff:9"
DAY = TimeSpan(make.at(0), make.at(0, days=2))
TUESDAY = date(2026, 3, 3)


def shut(site: Site, span: TimeSpan = DAY, *chairs: Resource, now: datetime) -> object:
    return hours.close(site, span, "Snow", chairs=chairs, actor=ACTOR, now=now)


def resources(kind: ResourceKind) -> list[Resource]:
    return list(
        db.session.scalars(select(Resource).where(Resource.kind == kind).order_by(Resource.id))
    )


def people(*names: str) -> list[Resource]:
    return [r for r in resources(ResourceKind.PERSON) if r.name in names]


def somebody(number: int) -> object:
    return make.patient("Ana", f"Duarte {number}", mobile=f"+178155501{number:02}")


def listed(now: datetime) -> list[int]:
    return [w.hit.appointment_id for w in withdrawal.to_replace(now=now)]


def test_a_closure_says_who_is_hit_and_changes_nothing_before_it_is_agreed_to(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    with pytest.raises(PeopleAreHit) as refused, transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=(), actor=ACTOR, now=now)

    (hit,) = refused.value.impact.hits
    assert (hit.appointment_id, hit.patient_name, hit.starts_at) == (
        call.id,
        "Ana Duarte",
        call.starts_at,
    )
    assert hit.why == ("Woburn is closed: Snow.",)
    assert hours.closures(now=now) == []
    assert listed(now) == []


def test_whoever_was_seen_is_put_on_the_list_with_why(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    with pytest.raises(PeopleAreHit) as refused, transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=(), actor=ACTOR, now=now)
    seen = [hit.mark for hit in refused.value.impact.hits]
    with transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=seen, actor=ACTOR, now=now)

    (waiting,) = withdrawal.to_replace(now=now)
    assert waiting.hit.appointment_id == call.id
    assert waiting.task is not None
    assert waiting.task.patient_id == call.patient_id
    assert withdrawal.count_waiting(now=now) == 1


def test_somebody_who_booked_after_the_look_is_shown_instead_of_hit_silently(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        make.call(site, make.patient())
    with pytest.raises(PeopleAreHit) as first, transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=(), actor=ACTOR, now=now)
    with transaction():
        late = make.call(site, somebody(12), make.at(11))
    seen = [hit.mark for hit in first.value.impact.hits]
    with pytest.raises(PeopleAreHit, match="booked meanwhile") as again, transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=seen, actor=ACTOR, now=now)

    assert late.id in [hit.appointment_id for hit in again.value.impact.hits]
    assert hours.closures(now=now) == []


def test_a_chair_that_is_out_hits_nobody_while_another_is_free(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day(chairs=2)
        visit = make.infusion(site, make.patient())
    before = booking.queries.placed([visit])[0]
    chair = db.session.get_one(Resource, before.chair_id)
    with transaction():
        impact = withdraw_supply(
            lambda: shut(site, DAY, chair, now=now), seen=(), actor=ACTOR, now=now
        )

    after = booking.queries.placed([visit])[0]
    assert impact.hits == ()
    assert impact.reseated == 1
    assert after.chair_id not in (None, before.chair_id)
    assert (visit.version, visit.sequence) == (1, 0)


def test_room_is_made_by_moving_third_parties_where_the_count_allows_it(
    room: Flask, now: datetime
) -> None:
    """Chairs 1 and 2 carry 9:00 and 11:00; chair 3, with 10:00, goes out: only one order fits."""
    with transaction():
        site = make.clinic_day(chairs=3, nurses=2)
        for number, (hour, minute) in enumerate([(9, 0), (9, 15), (11, 0), (11, 15)]):
            make.infusion(site, somebody(20 + number), make.at(hour, minute))
    chairs = resources(ResourceKind.CHAIR)
    with transaction():
        impact = withdraw_supply(
            lambda: shut(site, DAY, chairs[0], now=now), seen=(), actor=ACTOR, now=now
        )

    assert impact.hits == ()
    assert withdrawal.stranded(now=now) == []


def test_only_those_for_whom_no_chair_is_left_are_hit(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day(chairs=2)
        for number in range(2):
            make.infusion(site, somebody(20 + number))
    chair = resources(ResourceKind.CHAIR)[0]
    with transaction():
        impact = withdraw_supply(
            lambda: shut(site, DAY, chair, now=now), seen=None, actor=ACTOR, now=now
        )

    assert [hit.why for hit in impact.hits] == [("Chair 1 is out: Snow.",)]
    assert len(listed(now)) == 1


def test_who_asked_for_that_very_chair_is_hit_though_another_is_free(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(chairs=2)
        chair = resources(ResourceKind.CHAIR)[0]
        make.infusion(site, make.patient(), chair_id=chair.id)
    with transaction():
        impact = withdraw_supply(
            lambda: shut(site, DAY, chair, now=now), seen=None, actor=ACTOR, now=now
        )

    assert len(impact.hits) == 1


def test_a_nurse_who_is_ill_hits_her_visits_and_a_colleague_can_take_them_over(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(nurses=2)
        visit = make.infusion(site, make.patient())
    placed = booking.queries.placed([visit])[0]
    nurse = db.session.get_one(Resource, placed.person_id)
    with transaction():
        withdraw_supply(
            lambda: roster.take_off(nurse, DAY, "Ill", actor=ACTOR, now=now),
            seen=None,
            actor=ACTOR,
            now=now,
        )
    (waiting,) = withdrawal.to_replace(now=now)
    (colleague,) = withdrawal.could_take_over(waiting.hit, now=now)
    with transaction():
        booking.move(
            db.session.get_one(Appointment, visit.id),
            starts_at=visit.starts_at,
            person_id=colleague.id,
            version=visit.version,
            actor=ACTOR,
            now=now,
        )

    assert waiting.hit.why == (f"{nurse.name} is away: Ill.",)
    assert colleague.id != nurse.id
    assert listed(now) == []
    assert withdrawal.count_waiting(now=now) == 0


@pytest.mark.parametrize("until", [time(10), time(11)])
def test_shorter_hours_hit_who_would_be_there_after_closing(
    room: Flask, now: datetime, until: time
) -> None:
    with transaction():
        site = make.clinic_day()
        make.infusion(site, make.patient(), make.at(9, 30))  # until 10:55
    with transaction():
        impact = withdraw_supply(
            lambda: hours.set_hours(
                site, Period((1,), TUESDAY), (time(8), until), seen=None, actor=ACTOR, now=now
            ),
            seen=None,
            actor=ACTOR,
            now=now,
        )

    assert len(impact.hits) == (until == time(10))


def test_a_shift_that_ends_hits_later_weeks_and_not_the_weeks_before(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        make.call(site, somebody(20), make.at(10))
        later = make.call(site, somebody(21), make.at(10, days=8))
    (caller,) = people("Caller 1")
    with transaction():
        impact = withdraw_supply(
            lambda: roster.set_shifts(
                caller,
                Period(tuple(range(7)), date(2026, 3, 9)),
                None,
                seen=None,
                actor=ACTOR,
                now=now,
            ),
            seen=None,
            actor=ACTOR,
            now=now,
        )

    assert [hit.appointment_id for hit in impact.hits] == [later.id]
    assert impact.hits[0].why == ("Caller 1 does not work at Woburn then.",)


def test_a_skill_that_goes_and_a_person_who_leaves_hit_theirs(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        make.call(site, somebody(20))
        make.infusion(site, somebody(21))
    (caller,), (nurse,) = people("Caller 1"), people("Nurse 1")

    def both() -> None:
        roster.change_person(
            caller, name=caller.name, skills=["chats"], lanes=1, seen=None, actor=ACTOR, now=now
        )
        places.retire(nurse, actor=ACTOR, now=now)

    with transaction():
        impact = withdraw_supply(both, seen=None, actor=ACTOR, now=now)

    assert {why for hit in impact.hits for why in hit.why} == {
        "Caller 1 does not do this any more.",
        "Nurse 1 does not work here any more.",
    }


def test_a_service_that_asks_for_another_skill_hits_those_whose_person_lacks_it(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(callers=0)
        make.person(site, "Ines Roy", skills=("calls",))
        both = make.person(site, "Kim Park", skills=("calls", "chats"))
        lost = make.call(site, somebody(20))
        make.call(site, somebody(21), person_id=both.id)

    def narrower(skill: str | None) -> object:
        row = terms.service_called("call")
        return terms.change_service(
            row,
            name=row.name,
            visit_minutes=row.visit_minutes,
            notice_minutes=row.notice_minutes,
            horizon_days=row.horizon_days,
            is_online=row.is_online,
            needs=terms.needs_of(row),
            skill=skill,
            whole_person=True,
            seen=None,
            actor=ACTOR,
            now=now,
        )

    with transaction():
        impact = withdraw_supply(lambda: narrower("chats"), seen=None, actor=ACTOR, now=now)

    assert [hit.appointment_id for hit in impact.hits] == [lost.id]
    assert impact.hits[0].why == ("Ines Roy does not do this any more.",)
    assert {o.of for o in free_calls(site, now)} == {1}
    with transaction():
        wider = withdraw_supply(lambda: narrower(None), seen=(), actor=ACTOR, now=now)
    assert (wider.hits, wider.healed) == ((), 1)
    assert {o.of for o in free_calls(site, now)} == {3}  # the nurse as well


def free_calls(site: Site, now: datetime) -> list[offers.Offer]:
    return offers.find(
        ServiceCode.CALL,
        site_ids=[site.id],
        since=TUESDAY,
        until=TUESDAY + timedelta(days=1),
        now=now,
        audience=offers.Audience.DESK,
    )


def test_fewer_at_the_same_time_hits_only_who_is_above_the_count(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(chairs=3)
        for number, minute in enumerate((0, 0, 15)):
            make.infusion(site, somebody(20 + number), make.at(10, minute))
        make.infusion(site, somebody(30), make.at(13))
    (nurse,) = people("Nurse 1")
    with transaction():
        impact = withdraw_supply(
            lambda: roster.change_person(
                nurse, name=nurse.name, skills=["nurse"], lanes=2, seen=None, actor=ACTOR, now=now
            ),
            seen=None,
            actor=ACTOR,
            now=now,
        )

    assert [hit.why for hit in impact.hits] == [("Nurse 1 can take fewer at the same time.",)]


def test_a_call_takes_the_lane_that_its_caller_gains(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    (caller,) = people("Caller 1")

    def lanes(count: int) -> None:
        with transaction():
            withdraw_supply(
                lambda: roster.change_person(
                    caller,
                    name=caller.name,
                    skills=["calls"],
                    lanes=count,
                    seen=None,
                    actor=ACTOR,
                    now=now,
                ),
                seen=(),
                actor=ACTOR,
                now=now,
            )

    lanes(3)
    gained = len(db.session.scalars(select(Claim).where(Claim.appointment_id == call.id)).all())
    lanes(1)
    lost = len(db.session.scalars(select(Claim).where(Claim.appointment_id == call.id)).all())

    assert (gained, lost) == (4, 2)  # the patient is one of them
    assert withdrawal.stranded(now=now) == []


def test_fewer_starts_in_a_quarter_hour_hit_the_surplus(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day(chairs=3)
        for number in range(2):
            make.infusion(site, somebody(20 + number))
    with transaction():
        impact = withdraw_supply(
            lambda: places.change_site(
                site,
                name=site.name,
                address=site.address,
                phone=site.phone,
                starts=1,
                seen=None,
                actor=ACTOR,
                now=now,
            ),
            seen=None,
            actor=ACTOR,
            now=now,
        )

    assert len(impact.hits) == 1


def test_what_a_service_takes_from_now_on_is_given_to_who_is_booked_or_they_are_shown(
    room: Flask, now: datetime
) -> None:
    """Chats get a chair each while there are chairs; a call shared with a visit is nobody's."""
    with transaction():
        site = make.clinic_day(chairs=2, callers=0)
        for name in ("Ines Roy", "Kim Park", "Ada Wu"):
            make.person(site, name, skills=("calls", "nurse"), lanes=2)
        first, second, third = (make.call(site, somebody(n), make.at(10)) for n in range(3))

    def change(code: str, *, whole: bool, **needs: tuple[int, int] | None) -> object:
        row = terms.service_called(code)
        wanted = terms.needs_of(row) | {NeedKind(k): v for k, v in needs.items() if v}
        return terms.change_service(
            row,
            name=row.name,
            visit_minutes=row.visit_minutes,
            notice_minutes=row.notice_minutes,
            horizon_days=row.horizon_days,
            is_online=row.is_online,
            needs={k: v for k, v in wanted.items() if needs.get(k.value, v)},
            skill=terms.skill_of(row),
            whole_person=whole,
            seen=None,
            actor=ACTOR,
            now=now,
        )

    def claims_of(call: Appointment) -> int:
        return len(db.session.scalars(select(Claim).where(Claim.appointment_id == call.id)).all())

    with pytest.raises(PeopleAreHit) as refused, transaction():
        withdraw_supply(
            lambda: change("call", whole=True, chair=(0, 15)), seen=(), actor=ACTOR, now=now
        )
    (hit,) = refused.value.impact.hits
    assert hit.appointment_id == third.id
    assert hit.why == ("No chair is kept for it.",)
    assert claims_of(first) == 3  # both lanes of a person, and the patient: nothing was kept
    with transaction():
        withdraw_supply(
            lambda: change("call", whole=True, chair=(0, 15)), seen=None, actor=ACTOR, now=now
        )
    assert [claims_of(c) for c in (first, second, third)] == [4, 4, 3]
    assert listed(now) == [third.id]
    with transaction():
        impact = withdraw_supply(
            lambda: change("call", whole=False, chair=None), seen=(), actor=ACTOR, now=now
        )
    assert (impact.hits, impact.healed) == ((), 1)
    assert [claims_of(c) for c in (first, second, third)] == [4, 4, 3]  # they keep what they have
    with transaction():
        shared = [make.call(site, somebody(n), make.at(12)) for n in range(3, 7)]
    with pytest.raises(PeopleAreHit) as refused, transaction():
        withdraw_supply(lambda: change("call", whole=True), seen=(), actor=ACTOR, now=now)
    hits = refused.value.impact.hits
    assert [h.why[0].partition(" does")[2] for h in hits] == [
        " something else at the same time."
    ] * 2
    assert {h.appointment_id for h in hits} < {c.id for c in shared}


def test_a_service_that_changes_leaves_what_is_booked_as_it_is(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        make.infusion(site, make.patient())
    row = next(s for s in terms.services() if s.code is ServiceCode.INFUSION)
    with transaction():
        impact = withdraw_supply(
            lambda: terms.change_service(
                row,
                name=row.name,
                visit_minutes=120,
                notice_minutes=60,
                horizon_days=90,
                is_online=False,
                needs=terms.needs_of(row) | {NeedKind.CHAIR: (0, 130)},
                skill="nurse",
                whole_person=False,
                seen=None,
                actor=ACTOR,
                now=now,
            ),
            seen=(),
            actor=ACTOR,
            now=now,
        )

    assert impact.hits == ()


def test_opening_again_heals_and_the_list_is_empty(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        make.call(site, make.patient())
    with transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=None, actor=ACTOR, now=now)
    (closure,) = hours.closures(now=now)
    with transaction():
        impact = withdraw_supply(
            lambda: hours.reopen(closure, actor=ACTOR, now=now), seen=(), actor=ACTOR, now=now
        )

    assert impact.healed == 1
    assert listed(now) == []
    assert tasks.open_topics(withdrawal.TASK) == []


def test_what_is_kept_with_a_reason_leaves_the_list_until_it_is_hit_in_another_way(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    with transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=None, actor=ACTOR, now=now)
    with transaction():
        withdrawal.keep(call, "Rosa comes in for it.", version=1, actor=ACTOR, now=now)

    assert listed(now) == []
    assert withdrawal.count_waiting(now=now) == 0
    with transaction():
        withdrawal.reconcile(actor="worker", now=now)
    assert listed(now) == []

    (caller,) = people("Caller 1")
    with transaction():
        withdraw_supply(
            lambda: roster.take_off(caller, DAY, "Ill", actor=ACTOR, now=now),
            seen=None,
            actor=ACTOR,
            now=now,
        )
    assert listed(now) == [call.id]


def test_a_keeping_does_not_outlast_what_it_was_for(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    for _ in range(2):
        with transaction():
            withdraw_supply(lambda: shut(site, now=now), seen=None, actor=ACTOR, now=now)
        assert listed(now) == [call.id]
        with transaction():
            withdrawal.keep(call, "By phone from home.", version=1, actor=ACTOR, now=now)
        (closure,) = hours.closures(now=now)
        with transaction():
            withdraw_supply(
                lambda row=closure: hours.reopen(row, actor=ACTOR, now=now),
                seen=(),
                actor=ACTOR,
                now=now,
            )


def test_who_takes_a_cancellation_back_into_a_closure_is_on_the_list(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
        booking.cancel(call, actor="patient", now=now, by_patient=True)
    with transaction():
        impact = withdraw_supply(lambda: shut(site, now=now), seen=(), actor=ACTOR, now=now)
    with transaction():
        booking.reinstate(call, actor="patient", now=now)

    assert impact.hits == ()
    assert [w.task is not None for w in withdrawal.to_replace(now=now)] == [True]


def test_supply_that_went_behind_the_verbs_is_seen_all_the_same(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        call = make.call(site, make.patient())
    with transaction():
        shut(site, now=now)

    assert listed(now) == [call.id]
    with transaction():
        assert withdrawal.reconcile(actor="worker", now=now) == 1
    assert withdrawal.count_waiting(now=now) == 1


def test_what_is_over_or_called_off_is_on_no_list(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        over = make.call(site, somebody(20), make.at(10))
        off = make.call(site, somebody(21), make.at(11))
    with transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=None, actor=ACTOR, now=now)
    with transaction():
        booking.cancel(off, actor=ACTOR, now=now)
    later = over.ends_at + timedelta(minutes=1)

    assert listed(now) == [over.id]
    assert listed(later) == []
    assert withdrawal.count_waiting(now=later) == 0


def test_who_waits_for_a_new_place_keeps_nobody_else_from_being_laid_anew(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(chairs=3, nurses=2)
        for number, minute in enumerate((0, 0, 15)):
            make.infusion(site, somebody(20 + number), make.at(13, minute))
        chairs = resources(ResourceKind.CHAIR)
        withdraw_supply(
            lambda: shut(site, DAY, chairs[0], now=now), seen=None, actor=ACTOR, now=now
        )
        early = make.infusion(site, somebody(30), make.at(8))
        make.infusion(site, somebody(31), make.at(10), chair_id=chairs[2].id)
    first = booking.queries.placed([early])[0].chair_id
    offered = offers.find(
        ServiceCode.INFUSION,
        site_ids=[site.id],
        since=make.at(8, 30),
        until=make.at(8, 45),
        now=now,
        audience=offers.Audience.DESK,
    )
    with transaction():
        make.infusion(site, somebody(32), make.at(8, 30))  # only fits if the early one changes

    assert len(listed(now)) == 1
    assert len(offered) == 1
    assert booking.queries.placed([early])[0].chair_id != first
    assert len(listed(now)) == 1


def test_the_board_still_shows_what_is_kept_with_who_or_what_is_out_of_use(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day(chairs=1)
        call = make.call(site, make.patient())
        visit = make.infusion(site, make.patient("Ben", "Ito"), make.at(13))
    (chair,) = resources(ResourceKind.CHAIR)
    (caller,) = people("Caller 1")

    def both() -> None:
        places.retire(chair, actor=ACTOR, now=now)
        places.retire(caller, actor=ACTOR, now=now)

    with transaction():
        withdraw_supply(both, seen=None, actor=ACTOR, now=now)
    shown = board.of_day([site.id], TUESDAY, now=now)
    cards = {card.appointment.id for column in shown.columns for card in column.cards}

    assert {call.id, visit.id} <= cards


def test_a_form_hold_in_a_closure_cannot_be_booked(room: Flask, now: datetime) -> None:
    with transaction():
        site = make.clinic_day()
        held = booking.hold(
            ServiceCode.CALL, site.id, make.at(10), holder="browser", now=now, kind=HoldKind.FORM
        )
    with transaction():
        withdraw_supply(lambda: shut(site, now=now), seen=(), actor=ACTOR, now=now)
    with pytest.raises(booking.NotOffered), transaction():
        booking.book_held(
            held.id, holder="browser", patient=make.patient(), actor="visitor", now=now
        )


def test_the_worker_brings_the_tasks_in_line_and_then_writes_nothing(
    room: Flask, now: datetime
) -> None:
    with transaction():
        site = make.clinic_day()
        make.call(site, make.patient())
    with transaction():
        shut(site, now=now)
    db.session.rollback()

    assert [replace.run(now=now) for _ in range(2)] == [1, 0]
    assert withdrawal.count_waiting(now=now) == 1
