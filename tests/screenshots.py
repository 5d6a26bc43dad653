"""Take the pictures the documents show, and one of every page to be looked at.

    make screenshots                 docs/pictures/ and .cache/screenshots/
    make screenshots ARGS=today      only pages whose name holds that word

The demo is filled in a throw-away database as of one Tuesday morning, and served by gunicorn with
its clock standing there; so the pictures change only when the pages do.
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, Page, sync_playwright

from scheduler.app import create_app
from scheduler.booking.models import Appointment, Status
from scheduler.cli import demo, demo_clinic, schema
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.messaging import beats
from scheduler.messaging.models import InboundText
from scheduler.patients.links import mint_link
from tests.journeys.world import web_command
from tests.support import chromium, databases, png

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ROOT / "docs" / "pictures"
LOOKED_AT = ROOT / ".cache" / "screenshots"
MOMENT = datetime(2026, 11, 17, 10, 38, tzinfo=ZoneInfo("America/New_York"))
SHOWN_SIZE = (1480, 860)
SIZES = ((360, 740), (1280, 800))
PATIENCE_S = 30

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

#: What is looked at, by the name of its picture. Addresses in braces are found in the database.
PUBLIC = {
    "home": "/",
    "where": "/book",
    "time": "/book/time?site=either",
    "visit": "{link}",
    "move": "/my/visit/move",
    "cancel": "/my/visit/cancel",
    "gone": "/my/" + "x" * 32,
    "time-es": "/book/time?site=woburn&lang=es",  # last: the language is remembered
    "sign-in": "/desk/sign-in",
}
DESK = {
    "today": "/desk",
    "today-list": "/desk?view=list",
    "today-both": "/desk?site=both",
    "appointment": "{appointment}",
    "appointment-move": "{appointment}/move",
    "appointment-cancel": "{appointment}/cancel",
    "book": "/desk/book",
    "patients": "/desk/patients",
    "patient": "{patient}",
    "patient-edit": "{patient}/edit",
    "inbox": "/desk/inbox",
    "conversation": "{conversation}",
    "to-call": "/desk/to-call",
    "not-reached": "/desk/not-reached",
    "tasks": "/desk/tasks",
    "new-people": "/desk/new-people",
    "phones": "/desk/phone",
    "missing": "/desk/no-such-page",
}


@dataclass(frozen=True)
class Served:
    """A demo that answers, and the addresses only its database knows."""

    address: str
    found: dict[str, str]


def main(arguments: list[str]) -> int:
    """Take the pictures; with words, only those whose name holds one of them."""
    with (
        tempfile.TemporaryDirectory(prefix="emerge-pictures-") as folder,
        _served(Path(folder)) as served,
        _browser() as browser,
    ):
        if not arguments or "today" in arguments:
            _show(browser, served)
        for size, scheme in product(SIZES, SCHEMES):
            _look(browser, served, size, scheme, arguments)
    return 0


def _look(
    browser: Browser, served: Served, size: tuple[int, int], scheme: Scheme, only: list[str]
) -> None:
    """Take every page at one size and in one scheme, the whole length of it."""
    page = _window(browser, size, scheme)
    for signed_in, pages in ((False, PUBLIC), (True, DESK)):
        if signed_in:
            _sign_in(page, served)
        for name, path in pages.items():
            if only and not any(word in name for word in only):
                continue
            page.goto(served.address + path.format(**served.found))
            page.screenshot(
                path=LOOKED_AT / f"{name}-{size[0]}-{scheme}.png",
                full_page=True,
                animations="disabled",
            )
    page.context.close()
    print(f"{size[0]} px, {scheme}: {LOOKED_AT.relative_to(ROOT)}")


def _show(browser: Browser, served: Served) -> None:
    """Take the picture of the README."""
    page = _window(browser, SHOWN_SIZE, "light")
    _sign_in(page, served)
    page.goto(served.address + "/desk")
    picture = SHOWN / "today.png"
    picture.write_bytes(png.with_palette(page.screenshot(animations="disabled")))
    page.context.close()
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KB")


def _window(browser: Browser, size: tuple[int, int], scheme: Scheme) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        locale="en-US",
        timezone_id=str(MOMENT.tzinfo),
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    page.clock.set_fixed_time(MOMENT)
    return page


def _sign_in(page: Page, served: Served) -> None:
    page.goto(served.address + "/desk/sign-in")
    page.fill("[name=username]", demo_clinic.SIGN_INS[0][0])
    page.fill("[name=password]", demo_clinic.PASSWORD)
    page.click("main form button")
    page.wait_for_url("**/desk")


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium.ensure(), args=chromium.LAUNCH_ARGS
        )
        yield opened
        opened.close()


@contextmanager
def _served(folder: Path) -> Iterator[Served]:
    """Fill a demo and serve it until the pictures are taken."""
    for pictures in (SHOWN, LOOKED_AT):
        pictures.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{folder / 'emerge.db'}"
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    found = _fill(database, address)
    # What else the shell says (Twilio, SMTP) is none of a demo's business.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | {
        "DATABASE_URL": database,
        "EMERGE_ENV": "demo",
        "EMERGE_KEYS": databases.KEYS,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PUBLIC_URL": address,
        "STOPPED_AT": MOMENT.isoformat(),
    }
    command = web_command(port, workers=1, app="tests.support.stopped:app")
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(port, server)
        yield Served(address, found)
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def _fill(database: str, address: str) -> dict[str, str]:
    """Fill the demo as of the moment; return the addresses that are known only afterwards."""
    app = create_app(databases.config(database, environment="demo", public_url=address))
    with app.app_context():
        schema.upgrade(db.engine)
        demo.fill(now=MOMENT)
        with transaction():
            beats.beat("pictures", started_at=MOMENT, now=MOMENT)
            call = _next(ServiceCode.CALL)
            token = mint_link(call.patient, call.topic, expires_at=call.ends_at, now=MOMENT)
            visit = _next(ServiceCode.INFUSION)
            found = {
                "link": f"/my/{token}",
                "appointment": f"/desk/appointments/{visit.public_id}",
                "conversation": f"/desk/inbox/{db.session.query(InboundText.id).limit(1).scalar()}",
                "patient": f"/desk/patients/{visit.patient.public_id}",
            }
        db.engine.dispose()
    return found


def _next(service: ServiceCode) -> Appointment:
    """Return the next appointment of a kind that still stands."""
    return (
        db.session.query(Appointment)
        .filter(
            Appointment.service_code == service,
            Appointment.status == Status.BOOKED,
            Appointment.starts_at > MOMENT,
        )
        .order_by(Appointment.starts_at, Appointment.id)
        .first()
    ) or _none(service)


def _none(service: ServiceCode) -> Appointment:
    raise LookupError(f"the demo has no {service.value} ahead")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError("the web server ended by itself; its words are above")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
