"""A real browser on the real pages. Every page is watched: no script error, no breach of policy."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.serving import make_server

from scheduler.accounts.models import Role
from tests.conftest import SignIn
from tests.support import chromium
from tests.support.databases import SqliteTemplate

OpenPage = Callable[..., Page]

#: A desk, a tablet and a small phone.
WIDTHS = (1280, 1024, 360)

#: Said before anything of the page runs: what the policy refuses is remembered.
_WATCH = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.breaches.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`);
});
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives a browser, wherever it stands below this folder."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def database_url(sqlite_template: SqliteTemplate) -> Iterator[str]:
    """The address of a fresh database of one kind: what is new here is in front of the server.

    The same deeds are done on both kinds by tests/web, and from a browser by tests/journeys.
    """
    with sqlite_template.fresh() as url:
        yield url


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The app, served; the test's stopped clock is its clock too."""
    server = make_server("localhost", 0, app, threaded=True)
    server.daemon_threads = False  # closing waits for the requests under way: they use the database
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """A way to open a page in a browser of its own: `open_page("/book", width=360)`."""
    contexts: list[BrowserContext] = []
    pages: list[Page] = []
    errors: list[str] = []

    def opened(
        path: str,
        *,
        width: int = 1280,
        height: int = 800,
        cookies: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, base_url=address, **more
        )
        for name, value in (cookies or {}).items():
            context.add_cookies([{"name": name, "value": value, "url": address}])
        context.set_default_timeout(10_000)
        context.add_init_script(_WATCH)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        page.goto(path)
        return page

    yield opened
    breaches = [b for page in pages if not page.is_closed() for b in page.evaluate("breaches")]
    for context in contexts:
        context.close()
    assert errors == []
    assert breaches == []


@pytest.fixture
def desk_page(open_page: OpenPage, signed_in: SignIn, app: Flask) -> OpenPage:
    """A way to a page of the desk, signed in; the clinic must be there."""

    def opened(path: str = "/desk", *, role: Role = Role.FRONT_DESK, **more: Any) -> Page:
        name = app.config["SESSION_COOKIE_NAME"]
        kept = signed_in(role).get_cookie(name)
        assert kept is not None
        return open_page(path, cookies={name: kept.value}, **more)

    return opened


def faults(page: Page) -> list[str]:
    """Return what is wrong with a page as it stands: at each width, by day and by night.

    The page is loaded once; only its window and its colours change. The accessibility checker
    looks at the widest by day and at the narrowest by night.
    """
    page.wait_for_load_state()  # a click returns when the next page has only begun
    page.evaluate(chromium.axe_source())
    found: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found += [f"{width}: {beyond} pixels too wide"] if beyond > 0 else []
        if width == WIDTHS[0]:
            found += _axe(page, f"{width}, by day")
    page.emulate_media(color_scheme="dark")
    found += _axe(page, f"{width}, by night")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    return found


#: What is well needs no words, and what lies in other files is the browser's to have read.
_AXE = "axe.run({resultTypes: ['violations'], preload: false})"


def _axe(page: Page, name: str) -> list[str]:
    return [
        f"{name}: {v['id']} ({v['impact']}): {node['html'][:120]} {node['failureSummary'][:200]}"
        for v in page.evaluate(_AXE)["violations"]
        for node in v["nodes"]
    ]
