"""A real Chromium in front of the portal, on a database of either kind, the clock stopped."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, Request
from werkzeug.serving import make_server

from tests.browser.conftest import faults
from tests.web.portal.conftest import clinics  # noqa: F401  the same small clinic

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(e.violatedDirective + " " + e.blockedURI));
"""


@pytest.fixture
def address(app: Flask, clinics: None) -> Iterator[str]:  # noqa: F811
    """Where the app answers while the test runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = False  # closing waits for the requests under way: they use the database
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Phone:
    """A browser window, with everything it fetched and everything that went wrong in it."""

    page: Page
    address: str
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page."""
        self.page.goto(self.address + path)

    @property
    def path(self) -> str:
        """Where the window is, without query."""
        return self.page.url.removeprefix(self.address).split("?")[0]

    def fetched(self) -> list[tuple[str, int]]:
        """Return every address this window asked for, with the bytes that came."""
        return [(asked.url, sum(asked.sizes()[part] for part in _PARTS)) for asked in self.requests]

    def axe(self) -> list[str]:
        """Return what is wrong with this page at each width, by day and by night."""
        return [f"{self.path}: {fault}" for fault in faults(self.page)]


Opener = Callable[..., Phone]


@pytest.fixture
def open_phone(browser: Browser, address: str) -> Iterator[Opener]:
    """Open windows: `open_phone(width=360, java_script_enabled=False, ...)`."""
    contexts: list[BrowserContext] = []
    phones: list[Phone] = []

    def opener(width: int = 390, height: int = 844, **options: object) -> Phone:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            **({"locale": "en-US", "timezone_id": "America/New_York"} | options),  # type: ignore[arg-type]
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        phone = Phone(page, address)
        phones.append(phone)
        page.on("pageerror", lambda error: phone.faults.append(str(error)))
        page.on(
            "console",
            lambda said: (
                phone.faults.append(said.text)
                if said.type == "error" and "Failed to load resource" not in said.text
                else None
            ),
        )
        page.on("requestfinished", lambda asked: phone.requests.append(asked))
        return phone

    yield opener
    for phone in phones:
        assert phone.faults == []
    for context in contexts:
        context.close()


_PARTS = ("responseHeadersSize", "responseBodySize")
