"""From the first infusion to a plan, through the pages: each response, what blocks, an import."""

import html
import io
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment, Hold
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Pain
from scheduler.plans import protocol
from scheduler.plans.models import Plan, PlannedVisit
from scheduler.tasks.models import Task
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.course import at

SIGNED = {"password": make.PASSWORD}


@pytest.fixture
def visits(keep: Keep, app: Flask, clock: StoppedClock) -> dict[str, str]:
    """Three who had a first visit on March 4; it is the day of their chats, Saturday the 7th."""
    found = {}
    with keep():
        where = course.clinic()
        for hour, name in ((9, "June"), (11, "Nina"), (13, "Omar")):
            who = make.patient(name, mobile=None, email=None, pain=Pain.CRPS)
            infusion = course.first_infusion(who, where, at(4, hour)).infusion
            course.infuse(infusion, where)
            found[name] = infusion.public_id
    clock.set(at(7, 14))
    return found


def post(client: FlaskClient, path: str, **form: object) -> TestResponse:
    token = make.form_token(client, "/desk/patients")
    return client.post(path, data={"csrf_token": token, **form})


def chat(**other: object) -> dict[str, object]:
    return {
        "baseline": "8", "score": "4", "relief_days": "3", "relief_holds": "yes",
        "condition": "crps", "impression": "much-better", "phq9_item9": "0", "is_changed": "no",
    } | other  # fmt: skip


def words(answer: TestResponse) -> str:
    """Return a page's words, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def dates(page: str) -> dict[str, object]:
    """Return the dates a plan's page proposes, as a browser would send them."""
    return dict(re.findall(r'name="(v\d+)" id="v\d+-0" value="([^"]+)"', page))


def count(app: Flask, table: type, **like: object) -> int:
    with app.app_context():
        wanted = select(func.count()).select_from(table).filter_by(**like)
        return db.session.scalar(wanted) or 0


def test_each_response_comes_to_its_own_plan_and_pencilled_dates_go_with_it(
    visits: dict[str, str], signed_in: SignIn, app: Flask
) -> None:
    doctor = signed_in(Role.CLINICIAN)
    for name in visits:  # the likely six are kept for everybody before the chats
        path = f"/desk/chats/{visits[name]}"
        kept = post(doctor, f"{path}/pencil", deed="pencil", response="substantial")
        assert kept.status_code == 303
        assert "6 dates kept until" in words(doctor.get(path))
    assert post(doctor, f"{path}/pencil", response="hopeful").status_code == 422
    assert post(signed_in(Role.FRONT_DESK), f"{path}/pencil", deed="release").status_code == 403
    assert count(app, Hold) == 18

    for name, score, expects, booked, holds in (
        ("June", "4", "6 visits", 6, 12),
        ("Nina", "5", "4 visits", 4, 6),
        ("Omar", "7", "Stop", 0, 0),
    ):
        held = post(doctor, f"/desk/chats/{visits[name]}", **chat(score=score))
        assert held.status_code == 303, words(held)
        plan = held.headers["Location"]
        page = doctor.get(plan)
        assert expects in words(page), name
        assert words(page).count("pencilled") >= (booked > 0), name
        before = count(app, PlannedVisit)
        signed = post(
            doctor, f"{plan}/approve", version="1", deed="book" if booked else "approve",
            **dates(page.text), **SIGNED,
        )  # fmt: skip
        assert signed.status_code == 303, words(signed)
        assert count(app, PlannedVisit, state="booked") == before + booked
        assert count(app, Hold) == holds, name
    assert count(app, Appointment, service_code=ServiceCode.INFUSION) == 10
    with app.app_context():
        states = db.session.scalars(select(Plan.state).order_by(Plan.id)).all()
        assert [s.value for s in states] == ["active", "active", "completed"]
    assert "No chat is owed" in words(doctor.get("/desk/course/chats"))


def test_what_blocks_is_said_while_it_is_typed_kept_as_a_task_and_drafted_over_by_name(
    visits: dict[str, str], signed_in: SignIn, app: Flask
) -> None:
    doctor = signed_in(Role.CLINICIAN)
    path = f"/desk/chats/{visits['June']}"
    asked = chat(phq9_item9="1", phq9="12", is_changed="yes", news="liver")

    says = words(post(doctor, f"{path}/says", **asked))
    assert "Question 9 of the PHQ-9 is above 0" in says
    assert "clearance was signed. Severe liver disease." in says
    for field, typed, said in (
        ("news", {"is_changed": "yes"}, "Tick what is new."),
        ("phq9", {"phq9": "40"}, "A PHQ-9 comes to 0 to 27."),
        ("peg_since_pain", {"peg_since_pain": "7"}, "Answer all three, or none."),
        ("peg_since_pain", {"peg_since_pain": "12"}, "Pain on average, since: use 0 to 10."),
        ("peg_since_pain", {"peg_since_pain": "seven"}, "Enter a whole number."),
        ("phq9_item9", {"phq9_item9": ""}, "or that it was not asked."),
    ):
        bad = post(doctor, path, **chat(goals="To walk", **typed))
        assert (bad.status_code, said in bad.text, "To walk" in bad.text) == (422, True, True), (
            field
        )
    assert count(app, Plan) == 0

    held = post(doctor, path, **asked)
    assert held.headers["Location"] == path
    assert "No plan was drafted." in words(doctor.get(path))
    assert count(app, Task, kind="clinician-review", closed_at=None) == 1
    assert count(app, Task, kind="clearance", closed_at=None) == 1

    long = post(doctor, f"{path}/although", why="y" * 501, clinician_password=make.PASSWORD)
    assert long.status_code == 422
    assert "Use at most 500 letters." in long.text
    assert "y" * 501 in long.text
    drafted = post(doctor, f"{path}/although", why="Talked over.", clinician_password=make.PASSWORD)
    assert drafted.status_code == 303
    assert count(app, Task, kind="clinician-review", closed_at=None) == 0

    # What a nurse writes down later is a new fact: it blocks the signature, and asks again.
    nurse = signed_in(Role.NURSE)
    late = post(
        nurse, f"/desk/session/{visits['June']}/effect", effect="anxiety:3", action="stopped"
    )
    assert late.status_code == 303
    assert count(app, Task, kind="clinician-review", closed_at=None) == 1
    plan = drafted.headers["Location"]
    refused = post(doctor, f"{plan}/approve", version="1", deed="approve", **SIGNED)
    assert refused.status_code == 409
    assert "A severe side effect was recorded" in words(refused)
    assert "Question 9" not in words(refused)
    assert "Found since it was drafted" in words(doctor.get(path))
    cut = post(doctor, f"{plan}/decline", version="1", reason="n" * 501, **SIGNED)
    assert (cut.status_code, "n" * 501 in cut.text) == (422, True)
    assert post(doctor, f"{plan}/decline", version="1", reason="No.", **SIGNED).status_code == 303
    assert "Declined" in words(doctor.get(plan))


def test_an_import_is_looked_at_before_it_is_kept(
    visits: dict[str, str], signed_in: SignIn
) -> None:
    keeper = signed_in(Role.ADMIN)
    text = protocol.shipped()[0].read_text()
    other = text.replace("count = 6", "count = 5", 1).replace('id = "P9"', 'id = "P9b"')
    other = other.replace("substantial_from_percent = 50", "substantial_from_percent = 60")
    file = {"file": (io.BytesIO(other.encode()), "ours.toml"), "text": ""}

    shown = post(keeper, "/desk/protocols/preview", **file)
    said = words(shown)
    assert "Nerve pain, version 2" in said
    assert "Percent of a substantial response: 50 → 60." in said
    assert "Row P1, part 1: Series: 6 visits" in said
    assert "→ Series: 5 visits" in said
    assert "Row P9 is gone" in said
    assert "Row P9b is new" in said
    assert "Complete: every combination" in said
    assert shown.text.count("To be confirmed by the clinic.") >= 28  # at each row, of both
    assert "version 2" not in words(keeper.get("/desk/protocols"))  # nothing was kept

    same = words(post(keeper, "/desk/protocols/preview", text=text))
    assert "It says the same." in same
    bad = post(keeper, "/desk/protocols/preview", text="code = ")
    assert (bad.status_code, "code = " in bad.text) == (422, True)
    assert post(keeper, "/desk/protocols", text=other).status_code == 303
    assert "version 2" in words(keeper.get("/desk/protocols"))
    assert post(signed_in(Role.NURSE), "/desk/protocols/preview", text=text).status_code == 403
