"""Whatever is done to a plan: windows hold or say why, the count is the protocol's, past stays."""

import os
import random
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest
from flask import Flask

from scheduler.core.db import db
from scheduler.core.errors import Refusal
from scheduler.plans import approval, changes, previews, rules, scheduling
from scheduler.plans import service as plans
from scheduler.plans.acts import Ask
from scheduler.plans.changes import What
from scheduler.plans.finding import Choice
from scheduler.plans.models import ChangeAct, Plan, VisitState
from tests import course, make
from tests.conftest import Keep
from tests.course import at, person
from tests.plans.test_changes import TODAY, chosen

SEED = 20261122
DEEDS = 60 if os.environ.get("EMERGE_PROVE") else 6


@pytest.fixture
def where(app: Flask, keep: Keep) -> course.Clinic:
    """Two sites and staff."""
    with keep():
        return course.clinic()


def some_ask(dice: random.Random, plan: Plan, where: course.Clinic) -> Ask:
    """An act somebody might want, sensible or not."""
    visit = dice.randrange(1, 7)
    days = dice.choice(((2, 3, 5), (5, 7, 9), (3, 4, 6)))
    return dice.choice(
        (
            Ask(ChangeAct.DEFER, visit=visit, to=at(dice.randrange(14, 40)).date()),
            Ask(ChangeAct.CARRY, visit=visit),
            Ask(ChangeAct.OMIT, visit=visit),
            Ask(ChangeAct.RESPACE, visit=visit, days=days),
            Ask(ChangeAct.RELOCATE, site_id=dice.choice((where.woburn, where.danvers))),
        )
    )


def nudge(dice: random.Random, plan: Plan) -> str:
    """Move, call off or place one visit by itself, for a reason or none; say what was tried."""
    visit = dice.choice(plan.visits[1:])
    starts_at = at(dice.randrange(14, 45), dice.choice((9, 10, 14)))
    reason = dice.choice((None, None, "She asked."))
    own = visit.appointment
    with suppress(Refusal), db.session.begin_nested():
        if own is None:
            scheduling.schedule(
                plan, {visit.number: Choice(plan.site_id, starts_at, reason)}, keep_rest=False,
                version=plan.version, actor="staff:4", now=TODAY,
            )  # fmt: skip
        elif dice.random() < 0.2:
            plans.cancel(own, actor="staff:4", now=TODAY)
        else:
            plans.move(
                own, starts_at=starts_at, version=own.version, reason=reason, actor="staff:4",
                now=TODAY,
            )  # fmt: skip
    return f"visit {visit.number} to {starts_at}: {reason}"


def broken(plan: Plan) -> list[str]:
    """What of a plan breaks what is promised of every version."""
    found = []
    live = [v for v in plan.visits if v.state is not VisitState.OMITTED]
    for v in live:
        inside = v.starts_at is None or v.earliest <= v.starts_at < v.latest
        if not inside and not v.outside_reason:
            found.append(f"visit {v.number} is outside of its window, and nobody said why")
    placed = [v for v in live if v.starts_at is not None]
    for a, b in pairwise(placed):
        assert a.starts_at is not None
        assert b.starts_at is not None
        if abs(b.starts_at - a.starts_at) < timedelta(hours=47):
            found.append(f"visits {a.number} and {b.number} are too close")
        between = [v for v in live if a.number < v.number <= b.number]
        zone = plan.site.zone
        gap = (b.starts_at.astimezone(zone).date() - a.starts_at.astimezone(zone).date()).days
        is_planned = sum(v.min_days for v in between) <= gap <= sum(v.max_days for v in between)
        if not is_planned and not (a.outside_reason or b.outside_reason):
            found.append(f"visits {a.number} and {b.number} are {gap} days apart, and why?")
    signed = sum(p.count for p in rules.until_review(approval.proposal_of(plan).phases))
    omitted = sum(1 for v in plan.versions if v.change and v.change.act is ChangeAct.OMIT)
    if len(live) != signed - omitted:
        found.append(f"{len(live)} visits, {signed} signed, {omitted} left out")
    found += [
        f"version {v.number} has no reason" for v in plan.versions if v.change and not v.reason
    ]
    return found


def test_no_deed_breaks_a_window_without_a_reason_or_the_count_or_the_past(
    keep: Keep, where: course.Clinic
) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    with keep():
        plan = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        first = plan.visits[0].appointment
        assert first is not None
        course.infuse(first, where, score=6)
        past = (plan.visits[0].earliest, plan.visits[0].latest, plan.visits[0].starts_at)
        done = 0
        for _ in range(DEEDS * 3):
            for _ in range(2):
                deed = nudge(dice, plan)
                assert broken(plan) == [], deed
            ask = some_ask(dice, plan, where)
            try:
                with db.session.begin_nested():
                    shown = changes.preview(plan, ask, now=TODAY)
                    changes.apply(
                        plan, ask, chosen(shown), reason="Because.", keep_rest=True,
                        version=plan.version, actor="staff:4", now=TODAY,
                        signer=person(where.doctor),
                        unplaced={r.number: r.row.reason or "" for r in shown.rows if r.row},
                    )  # fmt: skip
            except Refusal:
                continue
            done += 1
            assert broken(plan) == [], ask
            v = plan.visits[0]
            assert (v.earliest, v.latest, v.starts_at) == past
            # Asked for once more, nothing is to be done.
            if ask.act is ChangeAct.RESPACE:
                once_more = changes.preview(plan, ask, now=TODAY)
                assert once_more.count(What.MOVE) == once_more.count(What.DROP) == 0, ask
            again = previews.preview(plan, now=TODAY)
            assert all(r.is_booked or not r.spot for r in again.rows) or any(
                x.state is VisitState.TO_PLACE for x in plan.visits
            )
            if done == DEEDS:
                break
        assert done


def test_a_series_over_the_change_of_the_clock_keeps_its_time_on_the_wall(
    keep: Keep, where: course.Clinic
) -> None:
    """Infusions from March 4 on, over the night of the 8th, then far apart into November."""
    with keep():
        plan = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        for visit in plan.visits[:4]:
            assert visit.appointment is not None
            course.infuse(visit.appointment, where, score=6)
        ask = Ask(ChangeAct.RESPACE, visit=5, days=(110, 118, 120))
        shown = changes.preview(plan, ask, now=at(22, 9))
        spots = [r.row.spot for r in shown.rows if r.row is not None and r.row.spot is not None]
        zone = plan.site.zone

        assert {s.starts_at.astimezone(zone).strftime("%H:%M") for s in spots} == {"10:00"}
        assert {s.starts_at.astimezone(zone).utcoffset() for s in spots} == {
            timedelta(hours=-4), timedelta(hours=-5)
        }  # fmt: skip
        days = [s.starts_at.astimezone(zone).date() for s in spots]
        assert [(b - a).days for a, b in pairwise(days)][-2:] == [118, 118]
