"""The pages of the acts on a running plan: shown first, then done; nothing typed is lost."""

import re
from datetime import UTC, datetime

import pytest

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment
from scheduler.clinic import hours
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan
from scheduler.plans import previews
from scheduler.plans import service as plans
from scheduler.plans.models import Plan, PlanWishes, VisitState
from tests import course, make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.web.desk.test_course import post


@pytest.fixture
def plan(once: Once, clock: StoppedClock) -> str:
    """A plan of six visits, the first of them held, on the day after."""

    def made() -> str:
        where = course.clinic()
        found = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        first = found.visits[0].appointment
        assert first is not None
        course.infuse(first, where, score=6)
        return found.public_id

    public_id = once(made)
    clock.set(course.at(13, 9))
    return public_id


def fields(page: str) -> dict[str, str]:
    """What the form of a preview would send as it is."""
    found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    found |= dict(re.findall(r'type="radio" name="(v\d+)"[^>]* value="([^"]*)" checked', page))
    return {name: value for name, value in found.items() if name != "csrf_token"}


def pressing(page: str) -> int:
    """How many are falling off, as the number beside the list says; the list has as many."""
    said = re.search(r'Falling off <span class="count presses">(\d+)<', page)
    assert said
    assert int(said[1]) == page.count('class="drifting"')
    return int(said[1])


def test_a_visit_is_put_off_after_a_look_at_what_moves(
    plan: str, signed_in: SignIn, keep: Keep
) -> None:
    client = signed_in()
    path = f"/desk/plans/{plan}/act"
    asked = f"{path}?act=defer&visit=3&to=2026-03-25&show=y"
    page = client.get(asked).text
    assert "1 visit stays, 4 move" in page
    assert re.search(r"3 →</span> <b>10</b>", page)
    form = fields(page)

    again = post(client, path, asked, **form, reason=" ")
    assert again.status_code == 422
    assert "Please say why." in again.text
    assert 'value="2026-03-25"' in again.text
    long = post(client, path, asked, **form, reason="x" * 501)
    assert long.status_code == 422
    assert "x" * 501 in long.text

    other = {"day4": "2026-03-29", "time4": "14:00", "site4": "danvers", "kept3": "y"}
    shown = post(client, f"{path}/preview", asked, **(form | other))
    assert "Mar 29, 2:00 PM" in shown.text
    wrong = post(client, f"{path}/preview", asked, **(form | {"day4": "soon", "time4": "14:00"}))
    assert wrong.status_code == 422

    done = post(client, path, asked, **form, reason="She travels.")
    assert done.status_code == 303
    assert "She travels" in signed_in(Role.NURSE).get(f"/desk/plans/{plan}").text
    late = post(client, path, asked, **form, reason="She travels.")
    assert late.status_code == 409
    assert "Somebody changed this plan" in late.text


def test_what_a_clinician_signed_changes_only_under_a_signature(
    plan: str, signed_in: SignIn, keep: Keep
) -> None:
    path = f"/desk/plans/{plan}/act"
    for act in ("omit&visit=4", "re-space&visit=4&min=5&target=7&max=9", "cease"):
        asked = f"{path}?act={act}&show=y"
        desk = signed_in()
        form = fields(desk.get(asked).text)
        assert (
            post(desk, path, asked, **form, reason="So.", password=make.PASSWORD).status_code == 403
        )
    doctor = signed_in(Role.CLINICIAN)
    bare = post(doctor, path, asked, **form, reason="So.")
    assert bare.status_code == 422
    assert "signature" in bare.text
    done = post(doctor, path, asked, **form, reason="So.", password=make.PASSWORD)
    assert done.status_code == 303
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        assert [v.state for v in row.visits][1:] == [VisitState.OMITTED] * 5


def test_each_act_is_done_from_its_page_one_after_the_other(
    plan: str, signed_in: SignIn, keep: Keep, clock: StoppedClock
) -> None:
    """Carry forward, the other clinic, one left out, wide apart over the change of the clock."""
    path = f"/desk/plans/{plan}/act"
    client = signed_in(Role.CLINICIAN)

    def act(query: str, says: str) -> None:
        page = client.get(f"{path}?act={query}&show=y").text
        assert says in page, query
        done = post(client, path, path, **fields(page), reason="She asked.", password=make.PASSWORD)
        assert done.status_code == 303, query

    def stand() -> tuple[list[str], set[str]]:
        with keep():
            row = db.session.query(Plan).filter_by(public_id=plan).one()
            booked = [v.appointment for v in row.visits if v.state is VisitState.BOOKED]
            walls = [a.starts_at.astimezone(a.site.zone) for a in booked if a is not None]
            return [f"{wall:%b %-d, %H:%M}" for wall in walls], {
                a.site.code for a in booked if a is not None
            }

    shown = client.get(f"{path}?act=carry-forward&visit=3&show=y").text
    assert shown.count("takes this date") == 3  # of the three after it; the last date is new
    act("carry-forward&visit=3", "4 visits stay, 1 is new")
    at_ten = [f"Mar {day}, 10:00" for day in (15, 21, 24, 27, 30)]
    assert stand() == (at_ten, {"woburn"})
    act("other-site&site=danvers", "5 visits move")
    assert stand() == (at_ten, {"danvers"})
    act("omit&visit=4", "4 visits stay, 1 is dropped")
    assert stand()[0] == [at_ten[0], at_ten[1], *at_ten[3:]]
    act("re-space&visit=5&min=110&target=118&max=120", "2 visits stay, 2 move")
    assert stand()[0] == ["Mar 15, 10:00", "Mar 21, 10:00", "Jul 17, 10:00", "Nov 12, 10:00"]

    # When all are held, it goes on with its next part, and another time it is complete.
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        for visit in row.visits:
            if visit.appointment is not None and visit.state is VisitState.BOOKED:
                course.infuse(visit.appointment, course.Clinic(1, 2, 1, 2, 3, 4), score=5)
    clock.set(datetime(2026, 11, 16, 15, tzinfo=UTC))
    client = signed_in(Role.CLINICIAN)
    act("go-on", "3 visits are new")
    assert len(stand()[0]) == 3
    act("cease", "3 visits are dropped")
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        acts = [v.change.act.value for v in row.versions if v.change is not None]
    assert acts == ["carry-forward", "other-site", "omit", "re-space", "go-on", "cease"]
    # Of a plan that is over nothing is asked any more: the plan itself is shown.
    for address in (f"{path}?act=defer", f"/desk/plans/{plan}/change"):
        assert client.get(address).location == f"/desk/plans/{plan}"


NONSENSE = (
    "act=defer&visit=3&to=soon&show=y",
    "act=defer&visit=1&to=2026-03-25&show=y",
    "act=defer&visit=99999999999999999999&to=2026-03-25&show=y",
    "act=re-space&visit=3&min=a&target=7&max=9&show=y",
    "act=re-space&visit=3&min=7&target=6&max=9&show=y",
    "act=nothing&show=y",
    "act=go-on&show=y&min=1&target=1&max=1",
)


def test_what_makes_no_sense_is_said_kindly(plan: str, signed_in: SignIn) -> None:
    client = signed_in()
    for asked in NONSENSE:
        answer = client.get(f"/desk/plans/{plan}/act?{asked}")
        assert answer.status_code in (409, 422), asked
        assert 'role="alert"' in answer.text, asked


def test_what_suits_is_kept_and_bounds_what_is_offered(
    plan: str, signed_in: SignIn, keep: Keep
) -> None:
    client = signed_in()
    path = f"/desk/plans/{plan}/wishes"
    page = f"/desk/plans/{plan}"
    wrong = post(client, path, page, never="2026-02-30", escort="1")
    assert wrong.status_code == 422
    assert "is no date" in wrong.text
    assert "2026-02-30" in wrong.text

    kept = post(client, path, page, never="2026-03-26", escort=["2", "4"], part="morning")
    assert kept.status_code == 303
    with keep():
        row = db.session.query(PlanWishes).one()
        assert (row.wishes["escort"], row.wishes["blocked"]) == ([2, 4], ["2026-03-26"])
    shown = client.get(f"{page}/act?act=defer&visit=6&to=2026-04-01&show=y").text
    days = set(re.findall(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), Apr \d+, \d+:\d+ AM, ", shown))
    assert days <= {"Wed", "Fri"}


def test_who_drifts_tops_the_list_with_three_times_one_of_which_is_booked_at_once(
    plan: str, signed_in: SignIn, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        gone = row.visits[1].appointment
        assert gone is not None
        plans.cancel(gone, actor="staff:4", now=course.at(13, 9))
    client = signed_in()
    path = "/desk/course/falling-off"
    page = client.get(path).text
    assert "It was called off." in page
    assert "since Fri, Mar 13" in page
    assert pressing(page) == 1
    offers = re.findall(r'name="first" value="(2@[^"]+)"', page)
    assert len(offers) == 3

    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    form = {"version": version[1], "first": offers[0]}
    assert post(client, f"{path}/{plan}", path, version=version[1]).status_code == 422
    assert post(client, f"{path}/{plan}", path, **form).status_code == 303
    assert "Every course is on its way" in client.get(path).text
    late = post(client, f"{path}/{plan}", path, **form)
    assert late.status_code == 409

    # The last has lost its date, and both sites are shut all its window long.
    staff = course.Clinic(1, 2, 1, 2, 3, 4)
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        *others, last = [v.appointment for v in row.visits[1:]]
        assert last is not None
        plans.cancel(last, actor="staff:4", now=course.at(13, 9))
        for appointment in others:
            assert appointment is not None
            course.infuse(appointment, staff, score=5)
        for site in db.session.query(Site):
            span = TimeSpan(course.at(26, 0), course.at(30, 0))
            hours.close(site, span, "Snow", actor="staff:4", now=course.at(13, 9))
    clock.set(course.at(25, 9))
    client = signed_in()
    page = client.get(path).text
    assert "Nothing in its window can be had" in page
    found = re.search(r'name="version" value="(\d+)".*?name="first" value="(6@[^"]+)"', page, re.S)
    assert found
    done = post(client, f"{path}/{plan}", path, version=found[1], first=found[2])
    assert done.status_code == 303
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        assert row.visits[5].outside_reason == previews.WINDOW_FULL
        assert row.visits[5].appointment is not None
        course.infuse(row.visits[5].appointment, staff, score=5)
        course.draft(make.patient("Ben", mobile=None, email=None), staff)
    # Its review, once it is due and nothing is ahead, is on the same list; so is a draft.
    clock.set(course.at(60, 9))
    page = signed_in(Role.NURSE).get(path).text
    assert "the review is due" in page
    assert "The plan is not signed yet" in page
    assert pressing(page) == 2
    with keep():
        db.session.query(Plan).filter_by(public_id=plan).one().patient.is_deceased = True
    assert pressing(signed_in(Role.NURSE).get(path).text) == 1


def test_scores_are_for_clinical_staff_and_a_report_of_relief_is_judged_kindly(
    plan: str, signed_in: SignIn, keep: Keep
) -> None:
    path = f"/desk/plans/{plan}"
    desk, nurse = signed_in(), signed_in(Role.NURSE)
    for page in ("progress", "summary"):
        assert desk.get(f"{path}/{page}").status_code == 403
        assert "8 → –" in nurse.get(f"{path}/{page}").text
    assert "How long relief lasts" not in desk.get(path).text
    again = {"peg-pain": "4", "peg-enjoyment": "5"}
    refused = post(nurse, f"{path}/peg", path, **again)
    assert refused.status_code == 422
    assert "a number from 0 to 10" in refused.text
    assert 'value="5"' in refused.text
    assert post(nurse, f"{path}/peg", path, **again, **{"peg-activity": "3"}).status_code == 303
    assert "PEG on the way</td><td>4.0" in nurse.get(f"{path}/progress").text
    assert post(desk, f"{path}/relief", path, days="3").status_code == 403
    admin = signed_in(Role.ADMIN)
    assert post(admin, f"{path}/act", path, act="defer").status_code == 403
    with keep():
        row = db.session.query(Plan).filter_by(public_id=plan).one()
        first, own = row.assessment.infusion_id, row.visits[1].appointment
        of = db.session.get_one(Appointment, first).public_id
        assert own is not None
        ahead = own.public_id

    for form in ({"of": of, "days": "x"}, {"of": of, "days": "400"}, {"of": ahead, "days": "1"}):
        wrong = post(nurse, f"{path}/relief", path, **form)
        assert wrong.status_code == 422
        assert 'role="alert"' in wrong.text
    assert post(nurse, f"{path}/relief", path, of="nobody", days="1").status_code == 404
    assert post(nurse, f"{path}/relief", path, of=of, days="6").status_code == 303
    assert "6 days (they say)" in nurse.get(path).text
