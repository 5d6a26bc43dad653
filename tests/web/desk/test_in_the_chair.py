"""At the chair, through the page: who is on site, vital signs by the clock, going home, a call."""

import re
from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking import notices
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.messaging import consent
from scheduler.messaging.models import Message
from scheduler.tasks import queries as tasks
from scheduler.treatment import queries, readiness, vocabulary
from scheduler.treatment.chair import CALL_AFTER
from scheduler.treatment.models import EventKind
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.course import at

GIVEN = readiness.Given(
    escort_name="Maria Okafor",
    escort_phone=None,
    keeps_times=True,
    knows_medicines=True,
    is_ill=True,
    illness="A cough",
    agrees=True,
)


def booked(keep: Keep) -> tuple[str, int, int]:
    """June's first visit on March 4 at 10:00, answered for: public id, id, and a clinician's id."""
    with keep():
        where = course.clinic()
        june = make.patient("June", "Okafor", language="es", home_site_id=where.woburn)
        visit = course.first_infusion(june, where).infusion
        readiness.answer(
            visit, GIVEN, seen_start=visit.starts_at, actor=f"patient:{june.id}", now=at(3, 18)
        )
        return visit.public_id, visit.id, where.doctor


def deed(client: FlaskClient, visit: str, name: str, **form: object) -> tuple[int, str]:
    page = f"/desk/session/{visit}"
    token = make.form_token(client, page)
    form = make.with_clinician(client, page, form)
    answer = client.post(f"{page}/{name}", data={"csrf_token": token, **form})
    return answer.status_code, answer.text or client.get(page).text


def ready(**other: object) -> dict[str, object]:
    return {
        **{f"ready-{item}": "yes" for item in vocabulary.READINESS},
        "score": "8",
        "systolic": "126",
        "diastolic": "80",
        **other,
    }


def agree(keep: Keep, visit: int) -> None:
    with keep():
        june = db.session.get_one(Appointment, visit).patient
        consent.grant(
            june, june.mobile or "", "yes", source="desk", actor="staff:1", origin="-", now=at(2)
        )


def test_a_session_is_watched_by_the_clock_and_ends_with_a_call_the_day_after(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    visit, number, doctor = booked(keep)
    clock.set(at(4, 10))
    client = signed_in(Role.CLINICIAN)
    page = client.get(f"/desk/session/{visit}").text
    assert "Something is new: A cough" in page
    assert "Maria Okafor" in page
    assert "A clinician is on site" in page

    status, page = deed(client, visit, "before", **ready(**{"ready-clinician": "no"}))
    assert status == 303
    status, page = deed(client, visit, "start")
    assert status == 409
    assert "Not ready: A clinician is on site" in page
    status, page = deed(client, visit, "before", **ready(**{"on-site": ""}))
    assert status == 422
    assert "Choose who is on site." in page
    assert deed(client, visit, "before", **ready(**{"on-site": str(doctor)}))[0] == 303
    with app.app_context():
        named = [e.data for e in queries.events(number) if e.data.get("staff")]
        assert named == [{"item": "clinician", "is_met": True, "staff": doctor}]
    assert deed(client, visit, "start")[0] == 303

    page = client.get(f"/desk/session/{visit}").text
    assert "Vital signs next at 10:10 AM" in page
    clock.advance(minutes=11)
    page = client.get(f"/desk/session/{visit}").text
    assert "Vital signs are due since 10:10 AM" in page
    assert re.search(r"Infusing 11 of 40 <span[^>]*>minutes<", page)
    board = client.get("/desk").text
    assert "Infusing 11 of 40 · vitals due" in board
    assert "1 due for vital signs" in board
    assert deed(client, visit, "vitals", systolic="131", diastolic="84", awake="drowsy")[0] == 303
    page = client.get(f"/desk/session/{visit}").text
    assert "Vital signs next at 10:26 AM" in page
    assert "131/84, drowsy, wakes to a voice" in page

    status, page = deed(client, visit, "dose", change="lowered", amount="0.3", unit="")
    assert status == 422
    assert 'value="0.3"' in page, "nothing typed is lost"
    assert 'id="unit-error"' in page
    assert deed(client, visit, "dose", change="lowered", amount="0.3", unit="mg/kg/h")[0] == 303
    assert deed(client, visit, "dose", change="paused")[0] == 303
    status, page = deed(client, visit, "rescue", medicine="Ondansetron", given="4 mg")
    assert status == 422
    assert 'value="Ondansetron"' in page
    form = {"medicine": "Ondansetron", "given": "4 mg", "against": "nausea"}
    assert deed(client, visit, "rescue", **form)[0] == 303
    with app.app_context():
        given = queries.events(number)[-1].id
    right = {**form, "reason": "Mistyped", "password": make.PASSWORD}
    line = f"line/{given}"
    status, page = deed(client, visit, line, **right | {"against": "hunger"})
    assert status == 422
    assert deed(client, visit, line, **right | {"against": "headache"})[0] == 303
    page = client.get(f"/desk/session/{visit}").text
    assert "Medicine given: Ondansetron, 4 mg, against headache" in page
    for words in (
        "Dose: lowered to 0.3 mg/kg/h",
        "Dose: paused",
        "Medicine given: Ondansetron, 4 mg, against nausea",
    ):
        assert words in page

    assert "nothing to take home" in client.get(f"/desk/session/{visit}/hand-out").text
    assert deed(client, visit, "handout", how="printed")[0] == 409
    assert deed(client, visit, "end", reason="complete")[0] == 303
    scores = {f"met-{item}": "2" for item in vocabulary.DISCHARGE} | {"met-walks": "0"}
    status, page = deed(client, visit, "discharge", **scores, systolic="12")
    assert status == 422
    status, page = deed(client, visit, "discharge", **scores, systolic="130", oxygen="97")
    assert status == 303
    status, page = deed(client, visit, "safe", escort="y", password=make.PASSWORD)
    assert status == 409
    assert "A score of at least 9 of 10: 8 of 10" in page
    assert "They named Maria Okafor." in page
    although = {"why": "Uses a chair at home too", "clinician_password": make.PASSWORD}
    status, _ = deed(client, visit, "safe", escort="y", password=make.PASSWORD, **although)
    assert status == 303

    with app.app_context():
        (call,) = [t for t in tasks.open_about(f"appointment:{number}") if t.kind == CALL_AFTER]
        assert call.due_at == clock() + timedelta(hours=24)
        overridden = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "safety.session-override")
        ).all()
        assert [e.detail["deed"] for e in overridden] == ["safe"]
    assert "Call the day after: how are they?" in client.get("/desk/tasks").text


def test_the_words_to_take_home_are_printed_or_sent_in_the_patients_language(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    visit, number, _ = booked(keep)
    with keep():
        found = db.session.get_one(Appointment, number)
        course.make_ready(found, now=at(4, 10))
        course.plans.start_infusion(found, actor="staff:3", now=at(4, 10, 5))
        course.chair.end(found, "complete", actor="staff:3", now=at(4, 10, 45))
    clock.set(at(4, 11))
    nurse = signed_in(Role.NURSE)
    sheet = nurse.get(f"/desk/session/{visit}/hand-out").text
    assert 'lang="es"' in sheet
    assert "Cuando se va a casa" in sheet
    assert "No maneje" in sheet
    assert "Open the page to print" in nurse.get(f"/desk/session/{visit}").text

    status, page = deed(nurse, visit, "handout", how="link")
    assert status == 422
    assert "They may not be texted. Please print it." in page
    agree(keep, number)
    assert deed(nurse, visit, "handout", how="link")[0] == 303
    with app.app_context():
        text = db.session.scalars(select(Message).where(Message.template == notices.WAY_HOME)).one()
        assert text.topic == f"appointment:{number}"
    with keep():
        found = db.session.get_one(Appointment, number)
        link = make.private_link(found, now=clock())
    phone = app.test_client()
    home = phone.get(f"{link}/home", follow_redirects=True)
    assert home.request.path == "/my/visit/home"
    assert "Cuando se va a casa" in home.text
    assert "911" in home.text
    assert "June" not in home.text


def test_an_amended_line_shows_who_signed_what_and_why_each_time(
    keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    visit, number, _ = booked(keep)
    clock.set(at(4, 10))
    nurse = signed_in(Role.NURSE)
    assert deed(nurse, visit, "before", **ready())[0] == 303
    with keep():
        score = next(e.id for e in queries.events(number) if e.kind is EventKind.SCORE)
    path = f"/desk/session/{visit}/line/{score}"
    for value, why in (("6", "Misheard"), ("7", "Asked again")):
        token = make.form_token(nurse, f"/desk/session/{visit}")
        form = {"csrf_token": token, "score": value, "reason": why, "password": make.PASSWORD}
        assert nurse.post(path, data=form).status_code == 303

    page = nurse.get(f"/desk/session/{visit}").text
    entry = page.partition("Pain 7 of 10, before")[2].partition("</ol>")[0]
    assert "Asked again" in page
    assert entry.index("Pain 8 of 10, before") < entry.index("Pain 6 of 10, before")
    assert "Misheard" in entry
    assert len(re.findall("signed Some Nurse", page)) == 2
