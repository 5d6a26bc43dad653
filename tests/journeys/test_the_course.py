"""A course from the candidate to six visits and the one text, through the product as it runs."""

import re
import urllib.request
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from scheduler.accounts import service as accounts
from scheduler.accounts.models import Role
from scheduler.clinic import service as clinic
from scheduler.clinic import standard
from scheduler.core import clock as house_clock
from scheduler.core.db import db
from scheduler.messaging import lint
from scheduler.messaging.models import Message
from scheduler.messaging.states import State
from scheduler.plans import library, protocol
from scheduler.treatment import vocabulary
from tests import make
from tests.conftest import Keep
from tests.journeys.world import PHONE, World, running, until

pytestmark = pytest.mark.browser
PASSWORD = "quiet-harbor-lamp"
UNDO_S = 3
DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [A-Z][a-z]{2} \d+"


@pytest.fixture
def clinic_at_noon(app: Flask, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Woburn, where it is noon now, with a caller, a nurse, a clinician and a protocol in use."""
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
        make.person(woburn, "Ines Roy", skills=("calls", "chats"))
        make.person(woburn, "Rosa Lima", skills=("nurse",), lanes=3)
        clinic.choose(woburn, "desk_change_delay_minutes", UNDO_S / 60, actor="operator", now=now)
        clinic.choose(woburn, "texts_a_day", 2, actor="operator", now=now)  # ten days in one
        amara = accounts.add_staff(
            username="amara",
            name="Dr. Amara Obi",
            title="MD",
            role=Role.CLINICIAN,
            home_site_id=woburn.id,
            password=PASSWORD,
            actor="operator",
            now=now,
        )
        library.activate(
            library.import_draft(protocol.shipped()[0].read_text(), actor="operator", now=now),
            amara,
            now=now,
        )
    with app.app_context():
        db.engine.dispose()


def book_on_a_phone(page: Page, world: World) -> None:
    """Book a call, agreeing to texts."""
    page.goto(f"{world.base}/book")
    page.get_by_label("Woburn").check()
    page.get_by_role("button", name="Continue").click()
    page.locator("input[name=start]").first.check(force=True)
    page.get_by_role("button", name=re.compile("Continue")).click()
    page.fill("#given_name", "June")
    page.fill("#family_name", "Okafor")
    page.fill("#mobile", PHONE)
    page.get_by_label("CRPS").check()
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name=re.compile("Book the call")).click()
    expect(page.get_by_role("heading", name="Your call is booked")).to_be_visible()


def find_a_candidate(page: Page, world: World) -> None:
    """Record at the desk what the call came to."""
    page.goto(f"{world.base}/desk/patients")
    page.fill("#who", "okafor")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="June Okafor").first.click()
    page.get_by_role("link", name=re.compile(r"\d+:\d\d [AP]M")).first.click()
    page.get_by_text("Record it now").click()
    page.get_by_text("Candidate", exact=True).first.click()
    press(page, "Record the outcome")


def dates_in_the_feed(page: Page, world: World, text: str) -> int:
    """Open the link of the text on the phone, make the calendar address, count its visits."""
    link = re.search(r"http\S+/my/\S+", text)
    assert link is not None
    page.goto(link[0])
    page.get_by_role("button", name="Keep all my dates in my calendar").click()
    address = page.locator("a.private-link").inner_text()
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310  our own page
        entries = Calendar.from_ical(answer.read()).walk("VEVENT")
    words = " ".join(f"{e['summary']} {e.get('location', '')} {e['description']}" for e in entries)
    assert lint.telling(words) == []
    return sum("LOCATION" in e for e in entries)


def press(page: Page, name: str) -> None:
    """Press a button and see the next page say that it was done."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#said")).to_be_visible()


def clear(page: Page) -> None:
    """Answer every question with no, and sign."""
    page.get_by_role("link", name="To clear").click()
    page.get_by_role("link", name="Clearance of June Okafor").click()
    for item in vocabulary.CONTRAINDICATIONS:
        page.locator(f"[name=is_{item.replace('-', '_')}][value=no]").check(force=True)
    page.get_by_label("Upper value").fill("128")
    page.get_by_label("Lower value").fill("82")
    page.get_by_label("Version of the consent that was signed").fill("2026-01")
    page.get_by_label("Your password, as your signature").fill(PASSWORD)
    press(page, "Sign: may have a first visit")


def sit_through(page: Page) -> None:
    """Record a session from readiness to the door, on a tablet."""
    page.get_by_role("link", name="Open the session").click()
    page.set_viewport_size({"width": 820, "height": 1180})
    for item in vocabulary.READINESS:
        page.locator(f"[name=ready-{item}][value=yes]").check(force=True)
    page.locator("#on-site").select_option(index=1)
    page.locator("#comfort-mask").check(force=True)
    page.locator("#baseline-8").check(force=True)
    page.locator("#before-systolic").fill("126")
    page.locator("#before-diastolic").fill("80")
    press(page, "Save")
    press(page, "Start the infusion")
    expect(page.locator(".stage-words")).to_contain_text("Infusing 0 of 40")
    page.locator("#action-reassured").check(force=True)
    press(page, "Nausea: mild")
    press(page, "Complete")
    for item in vocabulary.DISCHARGE:
        page.locator(f"[name=met-{item}][value='2']").check(force=True)
    page.locator("#discharge-systolic").fill("124")
    page.locator("#discharge-diastolic").fill("80")
    page.locator("#discharge-oxygen").fill("98")
    press(page, "Save")
    page.locator("#escort").check(force=True)
    page.get_by_label("Your password, as your signature").fill(PASSWORD)
    press(page, "Sign: safe to go home")
    page.locator("#score-4").check(force=True)
    page.get_by_role("button", name="Record", exact=True).first.click()
    expect(page.locator(".record-list")).to_contain_text("Pain 4 of 10, after")
    press(page, "Printed and given")
    press(page, "They have left: close the visit")
    page.set_viewport_size({"width": 1280, "height": 900})


def hold_the_chat(page: Page) -> None:
    """Type the answers; the protocol speaks; record."""
    page.get_by_role("link", name="Chats due").click()
    page.get_by_role("link", name="Open the chat with June Okafor").click()
    page.locator("#score-4").check(force=True)
    page.get_by_label("For how many days").fill("3")
    page.locator("#relief_holds-0").check(force=True)
    page.locator("#impression-1").check(force=True)
    page.locator("#phq9_item9-0").check(force=True)
    page.locator("#is_changed-0").check(force=True)
    expect(page.locator("#says")).to_contain_text("50 %")
    press(page, "Record the chat")


@pytest.mark.parametrize(  # the journey of a call goes over both kinds each time
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.prove)], indirect=True
)
def test_from_the_first_tap_to_six_visits_in_one_text_and_one_feed(
    app: Flask,
    database_url: str,
    clinic_at_noon: None,
    browser: Browser,
    tmp_path: Path,
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    with running(database_url, tmp_path) as world:
        # Twilio is not used before a signed text proved that a STOP would reach us.
        assert world.text_in("+17815550179", "hello") == 200
        phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
        hand = phone.new_page()
        book_on_a_phone(hand, world)
        until(lambda: len(world.texts()) == 1, "the text of the call")
        sign_in(page, world)
        find_a_candidate(page, world)
        clear(page)

        today = datetime.now(ZoneInfo(make.noon_zone())).date()
        page.goto(f"{page.url}?day={today.isoformat()}")
        page.locator("input[name=start]").first.check(force=True)
        page.get_by_role("button", name="Book the visit and its chat").click()
        page.get_by_label("Why it may be done all the same").fill("They are ready today.")
        press(page, "Book the visit and its chat")
        expect(page.locator("#said")).to_contain_text("and the chat after it")
        until(lambda: len(world.texts()) == 2, "the text of the first visit and its chat")
        before = len(world.texts())

        sit_through(page)
        hold_the_chat(page)

        expect(page.get_by_text("6 of 6 dates open")).to_be_visible()
        page.get_by_label("Your password, as your signature").first.fill(PASSWORD)
        press(page, "Approve and book all 6")
        expect(page.get_by_text("6 of 6 booked")).to_be_visible()

        said = until(lambda: world.texts()[before:], "the one text with all dates")
        assert len(said) == 1
        assert len(set(re.findall(DAY, said[0]))) == 6, said[0]
        assert dates_in_the_feed(hand, world, said[0]) == 7  # six, and the first visit
        with app.app_context():
            waiting = db.session.scalars(
                select(Message.send_after)
                .where(Message.template == "visit-tomorrow", Message.state == State.QUEUED)
                .order_by(Message.send_after)
            ).all()
        assert len(waiting) >= 5  # a visit that is tomorrow has been told already
        phone.close()
        for text in world.texts():
            assert lint.telling(re.sub(r"/my/\S+", "", text)) == []
    context.close()


def sign_in(page: Page, world: World) -> None:
    """Sign in at the desk."""
    page.goto(f"{world.base}/desk")
    page.fill("[name=username]", "amara")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile("/desk"))
