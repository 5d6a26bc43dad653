"""A visitor of a served clinic with many callers, and what the database says came of it."""

import copy
import http.client
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Flask

from scheduler.clinic import service as clinic_service
from scheduler.clinic import standard
from scheduler.core.db import db, transaction
from tests import make
from tests.support.gate import Answer, Browser
from tests.support.served import Served

ZONE = ZoneInfo("Etc/GMT+5")  # no change of the clock: hours of a day are plain sums
BROKEN = (OSError, http.client.HTTPException)
_people = count(1)


def clinic(app: Flask, *, callers: int) -> int:
    """Make a site with so many callers, open every day; return its id."""
    with app.app_context(), transaction():
        standard.add_services()
        where = clinic_service.add_site(
            "woburn",
            "Woburn",
            zone_name=ZONE.key,
            address="1 Main Street, Woburn, MA",
            phone="+17815550100",
            starts=2,
        )
        clinic_service.open_weekly(where, range(7), time(8), time(18), valid_from=make.ALWAYS)
        for n in range(callers):
            make.person(where, f"Caller {n + 1}")
        site_id = where.id
    with app.app_context():
        db.engine.dispose()
    return site_id


def at(hour: int, minute: int = 0, *, days: int = 3) -> datetime:
    """Return a wall time there, counted from today."""
    today = datetime.now(UTC).astimezone(ZONE).date() + timedelta(days=days)
    return datetime.combine(today, time(hour, minute), ZONE).astimezone(UTC)


@dataclass
class Guest:
    """A visitor with a number and an address of their own."""

    served: Served
    number: int = field(default_factory=lambda: next(_people))
    form: dict[str, str] = field(default_factory=dict)
    patience_s: float = 240.0

    def __post_init__(self) -> None:
        n = self.number
        self.browser = Browser(
            self.served.port, f"10.9.{n // 250}.{n % 250 + 1}", patience_s=self.patience_s
        )

    @property
    def mobile(self) -> str:
        """Their number."""
        return f"+1617{230 + self.number // 10000}{self.number % 10000:04}"

    def times(self, start: datetime) -> Answer:
        """Look at the times of a day."""
        day = start.astimezone(ZONE).date().isoformat()
        return self.browser.get(f"/book/time?site=woburn&day={day}")

    def hold_form(self, start: datetime) -> dict[str, str]:
        """Read the page of times and choose one."""
        return {
            "csrf_token": self.times(start).value("csrf_token"),
            "site": "woburn",
            "day": start.astimezone(ZONE).date().isoformat(),
            "start": start.isoformat(timespec="minutes"),
        }

    def choose(self, start: datetime) -> Answer:
        """Hold a time; go on to the details and fill them in, not yet sent."""
        answer = self.browser.post("/book/time", self.hold_form(start))
        if answer.status == 303:
            page = self.browser.get(answer.location)
            names = ("csrf_token", "token", "hold", "site", "day", "start")
            self.form = {name: page.value(name) for name in names} | {
                "given_name": f"Visitor{self.number}",
                "family_name": "Guest",
                "mobile": self.mobile,
                "language": "en",
                "pain": "crps",
                "consent": "y",
            }
        return answer

    def send(self, **changes: str) -> Answer:
        """Send the details."""
        return self.browser.post("/book/details", self.form | changes)

    def twin(self) -> Browser:
        """Return the same browser in another window."""
        return copy.deepcopy(self.browser)


def reference(browser: Browser) -> str:
    """Return the name of the appointment this browser was shown: its calendar entry's own."""
    entry = browser.get("/my/visit/appointment.ics")
    assert entry.status == 200, entry.words
    return next(line for line in entry.text.splitlines() if line.startswith("UID:"))


def booked(app: Flask, guest: Guest) -> int:
    """Count the bookings under somebody's number."""
    return _count(
        app,
        "SELECT count(*) FROM appointment a JOIN patient p ON p.id = a.patient_id "
        "WHERE p.mobile = :mobile AND a.status = 'booked'",
        guest,
    )


def told(app: Flask, guest: Guest) -> int:
    """Count the words about a booking that wait to be texted to somebody."""
    return _count(
        app,
        "SELECT count(*) FROM message WHERE recipient = :mobile AND channel = 'sms' "
        "AND template = 'changed'",
        guest,
    )


def _count(app: Flask, statement: str, guest: Guest) -> int:
    with app.app_context():
        found = db.session.scalar(sa.text(statement), {"mobile": guest.mobile})
        db.session.rollback()
        return int(found or 0)
