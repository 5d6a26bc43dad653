"""Two sign one plan, two book its series, and one dies between two visits."""

import signal

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.core.db import db
from scheduler.plans import changes, previews
from scheduler.plans.acts import Ask
from scheduler.plans.finding import Choice
from scheduler.plans.models import ChangeAct, Plan, VisitState
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import at
from tests.races import nursery
from tests.races.signers import act, approve, die_between, race, schedule


@pytest.fixture
def where(once: Once) -> course.Clinic:
    """Two sites and staff."""
    return once(course.clinic)


def let_go(app: Flask) -> None:
    """Give the connections back before children use the database."""
    with app.app_context():
        db.engine.dispose()


def count(app: Flask, what: str) -> int:
    with app.app_context():
        return int(db.session.scalar(sa.text(f"SELECT count(*) FROM {what}")) or 0)


def test_two_clinicians_sign_at_once_one_wins_and_the_other_hears_who(
    app: Flask, keep: Keep, database_url: str, where: course.Clinic
) -> None:
    with keep():
        plan = course.draft(make.patient("June", "Okafor"), where)
        plan_id, version = plan.id, plan.version
    let_go(app)

    outcomes = race(
        [
            (approve, (plan_id, who, version, at(10)))
            for who in (where.doctor, where.other_doctor) * 2
        ],
        database_url,
    )

    print(outcomes)
    assert outcomes.count("signed") == 1
    told = [o for o in outcomes if o != "signed"]
    assert all(o.startswith("stale: ") and "approved this plan" in o for o in told)
    assert count(app, "plan_signature") == 1
    assert count(app, "planned_visit") == 6


def booked_choices(plan_id: int) -> dict[int, Choice]:
    plan = db.session.get_one(Plan, plan_id)
    return course.choices(previews.preview(plan, now=at(10, 9)))


def test_two_desks_book_one_series_at_once_and_it_is_booked_once(
    app: Flask, keep: Keep, database_url: str, where: course.Clinic
) -> None:
    with keep():
        plan = course.approved(make.patient("June", "Okafor"), where)
        plan_id, version = plan.id, plan.version
        choices = booked_choices(plan_id)
    let_go(app)

    outcomes = race([(schedule, (plan_id, choices, version, at(10, 9)))] * 3, database_url)

    print(outcomes)
    assert outcomes.count("booked") == 1
    assert all(o == "booked" or o.startswith("stale: ") for o in outcomes)
    assert count(app, "appointment WHERE service_code = 'infusion'") == 6

    # And an act on it, pressed twice while a colleague does another, is done once or not at all.
    asks = [Ask(ChangeAct.DEFER, visit=3, to=at(25).date()), Ask(ChangeAct.CARRY, visit=3)]
    with keep():
        plan = db.session.get_one(Plan, plan_id)
        version, versions = plan.version, len(plan.versions)
        wanted = [acted_choices(plan, ask) for ask in asks]
    let_go(app)
    deeds = [(act, (plan_id, *both, version, at(11, 9))) for both in zip(asks, wanted, strict=True)]

    outcomes = race([deeds[0], deeds[0], deeds[1]], database_url)

    print(outcomes)
    assert outcomes.count("done") == 1
    assert all(o == "done" or o.startswith("stale: ") for o in outcomes)
    assert race([deeds[0]], database_url)[0].startswith("stale: ")
    with keep():
        plan = db.session.get_one(Plan, plan_id)
        assert len(plan.versions) == versions + 1
        assert [v.state for v in plan.visits] == [VisitState.BOOKED] * 6
    assert count(app, "appointment WHERE service_code = 'infusion' AND status = 'booked'") == 6


def acted_choices(plan: Plan, ask: Ask) -> dict[int, Choice]:
    """What the preview of an act proposes."""
    rows = changes.preview(plan, ask, now=at(11, 9)).rows
    return {
        r.number: Choice(r.row.spot.site_id, r.row.spot.starts_at)
        for r in rows
        if r.row is not None and r.row.spot is not None
    }


def test_two_patients_want_the_same_dates_and_one_series_is_whole(
    app: Flask, keep: Keep, database_url: str
) -> None:
    with keep():
        where = course.clinic(chairs=1)
    with keep():
        june = course.approved(make.patient("June", "Okafor"), where).id
    with keep():
        # Ben's first infusion is later that day; his course begins in the same days.
        ben = _another_course(where)
    with keep():
        wanted = booked_choices(june)
        versions = {p: db.session.get_one(Plan, p).version for p in (june, ben)}
    let_go(app)

    outcomes = race(
        [(schedule, (p, wanted, versions[p], at(10, 9))) for p in (june, ben)], database_url
    )

    print(outcomes)
    assert sum(o == "booked" for o in outcomes) == 1
    assert [o.split(":")[0] for o in outcomes if o != "booked"] == ["series-taken"]
    assert count(app, "appointment WHERE service_code = 'infusion'") == 6


def _another_course(where: course.Clinic) -> int:
    patient = make.patient("Ben", "Silva", mobile=None, email=None)
    infusion = course.first_infusion(patient, where, at(4, 14)).infusion
    course.infuse(infusion, where)
    plan = course.chat(infusion, now=at(9, 9)).plan
    assert plan is not None
    course.approval.approve(plan, course.person(where.doctor), version=plan.version, now=at(10, 9))
    return plan.id


def test_a_crash_between_two_visits_leaves_none(
    app: Flask, keep: Keep, database_url: str, where: course.Clinic
) -> None:
    """After the last of them the same process, let live, books all: what died would have."""
    with keep():
        plan_id = course.approved(make.patient("June", "Okafor"), where).id
        choices = booked_choices(plan_id)
    let_go(app)

    deaths = nursery.raised(database_url, die_between, plan_id, choices, at(10, 9))

    assert [d.exit_code for d in deaths] == [-signal.SIGKILL] * 6 + [0]
    assert [d.left for d in deaths] == [(0, 0, 0)] * 6 + [(6, 6, deaths[-1].left[2])]
    assert deaths[-1].left[2] > 6
