"""A small clinic of two sites, and a visitor's browser that walks the four screens."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scheduler.clinic import service as clinic
from scheduler.clinic.models import NeedKind, ResourceKind, ServiceCode
from tests.conftest import Keep

NAMES = {"given_name": "June", "family_name": "Okafor"}
ANSWERS = NAMES | {"mobile": "(781) 555-0134", "language": "en", "pain": "crps"}
SINCE = date(2026, 1, 1)
WORKDAYS = range(5)


@pytest.fixture
def clinics(keep: Keep) -> None:
    """Woburn with two callers, Danvers with one; open on workdays from nine to five."""
    with keep():
        for code, name, callers in (("woburn", "Woburn", 2), ("danvers", "Danvers", 1)):
            site = clinic.add_site(
                code,
                name,
                zone_name="America/New_York",
                address=f"1 Main Street, {name}, MA",
                phone="+17815550100" if code == "woburn" else "+19785550100",
                starts=2,
            )
            clinic.open_weekly(site, WORKDAYS, time(9), time(17), valid_from=SINCE)
            for n in range(callers):
                person = clinic.add_resource(
                    ResourceKind.PERSON, f"{name} {n}", lanes=1, skills=["calls"]
                )
                clinic.add_shift(person, site, WORKDAYS, time(9), time(17), valid_from=SINCE)
        clinic.add_service(
            ServiceCode.CALL,
            "Call",
            visit_minutes=15,
            notice_minutes=120,
            horizon_days=30,
            is_online=True,
            needs=[(NeedKind.PERSON, 0, 15, "calls", True)],
        )


@dataclass
class Page:
    """What came back, as a browser without JavaScript has it."""

    response: TestResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        """The words of the page, without its tags."""
        body = re.sub(r"<(script|style|title).*?</\1>", " ", self.response.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())

    @property
    def html(self) -> str:
        return self.response.text

    @property
    def title(self) -> str:
        return unescape(re.search(r"<title>(.*?)</title>", self.html, re.S)[1]).strip()  # type: ignore[index]

    def value(self, name: str) -> str | None:
        """The value of the field called `name` (of radios and boxes the one that is chosen)."""
        for tag in re.findall(r"<input[^>]*>", self.html):
            if f'name="{name}"' not in tag:
                continue
            if re.search(r'type="(radio|checkbox)"', tag) and " checked" not in tag:
                continue
            found = re.search(r'value="([^"]*)"', tag)
            return unescape(found[1]) if found else ""
        area = re.search(rf'<textarea[^>]*name="{name}"[^>]*>(.*?)</textarea>', self.html, re.S)
        return unescape(area[1]) if area else None

    @property
    def starts(self) -> list[str]:
        """The times to choose from."""
        return re.findall(r'name="start" value="([^"]+)"', self.html)

    def hidden(self) -> dict[str, str]:
        """Every hidden field with its value."""
        tags = re.findall(r'<input type="hidden"[^>]*>', self.html)
        return {
            re.search(r'name="([^"]+)"', t)[1]: unescape(re.search(r'value="([^"]*)"', t)[1])  # type: ignore[index]
            for t in tags
        }


@dataclass
class Visitor:
    """Somebody with a browser of their own."""

    browser: FlaskClient
    path: str = ""
    address: str = "203.0.113.7"
    seen: list[Page] = field(default_factory=list)

    def get(self, path: str, **args: object) -> Page:
        """Open a page, following where it leads."""
        return self._keep(
            self.browser.get(path, follow_redirects=True, environ_base=self._from(), **args)  # type: ignore[arg-type]
        )

    def post(self, path: str, data: dict[str, str]) -> Page:
        """Send a form, following where it leads."""
        return self._keep(
            self.browser.post(path, data=data, follow_redirects=True, environ_base=self._from())
        )

    def choose(self, start: datetime | None = None, *, site: str = "woburn") -> Page:
        """Go through the first two screens; return the page of details."""
        page = self.get(f"/book/time?site={site}")
        if start is not None:
            day = start.astimezone().date().isoformat()
            page = self.get(f"/book/time?site={site}&day={day}")
        wanted = start.isoformat(timespec="minutes") if start else page.starts[0]
        return self.post("/book/time", page.hidden() | {"start": wanted})

    def send(self, page: Page, **changes: str) -> Page:
        """Fill in the details and send them."""
        return self.post("/book/details", page.hidden() | ANSWERS | changes)

    def _from(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.address}

    def _keep(self, response: TestResponse) -> Page:
        self.path = response.request.path
        page = Page(response)
        self.seen.append(page)
        return page


@pytest.fixture
def visitor(app: Flask, clinics: None) -> Visitor:
    """A visitor of a clinic that has times."""
    return Visitor(app.test_client())


@pytest.fixture
def other(app: Flask, clinics: None) -> Visitor:
    """Another visitor, elsewhere."""
    return Visitor(app.test_client(), address="198.51.100.9")
