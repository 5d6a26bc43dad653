"""The pages of the supply in a real browser: for everybody, with keys alone, at every width."""

import pytest
from flask import Flask
from playwright.sync_api import expect
from sqlalchemy import select

from scheduler.accounts.models import Role
from scheduler.booking.withdrawal import withdraw_supply
from scheduler.clinic import holidays, hours, roster
from scheduler.clinic import queries as clinic
from scheduler.clinic.models import Resource, ResourceKind
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan
from tests import make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Once, StoppedClock


@pytest.fixture(autouse=True)
def _clinic(once: Once, clock: StoppedClock) -> None:
    """Two sites; tomorrow Ana is called and Ben comes; the caller is away then."""

    def made() -> None:
        woburn, _ = make.two_sites()
        make.call(woburn, make.patient())
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        make.infusion(woburn, ben, make.at(11))
        caller = db.session.scalars(select(Resource).where(Resource.name == "Ines Roy")).one()
        span = TimeSpan(make.at(0), make.at(0, days=2))
        withdraw_supply(
            lambda: roster.take_off(caller, span, "Away", actor="staff:1", now=clock()),
            seen=None,
            actor="staff:1",
            now=clock(),
        )
        chair = db.session.scalars(select(Resource).where(Resource.name == "Chair 2")).one()
        hours.close(
            woburn,
            TimeSpan(make.at(13, days=30), make.at(17, days=30)),
            "New motor",
            chairs=[chair],
            actor="staff:1",
            now=clock(),
        )
        day = holidays.ahead(woburn, now=clock())[0]
        holidays.answer_holiday(
            woburn, day.day, day.name, is_closed=False, actor="staff:1", now=clock()
        )

    once(made)


def pages(app: Flask) -> list[str]:
    """The address of every page of the supply and of what messages say."""
    with app.app_context():
        person = db.session.scalars(select(Resource.id).where(Resource.name == "Rosa Lima")).one()
        chair = db.session.scalars(
            select(Resource.id).where(
                Resource.kind == ResourceKind.CHAIR,
                Resource.site_id == clinic.site_called("woburn").id,
            )
        ).first()
    site, people = "/desk/supply/sites/woburn", "/desk/supply/people"
    return [
        "/desk/supply",
        site,
        f"{site}/edit",
        f"{site}/hours",
        f"{site}/close",
        f"{site}/numbers",
        f"{site}/holidays",
        f"{site}/chairs/{chair}",
        "/desk/supply/sites/new",
        people,
        f"{people}/new",
        f"{people}/{person}",
        f"{people}/{person}/edit",
        f"{people}/{person}/shifts",
        f"{people}/{person}/off",
        "/desk/supply/services/infusion",
        "/desk/texts",
        "/desk/texts/visit-booked/es",
        "/desk/texts/invite/en",
    ]


def test_every_page_an_administrator_keeps_is_for_everybody_and_fits_its_screen(
    desk_page: OpenPage, app: Flask
) -> None:
    page = desk_page("/desk/supply", role=Role.ADMIN)
    for path in pages(app):
        page.goto(path)
        assert faults(page) == [], path


def test_who_is_hit_is_seen_before_anything_is_saved(desk_page: OpenPage) -> None:
    page = desk_page("/desk/supply/sites/woburn", role=Role.ADMIN)
    page.get_by_role("link", name="Close…").click()
    page.get_by_label("Why").fill("Snow")
    page.get_by_label("First day").fill("2026-03-03")
    page.get_by_role("button", name="See who is hit, and save").click()
    listed = page.get_by_role("list", name="Who is hit")

    expect(listed).to_contain_text("Ben Ito")
    assert faults(page) == []
    page.get_by_role("button", name="Change what I typed").click()
    expect(page.get_by_label("Why")).to_have_value("Snow")
    page.get_by_label("Why").fill("Storm")
    page.get_by_role("button", name="See who is hit, and save").click()
    page.get_by_role("button", name="Save, and put them on the list").click()

    expect(page.locator("#said")).to_contain_text("on the list")
    expect(page.get_by_role("region", name="Closed")).to_contain_text("Storm")


def test_an_error_takes_the_eye_and_the_keys_to_itself(desk_page: OpenPage) -> None:
    page = desk_page("/desk/supply/sites/woburn/hours", role=Role.ADMIN)
    page.get_by_label("Sunday").check()
    page.get_by_label("Opens").fill("14:00")
    page.get_by_label("Closes").fill("09:00")
    page.get_by_role("button", name="See who is hit, and save").click()

    expect(page.get_by_role("alert", name="Please check this")).to_be_focused()
    expect(page.get_by_label("Sunday")).to_be_checked()
    expect(page.get_by_label("Opens")).to_have_value("14:00")
    assert faults(page) == []


def test_the_list_is_for_everybody_and_says_what_can_be_done(desk_page: OpenPage) -> None:
    page = desk_page("/desk/to-re-place")
    listed = page.get_by_role("list", name="To re-place")

    expect(listed).to_contain_text("Ana Duarte")
    expect(listed).to_contain_text("Ines Roy is away.")
    assert faults(page) == []
    page.get_by_role("button", name="Find places for everybody").click()
    expect(page.get_by_role("heading", name="Places for everybody")).to_be_visible()
    page.get_by_text("Another time for Ana Duarte").click()
    assert faults(page) == []
    page.get_by_role("link", name="To re-place").first.click()
    page.get_by_text("Keep it there knowingly").click()
    page.get_by_label("Why it stays").fill("She calls from home")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("Everybody has their place.")).to_be_visible()
