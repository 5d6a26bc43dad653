"""Two people press the same button of a served app at once: one effect, and the other is told."""

import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import CookieJar

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment, Status
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.plans.models import Plan, PlannedVisit, PlanSignature
from scheduler.treatment import clearance
from scheduler.treatment.models import EventKind, ScreeningEntry, SessionEvent
from tests import course, make
from tests.conftest import Keep, StoppedClock
from tests.course import at

TURNS = 3


@dataclass
class Hands:
    """Somebody signed in at a served app, who can send forms while others do."""

    base: str
    jar: CookieJar = field(default_factory=CookieJar)

    def __post_init__(self) -> None:
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=30) as answer:
            return str(answer.read().decode())

    def token(self, page: str = "/desk/patients") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page))
        assert found
        return found[1]

    def send(self, path: str, form: dict[str, str]) -> tuple[int, str]:
        """Post a form; return where it ended and what it said, refusals too."""
        request = urllib.request.Request(  # noqa: S310  our own address
            self.base + path, data=urllib.parse.urlencode(form).encode(), method="POST"
        )
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The app, served by threads; the stopped clock is its clock too."""
    server = make_server("localhost", 0, app, threaded=True)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def where(app: Flask, keep: Keep) -> course.Clinic:
    """Two sites, and a second clinician, nurse and receptionist of each kind to sign in."""
    with keep():
        found = course.clinic()
        for name, role in (
            ("first-clinician", Role.CLINICIAN),
            ("second-clinician", Role.CLINICIAN),
            ("first-nurse", Role.NURSE),
            ("first-desk", Role.FRONT_DESK),
            ("second-desk", Role.FRONT_DESK),
        ):
            make.staff(name, role=role)
    return found


def hands(address: str, username: str) -> Hands:
    found = Hands(address)
    status, _ = found.send(
        "/desk/sign-in",
        {
            "username": username,
            "password": make.PASSWORD,
            "csrf_token": found.token("/desk/sign-in"),
        },
    )
    assert status == 200
    return found


def at_once(deeds: list[tuple[Hands, str, dict[str, str]]]) -> list[tuple[int, str]]:
    """Send all forms at one instant; return the answers in the order of the deeds."""
    gate = threading.Barrier(len(deeds))
    answers: list[tuple[int, str]] = [(0, "")] * len(deeds)

    def run(number: int) -> None:
        who, path, form = deeds[number]
        form = {"csrf_token": who.token(), **form}
        gate.wait(timeout=30)
        answers[number] = who.send(path, form)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    return answers


def test_two_clinicians_approve_at_once_and_one_is_told_who_was_first(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        plan = course.draft(make.patient("June", "Okafor"), where)
        path, version = f"/desk/plans/{plan.public_id}/approve", str(plan.version)
    clock.set(at(10, 10))
    form = {"version": version, "password": make.PASSWORD}

    answers = at_once(
        [
            (hands(address, "first-clinician"), path, form),
            (hands(address, "second-clinician"), path, form),
        ]
    )

    assert sorted(status for status, _ in answers) == [200, 409]
    told = next(text for status, text in answers if status == 409)
    assert "approved this plan while you had it open" in told
    with app.app_context():
        assert len(db.session.scalars(select(PlanSignature)).all()) == 1
        assert len(db.session.scalars(select(PlannedVisit)).all()) == 6


def test_two_desks_book_all_at_once_and_six_visits_stand(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        plan = course.approved(make.patient("June", "Okafor"), where)
        shown = course.choices(course.previews.preview(plan, now=at(10, 10)))
        codes = {where.woburn: "woburn", where.danvers: "danvers"}
        form = {
            f"v{n}": f"{c.starts_at.isoformat()}|{codes[c.site_id]}" for n, c in shown.items()
        } | {"version": str(plan.version), "taken": "rest"}
        path = f"/desk/plans/{plan.public_id}/schedule"
    clock.set(at(10, 10))

    answers = at_once(
        [
            (hands(address, "first-desk"), path, form),
            (hands(address, "second-desk"), path, form),
            (hands(address, "first-nurse"), path, form),
        ]
    )

    assert sorted(status for status, _ in answers) == [200, 409, 409]
    assert all("while you had it open" in text for status, text in answers if status == 409)
    with app.app_context():
        booked = select(Appointment).where(Appointment.service_code == ServiceCode.INFUSION)
        assert len(db.session.scalars(booked).all()) == 6


def test_two_who_answer_the_same_questions_at_once_hear_of_each_other(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        patient = make.patient("June", "Okafor")
        course.screened(patient)
        path, who = f"/desk/clearance/{patient.public_id}", patient.id
        basis = clearance.current(patient).basis
    clock.set(at(3, 10))
    seen = {"basis": ",".join(f"{item}:{number}" for item, number in basis.items())}

    answers = at_once(
        [
            (hands(address, "first-nurse"), path, {**seen, "is_heart": "yes"}),
            (hands(address, "first-clinician"), path, {**seen, "is_heart": "unknown"}),
        ]
    )

    assert sorted(status for status, _ in answers) == [200, 409]
    assert "A colleague recorded an answer" in next(
        text for status, text in answers if status > 399
    )
    with app.app_context():
        rows = db.session.scalars(
            select(ScreeningEntry).where(
                ScreeningEntry.patient_id == who, ScreeningEntry.item == "heart"
            )
        ).all()
        assert len(rows) == 2  # the first asking, and the one that was first now


def test_a_nurse_who_presses_start_twice_starts_once(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        infusion = course.first_infusion(make.patient("June", "Okafor"), where).infusion
        course.make_ready(infusion, now=at(4, 10))
        path = f"/desk/session/{infusion.public_id}/start"
    clock.set(at(4, 10, 15))
    nurse, again = hands(address, "first-nurse"), hands(address, "first-nurse")

    answers = at_once([(nurse, path, {}), (again, path, {}), (nurse, path, {})])

    assert sorted(status for status, _ in answers) == [200, 409, 409]
    assert all("started already" in text for status, text in answers if status == 409)
    with app.app_context():
        started = select(SessionEvent).where(SessionEvent.kind == EventKind.START)
        assert len(db.session.scalars(started).all()) == 1


@pytest.mark.parametrize("turn", range(TURNS))
def test_a_move_and_a_start_at_once_leave_one_of_them_done(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask, turn: int
) -> None:
    with keep():
        infusion = course.first_infusion(make.patient("June", "Okafor"), where).infusion
        course.make_ready(infusion, now=at(4, 10))
        one, version = infusion.public_id, str(infusion.version)
    clock.set(at(4, 10, 15))

    moved, started = at_once(
        [
            (
                hands(address, "first-desk"),
                f"/desk/appointments/{one}/move",
                {"start": at(6).isoformat(), "version": version},
            ),
            (hands(address, "first-nurse"), f"/desk/session/{one}/start", {}),
        ]
    )

    assert sorted([moved[0], started[0]]) == [200, 409]
    with app.app_context():
        visit = db.session.scalars(select(Appointment).where(Appointment.public_id == one)).one()
        running = db.session.scalars(
            select(SessionEvent).where(SessionEvent.kind == EventKind.START)
        ).all()
        if started[0] == 200:
            assert (visit.starts_at, visit.status, len(running)) == (at(4), Status.ARRIVED, 1)
        else:
            assert (visit.starts_at, visit.status, len(running)) == (at(6), Status.BOOKED, 0)


def test_a_chat_finished_twice_at_once_drafts_one_plan(
    keep: Keep, where: course.Clinic, address: str, clock: StoppedClock, app: Flask
) -> None:
    with keep():
        infusion = course.first_infusion(make.patient("June", "Okafor"), where).infusion
        course.infuse(infusion, where)
        path = f"/desk/chats/{infusion.public_id}"
    clock.set(at(9, 10))
    form = {
        "baseline": "8", "score": "4", "relief_days": "4", "relief_holds": "yes",
        "condition": "crps", "impression": "much-better", "phq9_item9": "0", "is_changed": "no",
    }  # fmt: skip
    doctor = hands(address, "first-clinician")

    answers = at_once([(doctor, path, form), (doctor, path, form)])

    assert [status for status, _ in answers] == [200, 200]
    with app.app_context():
        plan = db.session.scalars(select(Plan)).one()
        assert len(plan.versions) == 1
