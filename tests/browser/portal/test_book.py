"""Booking a call as a person at a phone does it, in a real browser."""

import pytest
from flask import Flask
from playwright.sync_api import Page
from sqlalchemy import func, select

from scheduler.booking.models import Appointment
from scheduler.core.db import db
from tests.browser.portal.conftest import Opener, Phone


class Counted:
    """A page whose interactions are counted: one for each press or field filled."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def press(self, selector: str) -> None:
        self.page.locator(selector).first.click()
        self.count += 1

    def fill(self, selector: str, text: str) -> None:
        self.page.fill(selector, text)
        self.count += 1


def fill_details(page: Page | Counted) -> None:
    """Type what must be typed."""
    page.fill("#given_name", "June")
    page.fill("#family_name", "Okafor")
    page.fill("#mobile", "781 555 0134")


def calls(app: Flask) -> int:
    """Return how many appointments there are."""
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(Appointment)).one()


def test_without_javascript_a_call_is_booked_moved_cancelled_and_taken_back(
    app: Flask, open_phone: Opener
) -> None:
    phone = open_phone(java_script_enabled=False)
    page = phone.page
    phone.open("/")
    page.click("main a.button")
    page.click(".act button")
    page.locator(".days a").nth(1).click()
    assert "Tuesday, March 3" in page.inner_text("main")
    page.locator(".chip").nth(2).click()
    page.click(".act button")
    fill_details(page)
    page.click(".act button")
    assert "Choose what hurts" in page.inner_text(".error-summary")
    page.check("input[name=pain][value=not-sure]")
    page.click(".act button")
    assert "Tuesday, March 3, 9:30 AM" in page.inner_text("main")
    assert calls(app) == 1

    page.click("text=Change or cancel")
    page.click("text=Choose another time")
    page.locator(".days a").nth(2).click()
    page.locator(".chip").first.click()
    page.click(".act button")
    assert "Wednesday, March 4, 9:00 AM" in page.inner_text("main")
    page.click("text=I cannot make it")
    page.click("text=Yes, cancel it")
    assert "Your appointment is cancelled" in page.inner_text("main")
    page.click("text=Get my time back")
    assert "You have your time back." in page.inner_text("main")


def test_a_chosen_day_and_time_take_four_screens_and_ten_interactions(
    app: Flask, open_phone: Opener
) -> None:
    phone = open_phone()
    counted = Counted(phone.page)
    seen = []
    phone.page.on("framenavigated", lambda frame: seen.append(frame.url))
    phone.open("/book")
    counted.press("input[value=woburn]")
    counted.press(".act button")
    counted.press(".days a >> nth=3")
    counted.press(".chip >> nth=2")
    counted.press(".act button")
    counted.fill("#given_name", "June")
    counted.fill("#family_name", "Okafor")
    counted.fill("#mobile", "781 555 0134")
    counted.press("input[name=pain][value=crps]")
    counted.press(".act button")

    assert phone.path == "/book/booked"
    assert "Thursday, March 5, 9:30 AM" in phone.page.inner_text("main")
    assert counted.count <= 10
    screens = {url.removeprefix(phone.address).split("?")[0] for url in seen}
    assert screens == {"/book", "/book/time", "/book/details", "/book/booked"}
    assert calls(app) == 1


def test_the_keyboard_alone_books_any_day(app: Flask, open_phone: Opener) -> None:
    phone = open_phone()
    keys = phone.page.keyboard
    phone.open("/book")
    reach(phone, "input[name=site]")
    keys.press("ArrowDown")
    keys.press("Enter")
    phone.page.wait_for_url("**/book/time*")
    for _ in range(3):
        reach(phone, ".days a")
    keys.press("Enter")
    phone.page.wait_for_url("**day=*")
    chosen = phone.page.inner_text(".chosen-day")
    reach(phone, "input[name=start]")
    keys.press("Space")
    keys.press("Enter")
    phone.page.wait_for_url("**/book/details*")
    for field, text in (
        ("#given_name", "June"),
        ("#family_name", "Okafor"),
        ("#mobile", "7815550134"),
    ):
        reach(phone, field)
        keys.type(text)
    reach(phone, "input[name=pain]")
    keys.press("Space")
    keys.press("Enter")
    phone.page.wait_for_url("**/book/booked")

    assert chosen in phone.page.inner_text("main")
    assert calls(app) == 1


def reach(phone: Phone, selector: str) -> None:
    """Press Tab until the focus is on something like that, and see that it shows."""
    for _ in range(80):
        phone.page.keyboard.press("Tab")
        if phone.page.evaluate("(s) => document.activeElement.matches(s)", selector):
            outlined = phone.page.evaluate(
                """() => [document.activeElement, document.activeElement.closest("label") ]
                     .some((e) => e && getComputedStyle(e).outlineStyle !== "none")"""
            )
            assert outlined, f"the focus on {selector} cannot be seen"
            return
    raise AssertionError(f"Tab never reaches {selector} on {phone.path}")


def test_back_keeps_what_was_chosen_and_typed(open_phone: Opener) -> None:
    phone = open_phone()
    page = phone.page
    phone.open("/book/time?site=woburn&day=2026-03-03")
    page.locator(".chip").nth(2).click()
    assert "Tue, Mar 3, 9:30 AM" in page.inner_text(".act")
    page.click(".act button")
    page.fill("#given_name", "June")
    page.go_back()

    assert page.locator("input[name=start]:checked").get_attribute("data-words") == (
        "Tue, Mar 3, 9:30 AM"
    )
    page.go_forward()
    assert page.input_value("#given_name") == "June"


def test_a_double_click_on_the_last_button_books_once(app: Flask, open_phone: Opener) -> None:
    phone = open_phone()
    phone.open("/book/time?site=woburn")
    phone.page.locator(".chip").first.click()
    phone.page.click(".act button")
    fill_details(phone.page)
    phone.page.check("input[name=pain][value=crps]")
    phone.page.dblclick(".act button")
    phone.page.wait_for_url("**/book/booked")

    assert calls(app) == 1


def test_after_a_mistake_the_focus_is_on_the_list_of_mistakes_which_leads_to_the_field(
    open_phone: Opener,
) -> None:
    phone = open_phone()
    phone.open("/book/time?site=woburn")
    phone.page.locator(".chip").first.click()
    phone.page.click(".act button")
    phone.page.click(".act button")

    assert phone.page.evaluate("document.activeElement.className") == "error-summary"
    phone.page.click(".error-summary a >> nth=2")
    assert phone.page.evaluate("document.activeElement.id") == "mobile"


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
def test_the_day_chosen_is_the_day_stored_wherever_the_browser_is(
    open_phone: Opener, zone: str
) -> None:
    phone = open_phone(timezone_id=zone)
    phone.open("/book/time?site=woburn&day=2026-03-03")
    phone.page.locator(".chip").last.click()
    phone.page.click(".act button")
    fill_details(phone.page)
    phone.page.check("input[name=pain][value=crps]")
    phone.page.click(".act button")

    assert "Tuesday, March 3, 4:45 PM" in phone.page.inner_text("main")
