"""The pages of a course in hostile hands: other roles, odd fields, double clicks, odd times."""

import html
import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import changes, library, protocol
from scheduler.plans import service as plans
from scheduler.plans.models import Assessment, Plan, PlannedVisit, PlanState, VisitState
from scheduler.treatment import chair, clearance, vocabulary
from scheduler.treatment.models import Answer, Clearance, EventKind, SessionEvent
from tests import course, make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.course import at

PASSWORD = {"password": make.PASSWORD}
ODD = (
    "",
    "-1",
    "11",
    "5.5",
    "²",
    "٣",
    "9" * 30,
    "9" * 5000,
    "\0",
    "0001-01-01",
    "9999-12-31",
    "9999-12-31T23:59:59+00:00|woburn",
    "0001-01-01T00:00:00+00:00|woburn",
    "2026-03-12T10:00:00+23:59|danvers",
    "2026-03-12T10:00:00|woburn",
    "other-word",
    "<script>alert(1)</script>",
    "\u202eeveR",
    "x" * 100_000,
    "%s' OR 1=1 --",
)


@pytest.fixture
def where(once: Once) -> course.Clinic:
    """Two sites, staff who sign, the shipped protocol."""
    return once(course.clinic)


@dataclass(frozen=True)
class June:
    """Public ids of one course."""

    patient: str
    infusion: str
    plan: str


def with_draft(where: course.Clinic) -> June:
    plan = course.draft(make.patient("June", "Okafor"), where)
    infusion = db.session.get_one(Appointment, plan.assessment.infusion_id)
    return June(plan.patient.public_id, infusion.public_id, plan.public_id)


def with_first(where: course.Clinic) -> June:
    infusion = course.first_infusion(make.patient("June", "Okafor"), where).infusion
    return June(infusion.patient.public_id, infusion.public_id, "")


@pytest.fixture
def june(once: Once, where: course.Clinic, clock: StoppedClock) -> June:
    """June with a draft: first infusion on March 4, chat on the 9th. It is the 9th, 10 AM."""
    found = once(with_draft, where)
    clock.set(at(9, 10))
    return found


@pytest.fixture
def first(once: Once, where: course.Clinic, clock: StoppedClock) -> June:
    """June with a first infusion on Wednesday, March 4 at 10 AM; it is that time."""
    found = once(with_first, where)
    clock.set(at(4, 10))
    return found


def post(
    client: FlaskClient, path: str, page: str = "/desk/patients", **form: object
) -> TestResponse:
    token = make.form_token(client, page)
    return client.post(path, data={"csrf_token": token, **form})


def deed(client: FlaskClient, visit: str, name: str, **form: object) -> TestResponse:
    form = make.with_clinician(client, f"/desk/session/{visit}", form)
    return post(client, f"/desk/session/{visit}/{name}", **form)


def ready(**other: object) -> dict[str, object]:
    return {
        **{f"ready-{item}": "yes" for item in vocabulary.READINESS},
        "score": "8",
        "systolic": "128",
        "diastolic": "82",
        **other,
    }


def chat(**other: object) -> dict[str, object]:
    return {
        "baseline": "8",
        "score": "4",
        "relief_days": "4",
        "relief_holds": "yes",
        "condition": "crps",
        "impression": "much-better",
        "phq9_item9": "0",
        "is_changed": "no",
        **other,
    }


def said(answer: TestResponse) -> str:
    """Return a page's words, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


# ---------------------------------------------------------------- who may


GETS = (
    "/desk/clearance/{patient}",
    "/desk/clearance/{patient}/first",
    "/desk/session/{infusion}",
    "/desk/session/{infusion}/line/1",
    "/desk/chats/{infusion}",
    "/desk/plans/{plan}",
    "/desk/plans/{plan}/change",
    "/desk/protocols",
    "/desk/course/to-clear",
    "/desk/course/chats",
    "/desk/course/drafts",
    "/desk/course/to-place",
    "/desk/course/falling-off",
)
POSTS = (
    "/desk/clearance/{patient}",
    "/desk/clearance/{patient}/first",
    *(
        f"/desk/session/{{infusion}}/{name}"
        for name in (
            "before", "start", "effect", "vitals", "score", "dose", "end", "discharge", "safe",
            "handout", "note", "gone",
        )
    ),
    "/desk/session/{infusion}/line/1",
    "/desk/chats/{infusion}",
    "/desk/chats/{infusion}/says",
    "/desk/chats/{infusion}/although",
    "/desk/plans/{plan}/preview",
    "/desk/plans/{plan}/schedule",
    "/desk/plans/{plan}/approve",
    "/desk/plans/{plan}/decline",
    "/desk/plans/{plan}/change",
    "/desk/plans/{plan}/act",
    "/desk/plans/{plan}/act/preview",
    "/desk/plans/{plan}/wishes",
    "/desk/protocols",
    "/desk/protocols/1/activate",
)  # fmt: skip
#: What each role may open (beside the lists, which all may) and send.
MAY_GET = {
    Role.FRONT_DESK: {"/first", "/plans/{plan}", "/protocols"},
    Role.NURSE: {"/clearance/{patient}", "/first", "/session", "/line/1", "/chats/{infusion}",
                 "/plans/{plan}", "/protocols"},
    Role.ADMIN: {"/plans/{plan}", "/protocols"},
}  # fmt: skip


def test_without_signing_in_no_page_of_a_course_opens_and_none_takes_anything(
    june: June, client: FlaskClient, app: Flask
) -> None:
    token = make.form_token(client, "/desk/sign-in")
    for path in GETS:
        answer = client.get(path.format(**june.__dict__))
        assert answer.status_code == 303, path
        assert "/desk/sign-in" in answer.headers["Location"]
    for path in POSTS:
        answer = client.post(path.format(**june.__dict__), data={"csrf_token": token, **PASSWORD})
        assert answer.status_code in (303, 401), path
        assert "Okafor" not in answer.text


@pytest.mark.parametrize(
    ("role", "closed"),
    [
        (
            Role.FRONT_DESK,
            {p for p in (*GETS, *POSTS) if "/session/" in p or "/chats/" in p}
            | {
                "/desk/clearance/{patient}",
                "/desk/plans/{plan}/approve",
                "/desk/plans/{plan}/decline",
                "/desk/plans/{plan}/change",
                "/desk/protocols/1/activate",
            },
        ),
        (
            Role.NURSE,
            {
                "/desk/plans/{plan}/approve",
                "/desk/plans/{plan}/decline",
                "/desk/plans/{plan}/change",
                "/desk/protocols/1/activate",
            },
        ),
        (
            Role.ADMIN,
            {
                p
                for p in (*GETS, *POSTS)
                if p.startswith(("/desk/session/", "/desk/chats/", "/desk/clearance/"))
            }
            | {p for p in POSTS if "/plans/" in p}
            | {"/desk/plans/{plan}/change", "/desk/protocols/1/activate"},
        ),
    ],
)
def test_each_role_meets_a_closed_door_where_its_work_ends(
    june: June, signed_in: SignIn, app: Flask, role: Role, closed: set[str]
) -> None:
    client = signed_in(role)
    token = make.form_token(client, "/desk/patients")
    for path in GETS:
        answer = client.get(path.format(**june.__dict__))
        assert answer.status_code == (403 if path in closed else 200), path
    for path in POSTS:
        if path == "/desk/protocols" and role is not Role.ADMIN:
            continue
        answer = client.post(path.format(**june.__dict__), data={"csrf_token": token})
        assert (answer.status_code == 403) is (path in closed), (path, answer.status_code)
        assert answer.status_code < 500, path


def test_the_front_desk_reads_nothing_of_what_was_found_anywhere(
    june: June, signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock, where: course.Clinic
) -> None:
    with keep() as session:
        patient = session.scalars(select(Patient)).one()
        infusion = session.scalars(
            select(Appointment).where(Appointment.public_id == june.infusion)
        ).one()
        chair.note(infusion, "Zebra words", actor="staff:3", now=at(9, 10))
        chair.note_side_effect(
            infusion, "nausea", 3, action="stopped", note="Zebra effect", actor="staff:3",
            now=at(9, 10),
        )  # fmt: skip
        clearance.answer(
            patient, "pregnancy", Answer.YES, note="Zebra answer", actor="staff:3", now=at(9, 10)
        )
    desk = signed_in(Role.FRONT_DESK)
    pages = [
        "/desk", "/desk?view=list", f"/desk/patients/{june.patient}", f"/desk/plans/{june.plan}",
        f"/desk/clearance/{june.patient}/first", f"/desk/appointments/{june.infusion}",
        "/desk/tasks", "/desk/course/to-clear", "/desk/course/chats", "/desk/course/drafts",
        "/desk/course/to-place", "/desk/course/falling-off", "/desk/inbox", "/desk/to-call",
    ]  # fmt: skip
    for path in pages:
        answer = desk.get(path)
        words = said(answer)
        if path not in ("/desk/inbox", "/desk/to-call"):
            assert answer.status_code == 200, path
        for told in (
            "Zebra", "ausea", "regnan", "8 → 4", "50 %", "side effect", "Severe", "severe",
            "session.", "CRPS", "dog", "Substantial", "Much better", "much better",
        ):  # fmt: skip
            assert told not in words, (path, told)


# ---------------------------------------------------------------- on which day, and in what order


def test_an_infusion_of_another_day_is_not_started(
    first: June, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    for day in (3, 5):
        clock.set(at(day, 10))
        nurse = signed_in(Role.NURSE)
        deed(nurse, first.infusion, "before", **ready())
        refused = deed(nurse, first.infusion, "start")
        assert refused.status_code == 409
        assert "This visit is booked for Wed, Mar 4" in refused.text
    assert events(app, EventKind.START) == 0


def test_what_was_asked_before_a_visit_was_moved_does_not_count_on_its_new_day(
    first: June, signed_in: SignIn, clock: StoppedClock, keep: Keep
) -> None:
    nurse = signed_in(Role.NURSE)
    deed(nurse, first.infusion, "before", **ready())
    with keep() as session:
        visit = session.scalars(
            select(Appointment).where(Appointment.public_id == first.infusion)
        ).one()
        plans.move(visit, starts_at=at(6), version=visit.version, actor="staff:4", now=at(4, 10))
    clock.set(at(6))
    nurse = signed_in(Role.NURSE)
    assert "Ready" not in said(nurse.get("/desk?view=list"))

    refused = deed(nurse, first.infusion, "start")
    assert refused.status_code == 409
    assert "No pain score before the start" in refused.text
    assert "Not ready: Has kept to the food and drink times" in refused.text

    deed(nurse, first.infusion, "before", **ready())  # the same answers, given anew
    assert deed(nurse, first.infusion, "start").status_code == 303


def test_the_desk_does_not_close_a_visit_that_lies_ahead_or_never_began(
    first: June, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    desk = signed_in(Role.FRONT_DESK)
    early = post(desk, f"/desk/appointments/{first.infusion}/close", version="1")
    assert early.status_code == 409
    assert "No infusion was recorded" in early.text
    clock.set(at(3, 10))
    desk = signed_in(Role.FRONT_DESK)
    ahead = post(desk, f"/desk/appointments/{first.infusion}/close", version="1")
    assert ahead.status_code == 409
    assert "a day to come" in ahead.text
    assert status(app, first.infusion) is Status.BOOKED


def test_the_steps_of_a_session_keep_their_order_whoever_sends_the_forms(
    first: June, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    nurse = signed_in(Role.NURSE)
    for name, form in (
        ("effect", {"effect": "nausea:1", "action": "none"}),
        ("dose", {"amount": "1", "unit": "mg"}),
        ("score", {"score": "4"}),
        ("end", {"reason": "complete"}),
        ("discharge", course.GOING_HOME),
        ("gone", {}),
    ):
        refused = deed(nurse, first.infusion, name, **form)
        assert refused.status_code == 409, name
        assert re.search("not started|not ended|No infusion was", refused.text), name
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    assert deed(doctor, first.infusion, "safe", escort="y", **PASSWORD).status_code == 409
    early = post(nurse, f"/desk/chats/{first.infusion}", **chat())
    assert early.status_code == 422
    assert "has not been completed" in early.text
    assert count(app, SessionEvent) == 0
    assert count(app, Assessment) == 0


def test_an_old_line_is_put_right_on_its_own_day_and_keeps_the_order(
    first: June,
    signed_in: SignIn,
    app: Flask,
    clock: StoppedClock,
    keep: Keep,
    where: course.Clinic,
) -> None:
    with keep():
        course.infuse(visit_of(first.infusion), where)
    clock.set(at(7, 9))
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    lines = {kind: line_id for line_id, kind in lines_of(app)}
    path = f"/desk/session/{first.infusion}/line/{{}}"

    done = post(
        doctor, path.format(lines[EventKind.END]), ending="patient", at="10:50", reason="Mistyped",
        **PASSWORD,
    )  # fmt: skip
    assert done.status_code == 303
    with app.app_context():
        amended = db.session.scalars(
            select(SessionEvent).where(SessionEvent.amends_id == lines[EventKind.END])
        ).one()
        assert amended.at == at(4, 10, 50)

    turned = post(
        doctor, path.format(lines[EventKind.END]), ending="patient", at="10:05", reason="Mistyped",
        **PASSWORD,
    )  # fmt: skip
    assert turned.status_code == 422
    assert "follow one another" in turned.text
    gone = post(
        doctor, path.format(lines[EventKind.START]), strike="y", reason="Mistyped", **PASSWORD
    )
    assert gone.status_code == 409
    unsaid = post(doctor, path.format(lines[EventKind.DISCHARGE]), reason="Mistyped", **PASSWORD)
    assert unsaid.status_code == 422


def test_a_line_of_another_session_is_not_reached_through_this_one(
    first: June, signed_in: SignIn, app: Flask, keep: Keep, where: course.Clinic
) -> None:
    with keep():
        ben = make.patient("Ben", "Ito", mobile=None, email=None)
        other = course.first_infusion(ben, where, at(4, 14)).infusion
        course.make_ready(other, now=at(4, 9))
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    line = lines_of(app)[0][0]
    path = f"/desk/session/{first.infusion}/line/{line}"
    assert doctor.get(path).status_code == 404
    assert post(doctor, path, strike="y", reason="x", **PASSWORD).status_code == 404


# ---------------------------------------------------------------- figures and words


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("before", ready(systolic="900", diastolic="20"), "not likely"),
        ("before", ready(systolic="60", diastolic="120"), "upper pressure is above"),
        ("before", ready(score="11"), "0 to 10"),
        ("before", ready(score="-1"), "whole number"),
        ("before", ready(score="5.5"), "whole number"),
        ("before", ready(score="²"), "whole number"),
        ("before", ready(**{"comfort-asked": "1", "playlist": "x" * 201}), "at most 200"),
        ("note", {"note": "x" * 1001}, "at most 1,000"),
        ("vitals", {"pulse": "9" * 30}, "whole number"),
    ],
)
def test_what_nobody_can_have_meant_is_said_at_its_field_and_nothing_is_cut_unseen(
    first: June, signed_in: SignIn, app: Flask, name: str, form: dict[str, object], words: str
) -> None:
    refused = deed(signed_in(Role.NURSE), first.infusion, name, **form)
    assert refused.status_code == 422
    assert words in refused.text
    assert count(app, SessionEvent) == 0


def test_names_and_notes_are_shown_as_they_were_written_and_never_run(
    keep: Keep, where: course.Clinic, signed_in: SignIn, clock: StoppedClock
) -> None:
    mark, turned = "<script>alert(1)</script>", "\u202eabc"
    with keep():
        infusion = course.first_infusion(make.patient(mark, turned), where).infusion
        visit, who = infusion.public_id, infusion.patient.public_id
    clock.set(at(4, 10))
    nurse = signed_in(Role.NURSE)
    deed(nurse, visit, "before", **ready(**{"comfort-asked": "1", "playlist": mark}))
    deed(nurse, visit, "note", note=mark)
    for path in (
        f"/desk/session/{visit}",
        f"/desk/chats/{visit}",
        f"/desk/clearance/{who}",
        "/desk",
    ):
        page = nurse.get(path).text
        assert mark not in page, path
        assert "&lt;script&gt;" in page, path


@pytest.mark.parametrize("field", ["count1", "min1", "target1", "max1", "after1", "recovery1"])
@pytest.mark.parametrize("value", ["0", "-1", "5.5", "²", "999", "9" * 30])
def test_a_changed_plan_is_of_a_size_somebody_can_look_over(
    june: June, signed_in: SignIn, app: Flask, field: str, value: str
) -> None:
    if (field, value) == ("recovery1", "0"):
        return  # nothing odd about it
    form = {
        "act": "series", "version": "1", "name1": "Series", "count1": "4", "min1": "3",
        "target1": "4", "max1": "6", "after1": "7", "recovery1": "30", "reason": "Travels",
    }  # fmt: skip
    refused = post(
        signed_in(Role.CLINICIAN, "some-clinician"), f"/desk/plans/{june.plan}/change",
        **(form | {field: value}), **PASSWORD,
    )  # fmt: skip
    assert refused.status_code == 422
    assert count(app, PlannedVisit) == 0


def test_a_course_of_decades_is_refused(june: June, signed_in: SignIn, app: Flask) -> None:
    refused = post(
        signed_in(Role.CLINICIAN, "some-clinician"), f"/desk/plans/{june.plan}/change",
        act="series", version="1", count1="52", min1="365", target1="365", max1="365",
        recovery1="30", reason="For ever", **PASSWORD,
    )  # fmt: skip
    assert refused.status_code == 422
    assert "two years" in refused.text


# ---------------------------------------------------------------- pressed twice, or sent again


def test_each_button_pressed_twice_has_one_effect(
    first: June, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    expected = {EventKind.READINESS: 6, EventKind.DISCHARGE: 5}
    for name, form, kind in (
        ("before", ready(), EventKind.READINESS),
        ("start", {}, EventKind.START),
        ("effect", {"effect": "nausea:1", "action": "none"}, EventKind.SIDE_EFFECT),
        ("dose", {"amount": "0.5", "unit": "mg/kg"}, EventKind.DOSE),
        ("end", {"reason": "complete"}, EventKind.END),
        ("discharge", course.GOING_HOME, EventKind.DISCHARGE),
        ("safe", {"escort": "y", **PASSWORD}, EventKind.SAFE),
        ("handout", {"how": "printed"}, EventKind.HANDOUT),
        ("gone", {}, EventKind.GONE),
    ):
        first_answer = deed(doctor, first.infusion, name, **form)
        assert first_answer.status_code == 303, (name, first_answer.text)
        again = deed(doctor, first.infusion, name, **form)
        assert again.status_code in (303, 409), name
        assert again.status_code == 303 or "already" in again.text or "done" in again.text, name
        assert events(app, kind) == expected.get(kind, 1), name
    clock.set(at(9, 10))
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    places = [post(doctor, f"/desk/chats/{first.infusion}", **chat()) for _ in range(2)]
    assert len({p.headers["Location"] for p in places}) == 1
    assert count(app, Assessment) == 1
    with app.app_context():
        plan = db.session.scalars(select(Plan)).one()
        assert len(plan.versions) == 1
        path, version = f"/desk/plans/{plan.public_id}", str(plan.version)
    answers = [
        post(doctor, f"{path}/approve", version=version, **PASSWORD).status_code for _ in range(2)
    ]
    assert answers == [303, 409]
    form = dates(doctor.get(path).text)
    answers = [post(doctor, f"{path}/schedule", **form).status_code for _ in range(2)]
    assert answers == [303, 409]
    with app.app_context():
        booked = select(Appointment).where(Appointment.service_code == ServiceCode.INFUSION)
        assert len(db.session.scalars(booked).all()) == 6
        visit = db.session.scalars(booked).first()
        assert visit is not None
        one, version = visit.public_id, str(visit.version)
    post(doctor, f"/desk/appointments/{one}/cancel", version=version, notify="y")
    version = str(int(version) + 1)
    answers = [
        post(doctor, f"/desk/appointments/{one}/undo", version=version).status_code
        for _ in range(2)
    ]
    assert answers == [303, 409]
    assert status(app, one) is Status.BOOKED


def test_a_refusal_to_clear_is_signed_once(
    keep: Keep, where: course.Clinic, signed_in: SignIn, app: Flask
) -> None:
    with keep():
        patient = make.patient("June", "Okafor")
        course.screened(patient)
        who, basis = patient.public_id, clearance.current(patient).basis
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    form = {
        "basis": ",".join(f"{k}:{v}" for k, v in basis.items()),
        "deed": "refuse",
        "reason": "Not now",
        **PASSWORD,
    }
    answers = [post(doctor, f"/desk/clearance/{who}", **form).status_code for _ in range(2)]
    assert answers == [303, 409]
    assert count(app, Clearance) == 1


# ---------------------------------------------------------------- what came to light meanwhile


def test_a_severe_side_effect_written_down_after_the_chat_stops_the_signature(
    june: June, signed_in: SignIn, app: Flask
) -> None:
    nurse = signed_in(Role.NURSE)
    late = deed(nurse, june.infusion, "effect", effect="anxiety:3", action="stopped")
    assert late.status_code == 303
    doctor = signed_in(Role.CLINICIAN, "some-clinician")

    refused = post(doctor, f"/desk/plans/{june.plan}/approve", version="1", **PASSWORD)

    assert refused.status_code == 409
    assert "A severe side effect was recorded" in refused.text
    assert count(app, PlannedVisit) == 0


def test_an_ended_plans_infusion_is_started_on_no_nurses_word_and_a_clinicians_is_kept(
    keep: Keep, where: course.Clinic, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        plan = course.scheduled(make.patient("June", "Okafor"), where)
        visit = plan.visits[0].appointment
        assert visit is not None
        one, starts_at = visit.public_id, visit.starts_at
        plans.arrive(visit, actor="staff:4", now=starts_at)
        changes.cease(
            plan, course.person(where.doctor), reason="Unwell", version=plan.version, now=starts_at
        )
    clock.set(starts_at)
    nurse = signed_in(Role.NURSE)
    deed(nurse, one, "before", **ready())
    assert "no longer runs" in deed(nurse, one, "start").text

    own = deed(
        nurse, one, "start", why="It is fine", clinician="some-nurse",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert own.status_code == 403
    assert events(app, EventKind.START) == 1  # the first infusion's

    signed_in(Role.CLINICIAN, "some-clinician")
    done = deed(
        nurse, one, "start", why="Agreed by phone", clinician="some-clinician",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert done.status_code == 303
    with app.app_context():
        row = db.session.scalars(
            select(SessionEvent)
            .where(SessionEvent.kind == EventKind.START)
            .order_by(SessionEvent.id.desc())
        ).first()
        assert row is not None
        assert row.reason == "Agreed by phone"
        assert "no longer runs" in str(row.data["overridden"])


@pytest.mark.parametrize("what", ["died", "merged"])
def test_nothing_is_signed_or_booked_for_who_died_or_whose_record_was_merged(
    june: June, signed_in: SignIn, keep: Keep, app: Flask, what: str, where: course.Clinic
) -> None:
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    form = dates(doctor.get(f"/desk/plans/{june.plan}").text)
    with keep() as session:
        patient = session.scalars(select(Patient)).one()
        other = make.patient("June", "Okafor", mobile=None, email=None)
        if what == "died":
            patient.is_deceased = True
        else:
            session.flush()
            patient.standing, patient.merged_into_id = "merged", other.id  # type: ignore[assignment]
    words = "died" if what == "died" else "merged"

    signed = post(doctor, f"/desk/plans/{june.plan}/approve", **form, **PASSWORD)
    assert signed.status_code == 409
    assert words in signed.text
    asked = post(doctor, f"/desk/clearance/{june.patient}", basis=basis(doctor, june.patient),
                 is_pregnancy="yes")  # fmt: skip
    assert asked.status_code == 409
    called = post(
        doctor, "/desk/book", patient=june.patient, service="chat",
        start=f"{at(10).isoformat()}|woburn",
    )  # fmt: skip
    assert called.status_code != 303
    with app.app_context():
        assert db.session.scalars(select(Plan)).one().state is PlanState.DRAFT
        assert len(db.session.scalars(select(Appointment)).all()) == 2


def test_a_protocol_activated_between_draft_and_signature_leaves_the_draft_as_it_was_read(
    june: June, signed_in: SignIn, keep: Keep, app: Flask, where: course.Clinic
) -> None:
    with keep():
        row = library.import_draft(
            protocol.shipped()[0].read_text(),
            actor="operator", now=at(9, 10),
        )  # fmt: skip
        library.activate(row, course.person(where.doctor), now=at(9, 10))
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    done = post(doctor, f"/desk/plans/{june.plan}/approve", version="1", **PASSWORD)
    assert done.status_code == 303
    with app.app_context():
        plan = db.session.scalars(select(Plan)).one()
        assert plan.protocol.number == 1
        assert plan.state is PlanState.APPROVED


def test_an_ended_plan_is_not_booked_from_a_page_that_was_still_open(
    june: June, signed_in: SignIn, app: Flask
) -> None:
    doctor, desk = signed_in(Role.CLINICIAN, "some-clinician"), signed_in(Role.FRONT_DESK)
    path = f"/desk/plans/{june.plan}"
    post(doctor, f"{path}/approve", version="1", **PASSWORD)
    form = dates(desk.get(path).text)
    ended = post(
        doctor, f"{path}/act", act="cease", version=form["version"], reason="Moved", **PASSWORD
    )
    assert ended.status_code == 303

    for version in (form["version"], str(int(str(form["version"])) + 1)):
        late = post(desk, f"{path}/schedule", **(form | {"version": version}))
        assert late.status_code == 409
    assert post(desk, f"{path}/preview", **form).status_code == 200
    assert count(app, Appointment) == 2


# ---------------------------------------------------------------- windows, spacing, and undo


def test_dates_closer_than_the_plan_asks_need_a_clinicians_own_word(
    june: June, signed_in: SignIn, app: Flask
) -> None:
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    path = f"/desk/plans/{june.plan}"
    post(doctor, f"{path}/approve", version="1", **PASSWORD)
    desk, nurse = signed_in(Role.FRONT_DESK), signed_in(Role.NURSE)
    form = dates(desk.get(path).text)
    with app.app_context():
        ahead = db.session.scalars(select(PlannedVisit).order_by(PlannedVisit.number)).all()
        day = ahead[0].ideal
    form |= {
        "v1": f"{day.isoformat()}|woburn",
        "v2": f"{(day + timedelta(days=1)).isoformat()}|woburn",
        "outside1": "", "outside2": "Travels", "taken": "nothing",
    }  # fmt: skip
    close = {k: v for k, v in form.items() if k not in ("v3", "v4", "v5", "v6")}

    unsaid = post(desk, f"{path}/schedule", **close)
    assert unsaid.status_code == 409
    assert "Nothing was booked" in unsaid.text
    for client, name, expected in (
        (desk, "some-front-desk", 403),
        (nurse, "some-nurse", 403),
        (desk, "nobody", 422),
    ):
        refused = post(
            client, f"{path}/schedule", **close, why="They travel", clinician=name,
            clinician_password=make.PASSWORD,
        )  # fmt: skip
        assert refused.status_code == expected, name
    without = post(
        desk, f"{path}/schedule", **close, clinician="some-clinician",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert without.status_code == 422
    assert "say why" in without.text
    assert count(app, Appointment) == 2

    done = post(
        desk, f"{path}/schedule", **close, why="They travel", clinician="some-clinician",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert done.status_code == 303, said(done)
    with app.app_context():
        reasons = db.session.scalars(
            select(Appointment.spacing_reason).where(
                Appointment.service_code == ServiceCode.INFUSION
            )
        ).all()
        assert [r for r in reasons if r and r.endswith("They travel")]


def test_who_may_not_override_does_not_loosen_a_plans_days_either(
    june: June, signed_in: SignIn, app: Flask
) -> None:
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    path = f"/desk/plans/{june.plan}"
    post(doctor, f"{path}/approve", version="1", **PASSWORD)
    nurse = signed_in(Role.NURSE)
    form = dates(nurse.get(path).text)
    refused = post(
        nurse, f"{path}/schedule", **form, why="As I say", clinician="some-nurse",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert refused.status_code == 403
    assert count(app, Appointment) == 2


def test_a_planned_visit_leaves_its_window_through_the_page_with_a_reason_and_comes_back_by_undo(
    keep: Keep, where: course.Clinic, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        plan = course.scheduled(make.patient("June", "Okafor"), where)
        visit = plan.visits[5]
        assert visit.appointment is not None
        one, inside = visit.appointment.public_id, visit.appointment.starts_at
        late = visit.latest + timedelta(days=2, hours=15)
    clock.set(at(10, 10))
    desk = signed_in(Role.FRONT_DESK)
    path = f"/desk/appointments/{one}"

    unsaid = post(desk, f"{path}/move", start=late.isoformat(), version="1")
    assert unsaid.status_code == 409
    assert "Say why" in unsaid.text
    done = post(desk, f"{path}/move", start=late.isoformat(), version="1", reason="Away")
    assert done.status_code == 303
    back = post(desk, f"{path}/move", start=inside.isoformat(), version="2")
    assert back.status_code == 303
    undone = post(desk, f"{path}/undo", version="3")
    assert undone.status_code == 303, said(undone)
    with app.app_context():
        found = db.session.scalars(select(PlannedVisit).where(PlannedVisit.number == 6)).one()
        assert found.starts_at == late
        assert found.outside_reason
    again = post(desk, f"{path}/undo", version="4")
    assert again.status_code == 303
    with app.app_context():
        found = db.session.scalars(select(PlannedVisit).where(PlannedVisit.number == 6)).one()
        assert found.starts_at == inside
        assert found.outside_reason is None


def nurse_is_full(where: course.Clinic) -> str:
    """Three others around 11 AM on March 12 in Woburn, a chair free; June, cleared: her id."""
    woburn = db.session.get_one(Site, where.woburn)
    for number in (3, 4):
        make.clinic.add_resource(
            make.ResourceKind.CHAIR, f"Chair {number}", site_id=woburn.id, position=number
        )
    for name, start in (("Ada", at(12, 11)), ("Ben", at(12, 10, 45)), ("Cem", at(12, 10, 45))):
        make.infusion(woburn, make.patient(name, mobile=None, email=None), start)
    june = make.patient("June", "Kim", mobile=None, email=None)
    course.cleared(june, where)
    return june.public_id


def set_aside(app: Flask) -> list[tuple[object, object]]:
    with app.app_context():
        details = db.session.scalars(
            select(AuditEntry.detail)
            .where(AuditEntry.action == "appointment.rule-set-aside")
            .order_by(AuditEntry.id)
        )
        return [(d["rules"], d["reason"]) for d in details]


def test_a_row_too_soon_or_one_too_many_for_the_nurse_asks_why_and_keeps_what_was_typed(
    june: June, where: course.Clinic, keep: Keep, signed_in: SignIn, app: Flask
) -> None:
    with keep():
        nurse_is_full(where)
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    path = f"/desk/plans/{june.plan}"
    post(doctor, f"{path}/approve", version="1", **PASSWORD)
    desk, nurse = signed_in(Role.FRONT_DESK), signed_in(Role.NURSE)

    def typed(row: int, day: str, time: str, **other: object) -> dict[str, object]:
        version = dates(desk.get(path).text)["version"]
        row_says = {f"day{row}": day, f"time{row}": time, f"site{row}": "woburn"}
        return {"version": version, f"v{row}": "", f"outside{row}": "Travels", **row_says, **other}

    soon = typed(1, "2026-03-09", "15:00")
    refused = post(desk, f"{path}/schedule", **soon)
    assert refused.status_code == 409
    assert "at least 1 day ahead. Say why it may be sooner." in said(refused)
    assert 'name="time1" value="15:00"' in refused.text
    assert 'name="excuse1"' in refused.text
    assert post(desk, f"{path}/schedule", **soon, excuse1="Just free").status_code == 303
    assert set_aside(app) == [(["notice"], "Just free")]

    full = typed(2, "2026-03-12", "11:00")
    for client, hint in ((desk, True), (nurse, False)):
        refused = post(client, f"{path}/schedule", **full)
        assert refused.status_code == 409
        assert "Rosa Lima" in said(refused)
        assert 'name="time2" value="11:00"' in refused.text
        assert ("Only a nurse or a clinician may have one more" in refused.text) is hint
    assert post(desk, f"{path}/schedule", **full, excuse2="Bo helps").status_code == 409
    assert post(nurse, f"{path}/schedule", **full, excuse2="Bo helps").status_code == 303
    assert set_aside(app)[1:] == [(["ratio"], "Bo helps")]


def test_a_first_visit_is_booked_at_a_typed_time_with_a_reason_for_one_more(
    where: course.Clinic, keep: Keep, clock: StoppedClock, signed_in: SignIn, app: Flask
) -> None:
    with keep():
        june = nurse_is_full(where)
    clock.set(at(9, 10))
    nurse = signed_in(Role.NURSE)
    path = f"/desk/clearance/{june}/first"
    typed = {"other_day": "2026-03-12", "other_time": "11:00", "other_site": "woburn"}

    for part, words in (("other_day", "Enter a day"), ("other_time", "Enter a time")):
        assert words in post(nurse, path, **typed | {part: ""}).text
    refused = post(nurse, path, **typed)
    assert refused.status_code == 409
    assert "Rosa Lima" in said(refused)
    assert 'value="11:00"' in refused.text
    assert 'name="excuse"' in refused.text
    assert post(nurse, path, **typed, excuse="Bo helps").status_code == 303
    assert set_aside(app) == [(["ratio"], "Bo helps")]


def test_when_the_clinic_shuts_or_the_nurse_is_off_after_the_preview_the_rows_say_so(
    june: June, signed_in: SignIn, keep: Keep, app: Flask
) -> None:
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    path = f"/desk/plans/{june.plan}"
    post(doctor, f"{path}/approve", version="1", **PASSWORD)
    form = dates(doctor.get(path).text)
    shut_on = make.datetime.fromisoformat(str(form["v2"]).partition("|")[0])
    with keep():
        woburn = make.clinic_queries.site_called("woburn")
        since = shut_on - timedelta(hours=12)
        make.clinic.close(
            woburn, since, since + timedelta(days=1), "Snow", actor="staff:1", now=at(9, 10)
        )

    done = post(doctor, f"{path}/schedule", **form)

    assert done.status_code == 303, said(done)
    with app.app_context():
        states = db.session.scalars(select(PlannedVisit).order_by(PlannedVisit.number)).all()
        assert [v.number for v in states if v.state is VisitState.TO_PLACE] == [2]
        assert "Snow" in (states[1].reason or "")


# ---------------------------------------------------------------- protocols


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "9" * 5000, "\0", "code = 'x'", "[row]\nid = 1",
             "row = 3\ncode = ''", "code = \"\"\"" + "x" * 100_000],
)  # fmt: skip
def test_what_is_no_protocol_is_refused_in_words(
    where: course.Clinic, signed_in: SignIn, text: str
) -> None:
    refused = post(signed_in(Role.ADMIN), "/desk/protocols", text=text)
    assert refused.status_code == 422


def test_a_good_protocol_is_activated_through_the_page_and_a_bad_one_says_what_it_leaves_open(
    where: course.Clinic, signed_in: SignIn, app: Flask
) -> None:
    text = protocol.shipped()[0].read_text()
    twice = text + re.search(r'\[\[row\]\]\nid = "P1"\n.*?(?=\[\[row\]\])', text, re.S)[0].replace(  # type: ignore[index]
        '"P1"', '"P1-again"'
    )
    admin, doctor = signed_in(Role.ADMIN), signed_in(Role.CLINICIAN, "some-clinician")
    for body in (text, twice):
        assert post(admin, "/desk/protocols", text=body).status_code == 303
    bad = post(doctor, "/desk/protocols/3/activate", **PASSWORD)
    assert bad.status_code == 422
    assert "More than one row (P1, P1-again) for: crps, substantial response" in said(bad)
    wrong = post(doctor, "/desk/protocols/2/activate", password="not it at all")
    assert wrong.status_code == 422
    assert post(doctor, "/desk/protocols/99/activate", **PASSWORD).status_code == 404
    good = post(doctor, "/desk/protocols/2/activate", **PASSWORD)
    assert good.status_code == 303
    again = post(doctor, "/desk/protocols/2/activate", **PASSWORD)
    assert again.status_code in (303, 409)
    page = said(doctor.get("/desk/protocols"))
    assert re.search(
        r"version 2 Active Imported [^·]* by Some Admin · activated [^·]* by Some Cl", page
    )
    with app.app_context():
        assert [(r.number, r.state.value) for r in library.versions()] == [
            (3, "draft"), (2, "active"), (1, "retired"),
        ]  # fmt: skip


# ---------------------------------------------------------------- looking back


def visit_of(public_id: str) -> Appointment:
    return db.session.scalars(select(Appointment).where(Appointment.public_id == public_id)).one()


def lines_of(app: Flask) -> list[tuple[int, EventKind]]:
    with app.app_context():
        return [
            (row.id, row.kind)
            for row in db.session.scalars(select(SessionEvent).order_by(SessionEvent.id))
        ]


def events(app: Flask, kind: EventKind) -> int:
    return sum(k is kind for _, k in lines_of(app))


def count(app: Flask, table: type) -> int:
    with app.app_context():
        return len(db.session.scalars(select(table)).all())


def status(app: Flask, public_id: str) -> Status:
    with app.app_context():
        return visit_of(public_id).status


def basis(client: FlaskClient, who: str) -> str:
    found = re.search(r'name="basis" value="([^"]*)"', client.get(f"/desk/clearance/{who}").text)
    assert found
    return found[1]


def dates(page: str) -> dict[str, object]:
    """Return what the visits' form holds, as a browser would send it."""
    form: dict[str, object] = {"taken": "rest"}
    for name, value in re.findall(r'type="hidden" name="((?:was|why)\d+)" value="([^"]*)"', page):
        form[name] = value
    for name, value in re.findall(r'name="(v\d+)" id="v\d+-0" value="([^"]+)"', page):
        form[name] = value
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    return form | {"version": version[1]}
