"""The pages of a course through HTTP: clearance, first visit, chair, chat, plan, all visits."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.messaging.models import Message
from scheduler.patients.models import Pain, Patient
from scheduler.plans import library, protocol
from scheduler.plans.models import Plan, PlannedVisit, VisitState
from scheduler.tasks.models import Task
from scheduler.treatment import clearance, vocabulary
from scheduler.treatment.models import SessionEvent
from tests import course, make
from tests.conftest import Keep, Once, SignIn, StoppedClock

CLINICIAN = {"password": make.PASSWORD}


@pytest.fixture
def june(once: Once) -> str:
    """A candidate: June, CRPS, at a clinic with a nurse, two chairs, and chats."""

    def made() -> str:
        woburn, _ = make.two_sites()
        june = make.patient("June", "Okafor", pain=Pain.CRPS, home_site_id=woburn.id)
        clearance.open_clearance(june, site_id=woburn.id, actor="staff:1", now=make.MONDAY)
        amara = make.staff("some-clinician", role=Role.CLINICIAN, name="Dr. Amara Obi")
        row = library.import_draft(
            protocol.shipped()[0].read_text(), actor="staff:1", now=make.MONDAY
        )
        library.activate(row, amara, now=make.MONDAY)
        return june.public_id

    return once(made)


def post(client: FlaskClient, path: str, page: str | None = None, **form: object) -> TestResponse:
    token = make.form_token(client, page or path)
    return client.post(path, data={"csrf_token": token, **form})


def answers(client: FlaskClient, june: str, **other: object) -> dict[str, object]:
    page = client.get(f"/desk/clearance/{june}").text
    basis = re.search(r'name="basis" value="([^"]*)"', page)
    assert basis
    said = {"is_" + item.replace("-", "_"): "no" for item in vocabulary.CONTRAINDICATIONS}
    return {
        **said,
        "systolic": "128",
        "diastolic": "82",
        "consent": "2026-01",
        "basis": basis[1],
        **other,
    }


def clear(client: FlaskClient, june: str) -> TestResponse:
    return post(
        client,
        f"/desk/clearance/{june}",
        **answers(client, june, deed="sign", password=make.PASSWORD),
    )


def book_first(client: FlaskClient, june: str) -> str:
    page = client.get(f"/desk/clearance/{june}/first?day=2026-03-02").text
    start = re.search(r'name="start" value="([^"]+)"', page)
    assert start
    path = f"/desk/clearance/{june}/first"  # today is sooner than usual
    done = post(client, path, start=start[1], notify="y", excuse="They are ready.")
    assert done.status_code == 303, done.text
    return done.headers["Location"].rpartition("/")[2]


def deed(client: FlaskClient, visit: str, name: str, **form: object) -> TestResponse:
    page = f"/desk/session/{visit}"
    return post(client, f"{page}/{name}", page, **make.with_clinician(client, page, form))


def before(**other: object) -> dict[str, object]:
    return {
        **{f"ready-{item}": "yes" for item in vocabulary.READINESS},
        "comfort-asked": "1",
        "comfort-mask": "y",
        "playlist": "Rain",
        "score": "8",
        "systolic": "128",
        "diastolic": "82",
        "pulse": "70",
        **other,
    }


def go_home(client: FlaskClient, visit: str, clock: StoppedClock) -> None:
    """From the door to the door."""
    assert deed(client, visit, "before", **before()).status_code == 303
    assert deed(client, visit, "start").status_code == 303
    clock.advance(minutes=23)
    again(client)
    assert deed(client, visit, "effect", effect="nausea:1", action="reassured").status_code == 303
    clock.advance(minutes=17)
    again(client)
    assert deed(client, visit, "end", reason="complete").status_code == 303
    clock.advance(minutes=30)
    again(client)
    assert deed(client, visit, "discharge", **course.GOING_HOME).status_code == 303
    assert deed(client, visit, "safe", escort="y", password=make.PASSWORD).status_code == 303
    assert deed(client, visit, "score", score="4").status_code == 303
    assert deed(client, visit, "handout", how="printed").status_code == 303
    assert deed(client, visit, "gone").status_code == 303


def chat(**other: object) -> dict[str, object]:
    return {
        "baseline": "8",
        "score": "4",
        "relief_days": "4",
        "relief_holds": "yes",
        "condition": Pain.CRPS.value,
        "impression": "much-better",
        "phq9_item9": "0",
        "is_changed": "no",
        "goals": "To sleep through.",
        **other,
    }


def drafted(client: FlaskClient, june: str, app: Flask, clock: StoppedClock) -> str:
    """Walk to the draft; return the plan's public id."""
    assert clear(client, june).status_code == 303
    visit = book_first(client, june)
    with app.app_context():
        starts = db.session.scalars(
            select(Appointment.starts_at).where(Appointment.public_id == visit)
        ).one()
    clock.set(starts)
    again(client)
    go_home(client, visit, clock)
    clock.advance(days=3)
    again(client)
    done = post(client, f"/desk/chats/{visit}", **chat())
    assert done.status_code == 303, done.text
    return done.headers["Location"].rpartition("/")[2]


def again(client: FlaskClient) -> None:
    """Sign in once more if so much time has passed that the session is over."""
    if client.get("/desk").status_code == 200:
        return
    client.post(
        "/desk/sign-in",
        data={
            "username": "some-clinician",
            "password": make.PASSWORD,
            "csrf_token": make.form_token(client, "/desk/sign-in"),
        },
    )


def schedule_form(page: str) -> dict[str, object]:
    """Return what the visits' form holds as a browser would send it."""
    form: dict[str, object] = {"taken": "rest"}
    for name, value in re.findall(r'type="hidden" name="((?:was|why)\d+)" value="([^"]*)"', page):
        form[name] = value
    for name, value in re.findall(r'name="(v\d+)" id="v\d+-0" value="([^"]+)"', page):
        form[name] = value
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    return form | {"version": version[1]}


def count(app: Flask, table: type) -> int:
    with app.app_context():
        return len(db.session.scalars(select(table)).all())


def test_a_course_goes_from_the_clearance_to_six_visits_and_one_message(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)

    page = client.get(f"/desk/plans/{plan}").text
    assert "6 of 6 dates open" in page
    assert "50 %" in page
    assert "8 → 4" in page
    assert "Substantial response" in page
    form = schedule_form(page)
    assert sum(name.startswith("v") and name != "version" for name in form) == 6

    done = post(
        client,
        f"/desk/plans/{plan}/approve",
        f"/desk/plans/{plan}",
        deed="book",
        password=make.PASSWORD,
        **form,
    )

    assert done.status_code == 303, done.text
    with app.app_context():
        visits = db.session.scalars(select(PlannedVisit)).all()
        assert [v.state for v in visits] == [VisitState.BOOKED] * 6
        booked = db.session.scalars(
            select(Appointment).where(Appointment.service_code == ServiceCode.INFUSION)
        ).all()
        assert len(booked) == 6
        waiting = db.session.scalars(
            select(Message).where(Message.state == "queued", Message.template == "dates")
        ).all()
        assert len(waiting) <= 1
    after = client.get(f"/desk/plans/{plan}").text
    assert "6 of 6 booked" in after
    assert "Approved by <b>Dr. Amara Obi</b>" in after
    assert "6 booked" in client.get(f"/desk/patients/{june}").text


def test_a_first_visit_cannot_be_booked_before_the_clearance_and_the_page_says_what_is_missing(
    june: str, signed_in: SignIn, app: Flask
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    page = client.get(f"/desk/clearance/{june}/first").text
    assert "This cannot be booked yet" in page
    assert "Pregnancy: not asked yet" in page

    refused = post(
        client,
        f"/desk/clearance/{june}/first",
        "/desk/patients",
        start=f"{make.at(10).isoformat()}|woburn",
    )

    assert refused.status_code == 409
    assert "no signed clearance" in refused.text
    assert count(app, Appointment) == 0


def test_an_unknown_answer_cannot_be_signed_and_what_was_typed_is_kept(
    june: str, signed_in: SignIn
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    form = answers(client, june, is_pregnancy="unknown", deed="sign", password=make.PASSWORD)

    refused = post(client, f"/desk/clearance/{june}", **form)

    assert refused.status_code == 409
    assert "Pregnancy: not known" in refused.text
    assert 'value="2026-01"' in refused.text


def test_a_wrong_password_signs_nothing_and_is_said_at_its_field(
    june: str, signed_in: SignIn, app: Flask
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")

    refused = post(
        client,
        f"/desk/clearance/{june}",
        **answers(client, june, deed="sign", password="not it at all"),
    )

    assert refused.status_code == 422
    assert "Nothing was signed" in refused.text
    with app.app_context():
        patient = db.session.scalars(select(Patient)).one()
        assert clearance.current(patient).signed is None
        assert not clearance.current(patient).entries


def test_a_nurse_keeps_a_draft_but_does_not_sign(june: str, signed_in: SignIn, app: Flask) -> None:
    nurse = signed_in(Role.NURSE)
    kept = post(nurse, f"/desk/clearance/{june}", **answers(nurse, june, deed="keep"))
    assert kept.status_code == 303
    assert "Not signed yet" in nurse.get(f"/desk/clearance/{june}").text
    assert 'value="sign"' not in nurse.get(f"/desk/clearance/{june}").text

    refused = post(
        nurse,
        f"/desk/clearance/{june}",
        **answers(nurse, june, deed="sign", password=make.PASSWORD),
    )

    assert refused.status_code == 422
    with app.app_context():
        assert clearance.current(db.session.scalars(select(Patient)).one()).signed is None


def test_an_answer_recorded_meanwhile_is_shown_before_anything_is_signed(
    june: str, signed_in: SignIn, keep: Keep
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    form = answers(client, june, deed="sign", password=make.PASSWORD)
    with keep() as session:
        clearance.answer(
            session.scalars(select(Patient)).one(),
            "pregnancy",
            clearance.Answer.YES,
            actor="staff:1",
            now=make.MONDAY,
        )

    refused = post(client, f"/desk/clearance/{june}", **form)

    assert refused.status_code == 409
    assert "A colleague recorded an answer" in refused.text


@pytest.mark.parametrize("path", ["clearance/{}", "session/{}", "chats/{}"])
def test_the_front_desk_sees_no_screening_no_record_and_no_scores(
    june: str, signed_in: SignIn, path: str
) -> None:
    assert signed_in(Role.FRONT_DESK).get(f"/desk/{path.format(june)}").status_code == 403


def test_the_front_desk_books_a_cleared_first_visit_with_its_chat(
    june: str, signed_in: SignIn, app: Flask
) -> None:
    clear(signed_in(Role.CLINICIAN, "some-clinician"), june)
    desk = signed_in(Role.FRONT_DESK)
    page = desk.get(f"/desk/clearance/{june}/first").text
    assert "2 of 2 chairs" in page
    assert "Pregnancy" not in page

    visit = book_first(desk, june)

    assert "and the chat after it" in desk.get(f"/desk/appointments/{visit}").text
    with app.app_context():
        kinds = db.session.scalars(
            select(Appointment.service_code).order_by(Appointment.starts_at)
        ).all()
        assert kinds == [ServiceCode.FIRST_INFUSION, ServiceCode.CHAT]


def test_the_start_waits_for_readiness_score_and_vital_signs_or_a_clinicians_word(
    june: str, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(hours=1)
    nurse = signed_in(Role.NURSE)

    refused = deed(nurse, visit, "start")
    assert refused.status_code == 409
    assert "No pain score before the start" in refused.text

    wrong = deed(
        nurse, visit, "start", why="He knows", clinician="some-nurse",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert wrong.status_code == 403
    assert 'value="He knows"' in wrong.text

    started = deed(
        nurse, visit, "start", why="Doctor is here", clinician="some-clinician",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert started.status_code == 303
    page = nurse.get(f"/desk/session/{visit}").text
    assert "Infusing 0 of 40" in page
    assert "Doctor is here" in page


def test_the_board_shows_ready_infusing_recovering_safe_and_gone(
    june: str, signed_in: SignIn, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    deed(client, visit, "before", **before())
    assert "<p>Kept.</p>" in client.get(f"/desk/session/{visit}").text
    assert "Ready" in client.get("/desk?view=list").text
    deed(client, visit, "start")
    clock.advance(minutes=14)
    assert client.get("/desk").status_code == 200
    clock.advance(minutes=9)
    page = client.get("/desk").text
    assert "Infusing 23 of 40" in page
    assert "1 infusing" in page
    assert '<rect class="bar-done" width="23"' in page
    deed(client, visit, "end", reason="side-effect")
    clock.advance(minutes=12)
    assert "Recovering 12 of 30" in client.get("/desk").text
    deed(client, visit, "discharge", **course.GOING_HOME)
    deed(client, visit, "safe", escort="y", password=make.PASSWORD)
    assert "Safe to go" in client.get("/desk").text
    deed(client, visit, "gone")
    assert "Gone" in client.get("/desk").text


def test_nobody_goes_home_without_an_escort_unless_a_clinician_says_why(
    june: str, signed_in: SignIn, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    deed(client, visit, "before", **before())
    deed(client, visit, "start")
    deed(client, visit, "end", reason="complete")
    deed(client, visit, "discharge", **course.GOING_HOME)

    refused = deed(client, visit, "safe", password=make.PASSWORD)
    assert refused.status_code == 409
    assert "Nobody is here to take them home" in refused.text

    signed = deed(
        client, visit, "safe", password=make.PASSWORD, why="Taxi with a nurse",
        clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert signed.status_code == 303
    assert "Taxi with a nurse" in client.get(f"/desk/session/{visit}").text


def test_a_line_is_put_right_signed_and_the_old_words_stay(
    june: str, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    deed(client, visit, "before", **before())
    deed(client, visit, "start")
    deed(client, visit, "effect", effect="nausea:3", action="none")
    with app.app_context():
        line = db.session.scalars(
            select(SessionEvent.id).where(SessionEvent.kind == "side-effect")
        ).one()
    path = f"/desk/session/{visit}/line/{line}"

    unsaid = post(client, path, severity="1", action="none", password=make.PASSWORD)
    assert unsaid.status_code == 422
    done = post(
        client, path, severity="1", action="none", reason="Mistyped", password=make.PASSWORD
    )

    assert done.status_code == 303, done.text
    page = client.get(f"/desk/session/{visit}").text
    assert "Nausea, mild" in page
    assert "before: Nausea, severe" in page
    assert "Mistyped" in page


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("effect", {"effect": "rash:2", "action": "none"}, "choose one of the list"),
        ("effect", {"effect": "other:1", "action": "none"}, "say what it was"),
        ("vitals", {"systolic": "1280"}, "Upper pressure: 1280 is not likely"),
        ("vitals", {"systolic": "high"}, "whole number"),
        ("dose", {"amount": "", "unit": "mg"}, "Enter the amount"),
        ("score", {}, "Choose a number"),
        ("end", {"reason": "bored"}, "choose one of the list"),
        ("end", {"reason": "complete", "at": "25:00"}, "Enter a time"),
        ("note", {"note": " "}, "empty"),
    ],
)
def test_bad_input_at_the_chair_is_a_kind_sentence_and_nothing_is_written(
    june: str,
    signed_in: SignIn,
    clock: StoppedClock,
    app: Flask,
    name: str,
    form: dict[str, object],
    words: str,
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    deed(client, visit, "before", **before())
    deed(client, visit, "start")
    written = count(app, SessionEvent)

    refused = deed(client, visit, name, **form)

    assert refused.status_code == 422
    assert words in refused.text
    assert count(app, SessionEvent) == written


def test_the_protocol_speaks_while_the_chat_is_typed_and_a_bad_form_loses_nothing(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    go_home(client, visit, clock)
    page = f"/desk/chats/{visit}"
    token = make.form_token(client, page)

    part = client.post(
        f"{page}/says",
        data={"csrf_token": token, "baseline": "8"},
        headers={"HX-Request": "true"},
    )
    assert part.status_code == 200
    assert "Still to answer: pain since" in part.text
    assert "<html" not in part.text

    whole = client.post(f"{page}/says", data={"csrf_token": token, **chat(score="7")})
    assert "12 %" in whole.text
    assert "Stop" in whole.text

    bad = post(client, page, **chat(relief_days="many", goals="To walk"))
    assert bad.status_code == 422
    assert "To walk" in bad.text
    assert count(app, Plan) == 0


def test_a_severe_side_effect_blocks_the_draft_and_asks_a_clinician(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    deed(client, visit, "before", **before())
    deed(client, visit, "start")
    deed(client, visit, "effect", effect="anxiety:3", action="stopped")
    deed(client, visit, "end", reason="side-effect")
    deed(client, visit, "discharge", **course.GOING_HOME)
    deed(client, visit, "safe", escort="y", password=make.PASSWORD)
    deed(client, visit, "gone")

    held = post(client, f"/desk/chats/{visit}", **chat())

    assert held.status_code == 303
    page = client.get(f"/desk/chats/{visit}").text
    assert "A severe side effect was recorded" in page
    assert count(app, Plan) == 0
    with app.app_context():
        assert db.session.scalars(select(Task).where(Task.kind == "clinician-review")).all()
    drafted_although = post(
        client, f"/desk/chats/{visit}/although", f"/desk/chats/{visit}",
        why="Anxious beforehand", clinician_password=make.PASSWORD,
    )  # fmt: skip
    assert drafted_although.status_code == 303


def test_who_is_no_clinician_signs_no_plan_and_the_desk_sees_no_scores(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    plan = drafted(signed_in(Role.CLINICIAN, "some-clinician"), june, app, clock)
    for role in (Role.FRONT_DESK, Role.NURSE):
        other = signed_in(role)
        page = other.get(f"/desk/plans/{plan}")
        assert page.status_code == 200
        assert ("8 → 4" in page.text) is (role is Role.NURSE)
        assert "Approve" not in page.text
        refused = post(
            other, f"/desk/plans/{plan}/approve", f"/desk/plans/{plan}",
            version="1", password=make.PASSWORD,
        )  # fmt: skip
        assert refused.status_code == 403


def test_of_two_clinicians_one_wins_and_the_other_is_told(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)
    other = signed_in(Role.CLINICIAN, "other-clinician")
    form = schedule_form(other.get(f"/desk/plans/{plan}").text)
    path = f"/desk/plans/{plan}"
    post(client, f"{path}/approve", path, version=form["version"], **CLINICIAN)

    told = post(other, f"{path}/approve", path, version=form["version"], **CLINICIAN)

    assert told.status_code == 409
    assert "Dr. Amara Obi approved this plan while you had it open" in told.text


@pytest.mark.parametrize("taken", ["rest", "nothing"])
def test_dates_taken_meanwhile_come_back_by_row_and_the_rest_is_booked_if_wished(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, taken: str
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)
    path = f"/desk/plans/{plan}"
    post(client, f"{path}/approve", path, version="1", **CLINICIAN)
    form = schedule_form(client.get(path).text) | {"taken": taken}
    at, _, _ = str(form["v3"]).partition("|")
    with keep() as session:
        woburn = make.clinic_queries.site_called("woburn")
        for name in ("Ana", "Ben"):
            make.infusion(
                woburn,
                make.patient(name, "Ito", mobile=None, email=None),
                make.datetime.fromisoformat(at),
                now=clock.moment,
            )
        session.flush()

    done = post(client, f"{path}/schedule", path, **form)

    with app.app_context():
        states = db.session.scalars(select(PlannedVisit.state).order_by(PlannedVisit.number)).all()
    if taken == "nothing":
        assert done.status_code == 409
        assert "Visit 3" in done.text
        assert "Nothing was booked" in done.text
        assert set(states) == {VisitState.TO_PLACE}
    else:
        assert done.status_code == 303
        assert [n + 1 for n, s in enumerate(states) if s is VisitState.TO_PLACE] == [3]
        assert "Visit 3 was taken" in client.get(path).text
        assert "June" in client.get("/desk/course/to-place").text


def test_a_row_is_changed_to_one_of_its_next_best_and_the_rest_follows(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)
    path = f"/desk/plans/{plan}"
    page = client.get(path).text
    other = re.findall(r'name="v2" id="v2-\d" value="([^"]+)"', page)
    assert 2 <= len(other) <= 4  # as it is, and up to three more

    shown = post(client, f"{path}/preview", path, **(schedule_form(page) | {"v2": other[1]}))

    assert shown.status_code == 200
    assert "your choice" in shown.text
    assert f'name="was2" value="{other[1]}"' in shown.text


def test_a_date_outside_its_window_is_refused_without_a_reason_and_said_at_its_row(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)
    path = f"/desk/plans/{plan}"
    post(client, f"{path}/approve", path, version="1", **CLINICIAN)
    form = schedule_form(client.get(path).text)
    late = (clock.moment + timedelta(days=60)).date().isoformat()
    form |= {"day6": late, "time6": "10:00", "site6": "woburn"}

    refused = post(client, f"{path}/schedule", path, **form)

    assert refused.status_code in (409, 422)
    assert "outside of its window" in refused.text
    assert late in refused.text


def test_a_plan_is_changed_with_a_reason_and_declined_with_one(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    plan = drafted(client, june, app, clock)
    path = f"/desk/plans/{plan}"
    four = {
        "act": "series", "version": "1", "name1": "Series", "count1": "4", "min1": "3",
        "target1": "4", "max1": "6", "after1": "7", "recovery1": "30",
    }  # fmt: skip

    unsaid = post(client, f"{path}/change", **four, **CLINICIAN)
    assert unsaid.status_code == 422
    assert 'value="4"' in unsaid.text
    close = post(client, f"{path}/change", **(four | {"min1": "1"}), reason="Travels", **CLINICIAN)
    assert close.status_code == 422
    assert "48 hours" in close.text
    done = post(client, f"{path}/change", **four, reason="Travels", **CLINICIAN)
    assert done.status_code == 303
    assert "4 visits" in client.get(path).text

    ended = post(
        client, f"{path}/act", path, act="cease", reason="Moved away",
        version=schedule_form(client.get(path).text)["version"], **CLINICIAN,
    )  # fmt: skip
    assert ended.status_code == 303
    assert "Ended" in client.get(path).text


def test_the_lists_and_their_counts_follow_the_course(
    june: str, signed_in: SignIn, app: Flask, clock: StoppedClock
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    assert "June Okafor" in client.get("/desk/course/to-clear").text
    plan = drafted(client, june, app, clock)
    assert "Nobody waits" in client.get("/desk/course/to-clear").text
    assert "No chat is owed" in client.get("/desk/course/chats").text
    drafts = client.get("/desk/course/drafts").text
    assert "June Okafor" in drafts
    assert re.search(r'Plans to sign <span class="count">1<', drafts)
    path = f"/desk/plans/{plan}"
    post(client, f"{path}/approve", path, version="1", **CLINICIAN)
    assert client.get("/desk/course/to-place").text.count("Place it") == 6
    falling = client.get("/desk/course/falling-off").text
    assert "It has no date yet" in falling
    assert re.search(r'Falling off <span class="count presses">1<', falling)


def test_an_incomplete_protocol_is_shown_in_words_and_cannot_be_activated(
    june: str, signed_in: SignIn
) -> None:
    text = protocol.shipped()[0].read_text()
    gap = re.sub(r'\[\[row\]\]\nid = "P1"\n.*?(?=\[\[row\]\])', "", text, count=1, flags=re.S)
    admin = signed_in(Role.ADMIN)
    assert post(admin, "/desk/protocols", text=gap).status_code == 303
    page = admin.get("/desk/protocols").text
    assert "No row for: crps, substantial response, tolerated well." in page
    bad = post(admin, "/desk/protocols", text="code = ")
    assert bad.status_code == 422
    assert "code = " in bad.text

    clinician = signed_in(Role.CLINICIAN, "some-clinician")
    refused = post(clinician, "/desk/protocols/2/activate", "/desk/protocols", **CLINICIAN)

    assert refused.status_code == 422
    assert "does not answer every combination" in refused.text
    assert (
        post(admin, "/desk/protocols/1/activate", "/desk/protocols", **CLINICIAN).status_code == 403
    )


def test_a_running_visit_is_not_cancelled(
    june: str, signed_in: SignIn, clock: StoppedClock, app: Flask
) -> None:
    client = signed_in(Role.CLINICIAN, "some-clinician")
    clear(client, june)
    visit = book_first(client, june)
    clock.advance(minutes=10)
    client = signed_in(Role.CLINICIAN, "some-clinician")
    deed(client, visit, "before", **before())
    deed(client, visit, "start")
    with app.app_context():
        version = db.session.scalars(
            select(Appointment.version).where(Appointment.public_id == visit)
        ).one()

    refused = post(client, f"/desk/appointments/{visit}/cancel", version=version)

    assert refused.status_code == 409
    assert "was started" in refused.text
    with app.app_context():
        assert (
            db.session.scalars(
                select(Appointment.status).where(Appointment.public_id == visit)
            ).one()
            is Status.ARRIVED
        )
