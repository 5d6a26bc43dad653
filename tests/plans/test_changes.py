"""Defer, carry forward, omit, re-space, cease, go on: one act, one version, one word."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from scheduler.audit.models import AuditEntry
from scheduler.booking import notices, soft
from scheduler.booking.models import Appointment, Status
from scheduler.booking.soft import Excuse
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.messaging.models import Message
from scheduler.messaging.states import Channel, State
from scheduler.plans import approval, changes
from scheduler.plans import service as plans
from scheduler.plans.acts import Ask
from scheduler.plans.changes import ChangePreview, What
from scheduler.plans.errors import MayNotSign, NotSchedulable, PlanOvertaken, SeriesTaken
from scheduler.plans.finding import Choice
from scheduler.plans.models import ChangeAct, Plan, PlanState, VisitState
from scheduler.tasks import queries as tasks
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import at, person

TODAY = at(13, 9)  # a Friday; the first of six visits was the day before


@pytest.fixture
def running(once: Once, where: course.Clinic) -> int:
    """A plan of six visits, the first of them held on Thursday, March 12."""

    def made() -> int:
        plan = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        first = plan.visits[0].appointment
        assert first is not None
        course.infuse(first, where, score=6)
        return plan.id

    return once(made)


def chosen(shown: ChangePreview) -> dict[int, Choice]:
    """Take what a preview proposes."""
    return {
        r.number: Choice(r.row.spot.site_id, r.row.spot.starts_at)
        for r in shown.rows
        if r.row is not None and r.row.spot is not None and r.what is not What.PAST
    }


def do(plan: Plan, ask: Ask, where: course.Clinic, **more: object) -> changes.Changed:
    """Preview and do."""
    shown = changes.preview(plan, ask, now=TODAY)
    values: dict[str, object] = {
        "reason": "She travels.",
        "keep_rest": False,
        "version": plan.version,
        "actor": "staff:4",
        "now": TODAY,
        "signer": person(where.doctor) if ask.act in changes.SIGNED_ACTS else None,
    }
    return changes.apply(plan, ask, chosen(shown), **(values | more))  # type: ignore[arg-type]


def days(plan: Plan) -> list[int]:
    """The days of March on which the visits are; April goes on counting."""
    zone = plan.site.zone
    return [
        (v.starts_at.astimezone(zone).date() - date(2026, 2, 28)).days
        for v in plan.visits
        if v.starts_at is not None
    ]


def whats(shown: ChangePreview) -> list[str]:
    return [r.what.value for r in shown.rows]


def whole(plan: Plan) -> list[tuple[object, ...]]:
    """Everything a visit is, to see that nothing of it changed."""
    return [
        (v.number, v.state, v.earliest, v.ideal, v.latest, v.starts_at, v.appointment_id)
        for v in plan.visits
    ]


def test_deferring_moves_what_follows_along_and_leaves_the_past(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        before, past, versions = days(plan), whole(plan)[0], len(plan.versions)
        assert before == [12, 15, 18, 21, 24, 27]
        ask = Ask(ChangeAct.DEFER, visit=3, to=date(2026, 3, 25))

        shown = changes.preview(plan, ask, now=TODAY)

        assert whats(shown) == ["past", "keep", "move", "move", "move", "move"]
        assert [r.days_since_before for r in shown.rows[1:]] == [3] * 5
        assert [r.row.days_since for r in shown.rows[1:] if r.row] == [3, 10, 3, 3, 3]
        assert days(plan) == before  # nothing was kept of it

        do(plan, ask, where)

        assert days(plan) == [12, 15, 25, 28, 31, 34]
        assert whole(plan)[0] == past
        assert len(plan.versions) == versions + 1
        assert plan.current.reason == "She travels."
        assert plan.current.change is not None
        assert plan.current.change.act is ChangeAct.DEFER
        assert plan.current.change.visits[2]["after"] == at(25).isoformat()
        assert plan.review_on == date(2026, 4, 3) + timedelta(days=7)
        assert {v.appointment.status for v in plan.visits[1:] if v.appointment} == {Status.BOOKED}
        approval.proposal_of(plan)  # what was signed is as it was
        # Thinking about it once more with the same input changes nothing.
        again = changes.preview(plan, Ask(ChangeAct.RESPACE, visit=4, days=(2, 3, 5)), now=TODAY)
        assert whats(again) == ["past", *["keep"] * 5]


def test_one_act_is_one_word_to_the_patient(keep: Keep, where: course.Clinic, running: int) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        db.session.execute(sa.update(Message).values(state=State.CANCELLED))
        do(plan, Ask(ChangeAct.DEFER, visit=3, to=date(2026, 3, 25)), where)
        waiting = db.session.scalars(
            sa.select(Message).where(
                Message.state == State.QUEUED,
                Message.channel == Channel.SMS,
                Message.template == notices.PENDING,
            )
        ).all()
        assert len(waiting) == 1


def test_carrying_forward_keeps_the_dates_and_adds_one_at_the_end(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        kept = {v.appointment_id for v in plan.visits if v.number not in (1, 3)}
        ask = Ask(ChangeAct.CARRY, visit=3)

        shown = changes.preview(plan, ask, now=TODAY)
        assert whats(shown) == ["past", "keep", "keep", "keep", "keep", "add"]
        do(plan, ask, where)

        assert days(plan) == [12, 15, 21, 24, 27, 30]
        assert kept <= {v.appointment_id for v in plan.visits}
        gone = db.session.scalars(
            sa.select(Appointment).where(Appointment.status == Status.CANCELLED)
        ).all()
        assert [a.starts_at for a in gone] == [at(18)]


def test_leaving_one_out_leaves_the_rest_and_needs_a_signature(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        ask = Ask(ChangeAct.OMIT, visit=4)
        with pytest.raises(MayNotSign):
            do(plan, ask, where, signer=person(where.nurse))
        with pytest.raises(Invalid, match="why"):
            do(plan, ask, where, reason="  ")

        assert whats(changes.preview(plan, ask, now=TODAY))[3] == "drop"
        do(plan, ask, where)

        assert days(plan) == [12, 15, 18, 24, 27]
        assert plan.visits[3].state is VisitState.OMITTED
        assert plan.current.signature is not None
        # It still entitles, and what is left can be moved within its days.
        visit = plan.visits[4].appointment
        assert visit is not None
        plans.move(visit, starts_at=at(23), version=visit.version, actor="staff:4", now=TODAY)


def test_twice_weekly_becomes_weekly_from_the_fourth_visit(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        ask = Ask(ChangeAct.RESPACE, visit=4, days=(5, 7, 9))

        do(plan, ask, where)

        assert days(plan) == [12, 15, 18, 25, 32, 39]
        phases = approval.proposal_of(plan).phases
        assert [(p.count, p.target_days, p.reassess_after_days) for p in phases] == [
            (3, 3, None), (3, 7, 7), (3, 28, 14),
        ]  # fmt: skip
        assert [v.phase for v in plan.visits] == [0, 0, 0, 1, 1, 1]
        assert changes.next_part(plan) == phases[2]
        assert whats(changes.preview(plan, ask, now=TODAY)) == ["past", *["keep"] * 5]


def test_a_patient_moves_from_woburn_to_danvers(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        before = days(plan)
        ask = Ask(ChangeAct.RELOCATE, site_id=where.danvers)

        do(plan, ask, where)

        assert days(plan) == before
        sites = [v.appointment.site_id for v in plan.visits if v.appointment]
        assert sites == [where.woburn, *[where.danvers] * 5]
        assert plan.site_id == where.danvers
        assert whats(changes.preview(plan, ask, now=TODAY)) == ["past", *["keep"] * 5]


def test_ceasing_calls_off_what_is_ahead_and_nothing_behind(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        do(plan, Ask(ChangeAct.CEASE), where)

        assert plan.state is PlanState.CEASED
        assert [v.state for v in plan.visits] == [VisitState.HELD, *[VisitState.OMITTED] * 5]
        assert days(plan) == [12]
        assert changes.may_be(plan, now=TODAY) == []


def test_after_the_review_the_next_part_goes_on_within_what_was_signed(
    keep: Keep, where: course.Clinic
) -> None:
    with keep():
        plan = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        for visit in plan.visits:
            assert visit.appointment is not None
            course.infuse(visit.appointment, where, score=5)
        assert tasks.is_open(plans.REASSESS, plan.topic)
        now = at(32, 9)
        assert changes.may_be(plan, now=now) == [ChangeAct.GO_ON, ChangeAct.COMPLETE]
        with pytest.raises(Invalid, match="21 to 35"):
            changes.preview(plan, Ask(ChangeAct.GO_ON, days=(14, 20, 30)), now=now)
        ask = Ask(ChangeAct.GO_ON, days=(21, 24, 35))
        shown = changes.preview(plan, ask, now=now)
        assert whats(shown) == [*["past"] * 6, "add", "add", "add"]

        changes.apply(
            plan, ask, chosen(shown), reason="Relief lasts 24 days.", keep_rest=False,
            version=plan.version, actor="staff:1", now=now, signer=person(where.doctor),
        )  # fmt: skip

        assert days(plan)[6:] == [51, 75, 99]
        assert not tasks.is_open(plans.REASSESS, plan.topic)
        assert plan.state is PlanState.ACTIVE
        assert approval.proposal_of(plan).phases[1].target_days == 24


def crowd(site: Site, *moments: datetime) -> None:
    """Fill both chairs of a site at these hours."""
    for moment in moments:
        for given in ("Ada", "Bo"):
            other = make.patient(given, "Busy", mobile=None, email=None)
            make.infusion(site, other, moment, now=TODAY)


def test_a_date_that_is_taken_meanwhile_comes_back_alone_or_nothing_is_done(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    defer = Ask(ChangeAct.DEFER, visit=3, to=date(2026, 3, 25))
    carry = Ask(ChangeAct.CARRY, visit=3)
    with keep():
        plan = db.session.get_one(Plan, running)
        plan_id, version = plan.id, plan.version
        wanted = {ask.act: chosen(changes.preview(plan, ask, now=TODAY)) for ask in (defer, carry)}
        crowd(plan.site, at(28), at(30))
        before = whole(plan)

    def act(ask: Ask, *, keep_rest: bool) -> changes.Changed:
        with keep():
            return changes.apply(
                db.session.get_one(Plan, plan_id), ask, wanted[ask.act], reason="She travels.",
                keep_rest=keep_rest, version=version, actor="staff:4", now=TODAY,
            )  # fmt: skip

    # Visit 4 was to go to the 28th. It cannot stay on the 21st, with the third on the 25th: the
    # date it has is not given up for one that is gone.
    for ask, keep_rest, number in ((carry, False, 6), (defer, False, 4), (defer, True, 4)):
        with pytest.raises(SeriesTaken) as refused:
            act(ask, keep_rest=keep_rest)
        assert list(refused.value.taken) == [number]
        with keep():
            assert whole(db.session.get_one(Plan, plan_id)) == before

    assert list(act(carry, keep_rest=True).taken) == [6]
    with keep():
        plan = db.session.get_one(Plan, plan_id)
        assert days(plan) == [12, 15, 21, 24, 27]
        assert plan.visits[5].state is VisitState.TO_PLACE
    with pytest.raises(PlanOvertaken):
        act(carry, keep_rest=True)


def test_a_visit_keeps_the_date_it_has_unless_another_is_chosen_and_had(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    move = Ask(ChangeAct.RELOCATE, site_id=where.danvers)
    with keep():
        plan = db.session.get_one(Plan, running)
        before = whole(plan)
        wanted = chosen(changes.preview(plan, move, now=TODAY))
        crowd(db.session.get_one(Site, where.danvers), at(21))

        def act(choices: dict[int, Choice], **more: object) -> changes.Changed:
            values: dict[str, object] = {"reason": "Nearer.", "keep_rest": True, "actor": "staff:4"}
            return changes.apply(
                plan, move, choices, version=plan.version, now=TODAY, **(values | more)
            )  # type: ignore[arg-type]

        # A form that says nothing of a visit that has a date does not call it off.
        with pytest.raises(NotSchedulable) as refused:
            act({n: c for n, c in wanted.items() if n not in (3, 5)})
        assert sorted(refused.value.problems) == [3, 5]
        assert whole(plan) == before

        done = act(wanted)
        assert (list(done.taken), done.kept) == ([4], {4})
        assert days(plan) == [12, 15, 18, 21, 24, 27]
        sites = [v.appointment.site_id for v in plan.visits if v.appointment]
        assert sites == [where.woburn, *[where.danvers] * 2, where.woburn, *[where.danvers] * 2]


def test_an_act_asks_for_what_any_booking_asks_for(
    keep: Keep, where: course.Clinic, running: int
) -> None:
    """Spacing beside a date that stands, and notice; what stood apart knowingly goes on so."""
    now = at(13, 11)
    stay = Ask(ChangeAct.RELOCATE, site_id=where.woburn)
    sooner = Choice(where.woburn, at(14))  # in its window, and within a day
    excuse = Excuse("She is here today.", frozenset({soft.Rule.NOTICE}))
    with keep():
        plan = db.session.get_one(Plan, running)
        last = plan.visits[5].appointment
        assert last is not None
        plans.move(
            last, starts_at=at(30), version=last.version, actor="staff:4", now=now,
            reason="She asked.",
        )  # fmt: skip
        wanted = chosen(changes.preview(plan, stay, now=TODAY))
        assert whats(changes.preview(plan, stay, now=TODAY)) == ["past", *["keep"] * 5]
        before = whole(plan)

        def act(choices: dict[int, Choice]) -> None:
            changes.apply(
                plan, stay, choices, reason="So.", keep_rest=False, version=plan.version,
                actor="staff:4", now=now,
            )  # fmt: skip

        with pytest.raises(NotSchedulable) as refused:
            act(wanted | {4: Choice(where.woburn, at(23))})  # a day before the fifth, which stands
        assert refused.value.problems.keys() == {5}
        with pytest.raises(NotSchedulable) as refused:
            act(wanted | {2: sooner})
        assert (refused.value.problems.keys(), refused.value.asks) == ({2}, {2})
        assert whole(plan) == before

        act(wanted | {2: replace(sooner, excuse=excuse)})
        assert days(plan) == [12, 14, 18, 21, 24, 30]
        assert plan.visits[5].outside_reason == "She asked."
        noted = sa.select(AuditEntry.detail).where(AuditEntry.action == soft.SET_ASIDE)
        assert [row["reason"] for row in db.session.scalars(noted)] == [excuse.reason]


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (Ask(ChangeAct.DEFER, visit=1, to=date(2026, 4, 1)), "visit"),
        (Ask(ChangeAct.DEFER, visit=9, to=date(2026, 4, 1)), "visit"),
        (Ask(ChangeAct.DEFER, visit=3), "to"),
        (Ask(ChangeAct.DEFER, visit=3, to=date(2026, 3, 1)), "to"),
        (Ask(ChangeAct.DEFER, visit=3, to=date(2029, 3, 1)), "to"),
        (Ask(ChangeAct.RESPACE, visit=3, days=(5, 4, 9)), "target"),
        (Ask(ChangeAct.RESPACE, visit=3), "target"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    keep: Keep, where: course.Clinic, running: int, ask: Ask, field: str
) -> None:
    with keep():
        plan = db.session.get_one(Plan, running)
        with pytest.raises(Invalid) as refused:
            changes.preview(plan, ask, now=TODAY)
        assert refused.value.field == field
