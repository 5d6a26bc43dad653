"""Snow shuts a clinic: everybody hit is placed anew, one at a time, and asked by text."""

import re
from datetime import timedelta
from itertools import pairwise

import sqlalchemy as sa
from flask import Flask

from scheduler.booking import withdrawal
from scheduler.clinic import hours
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan
from scheduler.messaging import rules as texting
from scheduler.patients.models import Patient
from scheduler.plans import approval, disruption, previews, scheduling
from scheduler.plans.models import Plan, PlannedVisit, VisitState
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.course import at, person
from tests.web.desk.test_course import post

SNOW = TimeSpan(at(18, 0), at(19, 0))
TODAY = at(16, 12)


def on_its_way(n: int, where: course.Clinic) -> Plan:
    """A plan of six visits from Thursday, March 12 on; patients two by two at each hour."""
    who = make.patient(f"Nr{n}", "Okafor", mobile=f"+178155501{30 + n}", now=course.NOW)
    first = course.first_infusion(who, where, at(4, 8 + 2 * (n // 2))).infusion
    course.infuse(first, where)
    held = course.chat(first, now=at(9, 9))
    assert held.plan is not None
    plan = approval.approve(
        held.plan, person(where.doctor), version=held.plan.version, now=at(10, 9)
    )
    shown = previews.preview(plan, now=at(10, 9))
    scheduling.schedule(
        plan, course.choices(shown), keep_rest=False, version=plan.version, actor="staff:4",
        now=at(10, 9),
    )  # fmt: skip
    return plan


def snow(where: course.Clinic) -> withdrawal.Impact:
    """Shut Woburn on Wednesday, March 18."""
    woburn = db.session.get_one(Site, where.woburn)
    return withdrawal.withdraw_supply(
        lambda: hours.close(woburn, SNOW, "Snow", actor="staff:4", now=TODAY),
        seen=None,
        actor="staff:4",
        now=TODAY,
    )


def starts() -> dict[tuple[int, int], object]:
    """Every booked visit by plan and number."""
    rows = db.session.scalars(sa.select(PlannedVisit).where(PlannedVisit.starts_at.is_not(None)))
    return {(v.plan_id, v.number): v.starts_at for v in rows.unique()}


def test_snow_hits_six_plans_and_each_finds_its_place_beside_the_others(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    with keep():
        where = course.clinic()
        for n in range(6):
            on_its_way(n, where)
        impact = snow(where)
        hit = {h.appointment_id for h in impact.hits}
        assert len(hit) == 6
        before = starts()

        proposals = disruption.propose(actor="staff:4", now=TODAY)

        assert starts() == before  # nothing is kept of it
        assert len(proposals) == 6
        closing = [p.latest for p in proposals]
        assert closing == sorted(closing, key=lambda latest: latest or TODAY)
        assert all(p.spots and not p.is_outside for p in proposals)
    clock.set(TODAY)
    desk = signed_in()
    assert "Find places for everybody" in desk.get("/desk/to-re-place").text
    page = post(desk, "/desk/to-re-place/places", "/desk/to-re-place").text
    form = dict(re.findall(r'type="hidden" name="(version-[^"]+)" value="(\d+)"', page))
    form |= dict(re.findall(r'type="radio" name="(to-[^"]+)"[^>]* value="([^"]+)" checked', page))
    assert len(form) == 12
    # Somebody else takes a chair of the first meanwhile: that row comes back, the rest is done.
    one = next(name for name in form if name.startswith("to-"))
    gone = form | {
        one: form[one].replace("2026-03-1", "2026-03-0").replace("2026-03-2", "2026-03-0")
    }
    assert post(desk, "/desk/to-re-place/places/move", "/desk").status_code == 422
    again = post(desk, "/desk/to-re-place/places/move", "/desk", **gone)
    assert again.status_code == 409
    assert "5 moved. 1 could not be" in again.text
    form = dict(re.findall(r'type="hidden" name="(version-[^"]+)" value="(\d+)"', again.text))
    form |= dict(
        re.findall(r'type="radio" name="(to-[^"]+)"[^>]* value="([^"]+)" checked', again.text)
    )
    # A time may be typed too; out of its window only with a reason, for the window has room.
    (row,) = [name.partition("-")[2] for name in form if name.startswith("to-")]
    typed = form | {f"day-{row}": "2026-03-30", f"site-{row}": "woburn"}
    part = post(desk, "/desk/to-re-place/places/move", "/desk", **typed)
    assert part.status_code == 422
    assert "enter a date and a time" in part.text
    typed[f"time-{row}"] = "14:00"
    refused = post(desk, "/desk/to-re-place/places/move", "/desk", **typed)
    assert refused.status_code == 409
    assert "Say why it may be another day." in refused.text
    assert 'value="2026-03-30"' in refused.text
    assert post(desk, "/desk/to-re-place/places/move", "/desk", **form).status_code == 303
    with keep():
        assert withdrawal.to_replace(now=TODAY) == []
        after = starts()
        moved = {key for key in before if before[key] != after[key]}
        assert len(moved) == 6
        for visit in db.session.scalars(sa.select(PlannedVisit)).unique():
            assert visit.state in (VisitState.BOOKED, VisitState.HELD)
            assert visit.starts_at is not None
            inside = visit.earliest <= visit.starts_at < visit.latest
            assert inside or visit.outside_reason
            shut = SNOW.start <= visit.starts_at < SNOW.end
            assert not shut or visit.appointment.site_id == where.danvers  # type: ignore[union-attr]
        for plan in db.session.scalars(sa.select(Plan)).unique():
            days = [v.starts_at for v in plan.visits if v.starts_at]
            gaps = [b - a for a, b in pairwise(days)]
            assert min(gaps) >= timedelta(hours=47)
        assert "visit-moved" in texting.ASKING  # the new time is answered with 1 or 2
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Patient)) == 6
