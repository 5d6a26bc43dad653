"""The board in a real browser: drag, keys, panel, staying true, and who can use it."""

import re

import pytest
from flask import Flask
from playwright.sync_api import expect
from sqlalchemy import select

from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.jobs import answer
from scheduler.plans import service as plans
from tests import make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Keep, Once, StoppedClock


@pytest.fixture(autouse=True)
def _day(once: Once, clock: StoppedClock) -> None:
    def made() -> None:
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient(), make.at(11, days=0))
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        make.infusion(woburn, ben, make.at(11, 30, days=0))

    once(made)


def starts(app: Flask, given: str) -> object:
    with app.app_context():
        return db.session.scalars(
            select(Appointment.starts_at).where(Appointment.patient.has(given_name=given))
        ).one()


def test_a_card_is_dragged_to_another_chair_and_time_and_back(
    desk_page: OpenPage, app: Flask
) -> None:
    page = desk_page()
    ben = page.locator('[data-name="Chair 1"] .visit', has_text="Ben Ito")
    ben.scroll_into_view_if_needed()
    box = ben.bounding_box()
    target = page.locator('[data-name="Chair 2"]').first.bounding_box()
    assert box
    assert target

    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.move(target["x"] + 40, box["y"] + 20 + 72, steps=5)  # an hour later
    page.mouse.up()

    expect(page.locator("#said")).to_contain_text("Moved to Mon, Mar 2, 12:30 PM.")
    expect(page.locator('[data-name="Chair 2"] .visit')).to_contain_text("12:30")
    assert starts(app, "Ben") == make.at(12, 30, days=0)

    page.get_by_role("button", name="Undo").click()
    expect(page.locator('[data-name="Chair 1"] .visit')).to_contain_text("11:30")
    assert starts(app, "Ben") == make.at(11, 30, days=0)


def test_a_finger_lifts_a_card_by_resting_on_it_and_a_swipe_does_not(
    desk_page: OpenPage, app: Flask
) -> None:
    page = desk_page(has_touch=True)
    ben = page.locator('[data-name="Chair 1"] .visit', has_text="Ben Ito")
    ben.scroll_into_view_if_needed()
    box = ben.bounding_box()
    assert box
    x, y = box["x"] + 20, box["y"] + 20
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": across, "y": down} for across, down in at]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x, y))
    touch("touchMove", (x, y + 30))
    touch("touchEnd")
    expect(page.locator(".is-lifted")).to_have_count(0)
    assert starts(app, "Ben") == make.at(11, 30, days=0)

    touch("touchStart", (x, y))
    expect(page.locator(".is-lifted").first).to_be_visible()
    touch("touchMove", (x, y + 36))
    touch("touchMove", (x, y + 72))  # an hour later
    touch("touchEnd")

    expect(page.locator("#said")).to_contain_text("Moved to Mon, Mar 2, 12:30 PM.")
    assert starts(app, "Ben") == make.at(12, 30, days=0)


def test_a_card_is_moved_by_keys_alone_and_it_is_spoken(desk_page: OpenPage, app: Flask) -> None:
    page = desk_page()
    page.locator('[data-name="Ines Roy"] .visit', has_text="Ana").focus()

    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#spoken")).to_have_text("Ines Roy, 11:15 AM")
    page.keyboard.press("Escape")
    expect(page.locator("#spoken")).to_have_text("Move cancelled.")
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.locator("#spoken")).to_have_text("Ana Duarte moved to Ines Roy, 11:30 AM.")
    expect(page.locator(":focus")).to_contain_text("Ana Duarte")
    assert starts(app, "Ana") == make.at(11, 30, days=0)


def test_a_refused_move_says_why_and_leaves_everything(desk_page: OpenPage, app: Flask) -> None:
    page = desk_page()
    page.locator('[data-name="Ines Roy"] .visit', has_text="Ana").focus()

    page.keyboard.press("m")
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")

    expect(page.locator("#said")).to_contain_text("too soon or has passed")
    assert starts(app, "Ana") == make.at(11, days=0)


def test_what_somebody_else_does_shows_up_by_itself(desk_page: OpenPage, keep: Keep) -> None:
    page = desk_page()
    ana = page.locator('[data-name="Ines Roy"] .visit', has_text="Ana")
    expect(ana).to_contain_text("Not confirmed")

    with keep() as session:
        row = session.scalars(
            select(Appointment).where(Appointment.patient.has(given_name="Ana"))
        ).one()
        plans.confirm(row, actor="patient:1", now=make.MONDAY)

    expect(ana).not_to_contain_text("Not confirmed")
    expect(ana).to_contain_text("Confirmed")


def test_a_card_opens_beside_the_board_and_closes_with_escape(desk_page: OpenPage) -> None:
    page = desk_page()
    page.locator('[data-name="Ines Roy"] .visit', has_text="Ana").focus()

    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text("Ana Duarte")
    assert faults(page) == []
    page.keyboard.press("Escape")

    expect(panel).to_be_hidden()
    expect(page.locator(":focus")).to_contain_text("Ana Duarte")


def test_a_patient_is_booked_with_four_deeds(desk_page: OpenPage) -> None:
    page = desk_page()

    page.keyboard.press("n")
    page.wait_for_url(re.compile("/desk/book"))
    expect(page.get_by_label("Who is it for?")).to_be_focused()
    page.keyboard.type("be it")
    page.locator("[data-results]").get_by_role("link", name="Ben Ito").click()
    page.locator(".time label").first.click()
    page.get_by_role("button", name="Book", exact=True).click()

    expect(page.locator("#said")).to_have_text("Booked.")


def test_another_person_or_span_changes_only_the_times(desk_page: OpenPage) -> None:
    page = desk_page()
    page.goto("/desk/book")
    page.get_by_label("First name").fill("Noor")
    few = page.locator(".time").count()

    page.get_by_label("Show").select_option(label="Two weeks")
    expect(page.locator("#start")).to_contain_text("Free in the two weeks from")
    page.get_by_label("With").select_option(label="Ines Roy")
    expect(page.locator("#start")).to_contain_text("with Ines Roy")

    assert page.locator(".time").count() > few
    expect(page.get_by_label("First name")).to_have_value("Noor")  # the page was not left
    assert "show=weeks" in page.url
    assert faults(page) == []
    page.get_by_label("Last name").fill("Aziz")
    page.locator(".time label").last.click()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.locator("#said")).to_have_text("Booked.")


def test_the_slash_key_finds(desk_page: OpenPage) -> None:
    page = desk_page()

    page.keyboard.press("/")
    expect(page.locator("input[type=search]:focus")).to_be_visible()
    page.keyboard.type("0122")
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name="Ben Ito", exact=True)).to_be_visible()
    assert "0122" not in page.url


def test_pages_are_accessible_and_never_wider_than_the_screen(
    desk_page: OpenPage, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        wrote = answer.take_in(
            provider_ref="SM1", number="+17815550111", body="Is there parking?", now=clock()
        )
    assert wrote is not None
    with app.app_context():
        ana = db.session.scalars(
            select(Appointment).where(Appointment.patient.has(given_name="Ana"))
        ).one()
        paths = [
            "/desk",
            "/desk?site=both",
            "/desk?view=list",
            "/desk/to-call",
            "/desk/not-reached",
            "/desk/reach",
            "/desk/tasks",
            "/desk/new-people",
            "/desk/inbox",
            f"/desk/inbox/{wrote.text_id}",
            f"/desk/inbox/{wrote.text_id}?ready=will-call",
            "/desk/patients",
            f"/desk/patients/{ana.patient.public_id}",
            f"/desk/patients/{ana.patient.public_id}/edit",
            f"/desk/book?patient={ana.patient.public_id}",
            "/desk/book",
            f"/desk/appointments/{ana.public_id}",
            f"/desk/appointments/{ana.public_id}/move",
            f"/desk/appointments/{ana.public_id}/cancel",
        ]
    page = desk_page()

    for path in paths:
        page.goto(path)
        assert faults(page) == [], path


def test_single_keys_can_be_switched_off_and_stay_off(desk_page: OpenPage) -> None:
    page = desk_page()

    page.get_by_role("button", name="Shortcut keys: on").click()
    page.keyboard.press("n")
    page.keyboard.press("/")
    page.reload()
    off = page.get_by_role("button", name="Shortcut keys: off")
    expect(off).to_be_visible()
    expect(page.locator(".top kbd").first).to_be_hidden()
    page.locator("body").press("n")
    assert page.url.endswith("/desk")

    off.click()
    page.locator("body").press("n")
    page.wait_for_url(re.compile("/desk/book"))
