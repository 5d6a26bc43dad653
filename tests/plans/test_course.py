"""From a cleared patient to six booked visits: the verbs of the course, on both databases."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import notices
from scheduler.booking.errors import NoAuthority, TooClose
from scheduler.booking.models import Appointment, Authority, Status
from scheduler.clinic import service as clinics
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.messaging import consent
from scheduler.messaging.models import Message
from scheduler.messaging.rules import MessageView, Send
from scheduler.messaging.states import Channel
from scheduler.patients.models import Patient
from scheduler.plans import approval, changes, followups, previews, queries, scheduling
from scheduler.plans import service as plans
from scheduler.plans.errors import (
    DraftBlocked,
    MayNotSign,
    NotSchedulable,
    OutsideWindow,
    PlanOvertaken,
    SeriesTaken,
    WrongPlanState,
)
from scheduler.plans.finding import Choice
from scheduler.plans.models import Plan, PlannedVisit, PlanState, VisitState
from scheduler.plans.preferences import Preferences
from scheduler.plans.protocol import Act, Phase
from scheduler.plans.queries import ChatStanding
from scheduler.reports.drifting import Drifting, drifting
from scheduler.tasks import queries as tasks
from scheduler.treatment import clearance
from scheduler.treatment.chair import Override
from scheduler.treatment.errors import NotCleared, NotInOrder
from scheduler.treatment.models import Answer
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import NOW, at, person


def june(**more: object) -> Patient:
    """The patient of these tests."""
    return make.patient("June", "Okafor", now=NOW, **more)


@pytest.fixture
def drafted(once: Once, where: course.Clinic) -> int:
    """June's plan as the chat drafted it."""

    return once(lambda: course.draft(june(), where).id)


@pytest.fixture
def approved(once: Once, where: course.Clinic) -> int:
    """June's plan, signed."""

    return once(lambda: course.approved(june(), where).id)


@pytest.fixture
def scheduled(once: Once, where: course.Clinic) -> int:
    """June's plan with its six visits booked."""

    return once(lambda: course.scheduled(june(), where).id)


def reread(row: int) -> Appointment:
    return db.session.get_one(Appointment, row)


# ------------------------------------------------------------ the first infusion and its chat


def test_a_first_infusion_brings_its_chat_within_the_days_after(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        booked = course.first_infusion(june(), where)

        assert booked.infusion.authority is Authority.CLEARANCE
        assert booked.chat is not None
        assert booked.chat.service_code is ServiceCode.CHAT
        assert booked.chat.starts_at == at(7)  # three days after, at the same time


def test_without_a_clearance_there_is_no_first_infusion(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(NotCleared), keep():
        plans.book_first_infusion(june(), where.woburn, at(4), actor="staff:4", now=NOW)
    with keep() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Appointment)) == 0


def test_when_no_time_is_free_the_chat_is_left_due(app: Flask, keep: Keep) -> None:
    with keep():
        where = course.clinic(chats=False)
        booked = course.first_infusion(june(), where)
        assert booked.chat is None
        assert booked.owed.reason == followups.NO_ROOM
        course.infuse(booked.infusion, where)

        due = queries.chats_due(now=at(5))

        assert [(d.owed.id, d.standing) for d in due] == [(booked.owed.id, ChatStanding.TO_BOOK)]


def test_a_chat_asked_for_outside_of_its_days_is_refused(keep: Keep, where: course.Clinic) -> None:

    def act() -> None:
        with keep():
            patient = june()
            course.cleared(patient, where)
            plans.book_first_infusion(
                patient,
                where.woburn,
                at(4),
                chat_at=(where.woburn, at(14)),
                actor="staff:4",
                now=NOW,
            )

    with pytest.raises(OutsideWindow):
        act()


def test_moving_the_infusion_takes_the_chat_along(keep: Keep, where: course.Clinic) -> None:
    with keep():
        booked = course.first_infusion(june(), where)
        plans.move(
            booked.infusion,
            starts_at=at(11),
            version=booked.infusion.version,
            actor="staff:4",
            now=NOW,
        )

        assert booked.chat is not None
        assert booked.chat.starts_at == at(14)
        assert booked.chat.status is Status.BOOKED


def test_calling_the_infusion_off_calls_the_chat_off_and_back_again(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        booked = course.first_infusion(june(), where)
        plans.cancel(booked.infusion, actor="staff:4", now=NOW)
        assert booked.chat is not None
        assert booked.chat.status is Status.CANCELLED
        assert booked.owed.outcome == "cancelled"

        plans.reinstate(booked.infusion, actor="staff:4", now=NOW)

        assert booked.owed.closed_at is None
        assert booked.owed.chat is not None
        assert booked.owed.chat.starts_at == at(7)


def test_a_missed_chat_is_still_owed(keep: Keep, where: course.Clinic) -> None:
    with keep():
        booked = course.first_infusion(june(), where)
        course.infuse(booked.infusion, where)
        assert booked.chat is not None
        plans.no_show(booked.chat, actor="staff:4", now=at(7, 10, 30))

        due = queries.chats_due(now=at(7, 11))

        assert [d.standing for d in due] == [ChatStanding.TO_BOOK]
        again = plans.book(
            ServiceCode.CHAT,
            where.woburn,
            at(9),
            booked.infusion.patient,
            actor="staff:4",
            now=at(7, 11),
        )
        assert booked.owed.chat_id == again.id


def test_a_cancelled_infusion_is_not_put_back_on_a_clearance_that_fell(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        booked = course.first_infusion(june(), where)
        plans.cancel(booked.infusion, actor="staff:4", now=NOW)
        clearance.answer(booked.infusion.patient, "heart", Answer.YES, actor="staff:3", now=NOW)
        number = booked.infusion.id
    with pytest.raises(NotCleared), keep():
        plans.reinstate(reread(number), actor="staff:4", now=NOW)


# ------------------------------------------------------------ two infusions too close


def test_two_infusions_within_48_hours_need_a_clinicians_reason(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        patient = june()
        course.first_infusion(patient, where)
        patient_id = patient.id
    word = "Inpatient protocol agreed."
    with pytest.raises(TooClose), keep():
        plans.book(
            ServiceCode.INFUSION,
            where.woburn,
            at(6, 9, 45),
            db.session.get_one(Patient, patient_id),
            authority=(Authority.OVERRIDE, f"staff:{where.doctor}", word),
            actor="staff:4",
            now=NOW,
        )
    with pytest.raises(MayNotSign), keep():
        plans.book(
            ServiceCode.INFUSION,
            where.woburn,
            at(6, 9, 45),
            db.session.get_one(Patient, patient_id),
            override=Override(person(where.nurse), word),
            actor="staff:4",
            now=NOW,
        )
    with keep():
        booked = plans.book(
            ServiceCode.INFUSION,
            where.woburn,
            at(6, 9, 45),
            db.session.get_one(Patient, patient_id),
            override=Override(person(where.doctor), word),
            actor="staff:4",
            now=NOW,
        )
        assert booked.spacing_reason == f"staff:{where.doctor}: {word}"
        assert booked.authority_ref == f"staff:{where.doctor}"


def test_two_days_on_the_wall_are_enough_when_the_clock_springs_forward(
    keep: Keep, where: course.Clinic
) -> None:
    """Saturday 10:00 to Monday 10:00 over the night of March 8: 47 hours that are two days."""
    with keep():
        patient = june()
        grant = (Authority.OVERRIDE, f"staff:{where.doctor}", "Course begun elsewhere.")
        for moment in (at(7), at(9)):
            plans.book(
                ServiceCode.INFUSION,
                where.woburn,
                moment,
                patient,
                authority=grant,
                actor="staff:4",
                now=NOW,
            )
        assert at(9) - at(7) == timedelta(hours=47)


@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(None, id="nothing"),
        pytest.param((Authority.PLAN, "plan-version:99", None), id="a plan that is not there"),
        pytest.param((Authority.OVERRIDE, "staff:4", "I say so."), id="the front desk's word"),
        pytest.param((Authority.OVERRIDE, "staff:1", None), id="a word without a reason"),
    ],
)
def test_an_authority_must_exist_and_hold(
    keep: Keep, where: course.Clinic, grant: tuple[Authority, str, str | None] | None
) -> None:
    with pytest.raises(NoAuthority), keep():
        plans.book(
            ServiceCode.INFUSION, where.woburn, at(4), june(), authority=grant, actor="staff:4",
            now=NOW,
        )  # fmt: skip


def test_another_patients_plan_entitles_nobody(keep: Keep, where: course.Clinic) -> None:
    with keep():
        version = course.approved(june(), where).current.id
    with pytest.raises(NoAuthority), keep():
        plans.book(
            ServiceCode.INFUSION,
            where.woburn,
            at(20),
            make.patient("Ben", mobile=None, email=None),
            authority=(Authority.PLAN, f"plan-version:{version}", None),
            actor="staff:4",
            now=at(10),
        )


# ------------------------------------------------------------ chat, draft, signature


def test_a_chat_proposes_a_draft_with_reasons_rules_and_numbers(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        said = approval.proposal_of(plan)

        assert plan.state is PlanState.DRAFT
        assert (said.percent, said.points, said.visits, said.row_id) == (50, 4, 6, "P1")
        assert [r.rule for r in said.reasons] == ["R3", "C1", "T1", "M3", "D1", "I1", "P1"]
        assert said.reasons[0].words == "Substantial response: 50 % less pain, 4 points."
        assert (
            "A moderate side effect would have given 4 visits about 4 days apart instead of "
            "6 visits about 3 days apart." in said.would_change
        )
        assert queries.drafts() == [plan]
        assert queries.chats_due(now=at(9)) == []


def test_holding_the_chat_again_draws_the_draft_up_anew(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        again = course.chat(reread(plan.assessment.infusion_id), score=7, now=at(9, 11))

        assert again.plan is plan
        assert plan.current.number == 2
        assert approval.proposal_of(plan).act is Act.STOP


def test_a_severe_side_effect_blocks_the_draft_and_raises_a_task(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        infusion = course.first_infusion(june(), where).infusion
        course.infuse(infusion, where, severity=3)
        held = course.chat(infusion, now=at(9))

        assert held.plan is None
        assert held.blocks == ["A severe side effect was recorded in the session."]
        assert tasks.is_open(approval.LOOK_FIRST, f"assessment:{held.assessment.id}")
        with pytest.raises(DraftBlocked):
            approval.propose(held.assessment, actor="staff:1", now=at(9))

        word = Override(person(where.doctor), "Seen and talked over; lower and slower.")
        plan = approval.propose(held.assessment, override=word, actor="staff:1", now=at(9))

        assert approval.proposal_of(plan).act is Act.REVIEW
        assert not tasks.is_open(approval.LOOK_FIRST, f"assessment:{held.assessment.id}")


def test_an_answer_that_changed_blocks_the_draft(keep: Keep, where: course.Clinic) -> None:
    with keep():
        infusion = course.first_infusion(june(), where).infusion
        course.infuse(infusion, where)
        clearance.answer(infusion.patient, "liver", Answer.YES, actor="staff:3", now=at(8))

        held = course.chat(infusion, now=at(9))

        assert held.plan is None
        assert held.blocks == [
            "An answer changed since the clearance was signed. Severe liver disease."
        ]


def test_an_answer_that_changes_after_the_draft_blocks_its_signature(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        clearance.answer(plan.patient, "pregnancy", Answer.YES, actor="staff:3", now=at(10))
        plan_id = plan.id

    def act() -> None:
        with keep():
            plan = db.session.get_one(Plan, plan_id)
            approval.approve(plan, person(where.doctor), version=plan.version, now=at(10))

    with pytest.raises(DraftBlocked):
        act()


@pytest.mark.parametrize("who", ["nurse", "desk"])
def test_only_a_clinician_signs(keep: Keep, where: course.Clinic, who: str) -> None:
    with keep():
        plan_id = course.draft(june(), where).id

    def act() -> None:
        with keep():
            plan = db.session.get_one(Plan, plan_id)
            signer = person(getattr(where, who))
            approval.approve(plan, signer, version=plan.version, now=at(10))

    with pytest.raises(MayNotSign):
        act()


def test_a_signed_series_has_its_visits_with_windows(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)

        assert plan.state is PlanState.APPROVED
        assert [v.number for v in plan.visits] == [1, 2, 3, 4, 5, 6]
        assert {v.state for v in plan.visits} == {VisitState.TO_PLACE}
        gaps = [b.ideal - a.ideal for a, b in zip(plan.visits, plan.visits[1:], strict=False)]
        assert gaps == [timedelta(days=3)] * 5
        first = plan.visits[0]
        assert (first.earliest, first.ideal, first.latest) == (at(11, 0), at(12), at(15, 0))
        assert len(queries.to_place()) == 6


def test_a_second_signature_is_told_who_was_first(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        seen, plan_id = plan.version, plan.id
        approval.approve(plan, person(where.doctor), version=seen, now=at(10))
    with pytest.raises(PlanOvertaken, match="Amara Obi approved this plan"), keep():
        approval.decline(
            db.session.get_one(Plan, plan_id),
            person(where.other_doctor),
            reason="No.",
            version=seen,
            now=at(10),
        )


def test_a_changed_plan_is_a_new_version_with_its_reason(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        weekly = Phase("Weekly", 3, 5, 7, 9, 30, None)
        approval.change(
            plan,
            person(where.doctor),
            act=Act.SERIES,
            phases=[weekly],
            reason="She lives far away.",
            version=plan.version,
            now=at(10),
        )

        assert plan.state is PlanState.CHANGED
        assert [v.number for v in plan.versions] == [1, 2]
        assert plan.current.reason == "She lives far away."
        assert [v.max_days for v in plan.visits] == [365, 9, 9]
        assert plan.review_on is None


def test_a_change_closer_than_the_protocol_allows_is_refused(
    keep: Keep, where: course.Clinic
) -> None:

    def act() -> None:
        with keep():
            plan = course.draft(june(), where)
            approval.change(
                plan,
                person(where.doctor),
                act=Act.SERIES,
                phases=[Phase("Daily", 5, 1, 1, 2, 30, None)],
                reason="Quicker.",
                version=plan.version,
                now=at(10),
            )

    with pytest.raises(Invalid, match="48 hours"):
        act()


def test_to_stop_is_a_plan(keep: Keep, where: course.Clinic) -> None:
    with keep():
        plan = course.draft(june(), where, score=7)
        assert approval.proposal_of(plan).act is Act.STOP
        approval.approve(plan, person(where.doctor), version=plan.version, now=at(10))

        assert plan.state is PlanState.COMPLETED
        assert plan.visits == []


def test_what_the_protocol_leaves_to_the_clinician_cannot_be_approved_as_it_is(
    keep: Keep, where: course.Clinic
) -> None:

    def act() -> None:
        with keep():
            plan = course.draft(june(), where, baseline=2, score=1)
            approval.approve(plan, person(where.doctor), version=plan.version, now=at(10))

    with pytest.raises(WrongPlanState):
        act()


def test_a_declined_plan_leaves_room_for_another(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        approval.decline(
            plan, person(where.doctor), reason="Not now.", version=plan.version, now=at(10)
        )
        again = course.chat(reread(plan.assessment.infusion_id), now=at(11))

        assert plan.state is PlanState.DECLINED
        assert again.plan is not None
        assert again.plan.id != plan.id


# ------------------------------------------------------------ schedule


def test_a_preview_finds_six_of_six_dates_before_anybody_signs(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        shown = previews.preview(plan, now=at(10, 9))

        assert (shown.open, shown.of) == (6, 6)
        assert [r.spot.starts_at for r in shown.rows if r.spot] == [
            at(d) for d in (12, 15, 18, 21, 24, 27)
        ]
        assert [r.days_since for r in shown.rows] == [8, 3, 3, 3, 3, 3]
        assert all(len(r.alternatives) == 3 for r in shown.rows)
        assert shown.review_on is not None


def test_six_visits_are_booked_at_once_and_told_in_one_text(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        patient = june()
        consent.grant(
            patient,
            "+17815550111",
            wording="Yes.",
            source="paper",
            actor="staff:4",
            origin="test",
            now=NOW,
        )
        plan = course.scheduled(patient, where)

        assert plan.state is PlanState.ACTIVE
        assert {v.state for v in plan.visits} == {VisitState.BOOKED}
        booked = [v.appointment for v in plan.visits]
        assert {a.authority_ref for a in booked if a} == {f"plan-version:{plan.current.id}"}
        waiting = db.session.scalars(
            sa.select(Message).where(
                Message.template == notices.PENDING, Message.channel == Channel.SMS
            )
        ).all()
        assert len(waiting) == 1
        said = notices.judge(
            view(waiting[0]),
            public_url="https://example.org",
            organizer="clinic@example.org",
            now=waiting[0].send_after,
        )
        assert isinstance(said, Send)
        assert said.template == "dates"
        assert [v[0] for v in json.loads(said.facts["visits"])] == [
            a.starts_at.isoformat() for a in booked if a
        ]


def view(message: Message) -> MessageView:
    """A message as the worker shows it to the judge."""
    return MessageView(
        **{name: getattr(message, name) for name in MessageView.__dataclass_fields__}
    )


def test_a_full_site_is_rescued_by_the_other(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        site = db.session.get_one(Site, where.woburn)
        clinics.close(site, at(17, 0), at(20, 0), "Snow", actor="staff:1", now=at(10))

        shown = previews.preview(plan, now=at(10, 9))

        assert shown.open == 6
        assert [r.rescued for r in shown.rows] == [False, False, True, False, False, False]


def test_a_visit_that_fits_nowhere_says_why_and_stays_to_place(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)
        for site_id in (where.woburn, where.danvers):
            site = db.session.get_one(Site, site_id)
            clinics.close(site, at(17, 0), at(21, 0), "Snow", actor="staff:1", now=at(10))
        shown = previews.preview(plan, now=at(10, 9))
        lost = [r for r in shown.rows if r.spot is None]
        assert len(lost) == 1
        assert lost[0].reason

        scheduling.schedule(
            plan,
            course.choices(shown),
            keep_rest=False,
            version=plan.version,
            actor="staff:4",
            now=at(10, 9),
        )
        scheduling.leave_to_place(
            plan, {r.number: r.reason or "" for r in lost}, actor="staff:4", now=at(10, 9)
        )

        assert [(v.number, v.reason) for v in queries.to_place()] == [
            (lost[0].number, lost[0].reason)
        ]


def test_what_the_patient_cannot_is_never_proposed(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        shown = previews.preview(
            plan,
            now=at(10, 9),
            prefer=Preferences(part="afternoon", blocked=frozenset({at(15).date()})),
        )

        spots = [r.spot.starts_at for r in shown.rows if r.spot]
        assert all(moment.hour >= 16 for moment in spots)
        assert at(15).date() not in {moment.date() for moment in spots}


def test_a_date_picked_by_hand_is_kept_and_the_others_fit_around_it(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, drafted)
        wanted = Choice(where.danvers, at(17, 14))
        shown = previews.preview(plan, now=at(10, 9), chosen={3: wanted})

        row = shown.rows[2]
        assert row.is_chosen
        assert row.spot is not None
        assert (row.spot.site_id, row.spot.starts_at) == (where.danvers, at(17, 14))
        assert shown.open == 6


def taken_by_another(where: course.Clinic, moment: object) -> None:
    """Fill the whole site at a moment: both chairs."""
    for name in ("Ben", "Cem"):
        other = make.patient(name, mobile=None, email=None)
        make.infusion(
            db.session.get_one(Site, where.woburn),
            other,
            moment,
            now=at(10),  # type: ignore[arg-type]
        )


def test_when_dates_are_taken_meanwhile_nothing_is_booked(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)
        wanted = course.choices(previews.preview(plan, now=at(10, 9)))
        taken_by_another(where, wanted[2].starts_at)
        taken_by_another(where, wanted[5].starts_at)
        plan_id = plan.id

    def act() -> None:
        with keep():
            plan = db.session.get_one(Plan, plan_id)
            scheduling.schedule(
                plan, wanted, keep_rest=False, version=plan.version, actor="staff:4", now=at(10, 9)
            )

    with pytest.raises(SeriesTaken) as refused:
        act()
    assert set(refused.value.taken) == {2, 5}
    with keep():
        assert len(queries.to_place()) == 6


def test_or_the_rest_is_kept_and_exactly_the_taken_rows_come_back(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)
        wanted = course.choices(previews.preview(plan, now=at(10, 9)))
        taken_by_another(where, wanted[2].starts_at)
        taken_by_another(where, wanted[5].starts_at)
        done = scheduling.schedule(
            plan, wanted, keep_rest=True, version=plan.version, actor="staff:4", now=at(10, 9)
        )

        assert [v.number for v in done.booked] == [1, 3, 4, 6]
        assert set(done.taken) == {2, 5}
        assert [v.number for v in queries.to_place()] == [2, 5]


def test_a_date_outside_of_its_window_or_too_close_is_named_by_visit(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)
        wanted = course.choices(previews.preview(plan, now=at(10, 9)))
        plan_id = plan.id
    crooked = wanted | {2: Choice(where.woburn, at(25)), 4: Choice(where.woburn, at(19))}

    def act() -> None:
        with keep():
            plan = db.session.get_one(Plan, plan_id)
            scheduling.schedule(
                plan, crooked, keep_rest=True, version=plan.version, actor="staff:4", now=at(10, 9)
            )

    with pytest.raises(NotSchedulable) as refused:
        act()
    assert 2 in refused.value.problems
    assert 4 in refused.value.problems


def test_a_plan_that_is_not_signed_cannot_be_scheduled(keep: Keep, where: course.Clinic) -> None:

    def act() -> None:
        with keep():
            plan = course.draft(june(), where)
            scheduling.schedule(
                plan,
                course.choices(previews.preview(plan, now=at(10))),
                keep_rest=False,
                version=plan.version,
                actor="staff:4",
                now=at(10),
            )

    with pytest.raises(WrongPlanState):
        act()


# ------------------------------------------------------------ living with a plan


def test_a_planned_visit_leaves_its_window_only_with_a_reason(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        number = plan.visits[5].appointment_id
        assert number is not None

    def act() -> None:
        with keep():
            visit = reread(number)
            plans.move(
                visit, starts_at=at(31, 14), version=visit.version, actor="staff:4", now=at(12)
            )

    with pytest.raises(OutsideWindow, match="Mar 26 and Mar 29"):
        act()
    with keep():
        visit = reread(number)
        plans.move(
            visit,
            starts_at=at(31, 14),
            version=visit.version,
            actor="staff:4",
            now=at(12),
            reason="Away until the 30th.",
        )
        row = db.session.scalar(sa.select(PlannedVisit).where(PlannedVisit.number == 6))
        assert row is not None
        assert (row.starts_at, row.outside_reason) == (at(31, 14), "Away until the 30th.")

        # What excused that time still does when only chair or nurse are chosen anew.
        plans.move(
            visit, starts_at=at(31, 14), version=visit.version, actor="staff:4", now=at(12, 11)
        )
        assert row.outside_reason == "Away until the 30th."


def test_a_visit_nearer_to_its_neighbour_than_planned_asks_for_a_reason(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        _, second, third, _, fifth, sixth = plan.visits

        def move(visit: PlannedVisit, day: int, reason: str | None = None, hour: int = 10) -> None:
            own = visit.appointment
            assert own is not None
            plans.move(
                own, starts_at=at(day, hour), version=own.version, actor="staff:4", now=at(10, 10),
                reason=reason,
            )  # fmt: skip

        move(sixth, 29)  # five days after the fifth, as planned
        with pytest.raises(OutsideWindow, match="Visits 5 and 6 would be 6 days apart; 2 to 5"):
            move(fifth, 23)
        assert fifth.starts_at == at(24)
        move(fifth, 23, "Away on the 24th.")
        assert (fifth.starts_at, fifth.outside_reason) == (at(23), "Away on the 24th.")

        # What was said of the fifth excuses what it was said of, and nothing that is worse.
        move(fifth, 23, hour=14)
        move(sixth, 29, hour=14)
        assert (fifth.outside_reason, sixth.outside_reason) == ("Away on the 24th.", None)
        move(sixth, 28)
        with pytest.raises(OutsideWindow, match="Visits 5 and 6 would be 6 days apart; 2 to 5"):
            move(sixth, 29)
        own = sixth.appointment
        assert own is not None
        plans.cancel(own, actor="staff:4", now=at(10, 9, 50))
        far = Choice(where.woburn, at(29))
        assert not scheduling.fits(sixth, far)

        def book(choice: Choice) -> None:
            scheduling.schedule(
                plan, {6: choice}, keep_rest=False, version=plan.version, actor="staff:4",
                now=at(10, 9, 50),
            )  # fmt: skip

        with pytest.raises(NotSchedulable):
            book(far)
        book(replace(far, outside_reason="Back on the 29th."))
        assert (sixth.starts_at, sixth.outside_reason) == (at(29), "Back on the 29th.")
        assert not sixth.is_outside

        # What was called off comes back only while it goes with the dates around it.
        own = second.appointment
        assert own is not None
        third.max_days = 3
        plans.cancel(own, actor="staff:4", now=at(10, 9, 55))
        move(third, 19)
        with pytest.raises(OutsideWindow, match="Visits 2 and 3 would be 4 days apart"):
            plans.reinstate(own, actor="staff:4", now=at(10, 10, 5))


def test_a_visit_is_not_reopened_into_a_second_open_plan(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        held = plan.visits[0].appointment
        assert held is not None
        course.infuse(held, where)
        plan.state = PlanState.COMPLETED
        db.session.flush()
        approval.propose(plan.assessment, actor="staff:1", now=at(20))

        with pytest.raises(WrongPlanState, match="there is a new plan by now"):
            plans.reopen(held, actor="staff:3", now=at(20))


def test_a_cancelled_visit_is_to_place_and_the_plan_falls_off(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        assert queries.falling_off(now=at(11)) == []
        visit = plan.visits[0]
        assert visit.appointment is not None
        appointment = visit.appointment
        plans.cancel(appointment, actor="patient:1", now=at(11), by_patient=True)

        falling = queries.falling_off(now=at(11))
        assert [(f.plan.id, f.visit.number, f.why) for f in falling] == [
            (plan.id, 1, "The patient called it off.")
        ]

        plans.reinstate(appointment, actor="patient:1", now=at(11, 10, 5))

        assert queries.falling_off(now=at(11)) == []
        assert visit.appointment_id == appointment.id


def test_of_visits_without_a_date_each_finds_its_place_and_all_are_read_at_once(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    def look() -> list[Drifting]:
        db.session.flush()
        db.session.expunge_all()
        asked.clear()
        sa.event.listen(db.engine, "before_cursor_execute", note)
        try:
            return drifting(now=at(10, 10))
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", note)

    with keep():
        plan = db.session.get_one(Plan, scheduled)
        for visit in plan.visits[1:4]:
            assert visit.appointment is not None
            plans.cancel(visit.appointment, actor="staff:4", now=at(10, 9))
        # The fifth stands, and three more go before it: the second has all its days.
        best = previews.best_offers(plan, 2, now=at(10, 9))
        assert not best.is_outside
        assert best.spots[0].starts_at == at(15)

        first = plan.visits[0].appointment
        assert first is not None
        plans.cancel(first, actor="staff:4", now=at(10, 9))
        assert len(look()) == 1
        alone = len(asked)
        for name, hour in (("Ada", 12), ("Bo", 14)):
            other = make.patient(name, mobile=None, email=None)
            infusion = course.first_infusion(other, where, at(4, hour)).infusion
            course.infuse(infusion, where)
            draft = course.chat(infusion, now=at(9, 9)).plan
            assert draft is not None
            approval.approve(draft, person(where.doctor), version=draft.version, now=at(10, 9))
        found = look()
        assert len(asked) == alone
        assert len(found) == 3
        for one in found:
            assert one.plan is not None
            assert one.best == previews.best_offers(one.plan, 1, now=at(10, 10))


def test_a_missed_visit_is_to_place_again(keep: Keep, where: course.Clinic, scheduled: int) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        appointment = plan.visits[0].appointment
        assert appointment is not None
        plans.no_show(appointment, actor="staff:4", now=at(12, 11))

        assert plan.visits[0].reason == "They did not come."
        assert [f.visit.number for f in queries.falling_off(now=at(12, 12))] == [1]

        plan.patient.is_deceased = True  # nobody calls about a visit of the dead
        db.session.flush()
        assert queries.falling_off(now=at(12, 12)) == queries.to_place() == []


def test_a_held_visit_counts_and_the_last_asks_for_a_second_look(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        for visit in plan.visits:
            assert visit.appointment is not None
            course.infuse(visit.appointment, where)

        assert {v.state for v in plan.visits} == {VisitState.HELD}
        assert plan.state is PlanState.ACTIVE
        assert tasks.is_open(plans.REASSESS, plan.topic)


def test_the_infusion_of_a_plan_that_was_ended_cannot_be_started(
    keep: Keep, where: course.Clinic, scheduled: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, scheduled)
        appointment = plan.visits[0].appointment
        assert appointment is not None
        plans.arrive(appointment, actor="staff:3", now=at(12))
        changes.cease(
            plan, person(where.doctor), reason="Enough.", version=plan.version, now=at(12)
        )
        assert plan.state is PlanState.CEASED
        assert [v.state for v in plan.visits[1:]] == [VisitState.OMITTED] * 5
        number = appointment.id
    with pytest.raises(NoAuthority), keep():
        plans.start_infusion(reread(number), actor="staff:3", now=at(12))


def test_a_running_infusion_is_neither_moved_nor_called_off(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        infusion = course.first_infusion(june(), where).infusion
        course.infuse(infusion, where, until_safe=False)
        number = infusion.id
    for act in (
        lambda a: plans.cancel(a, actor="staff:4", now=at(4, 11)),
        lambda a: plans.no_show(a, actor="staff:4", now=at(4, 11)),
        lambda a: plans.complete_visit(a, actor="staff:4", now=at(4, 11)),
    ):
        with pytest.raises(NotInOrder), keep():
            act(reread(number))


def test_two_records_of_one_person_bring_their_course_together(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        enquirer = june(standing=make.patients.Standing.ENQUIRER)
        plan = course.approved(enquirer, where)
        known = make.patient("June", "Okafor", mobile=None, email=None)
        plans.merge_patients(enquirer, known, actor="staff:4", now=at(10))

        assert plan.patient_id == known.id
        assert clearance.current(known).holds
