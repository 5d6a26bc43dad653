"""The clinic keeps its own supply: who is hit is shown first, and nothing typed is lost."""

import html
import re
from datetime import date, time

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts import queries as accounts
from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import hours, places, roster, terms
from scheduler.clinic import queries as clinic
from scheduler.clinic.models import Closure, Resource, ResourceKind, TimeOff
from scheduler.core.db import db
from scheduler.tasks.models import Task
from scheduler.treatment import chair
from tests import make
from tests.conftest import Keep, Once, SignIn

WEEK = [str(n) for n in range(7)]


@pytest.fixture(autouse=True)
def _clinic(once: Once) -> None:
    """Tomorrow Ana is called at 10 and Ben comes at 11."""

    def made() -> None:
        site = make.clinic_day(nurses=2)
        make.call(site, make.patient())
        make.infusion(site, make.patient("Ben", "Ito", mobile="+17815550122"), make.at(11))

    once(made)


@pytest.fixture
def admin(signed_in: SignIn) -> FlaskClient:
    return signed_in(Role.ADMIN)


def send(client: FlaskClient, path: str, page: str | None = None, **form: object) -> TestResponse:
    """Send a form as its page has it: with its token, and the print of what was read."""
    shown = client.get(page or path).text
    found = re.search(r'name="mark" value="(\w+)"', shown)
    marked = {"mark": found.group(1)} if found else {}
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
    assert token
    return client.post(path, data={"csrf_token": token.group(1), **marked, **form})


def agree(client: FlaskClient, path: str, shown: TestResponse) -> TestResponse:
    """Send the page of who is hit as it came."""
    fields: dict[str, list[str]] = {}
    body = shown.text[shown.text.index('id="impact"') :]
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', body):
        fields.setdefault(name, []).append(html.unescape(value))
    return client.post(path, data=fields)


def number(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Resource.id).where(Resource.name == name)).one()


def count(app: Flask, model: type[Closure] | type[Task] | type[TimeOff]) -> int:
    with app.app_context():
        return len(db.session.scalars(select(model)).all())


SNOW = {"reason": "Snow", "from_day": "2026-03-03"}
CLOSE = "/desk/supply/sites/woburn/close"


def test_a_snow_day_is_shown_then_saved_then_worked_off(
    admin: FlaskClient, signed_in: SignIn, app: Flask
) -> None:
    shown = send(admin, CLOSE, **SNOW)

    assert shown.status_code == 200
    assert "2 appointments lose their place" in shown.text
    assert "Ana Duarte" in shown.text
    assert "Tue, Mar 3, 10:00 AM" in shown.text
    assert "Woburn is closed: Snow." in shown.text
    assert count(app, Closure) == 0

    saved = agree(admin, CLOSE, shown)

    assert saved.status_code == 303
    assert count(app, Closure) == 1
    desk = signed_in()
    listed = desk.get("/desk/to-re-place").text
    assert listed.index("Ana Duarte") < listed.index("Ben Ito")
    assert re.search(r"To re-place <span class=\"count presses\">2</span>", listed)


def test_a_closure_that_hits_nobody_is_saved_at_once(admin: FlaskClient, app: Flask) -> None:
    saved = send(admin, CLOSE, reason="Training", from_day="2026-04-06", until_day="2026-04-07")

    assert saved.status_code == 303
    page = admin.get("/desk/supply/sites/woburn").text
    assert "Mon, Apr 6 to Tue, Apr 7" in page
    assert "Training" in page


def test_who_booked_between_look_and_save_is_shown(
    admin: FlaskClient, keep: Keep, app: Flask
) -> None:
    shown = send(admin, CLOSE, **SNOW)
    with keep():
        make.call(
            clinic.site_called("woburn"),
            make.patient("Cleo", "Fox", mobile="+17815550133"),
            make.at(14),
        )

    again = agree(admin, CLOSE, shown)

    assert again.status_code == 409
    assert "Somebody has booked meanwhile" in again.text
    assert "Cleo Fox" in again.text
    assert count(app, Closure) == 0
    assert agree(admin, CLOSE, again).status_code == 303
    assert count(app, Closure) == 1


def test_what_was_typed_comes_back_to_be_changed(admin: FlaskClient, app: Flask) -> None:
    send(admin, CLOSE, **SNOW)
    back = send(admin, CLOSE, **SNOW, from_time="13:00", step="edit")

    assert back.status_code == 200
    assert 'value="Snow"' in back.text
    assert 'value="13:00"' in back.text
    assert count(app, Closure) == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Choose the first day."),
        ({"from_day": "2026-03-03"}, "Say why in a word or two"),
        ({**SNOW, "until_day": "2026-03-02"}, "The end must come after the beginning."),
        ({**SNOW, "from_day": "2026-02-02"}, "That is over already."),
        ({**SNOW, "from_time": "10:02"}, "Use steps of five minutes"),
        ({**SNOW, "from_day": "2026-03-08", "from_time": "02:30"}, "The clock skips that time"),
        ({**SNOW, "until_day": "2036-03-03"}, "That is longer than two years."),
        ({**SNOW, "chairs": "99"}, "is not a valid choice"),
    ],
)
def test_a_closure_that_makes_no_sense_is_said_kindly_at_its_field(
    admin: FlaskClient, app: Flask, typed: dict[str, str], said: str
) -> None:
    answer = send(admin, CLOSE, **typed)

    assert answer.status_code == 422
    assert said in html.unescape(answer.text)
    assert count(app, Closure) == 0


def test_a_chair_out_of_order_hits_nobody_while_others_are_free(
    admin: FlaskClient, app: Flask
) -> None:
    chair = number(app, "Chair 1")

    saved = send(admin, CLOSE, **SNOW, chairs=str(chair))

    assert saved.status_code == 303
    page = admin.get("/desk/supply/sites/woburn").text
    assert "Chair 1 only" in page
    assert "1 visit has another chair or lane" in page


def test_a_nurse_calls_in_sick_and_a_colleague_takes_over_at_the_same_time(
    admin: FlaskClient, signed_in: SignIn, app: Flask
) -> None:
    with app.app_context():
        ben = db.session.scalars(
            select(Appointment).where(Appointment.service_code == "infusion")
        ).one()
        nurse = next(
            c.lane.resource_id
            for c in ben.claims
            if c.ends_at == ben.ends_at
            and db.session.get_one(Resource, c.lane.resource_id).kind is ResourceKind.PERSON
        )
        public_id, starts_at = ben.public_id, ben.starts_at
    path = f"/desk/supply/people/{nurse}/off"
    shown = send(admin, path, reason="Away", from_day="2026-03-03", site="woburn")
    assert "is away." in shown.text
    assert agree(admin, path, shown).status_code == 303

    desk = signed_in()
    listed = desk.get("/desk/to-re-place").text
    offered = re.search(
        r'name="version" value="(\d+)"><input type="hidden" name="person" value="(\d+)"', listed
    )
    assert offered
    done = send(
        desk,
        f"/desk/to-re-place/{public_id}/hand-over",
        "/desk/to-re-place",
        version=offered.group(1),
        person=offered.group(2),
    )

    assert done.status_code == 303
    assert "Everybody has their place." in desk.get("/desk/to-re-place").text
    with app.app_context():
        moved = db.session.scalars(
            select(Appointment).where(Appointment.public_id == public_id)
        ).one()
        assert moved.starts_at == starts_at
        assert moved.sequence == 0  # nothing the patient would notice


def test_a_visit_is_kept_knowingly_with_a_reason(
    admin: FlaskClient, signed_in: SignIn, app: Flask
) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    desk = signed_in()
    with app.app_context():
        call = db.session.scalars(
            select(Appointment).where(Appointment.service_code == "call")
        ).one()
        public_id = call.public_id
    path = f"/desk/to-re-place/{public_id}/keep"

    nothing = send(desk, path, "/desk/to-re-place", version=1, reason=" ")
    assert nothing.status_code == 422
    assert "Say why it stays" in nothing.text
    late = send(desk, path, "/desk/to-re-place", version=7, reason="From home")
    assert late.status_code == 409
    assert "From home" in late.text
    kept = send(desk, path, "/desk/to-re-place", version=1, reason="She calls from home")

    assert kept.status_code == 303
    page = desk.get("/desk/to-re-place").text
    assert "Ana Duarte" not in page
    assert "Ben Ito" in page
    with app.app_context():
        outcomes = db.session.scalars(select(Task.outcome).where(Task.closed_at.is_not(None)))
        assert list(outcomes) == ["Kept: She calls from home"]


@pytest.mark.parametrize("verb", ["cancel", "move"])
def test_a_visit_that_is_moved_or_cancelled_leaves_the_list(
    admin: FlaskClient, signed_in: SignIn, app: Flask, verb: str
) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    desk = signed_in()
    with app.app_context():
        call = db.session.scalars(
            select(Appointment).where(Appointment.service_code == "call")
        ).one()
        public_id = call.public_id
    path = f"/desk/appointments/{public_id}/{verb}"
    wanted = {} if verb == "cancel" else {"start": make.at(10, days=2).isoformat()}

    done = send(desk, path, version=1, **wanted)

    assert done.status_code == 303, done.text
    desk.get("/desk")  # says what was done, with the name
    page = desk.get("/desk/to-re-place").text
    assert "Ana Duarte" not in page
    assert re.search(r"To re-place <span class=\"count presses\">1</span>", page)


def test_an_open_again_day_empties_the_list(admin: FlaskClient, app: Flask) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    with app.app_context():
        closure = db.session.scalars(select(Closure.id)).one()

    path = f"/desk/supply/closures/{closure}/reopen"
    done = send(admin, path, "/desk/supply/sites/woburn")

    assert done.status_code == 303
    assert "Everybody has their place." in admin.get("/desk/to-re-place").text
    assert send(admin, path, "/desk/supply/sites/woburn").status_code == 404


def test_shorter_hours_from_a_day_on_keep_what_stood_before(admin: FlaskClient, app: Flask) -> None:
    path = "/desk/supply/sites/woburn/hours"
    typed = {
        "weekdays": ["1", "2"],
        "kind": "open",
        "opens": "08:00",
        "closes": "11:30",
        "valid_from": "2026-03-03",
    }
    shown = send(admin, path, **typed)
    assert "Ben Ito" in shown.text
    assert "Ana Duarte" not in shown.text[shown.text.index('id="impact"') :]
    assert agree(admin, path, shown).status_code == 303
    with app.app_context():
        site = clinic.site_called("woburn")
        rows = [r for r in hours.hours_of(site) if r.weekday == 1]

    assert [(r.closes, r.valid_from, r.valid_until) for r in rows] == [
        (time(18), make.ALWAYS, date(2026, 3, 2)),
        (time(11, 30), date(2026, 3, 3), None),
    ]


def test_one_day_is_an_exception_and_the_weeks_after_are_as_before(
    admin: FlaskClient, app: Flask
) -> None:
    path = "/desk/supply/sites/woburn/hours"
    that_day = {"valid_from": "2026-03-05", "valid_until": "2026-03-05", "kind": "shut"}
    wrong = send(admin, path, weekdays=["4"], **that_day)
    send(admin, path, weekdays=["3"], **that_day)

    assert wrong.status_code == 422
    assert "That day is a Thursday." in wrong.text
    with app.app_context():
        rows = [r for r in hours.hours_of(clinic.site_called("woburn")) if r.weekday == 3]

    assert [(r.valid_from, r.valid_until) for r in rows] == [
        (make.ALWAYS, date(2026, 3, 4)),
        (date(2026, 3, 6), None),
    ]


def test_hours_changed_by_a_colleague_meanwhile_are_not_overwritten(
    signed_in: SignIn, keep: Keep, app: Flask
) -> None:
    with keep():
        make.staff("priya", role=Role.ADMIN, name="Priya Shah")
        make.staff("ole", role=Role.ADMIN, name="Ole Berg")
    priya, ole = signed_in(Role.ADMIN, "priya"), signed_in(Role.ADMIN, "ole")
    path = "/desk/supply/sites/woburn/hours"
    typed = {"weekdays": "6", "kind": "shut", "valid_from": "2026-05-04"}
    first = priya.get(path).text
    mark = re.search(r'name="mark" value="(\w+)"', first)
    assert mark
    send(ole, path, **typed)

    late = send(priya, path, weekdays="5", kind="shut", valid_from="2026-05-04", mark=mark.group(1))

    assert late.status_code == 409
    assert "Ole Berg changed these hours while you had this open" in late.text
    assert 'value="2026-05-04"' in late.text
    agreed = re.search(r'name="mark" value="(\w+)"', late.text)
    assert agreed
    assert agreed.group(1) != mark.group(1)


def test_a_chair_is_added_renamed_moved_retired_and_taken_back(
    admin: FlaskClient, app: Flask
) -> None:
    site = "/desk/supply/sites/woburn"
    assert send(admin, f"{site}/chairs/new", name="Window").status_code == 303
    twice = send(admin, f"{site}/chairs/new", name="Window")
    assert twice.status_code == 422
    assert "Another chair here has this name." in twice.text
    window = number(app, "Window")
    assert send(admin, f"{site}/chairs/{window}", name="Garden").status_code == 303
    send(admin, f"{site}/chairs/{window}/up", site)
    with app.app_context():
        row = [c.name for c in places.chairs_of(clinic.site_called("woburn"))]
    assert row == ["Chair 1", "Garden", "Chair 2"]
    assert send(admin, f"{site}/chairs/{window}/retire", site).status_code == 303
    assert "Out of use" in admin.get(site).text
    assert send(admin, f"{site}/chairs/{window}/restore", site).status_code == 303
    assert send(admin, "/desk/supply/sites/woburn/chairs/999/retire", site).status_code == 404


def test_another_clinic_is_opened_and_offers_nothing_until_it_has_hours(
    admin: FlaskClient, app: Flask
) -> None:
    typed = {
        "name": "Salem",
        "code": "salem",
        "zone_name": "America/New_York",
        "address": "5 Wharf Street, Salem, MA",
        "phone": "978 555 0177",
        "starts": "2",
    }
    done = send(admin, "/desk/supply/sites/new", **typed)
    again = send(admin, "/desk/supply/sites/new", **typed)

    assert done.status_code == 303, done.text
    assert again.status_code == 422
    assert "Another clinic has this short name." in again.text
    assert "Salem" in admin.get("/desk/supply").text
    assert admin.get("/desk").status_code == 200


def test_somebody_is_taken_on_given_shifts_and_changed(admin: FlaskClient, app: Flask) -> None:
    people = "/desk/supply/people"
    assert (
        send(admin, f"{people}/new", name="Bea Novak", skills=["nurse"], lanes="3").status_code
        == 303
    )
    bea = number(app, "Bea Novak")
    shifts = {
        "weekdays": ["0", "1"],
        "kind": "works",
        "site": "woburn",
        "since": "08:00",
        "until": "12:00",
        "valid_from": "2026-03-02",
    }
    assert send(admin, f"{people}/{bea}/shifts", **shifts).status_code == 303
    clash = send(admin, f"{people}/{bea}/shifts", **(shifts | {"kind": "beside"}))
    assert clash.status_code == 422
    assert "leaves no room for it" in clash.text
    assert (
        send(
            admin, f"{people}/{bea}/edit", name="Bea Novak", skills=["nurse", "chats"], lanes="2"
        ).status_code
        == 303
    )
    page = admin.get(f"{people}/{bea}").text

    assert "8:00 AM to 12:00 PM, Woburn" in page
    assert "2 visits at the same time" in page
    with app.app_context():
        assert roster.skills_of(db.session.get_one(Resource, bea)) == {"nurse", "chats"}


def test_a_service_is_changed_and_nonsense_is_refused_at_its_field(
    admin: FlaskClient, app: Flask
) -> None:
    path = "/desk/supply/services/call"
    typed = {
        "name": "Consultation call",
        "visit_minutes": "20",
        "notice_hours": "3",
        "horizon_days": "45",
        "is_online": "y",
        "person_taken": "y",
        "person_whole": "y",
        "person_from": "0",
        "person_until": "20",
    }
    wrong = send(admin, path, **(typed | {"visit_minutes": "21"}))
    none = send(admin, path, **(typed | {"person_until": "x"}))
    nobody = send(admin, path, **(typed | {"person_taken": ""}))
    done = send(admin, path, **typed)

    assert wrong.status_code == none.status_code == 422
    assert "in steps of five" in wrong.text
    assert "Enter a whole number." in none.text
    assert "It must take a person or a chair." in nobody.text
    assert done.status_code == 303
    with app.app_context():
        call = next(s for s in terms.services() if s.code == "call")
        assert (call.visit_minutes, call.notice_minutes, call.horizon_days) == (20, 180, 45)
        assert terms.takes_whole_person(call)
    chair = {"chair_taken": "y", "chair_from": "0", "chair_until": "20"}
    send(admin, path, **typed, **chair)
    with app.app_context():
        assert list(terms.needs_of(terms.service_called("call")).values()) == [(0, 20), (0, 20)]
    assert '<input checked id="chair_taken"' in admin.get(path).text


INFUSION = {
    "name": "Infusion",
    "visit_minutes": "85",
    "notice_hours": "24",
    "horizon_days": "180",
    "chair_taken": "y",
    "person_taken": "y",
    "starts_taken": "y",
    "chair_from": "0",
    "chair_until": "95",
    "person_from": "0",
    "person_until": "85",
    "starts_from": "15",
    "starts_until": "30",
}


def test_a_narrower_skill_shows_who_is_hit_before_it_is_kept(
    admin: FlaskClient, app: Flask
) -> None:
    path = "/desk/supply/services/infusion"

    shown = send(admin, path, **INFUSION, person_skill="approve-plans")

    assert shown.status_code == 200
    assert "1 appointment loses its place" in shown.text
    assert "Ben Ito" in shown.text
    assert "does not do this any more." in shown.text
    with app.app_context():
        assert terms.skill_of(terms.service_called("infusion")) == "nurse"

    saved = agree(admin, path, shown)

    assert saved.status_code == 303
    assert "Ben Ito" in admin.get("/desk/to-re-place").text
    with app.app_context():
        assert terms.skill_of(terms.service_called("infusion")) == "approve-plans"
        last = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "service.changed")
        ).one()
        assert (last.detail["before"]["skill"], last.detail["after"]["skill"]) == (
            "nurse",
            "approve-plans",
        )
    assert '<option selected value="approve-plans">' in admin.get(path).text
    healed = send(admin, path, **INFUSION, person_skill="")
    assert healed.status_code == 303  # anybody will do: nobody waits any more
    assert "Ben Ito" not in admin.get("/desk/to-re-place").text


def test_a_skill_that_nobody_can_have_is_refused_at_its_field(
    admin: FlaskClient, app: Flask
) -> None:
    path = "/desk/supply/services/infusion"

    wrong = send(admin, path, **INFUSION, person_skill="wizard")
    unasked = send(admin, path, **INFUSION)

    assert wrong.status_code == 422
    assert "Choose from the list." in wrong.text
    assert unasked.status_code == 303
    with app.app_context():
        assert terms.skill_of(terms.service_called("infusion")) == "nurse"


def test_a_sign_in_is_said_to_be_a_person_and_then_may_what_the_person_may(
    admin: FlaskClient, signed_in: SignIn, keep: Keep, app: Flask
) -> None:
    with keep():
        rosa = make.staff("rosa", role=Role.NURSE, name="Rosa Lima").id
        make.staff("bea", role=Role.NURSE, name="Bea Novak")
    nurse = number(app, "Nurse 1")
    page = f"/desk/supply/people/{nurse}"

    def may_release() -> bool:
        with app.app_context():
            return chair.may_release(accounts.staff(rosa))

    assert "Nobody signs in as Nurse 1 yet." in admin.get(page).text
    assert not may_release()
    chosen = send(admin, f"{page}/account", page, account=str(rosa))

    assert chosen.status_code == 303
    assert f'<option value="{rosa}" selected>Rosa Lima (rosa)</option>' in admin.get(page).text
    assert may_release()
    other = f"/desk/supply/people/{number(app, 'Nurse 2')}"
    assert "Rosa Lima (rosa)" not in admin.get(other).text  # she is somebody already
    refused = send(admin, f"{other}/account", other, account=str(rosa))
    assert refused.status_code == 409
    assert "rosa is somebody else here already." in refused.text

    gone = send(admin, f"{page}/account", page, account="")

    assert gone.status_code == 303
    assert not may_release()
    with app.app_context():
        noted = db.session.scalars(
            select(AuditEntry)
            .where(AuditEntry.action == "person.account-chosen")
            .order_by(AuditEntry.id)
        ).all()
        assert [(n.detail["before"], n.detail["after"]) for n in noted] == [
            (None, f"staff:{rosa}"),
            (f"staff:{rosa}", None),
        ]
        assert all(n.subject == f"resource:{nurse}" for n in noted)


def test_who_chose_the_sign_in_meanwhile_is_named(
    admin: FlaskClient, keep: Keep, app: Flask
) -> None:
    with keep():
        rosa = make.staff("rosa", role=Role.NURSE, name="Rosa Lima").id
        bea = make.staff("bea", role=Role.NURSE, name="Bea Novak").id
    page = f"/desk/supply/people/{number(app, 'Nurse 1')}"
    seen = re.search(r'name="mark" value="(\w+)"', admin.get(page).text)
    assert seen
    send(admin, f"{page}/account", page, account=str(rosa))

    late = send(admin, f"{page}/account", page, account=str(bea), mark=seen.group(1))

    assert late.status_code == 409
    assert "Some Admin chose who signs in as this person" in late.text
    with app.app_context():
        assert accounts.staff(bea).resource_id is None


@pytest.mark.parametrize(
    ("typed", "status"), [("nonsense", 422), ("99", 404), ("9" * 30, 422), ("-1", 422)]
)
def test_an_odd_sign_in_is_answered_kindly(
    admin: FlaskClient, app: Flask, typed: str, status: int
) -> None:
    page = f"/desk/supply/people/{number(app, 'Nurse 1')}"

    assert send(admin, f"{page}/account", page, account=typed).status_code == status


def test_a_sites_numbers_are_chosen_and_kept_in_their_ranges(
    admin: FlaskClient, app: Flask
) -> None:
    path = "/desk/supply/sites/woburn/numbers"
    with app.app_context():
        values = {n: str(v) for n, v in terms.chosen(clinic.site_called("woburn")).items()}
    odd = send(admin, path, **(values | {"start_every_minutes": "25"}))
    text = send(admin, path, **(values | {"undo_minutes": "soon"}))
    unnamed = send(admin, path, **(values | {"consent_version": " "}))
    done = send(admin, path, **(values | {"recovery_minutes": "45", "consent_version": "2026-07"}))

    assert odd.status_code == text.status_code == unnamed.status_code == 422
    assert "Name the version" in unnamed.text
    assert "Choose a part of the hour" in odd.text
    assert 'value="soon"' in text.text
    assert done.status_code == 303
    with app.app_context():
        assert terms.chosen(clinic.site_called("woburn"))["recovery_minutes"] == 45
        assert terms.consent_in_use(clinic.site_called("woburn")) == "2026-07"


def test_a_holiday_is_closed_after_a_look_or_stays_open(
    admin: FlaskClient, keep: Keep, app: Flask
) -> None:
    with keep():
        make.call(
            clinic.site_called("woburn"),
            make.patient("Cleo", "Fox", mobile="+17815550133"),
            make.at(14, days=49),  # Monday, April 20
        )
    page = "/desk/supply/sites/woburn/holidays"
    listed = html.unescape(admin.get(page).text)
    assert "Patriots' Day" in listed
    assert "Thanksgiving" in listed
    day = f"{page}/2026-04-20"

    shown = send(admin, f"{day}/close", page)
    assert "Cleo Fox" in shown.text
    assert count(app, Closure) == 0
    assert agree(admin, f"{day}/close", shown).status_code == 303
    assert send(admin, f"{day}/close", page).status_code == 409
    assert send(admin, f"{page}/2026-05-25/open", page).status_code == 303
    assert send(admin, f"{page}/2026-05-25/ask", page).status_code == 303
    assert send(admin, f"{page}/2026-05-26/open", page).status_code == 404
    assert count(app, Closure) == 1


@pytest.mark.parametrize("role", [Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN])
def test_the_supply_is_for_administrators_only_and_the_list_for_everybody(
    signed_in: SignIn, app: Flask, role: Role
) -> None:
    client = signed_in(role)
    paths = [
        "",
        "/sites/woburn",
        "/sites/woburn/close",
        "/sites/woburn/numbers",
        "/sites/woburn/holidays",
        "/people",
        "/services/call",
    ]

    assert {client.get(f"/desk/supply{path}").status_code for path in paths} == {403}
    token = make.form_token(client, "/desk")
    refused = client.post(CLOSE, data={"csrf_token": token, **SNOW})
    assert refused.status_code == 403
    assert count(app, Closure) == 0
    assert client.get("/desk/to-re-place").status_code == 200
    assert "/desk/supply" not in client.get("/desk").text


def test_an_administrator_may_look_at_the_list_and_not_book(admin: FlaskClient, app: Flask) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    listed = admin.get("/desk/to-re-place").text
    assert "Ana Duarte" in listed
    assert "Keep it" not in listed
    with app.app_context():
        call = db.session.scalars(
            select(Appointment).where(Appointment.service_code == "call")
        ).one()

    path = f"/desk/to-re-place/{call.public_id}/keep"
    assert send(admin, path, CLOSE, version=1, reason="x").status_code == 403


def test_every_look_and_change_is_on_record(admin: FlaskClient, app: Flask) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    with app.app_context():
        found = {e.action for e in db.session.scalars(select(AuditEntry))}

    assert {
        "supply.viewed",
        "supply.impact.viewed",
        "closure.added",
        "appointment.unplaced",
    } <= found


@pytest.mark.parametrize(
    "typed",
    [
        {"from_day": "0001-01-01", "reason": "x"},
        {"from_day": "9999-12-31", "reason": "x"},
        {**SNOW, "until_day": "9999-12-31"},
        {**SNOW, "chairs": "99999999999999999999"},
        {**SNOW, "reason": "x" * 5000},
        {**SNOW, "seen": "' OR 1=1"},
        {**SNOW, "seen": "1@2 " * 5000},
        {**SNOW, "from_time": "25:00"},
    ],
)
def test_odd_values_are_answered_kindly(
    admin: FlaskClient, app: Flask, typed: dict[str, str]
) -> None:
    assert send(admin, CLOSE, **typed).status_code in (200, 409, 413, 422)
    assert count(app, Closure) == 0


def test_the_appointments_page_says_that_its_place_is_gone(
    admin: FlaskClient, signed_in: SignIn, app: Flask
) -> None:
    agree(admin, CLOSE, send(admin, CLOSE, **SNOW))
    with app.app_context():
        call = db.session.scalars(
            select(Appointment).where(Appointment.service_code == "call")
        ).one()
        assert call.status is Status.BOOKED
    page = signed_in().get(f"/desk/appointments/{call.public_id}").text

    assert "Its place is gone." in page
    assert "/desk/to-re-place" in page
