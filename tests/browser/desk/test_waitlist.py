"""The waitlist's pages in a real browser, the desk's and the one a patient says yes on."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import expect

from scheduler.core.db import db, transaction
from scheduler.messaging import claims
from scheduler.plans import waiting
from scheduler.waitlist import notices, offers
from scheduler.waitlist.models import WaitlistOffer
from tests import make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Keep, StoppedClock
from tests.messaging import kit

NOW = make.MONDAY


@pytest.fixture
def pages(app: Flask, keep: Keep, clock: StoppedClock) -> list[str]:
    """One who is offered a time by text, and one who waits; the desk's pages about them."""
    with keep():
        where = make.clinic_day()
        ana = kit.ana(NOW)
        ben = make.patient("Ben", "Ito", mobile=None, phone_text="781 555 0199", email=None)
        made = []
        for who in (ana, ben):
            call = make.call(where, who, make.at(10, days=6 + len(made)))
            made.append(
                waiting.put_on_list(
                    who,
                    call.topic,
                    since=NOW,
                    until=NOW + timedelta(days=9),
                    actor="staff:1",
                    now=NOW,
                )
            )
        start = offers.fitting(made[0], waiting.allowed, now=make.at(9), most=1)[0]
        offers.make(
            made[0].id, start.site_id, start.starts_at, by_text=True, actor="staff:1", now=NOW
        )
        return [
            "/desk/waitlist",
            f"/desk/waitlist/{ben.public_id}/new",
            f"/desk/waitlist/{made[1].id}/offer",
        ]


def test_the_waitlist_is_for_everybody_and_a_patient_says_yes_with_one_thumb(
    desk_page: OpenPage, open_page: OpenPage, pages: list[str], app: Flask
) -> None:
    desk = desk_page()
    for path in pages:
        desk.goto(path)
        assert faults(desk) == [], path
    with app.app_context(), transaction():
        out = claims.claim_next(
            "w", lambda m: notices.judge(m, public_url="http://x", now=NOW), now=NOW
        )
    assert out is not None
    link = re.search(r"http://x(/my/\S+)", out.body)
    assert link is not None

    phone = open_page(link[1], width=360, height=760)
    assert faults(phone) == []
    phone.set_viewport_size({"width": 360, "height": 760})
    phone.get_by_role("button", name="Yes, I take this time").click()

    expect(phone.get_by_text("Done. This is your new time.")).to_be_visible()
    with app.app_context():
        assert db.session.get_one(WaitlistOffer, 1).state.value == "accepted"
    desk.goto(pages[0])
    expect(desk.get_by_text("kept until")).to_have_count(0)


def test_ones_own_calendar_addresses_are_for_everybody(desk_page: OpenPage, keep: Keep) -> None:
    with keep():
        make.clinic_day()
    desk = desk_page("/desk/calendars")
    desk.get_by_role("button", name=re.compile("Make an address.*Woburn")).click()

    expect(desk.get_by_role("heading", name="Your new address")).to_be_visible()
    assert faults(desk) == []
