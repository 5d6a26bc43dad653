"""The pages of a course in a real browser: for everybody, and following what is typed."""

import pytest
from flask import Flask
from playwright.sync_api import expect
from sqlalchemy import select

from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Pain
from scheduler.plans import followups, pencils, protocol
from scheduler.plans.models import FollowUp, Plan
from scheduler.plans.protocol import Response
from tests import course, make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Once, StoppedClock


@pytest.fixture
def pages(once: Once, clock: StoppedClock, app: Flask) -> dict[str, str]:
    """A draft, a chat to hold, a running session and a candidate; the address of each page."""

    def made() -> dict[str, str]:
        where = course.clinic()
        june = make.patient("June", "Okafor", pain=Pain.CRPS, home_site_id=where.woburn)
        plan = course.draft(june, where).public_id
        nina = make.patient("Nina", "Ray", mobile="+17815550144", pain=Pain.DIABETIC)
        held = course.first_infusion(nina, where, course.at(5, 12)).infusion
        course.infuse(held, where)
        owed = followups.find_for_infusion(held.id)
        assert owed is not None
        pencils.pencil(owed, Response.SUBSTANTIAL, actor="staff:4", now=course.at(6))
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        running = course.first_infusion(ben, where, course.at(9, 10)).infusion
        course.make_ready(running, now=course.at(9, 10, 10))
        course.plans.start_infusion(running, actor="staff:3", now=course.at(9, 10, 15))
        ivy = make.patient("Ivy", "Holt", mobile="+17815550155")
        ahead = course.first_infusion(ivy, where, course.at(9, 12)).infusion
        link = make.private_link(ahead) + "/ready"
        over = course.first_infusion(
            make.patient("Kit", "Lund", mobile="+17815550166"), where, course.at(9, 9)
        ).infusion
        course.infuse(over, where, until_safe=False)
        home = make.private_link(over) + "/home"
        ana = make.patient("Ana", "Duarte")
        course.screened(ana, pregnancy=course.Answer.UNKNOWN)
        return {
            "plan": f"/desk/plans/{plan}",
            "change": f"/desk/plans/{plan}/change",
            "chat": f"/desk/chats/{held.public_id}",
            "session": f"/desk/session/{running.public_id}",
            "readiness": f"/desk/ready/{ahead.public_id}",
            "appointment": f"/desk/appointments/{ahead.public_id}",
            "before the start": f"/desk/session/{ahead.public_id}",
            "going home": f"/desk/session/{over.public_id}",
            "to take home": f"/desk/session/{over.public_id}/hand-out",
            "get ready": link,
            "way home": home,
            "clearance": f"/desk/clearance/{ana.public_id}",
            "first": f"/desk/clearance/{ben.public_id}/first",
            "patient": f"/desk/patients/{june.public_id}",
            "protocols": "/desk/protocols",
        } | {name: f"/desk/course/{name}" for name in ("chats", "drafts", "falling-off")}

    found = once(made)
    clock.set(course.at(9, 10, 38))
    return found


def test_every_page_of_a_course_is_for_everybody_and_fits_its_screen(
    desk_page: OpenPage, pages: dict[str, str]
) -> None:
    page = desk_page(role=Role.CLINICIAN)
    for name, path in pages.items():
        page.goto(path)
        assert faults(page) == [], name

    text = protocol.shipped()[0].read_text().replace("count = 6", "count = 5")
    page = desk_page(pages["protocols"], role=Role.ADMIN)
    page.get_by_label("Or its text").fill(text.replace('["none"]', '["partial"]', 1))
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("heading", name="Preview")).to_contain_text("version 2")
    expect(page.get_by_text("No row for: crps, no response, tolerated well")).to_be_visible()
    expect(page.get_by_text("Row P1, part 1: Series: 6 visits")).to_be_visible()
    assert faults(page) == []


def test_the_protocol_speaks_while_the_chat_is_typed(
    desk_page: OpenPage, pages: dict[str, str]
) -> None:
    page = desk_page(pages["chat"], role=Role.CLINICIAN)
    said = page.locator("#says")
    expect(said).to_contain_text("Still to answer")

    page.locator("#score-4").check(force=True)
    page.get_by_label("For how many days").fill("4")
    page.locator("#relief_holds-0").check(force=True)
    page.locator("#impression-1").check(force=True)
    page.locator("#phq9_item9-0").check(force=True)
    page.locator("#is_changed-0").check(force=True)

    expect(said).to_contain_text("50 %")
    expect(said).to_contain_text("6 visits")
    page.locator("#score-7").check(force=True)
    expect(said).to_contain_text("Stop")
    assert page.url.endswith(pages["chat"])


def test_vital_signs_that_fall_due_are_said_without_a_reload(
    desk_page: OpenPage, pages: dict[str, str], clock: StoppedClock
) -> None:
    clock.set(course.at(9, 10, 20))
    page = desk_page(role=Role.NURSE)
    page.clock.install()
    page.goto(pages["session"])
    look = page.locator("[data-look]").first
    expect(look).to_have_text("Vital signs next at 10:25 AM.")
    expect(page.get_by_text("Kit Lund: vital signs are due since 10:10 AM.")).to_be_visible()

    page.clock.fast_forward("06:00")

    expect(look).to_have_text("▲ Vital signs are due since 10:25 AM.")
    expect(page.locator("#look-said")).to_have_text("▲ Vital signs are due since 10:25 AM.")


def test_a_side_effect_is_two_taps_on_a_tablet(desk_page: OpenPage, pages: dict[str, str]) -> None:
    page = desk_page(pages["session"], role=Role.NURSE, width=820, height=1180, has_touch=True)
    expect(page.locator(".stage-words")).to_contain_text("Infusing 23 of 40")

    page.get_by_label("Talked to and reassured").check(force=True)
    button = page.get_by_role("button", name="Nausea: moderate")
    box = button.bounding_box()
    assert box
    assert min(box["width"], box["height"]) >= 44
    button.click()

    expect(page.locator(".record-list")).to_contain_text(
        "Nausea, moderate. Talked to and reassured"
    )


def test_a_draft_is_signed_and_all_its_visits_are_booked_from_one_screen(
    desk_page: OpenPage, pages: dict[str, str], app: Flask
) -> None:
    page = desk_page(pages["plan"], role=Role.CLINICIAN)
    expect(page.get_by_text("6 of 6 dates open")).to_be_visible()
    page.get_by_text("Change visit 2").click()
    page.locator("#v2-1").check()
    page.get_by_role("button", name="Show the plan with it").locator("visible=true").click()
    expect(page.get_by_text("your choice")).to_be_visible()

    page.get_by_label("Your password, as your signature").first.fill(make.PASSWORD)
    page.get_by_role("button", name="Approve and book all 6").click()

    expect(page.get_by_text("6 of 6 booked")).to_be_visible()
    with app.app_context():
        plan = db.session.scalars(select(Plan)).one()
        assert plan.state.value == "active"
        booked = db.session.scalars(
            select(Appointment).where(Appointment.service_code == ServiceCode.INFUSION)
        ).all()
        assert len(booked) == 6
        assert db.session.scalars(select(FollowUp)).all()


def test_a_plan_and_a_chat_stay_inside_their_cards_at_every_width(
    desk_page: OpenPage, pages: dict[str, str]
) -> None:
    page = desk_page(role=Role.CLINICIAN, height=900)
    for name in ("plan", "chat"):
        page.goto(pages[name])
        for width in (1360, 1280, 1240, 1100, 920, 820, 360):
            page.set_viewport_size({"width": width, "height": 900})
            too_wide = page.evaluate(
                """() => [...document.querySelectorAll("main :is(.card, form, fieldset, table)")]
                  .filter((e) => e.scrollWidth > e.clientWidth + 1)
                  .map((e) => `${e.tagName}.${e.className}`)"""
            )
            assert too_wide == [], (name, width)
