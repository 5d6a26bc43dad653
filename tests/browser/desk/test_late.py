"""Running late, and another chair, in a real browser: by keyboard, wide and narrow."""

import pytest
from playwright.sync_api import expect

from scheduler.plans import service as plans
from tests import make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Once, StoppedClock


@pytest.fixture(autouse=True)
def _day(once: Once, clock: StoppedClock) -> None:
    """One chair and two nurses: Ben came 30 minutes late, Cara has his chair next."""

    def made() -> None:
        woburn = make.clinic_day(chairs=1, nurses=2)
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        late = make.infusion(woburn, ben, make.at(11, days=0))
        cara = make.patient("Cara", "Diaz", mobile="+17815550133")
        make.infusion(woburn, cara, make.at(12, 35, days=0))
        clock.set(make.at(11, 30, days=0))
        plans.arrive(late, actor="staff:1", now=clock())

    once(made)


def test_the_board_says_who_waits_and_leads_to_the_nearest_time(desk_page: OpenPage) -> None:
    page = desk_page()
    waiting = page.get_by_role("region", name="Running late")
    expect(waiting).to_contain_text("Cara Diaz will wait 30 minutes for Chair 1")
    assert faults(page) == []

    waiting.get_by_role("link", name="Move Cara Diaz to 1:15 PM").press("Enter")
    expect(page.get_by_role("radio", name="1:15 PM")).to_be_checked()
    assert faults(page) == []
    page.get_by_role("button", name="Move", exact=True).press("Enter")
    expect(page.locator("#said")).to_contain_text("Moved to Mon, Mar 2, 1:15 PM.")


def test_a_visit_is_handed_to_another_nurse_from_its_own_page_by_keyboard(
    desk_page: OpenPage,
) -> None:
    page = desk_page(width=360)
    page.get_by_role("link", name="Ben Ito").first.click()
    panel = page.locator("dialog.panel")
    expect(panel).to_contain_text("expected to end at 12:55 PM")
    panel.get_by_role("link", name="Another chair or person").press("Enter")

    expect(page.get_by_text("No other chair is free for all of that time.")).to_be_visible()
    page.get_by_label("Somebody else").select_option(label="Nurse 2")
    assert faults(page) == []
    page.get_by_role("button", name="Hand over").press("Enter")

    expect(page.locator("#said")).to_contain_text("At the same time, now with Nurse 2.")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.locator("#said")).to_contain_text("Taken back.")
