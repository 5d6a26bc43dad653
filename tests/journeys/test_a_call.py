"""A call from the first tap to the last text, through the product as it runs."""

import re
from datetime import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from scheduler.accounts import service as accounts
from scheduler.accounts.models import Role
from scheduler.clinic import service as clinic
from scheduler.clinic import standard
from scheduler.core import clock as house_clock
from scheduler.core.db import db
from scheduler.messaging import lint
from tests import make
from tests.conftest import Keep
from tests.journeys.world import PHONE, World, running, until

pytestmark = pytest.mark.browser
PASSWORD = "quiet-harbor-lamp"
UNDO_S = 3


@pytest.fixture
def clinic_by_day(app: Flask, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Woburn, where it is noon now, with somebody who calls and somebody at the desk.

    The desk's undo delay is three seconds here instead of fifteen minutes.
    """
    monkeypatch.undo()  # real time: the processes outside know no other
    now = house_clock.now()
    with keep():
        standard.add_services()
        woburn = clinic.add_site(
            "woburn",
            "Woburn",
            zone_name=make.noon_zone(),
            address="1 Main Street, Woburn, MA",
            phone="+17815550134",
            starts=2,
        )
        clinic.open_weekly(woburn, range(7), time(8), time(18), valid_from=make.ALWAYS)
        for number in (1, 2):
            clinic.add_resource(
                make.ResourceKind.CHAIR, f"Chair {number}", site_id=woburn.id, position=number
            )
        make.person(woburn, "Ines Roy")
        clinic.choose(woburn, "desk_change_delay_minutes", UNDO_S / 60, actor="operator", now=now)
        accounts.add_staff(
            username="ines",
            name="Ines Roy",
            title="Front desk",
            role=Role.FRONT_DESK,
            home_site_id=woburn.id,
            password=PASSWORD,
            actor="operator",
            now=now,
        )
    with app.app_context():
        db.engine.dispose()


def book_on_a_phone(page: Page, world: World) -> str:
    """Book the first time of the third day, with texts and e-mail; return the private link."""
    page.goto(f"{world.base}/book")
    page.get_by_label("Woburn").check()
    page.get_by_role("button", name="Continue").click()
    page.locator("a.day, .days a").nth(2).click()
    page.locator("input[name=start]").first.check(force=True)
    page.get_by_role("button", name=re.compile("Continue")).click()
    page.fill("#given_name", "June")
    page.fill("#family_name", "Okafor")
    page.fill("#mobile", PHONE)
    page.fill("#email", "june@example.org")
    page.get_by_label("Fibromyalgia").check()
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name=re.compile("Book the call")).click()
    expect(page.get_by_role("heading", name="Your call is booked")).to_be_visible()
    return page.locator("a.private-link").get_attribute("href") or ""


def sign_in(page: Page, world: World) -> None:
    """Sign in at the desk."""
    page.goto(f"{world.base}/desk")
    page.fill("[name=username]", "ines")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile("/desk"))


def test_book_see_text_confirm_move_and_cancel(
    app: Flask,
    database_url: str,
    clinic_by_day: None,
    browser: Browser,
    tmp_path: Path,
) -> None:
    phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    desk = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    with running(database_url, tmp_path) as world:
        # Twilio is not used before a signed text proved that a STOP would reach us.
        link = book_on_a_phone(phone, world)
        assert link.startswith(f"{world.base}/my/")
        until(lambda: world.mail.mails(), "the calendar entry by mail")
        assert world.texts() == []
        assert world.text_in("+17815550179", "hello") == 200

        booked = until(lambda: world.texts(), "the text of the booking")[0]
        assert "team will call you" in booked
        assert "Reply 1 to confirm" in booked

        sign_in(desk, world)
        desk.goto(f"{world.base}/desk/patients")
        desk.fill("#who", "okafor")
        desk.keyboard.press("Enter")
        desk.get_by_role("link", name=re.compile("June Okafor")).first.click()
        expect(desk.get_by_text("June Okafor").first).to_be_visible()
        desk.get_by_role("link", name=re.compile(r"\d+:\d\d [AP]M")).first.click()
        expect(desk.get_by_text("Not confirmed").first).to_be_visible()
        appointment_page = desk.url

        assert world.text_in(PHONE, "1") == 200
        until(lambda: len(world.texts()) == 2, "the thanks for confirming")
        desk.goto(appointment_page)
        expect(desk.get_by_text("Confirmed").first).to_be_visible()

        desk.get_by_role("link", name="Move…").click()
        desk.locator("input[name=start]").last.check(force=True)
        desk.get_by_role("button", name="Move", exact=True).click()
        expect(desk.get_by_text("Not confirmed").first).to_be_visible()
        until(lambda: len(world.texts()) == 3, "the one change text")
        moved = world.texts()[2]
        assert "new time" in moved

        phone.goto(link)
        assert phone.url == f"{world.base}/my/visit"
        phone.get_by_role("link", name="I cannot make it").click()
        phone.get_by_role("button").last.click()
        until(lambda: len(world.texts()) == 4, "the text of the cancellation")
        assert "off" in world.texts()[3]
        desk.goto(appointment_page)
        expect(desk.get_by_text("Cancelled").first).to_be_visible()

        methods = until(
            lambda: (
                (m := [method_of(mail) for mail in world.mail.mails()]) and m[-1] == "CANCEL" and m
            ),
            "the calendar's cancellation",
        )
        assert methods == ["REQUEST", "REQUEST", "CANCEL"]
        for text in world.texts():
            assert lint.telling(re.sub(r"/my/\S+", "", text)) == []
    phone.context.close()
    desk.context.close()


def method_of(mail: EmailMessage) -> str:
    """Return the METHOD of the calendar document a mail carries."""
    for part in mail.walk():
        if part.get_content_type() == "text/calendar":
            return str(part.get_param("method"))
    return "none"
