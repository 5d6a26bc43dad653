"""The questions before a visit: by link, by phone, and when nobody answers."""

from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import readiness as job
from scheduler.messaging.lint import telling
from scheduler.patients.links import mint_link
from scheduler.plans import service as plans
from scheduler.tasks import queries as tasks
from scheduler.treatment import readiness
from scheduler.treatment.models import ReadinessAnswer
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.course import at

WELL = {
    "escort": "yes",
    "escort_name": "Maria Okafor",
    "escort_phone": "781 555 0119",
    "times": "yes",
    "medicines": "yes",
    "illness": "no",
    "consent": "yes",
    "starts": "2026-03-04T15:00+00:00",
}
PUBLIC = "https://visits.example.org"


def booked(keep: Keep) -> tuple[int, str, str]:
    """June's first visit on March 4 at 10:00: its id, its public id, and the link of a text."""
    with keep():
        where = course.clinic()
        june = make.patient("June", "Okafor", home_site_id=where.woburn)
        visit = course.first_infusion(june, where).infusion
        secret = mint_link(visit.patient, visit.topic, expires_at=visit.ends_at, now=make.MONDAY)
        link = f"{PUBLIC}/my/{secret}/ready"
        return visit.id, visit.public_id, link.removeprefix(PUBLIC)


def send(client: FlaskClient, **changes: str) -> tuple[int, str]:
    token = make.form_token(client, "/my/visit/ready?again=1")
    answer = client.post("/my/visit/ready", data={"csrf_token": token, **WELL, **changes})
    return answer.status_code, answer.text


def open_kinds(app: Flask, visit: int) -> list[str]:
    with app.app_context():
        return [t.kind for t in tasks.open_about(f"appointment:{visit}")]


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(ReadinessAnswer)) or 0


def test_the_link_leads_to_the_hours_and_the_questions_and_answers_are_kept(
    app: Flask, keep: Keep, client: FlaskClient, signed_in: SignIn, clock: StoppedClock
) -> None:
    visit, public_id, link = booked(keep)
    assert telling(link.replace("/", " ")) == []

    page = client.get(link, follow_redirects=True)
    assert page.request.path == "/my/visit/ready"
    title = page.text.partition("<title>")[2].partition("</title>")[0]
    assert telling(title) == []
    for hour in ("Wed, Mar 4, 2:00 AM", "Wed, Mar 4, 4:00 AM", "Wed, Mar 4, 8:00 AM"):
        assert hour in page.text
    assert "version 2026-01" in page.text

    status, text = send(client, escort_name="", illness="")
    assert status == 422
    assert "Enter the name of the person who takes you home." in text
    assert "Say whether anything is new with your health." in text
    assert 'value="781 555 0119"' in text, "nothing typed is lost"
    assert count(app) == 0

    assert send(client)[0] == 303
    assert send(client)[0] == 303, "sent twice is one answer"
    assert count(app) == 1
    assert open_kinds(app, visit) == []
    thanks = client.get("/my/visit/ready").text
    assert "Thank you. We have your answers." in thanks
    assert "Maria" not in thanks, "a link shows nobody's name"

    desk = signed_in().get(f"/desk/appointments/{public_id}").text
    assert "Maria Okafor, (781) 555-0119" in desk or "Maria Okafor, 781 555 0119" in desk

    news = {"escort": "no", "illness_words": "A cough since Sunday"}
    status, text = send(client, **news)
    assert status == 422, "what was written is not lost beside a no"
    assert "You wrote what is new." in text
    assert "You named somebody." in text
    assert send(client, **news, escort_name="", illness="yes")[0] == 303
    assert open_kinds(app, visit) == [readiness.CONCERN]
    assert "Somebody from our team calls you" in client.get("/my/visit/ready").text
    assert "A cough" not in signed_in().get(f"/desk/ready/{public_id}").text
    assert "A cough" in signed_in(role=Role.NURSE).get(f"/desk/ready/{public_id}").text
    assert send(client, escort_name="Ben Okafor")[0] == 303
    assert open_kinds(app, visit) == [], "answered well in the end"


def test_answers_for_an_hour_the_visit_no_longer_has_do_not_count(
    app: Flask, keep: Keep, client: FlaskClient, clock: StoppedClock
) -> None:
    visit, _, link = booked(keep)
    client.get(link)
    assert send(client)[0] == 303
    with keep():
        moved = db.session.get_one(Appointment, visit)
        plans.move(moved, starts_at=at(4, 13), version=moved.version, actor="staff:4", now=clock())
        assert readiness.current(moved) is None

    status, text = send(client)
    assert status == 409
    assert "Your visit has a new time." in text
    assert "Wed, Mar 4, 11:00 AM" in text
    assert 'value="Maria Okafor"' in text
    assert send(client, starts="2026-03-04T18:00+00:00")[0] == 303

    clock.set(at(4, 12, 45))
    with keep():
        plans.arrive(db.session.get_one(Appointment, visit), actor="staff:4", now=clock())
    client.get(link)
    assert send(client, starts="2026-03-04T18:00+00:00", escort_name="Ben Okafor")[0] == 303
    with keep():
        newest = readiness.current(db.session.get_one(Appointment, visit))
        assert newest is not None
        assert newest.escort_name == "Ben Okafor", "here, and not begun"
    clock.set(at(4, 13, 1))
    client.get(link)
    assert client.get("/my/visit/ready").status_code == 303, "begun: nothing to answer"
    clock.set(at(9))
    assert client.get(link).status_code == 404, "the link has died"


def test_who_has_not_answered_four_hours_before_is_called_by_somebody(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    visit, public_id, _ = booked(keep)

    def run() -> int:
        with app.app_context():
            return job.run(now=clock())

    clock.set(at(4, 6) - timedelta(minutes=1))
    assert run() == 0
    clock.set(at(4, 6))
    assert run() == 1
    assert run() == 0, "asked once"
    assert open_kinds(app, visit) == [readiness.UNANSWERED]

    client = signed_in()
    assert "Has not answered the questions before the visit" in client.get("/desk/tasks").text
    page = f"/desk/ready/{public_id}"
    form = {"csrf_token": make.form_token(client, page), **WELL}
    refused = client.post(page, data=form | {"consent": ""})
    assert refused.status_code == 422
    assert 'value="Maria Okafor"' in refused.text
    assert client.post(page, data=form).status_code == 303
    assert open_kinds(app, visit) == []

    with keep():
        moved = db.session.get_one(Appointment, visit)
        plans.move(moved, starts_at=at(4, 9), version=moved.version, actor="staff:4", now=clock())
    assert run() == 1, "another hour is asked about anew"
    with keep():
        plans.cancel(db.session.get_one(Appointment, visit), actor="staff:4", now=clock())
    assert run() == 1, "off: nobody need call"
    assert open_kinds(app, visit) == []
