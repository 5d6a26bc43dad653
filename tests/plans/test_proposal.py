"""From the first infusion to a plan: what is asked, what blocks, and dates kept before the chat."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scheduler.booking import queries as book
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment, Hold, HoldKind
from scheduler.clinic import roster
from scheduler.clinic.models import Resource, ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Stale
from scheduler.core.timespan import TimeSpan
from scheduler.messaging.models import Message
from scheduler.patients.models import Pain, Patient
from scheduler.plans import (
    approval,
    finding,
    followups,
    pencils,
    preferences,
    previews,
    queries,
    rules,
    scheduling,
    waiting,
)
from scheduler.plans import service as plans
from scheduler.plans.approval import ChatHeld
from scheduler.plans.errors import DraftBlocked, WrongPlanState
from scheduler.plans.finding import Choice
from scheduler.plans.models import FollowUp, Plan, PlanState
from scheduler.plans.pencils import Settled
from scheduler.plans.preferences import Preferences
from scheduler.plans.protocol import Act, Mood, Phase, Response
from scheduler.reports import counts
from scheduler.tasks import queries as tasks
from scheduler.treatment import chair, clearance
from scheduler.treatment.chair import Override
from scheduler.treatment.models import Answer, Decision
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import NOW, at, person


def june() -> Patient:
    return make.patient("June", "Okafor", now=NOW, pain=Pain.CRPS)


@pytest.fixture
def infused(once: Once, where: course.Clinic) -> int:
    """June's first infusion, held as planned."""

    def made() -> int:
        infusion = course.first_infusion(june(), where).infusion
        course.infuse(infusion, where)
        return infusion.id

    return once(made)


@pytest.fixture
def drafted(once: Once, where: course.Clinic) -> int:
    """June's plan as the chat drafted it."""

    return once(lambda: course.draft(june(), where).id)


@pytest.fixture
def approved(once: Once, where: course.Clinic) -> int:
    """June's plan, signed."""

    return once(lambda: course.approved(june(), where).id)


def held(infusion: Appointment, **more: object) -> ChatHeld:
    """The chat on March 9, with more answers than most."""
    return course.chat(infusion, now=at(9, 9), **more)  # type: ignore[arg-type]


def owed_for(infusion: Appointment) -> FollowUp:
    owed = followups.find_for_infusion(infusion.id)
    assert owed is not None
    return owed


def is_asked(found: ChatHeld) -> bool:
    return tasks.is_open(approval.LOOK_FIRST, f"assessment:{found.assessment.id}")


# ------------------------------------------------------------ what is asked


def test_peg_and_mood_are_reasons_with_their_numbers(
    keep: Keep, where: course.Clinic, infused: int
) -> None:
    with keep():
        infusion = db.session.get_one(Appointment, infused)
        found = held(
            infusion, score=7, peg_before=(8, 7, 8), peg_since=[6, 7, 7], phq9=17, phq9_item9=0
        )

        assert found.plan is not None
        said = approval.proposal_of(found.plan)
        assert (said.row_id, said.act.value, said.mood) == ("P14", "refer", Mood.MARKED)
        words = {r.rule: (r.words, dict(r.numbers)) for r in said.reasons}
        assert words["G1"] == (
            "PEG 7.7 before, 6.7 since: 13 % less.",
            {"before": 23, "since": 20},
        )
        assert words["M2"] == ("Mood: PHQ-9 17 of 27.", {"phq9": 17})
        assert (
            "A PHQ-9 under 15 would have given a plan to stop instead of a plan to refer."
            in said.would_change
        )
        assert (
            "A partial response (pain of 5 since) would have given 4 visits about 4 days apart "
            "instead of a plan to refer." in said.would_change
        )

        # A plan stored before the mood was asked about is read as it was.
        data = {k: v for k, v in said.as_data().items() if k not in ("mood", "over")}
        assert rules.restored(data).mood is Mood.NOT_ASKED


def test_an_answer_outside_of_its_scale_is_refused_at_its_field(
    keep: Keep, where: course.Clinic, infused: int
) -> None:
    with keep():
        infusion = db.session.get_one(Appointment, infused)
        for field, answers in (
            ("peg_since", {"peg_since": (8, 11, 3)}),
            ("peg_before", {"peg_before": (8, 3)}),
            ("phq9", {"phq9": 28}),
            ("phq9", {"phq9": 1, "phq9_item9": 2}),
            ("phq9_item9", {"phq9_item9": 4}),
        ):
            with pytest.raises(Invalid) as refused:
                held(infusion, **answers)
            assert refused.value.field == field


def test_a_chat_is_listed_although_nobody_closed_the_visit_before_it(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        infusion = course.first_infusion(june(), where).infusion
        assert queries.chats_due(now=at(4, 18)) == []
        course.infuse(infusion, where, until_safe=False)

        due = queries.chats_due(now=at(5))

        assert [d.standing for d in due] == [queries.ChatStanding.NOT_CLOSED]
        assert counts.waiting(now=at(5)).chats == 1


# ------------------------------------------------------------ what blocks


def test_each_block_is_looked_at_by_itself_also_one_found_later(
    keep: Keep, where: course.Clinic, infused: int
) -> None:
    with keep():
        infusion = db.session.get_one(Appointment, infused)
        found = held(infusion, phq9_item9=1)
        assert found.plan is None
        assert found.blocks == [approval.ITEM_9_WORDS]
        assert is_asked(found)

        word = Override(person(where.doctor), "Talked for an hour; a safety plan is made.")
        plan = approval.propose(found.assessment, override=word, actor="staff:1", now=at(9, 10))
        assert approval.blocks_of(plan) == []
        assert not is_asked(found)

        # The day after somebody writes down what the nurse remembers.
        late = chair.note_side_effect(
            infusion, "anxiety", 3, action="stopped", actor="staff:3", now=at(10)
        )
        approval.look_again(infusion.patient, actor="staff:3", now=at(10))
        assert [b.words for b in approval.blocks_of(plan)] == [approval.SEVERE_WORDS]
        assert is_asked(found)
        with pytest.raises(DraftBlocked), db.session.begin_nested():
            approval.approve(plan, person(where.doctor), version=plan.version, now=at(10))

        # It was not so bad: put right, nothing is in the way, and the task is closed.
        chair.amend(
            late.id,
            reason="Mild.",
            data={"effect": "anxiety", "severity": 1, "action": "none"},
            signer=person(where.nurse),
            now=at(10, 11),
        )
        approval.look_again(infusion.patient, actor="staff:3", now=at(10, 11))
        assert not is_asked(found)
        approval.approve(plan, person(where.doctor), version=plan.version, now=at(10, 12))
        assert plan.state is PlanState.APPROVED

        # What is found when it is signed already stops nothing, and asks all the same.
        chair.note_side_effect(
            infusion, "anxiety", 3, action="stopped", actor="staff:3", now=at(10, 13)
        )
        approval.look_again(
            infusion.patient, infusion_id=infusion.id, actor="staff:3", now=at(10, 13)
        )
        assert is_asked(found)


def test_a_draft_older_than_what_was_recorded_last_is_not_signed(
    keep: Keep, where: course.Clinic, infused: int
) -> None:
    with keep():
        infusion = db.session.get_one(Appointment, infused)
        draft = held(infusion).plan
        assert draft is not None
        corrected = held(infusion, phq9_item9=2)  # misheard at first
        assert corrected.plan is None

        assert [b.words for b in approval.blocks_of(draft)] == [
            approval.ITEM_9_WORDS,
            approval.OUTDATED_WORDS,
        ]
        with pytest.raises(DraftBlocked), db.session.begin_nested():
            approval.approve(draft, person(where.doctor), version=draft.version, now=at(10))
        again = held(infusion, phq9_item9=0)
        assert again.plan is draft
        assert not is_asked(corrected)
        assert approval.blocks_of(draft) == []


def test_what_is_new_in_the_chat_undoes_the_clearance_and_blocks(
    keep: Keep, where: course.Clinic, infused: int
) -> None:
    with keep():
        infusion = db.session.get_one(Appointment, infused)
        found = held(infusion, news=["pregnancy"])

        assert found.plan is None
        assert found.blocks == [f"{approval.CHANGED_WORDS} Pregnancy."]
        standing = clearance.current(infusion.patient)
        assert standing.answer("pregnancy") is Answer.YES
        assert not standing.holds
        assert tasks.is_open(clearance.TASK, f"patient:{infusion.patient_id}")


def test_who_is_not_cleared_any_more_keeps_no_first_visit_unseen(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        patient = june()
        booked = course.first_infusion(patient, where).infusion
        basis = clearance.current(patient).basis
        clearance.answer(patient, "heart", Answer.YES, actor="staff:3", now=NOW)

        with pytest.raises(Stale), db.session.begin_nested():
            clearance.refuse_stale(patient, basis)
        clearance.sign(
            patient,
            person(where.doctor),
            Decision.NOT_CLEARED,
            basis=clearance.refuse_stale(patient, clearance.current(patient).basis).basis,
            reason="Heart.",
            now=NOW,
        )

        assert tasks.is_open(clearance.NOT_CLEARED_BOOKED, booked.topic)
        plans.cancel(booked, actor="staff:4", now=NOW)
        assert not tasks.is_open(clearance.NOT_CLEARED_BOOKED, booked.topic)


# ------------------------------------------------------------ pencilled in


def how_many(table: type, *where: sa.ColumnElement[bool]) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(table).where(*where))
    return int(found or 0)


def pencilled(where: course.Clinic) -> FollowUp:
    """June's first visit took place on the 4th; six dates are kept until the chat and a day."""
    infusion = course.first_infusion(june(), where).infusion
    course.infuse(infusion, where)
    owed = owed_for(infusion)
    assert [c.response for c in pencils.likely(owed)][:1] == [Response.SUBSTANTIAL]
    before = how_many(Message)
    pencils.pencil(owed, Response.SUBSTANTIAL, actor="staff:4", now=at(5))
    assert how_many(Message) == before
    return owed


def test_a_likely_course_is_kept_told_to_nobody_and_booked_by_the_signature(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        owed = pencilled(where)
        chat = owed.chat
        assert chat is not None
        kept = pencils.live(owed, now=at(5))
        assert [h.starts_at for h in kept] == [at(d) for d in (9, 12, 15, 18, 21, 24)]
        assert {h.expires_at for h in kept} == {chat.starts_at + timedelta(hours=24)}
        assert how_many(Appointment, Appointment.service_code == ServiceCode.INFUSION) == 0

        # Asked for again, it is kept once.
        pencils.pencil(owed, Response.SUBSTANTIAL, actor="staff:4", now=at(5, 11))
        assert how_many(Hold, Hold.kind == HoldKind.PENCIL) == 6

        # The chat moves, and takes the end of it along.
        plans.move(chat, starts_at=at(6), version=chat.version, actor="staff:4", now=at(5))
        assert {h.expires_at for h in pencils.live(owed, now=at(5))} == {at(7)}

        found = course.chat(owed.infusion, now=at(6, 10, 30))
        assert found.pencilled == Settled(kept=6, moved=0, added=0, released=0)
        assert found.plan is not None
        shown = previews.preview(found.plan, now=at(6, 11))
        assert [r.is_pencilled for r in shown.rows] == [True] * 6

        signed = approval.approve(
            found.plan, person(where.doctor), version=found.plan.version, now=at(6, 11)
        )
        scheduling.schedule(
            signed,
            course.choices(previews.preview(signed, now=at(6, 11))),
            keep_rest=False,
            version=signed.version,
            actor="staff:4",
            now=at(6, 11),
        )
        assert [v.starts_at for v in signed.visits] == [at(d) for d in (9, 12, 15, 18, 21, 24)]
        assert how_many(Hold) == 0


@pytest.mark.parametrize("score", [5, 7], ids=["partial: further apart", "none: to stop"])
def test_the_chat_spaces_anew_or_gives_back_in_the_act_that_records_it(
    keep: Keep, where: course.Clinic, score: int
) -> None:
    with keep():
        owed = pencilled(where)
        found = course.chat(owed.infusion, score=score, now=at(7))

        assert found.pencilled is not None
        assert found.plan is not None
        visits = approval.proposal_of(found.plan).visits
        assert len(pencils.live(owed, now=at(7))) == visits
        assert found.pencilled.released == 6 - visits
        assert found.pencilled.kept + found.pencilled.moved == visits
        windows = approval.windows_of(found.plan, now=at(7)) if visits else []
        for window, hold in zip(windows, pencils.live(owed, now=at(7)), strict=True):
            assert window.earliest <= hold.starts_at < window.latest


def test_pencilled_dates_are_nobody_elses_until_they_run_out(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        owed = pencilled(where)
        kept = pencils.live(owed, now=at(5))[0]
        ben, cem = (make.patient(name, mobile=None, email=None) for name in ("Ben", "Cem"))
        make.infusion(kept.site, ben, kept.starts_at, now=at(5))  # the other of two chairs
        with pytest.raises(SlotTaken), db.session.begin_nested():
            make.infusion(kept.site, cem, kept.starts_at, now=at(5))

        over = kept.expires_at
        assert pencils.live(owed, now=over) == []
        make.infusion(kept.site, cem, kept.starts_at, now=over)


def test_pencilled_dates_go_with_the_visit_they_count_from(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        patient = june()
        first = course.first_infusion(patient, where).infusion
        owed = owed_for(first)
        pencils.pencil(owed, Response.PARTIAL, actor="staff:4", now=NOW)
        assert len(pencils.live(owed, now=NOW)) == 4
        plans.move(first, starts_at=at(11), version=first.version, actor="staff:4", now=NOW)
        assert pencils.live(owed, now=NOW) == []

        pencils.pencil(owed, Response.PARTIAL, actor="staff:4", now=NOW)
        plans.cancel(first, actor="staff:4", now=NOW)
        assert how_many(Hold, Hold.kind == HoldKind.PENCIL) == 0
        with pytest.raises(WrongPlanState):
            pencils.pencil(owed, Response.PARTIAL, actor="staff:4", now=NOW)
        assert book.upcoming(patient.id, now=NOW) == []


def test_a_changed_plan_says_what_it_is_now_and_may_be_wide_and_its_visits_long(
    keep: Keep, where: course.Clinic, drafted: int
) -> None:
    far = Phase("Far apart", 3, 105, 120, 135, 60, 14)
    with keep():
        plan = db.session.get_one(Plan, drafted)
        approval.change(
            plan, person(where.doctor), act=Act.SERIES, phases=[far], reason="It lasts.",
            version=plan.version, now=at(10, 9),
        )  # fmt: skip

        assert approval.proposal_of(plan).say == "3 visits about 120 days apart."
        shown = previews.preview(plan, now=at(10, 9))
        assert shown.open == 3
        # There are too many ways to begin it otherwise to look them all over.
        assert 1 <= len(previews.first_days(plan, shown, now=at(10, 9))) < 10

        # An hour of recovery is half an hour more than the visit usually has.
        done = scheduling.schedule(
            plan, course.choices(shown), keep_rest=False, version=plan.version, actor="staff:4",
            now=at(10, 9),
        )  # fmt: skip
        visit = done.booked[0].appointment
        assert visit is not None
        assert visit.ends_at - visit.starts_at == timedelta(minutes=115)
        assert max(c.ends_at for c in visit.claims) - visit.starts_at == timedelta(minutes=125)
        there = Choice(where.woburn, visit.starts_at + timedelta(days=1))
        assert finding.is_free(plan, there, 0, now=at(10, 9))
        away = TimeSpan(
            there.starts_at + timedelta(minutes=100), there.starts_at + timedelta(hours=4)
        )
        rosa = db.session.get_one(Resource, person(where.nurse).resource_id)
        roster.take_off(rosa, away, "Ill", actor="staff:4", now=at(10, 9))
        assert not finding.is_free(plan, there, 0, now=at(10, 9))
        (sooner,) = [
            w for w in waiting.wants(plan.patient, now=at(10, 9)) if w.topic == visit.topic
        ]
        assert sooner.longer_minutes == 30
        moved = plans.move(
            visit, starts_at=visit.starts_at + timedelta(minutes=30), version=visit.version,
            actor="staff:4", now=at(10, 9),
        )  # fmt: skip
        assert moved.ends_at - moved.starts_at == timedelta(minutes=115)
        preferences.keep(plan, Preferences(part="morning"), actor="x", now=at(10, 9))
        preferences.keep(plan, Preferences(part="afternoon"), actor="x", now=at(10, 9))
        assert preferences.kept(plan).part == "afternoon"


def test_a_plan_is_not_spaced_after_an_infusion_that_comes_behind_it(
    keep: Keep, where: course.Clinic, approved: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, approved)
        make.infusion(plan.site, plan.patient, at(60), now=at(10, 9))

        shown = previews.preview(plan, now=at(10, 9))

        assert shown.open == 6
        assert (shown.rows[0].days_since or 0) > 0
