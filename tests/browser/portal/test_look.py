"""How the portal looks and weighs, in a real browser."""

import pytest

from scheduler.web.feeds import limits
from tests.browser.portal.conftest import Opener, Phone
from tests.browser.portal.test_book import fill_details

MOST_REQUESTS = 8
MOST_BYTES = 80 * 1024
SMALLEST_TARGET = 44


def walk(phone: Phone) -> list[str]:
    """Go through every page of the portal once; return what axe finds on any of them."""
    page, found = phone.page, []
    for path in ("/", "/book"):
        phone.open(path)
        found += phone.axe()
    page.click(".act button")
    found += phone.axe()
    page.locator(".another summary").click()
    page.fill("#date", "never")
    page.click(".typed-date button")
    found += phone.axe()
    phone.open("/book/time?site=woburn&date=3/7/2026")
    found += phone.axe()
    phone.open("/book/time?site=woburn&day=2026-03-03")
    page.locator(".chip").nth(3).click()
    found += phone.axe()
    page.click(".act button")
    found += phone.axe()
    page.click(".act button")
    found += phone.axe()
    fill_details(page)
    page.check("input[name=pain][value=crps]")
    page.click(".act button")
    assert phone.path == "/book/booked"
    found += phone.axe()
    phone.open("/my/visit")
    found += phone.axe()
    page.get_by_role("button", name="Tell me if something sooner comes free").click()
    found += phone.axe()
    page.get_by_role("button", name="Keep all my dates in my calendar").click()
    found += phone.axe()
    for path in ("/my/visit/move", "/my/visit/cancel"):
        phone.open(path)
        found += phone.axe()
    page.click(".button-trouble")
    found += phone.axe()
    phone.open("/my/" + "x" * 32)
    found += phone.axe()
    calendar = f"/feeds/{'x' * 32}.ics"
    for _ in range(limits.OF_ONE):
        page.request.get(phone.address + calendar)
    phone.open(calendar)
    assert page.get_by_role("heading", name="Too many tries").is_visible()
    return found + phone.axe()


def test_axe_finds_nothing_and_the_policy_is_kept(open_phone: Opener) -> None:
    phone = open_phone()

    assert walk(phone) == []
    assert phone.page.evaluate("window.violations") == []


@pytest.mark.parametrize("language", ["en", "es", "pt"])
def test_nothing_is_wider_than_a_small_phone_and_targets_fit_a_thumb(
    open_phone: Opener, language: str
) -> None:
    phone = open_phone(320)
    phone.open(f"/?lang={language}")
    for path in ("/", "/book", "/book/time?site=woburn&day=2026-03-03", "/book/time?site=either"):
        phone.open(path)
        check_size(phone)
    phone.page.locator(".chip").first.click()
    phone.page.click(".act button")
    check_size(phone)
    phone.page.click(".act button")
    check_size(phone)
    fill_details(phone.page)
    phone.page.check("input[name=pain][value=crps]")
    phone.page.click(".act button")
    check_size(phone)
    for path in ("/my/visit", "/my/visit/cancel", "/my/visit/move"):
        phone.open(path)
        check_size(phone)


def check_size(phone: Phone) -> None:
    """Assert that nothing scrolls sideways and that what is pressed is large enough."""
    phone.page.wait_for_load_state()  # a click returns when the next page has only begun
    for width in (360, 320):
        phone.page.set_viewport_size({"width": width, "height": 700})
        check_size_at_this_width(phone)


def check_size_at_this_width(phone: Phone) -> None:
    """Assert it for the window as it is."""
    too_wide = phone.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert too_wide <= 0, phone.path
    small = phone.page.evaluate(
        """(least) => [...document.querySelectorAll(
             "a.button, button, summary, .chip, .option, .days a, .top a, .back a, .plain-act")]
           .filter((e) => e.checkVisibility() && !e.closest(".hidden-visually"))
           .map((e) => [e.outerHTML.slice(0, 100), e.getBoundingClientRect().height])
           .filter(([, height]) => height < least)""",
        SMALLEST_TARGET,
    )
    assert small == [], phone.path
    cramped = phone.page.evaluate(
        """() => [...document.querySelectorAll(".chip span, .chip")]
           .filter((e) => e.scrollWidth > e.parentElement.clientWidth)
           .map((e) => e.textContent.trim())"""
    )
    assert cramped == [], phone.path


def test_the_first_pages_are_light(open_phone: Opener) -> None:
    for path in ("/", "/book", "/book/time?site=either"):
        phone = open_phone()
        phone.open(path)
        phone.page.wait_for_load_state("networkidle")

        fetched = phone.fetched()
        assert len(fetched) <= MOST_REQUESTS, fetched
        assert sum(size for _, size in fetched) <= MOST_BYTES, fetched
        assert all(url.startswith(phone.address) for url, _ in fetched)


def test_nothing_moves_while_the_page_of_times_loads(open_phone: Opener) -> None:
    phone = open_phone()
    phone.open("/book/time?site=woburn&day=2026-03-12")
    shift = phone.page.evaluate(
        """() => new Promise((done) => {
             let sum = 0;
             new PerformanceObserver((list) => list.getEntries().forEach((e) => (sum += e.value)))
               .observe({ type: "layout-shift", buffered: true });
             requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
           })"""
    )

    assert shift <= 0.01
