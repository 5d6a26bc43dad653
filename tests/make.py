"""Things tests are made of: plain functions with plain defaults. Each writes and flushes."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer

from scheduler.accounts import passwords
from scheduler.accounts.models import Role, Staff
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Authority
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import service as clinic
from scheduler.clinic import standard
from scheduler.clinic.models import Resource, ResourceKind, ServiceCode, Site
from scheduler.core.db import db
from scheduler.patients import service as patients
from scheduler.patients.links import mint_link
from scheduler.patients.models import Patient

ZONE = "America/New_York"
ALWAYS = date(2020, 1, 1)
MONDAY = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
WHOLE_WEEK = range(7)
PASSWORD = "a long and calm password"


def noon_zone() -> str:
    """Return a zone in which it is about noon now, where texts may go out whenever tests are run.

    For tests of real processes, whose clock nobody stops. (POSIX signs: Etc/GMT+5 is five hours
    behind Greenwich.)
    """
    behind = datetime.now(UTC).hour - 12
    return f"Etc/GMT{behind:+d}" if behind else "Etc/GMT"


def at(hour: int, minute: int = 0, *, days: int = 1) -> datetime:
    """Return a wall time in Woburn, by default the day after the tests' Monday, in UTC."""
    return datetime(2026, 3, 2, tzinfo=UTC).replace(hour=hour, minute=minute) + timedelta(
        days=days, hours=5
    )


def site(code: str = "woburn", name: str = "Woburn", *, chairs: int = 2, starts: int = 2) -> Site:
    """A site open 8 to 6 every day."""
    made = clinic.add_site(
        code,
        name,
        zone_name=ZONE,
        address=f"1 Main Street, {name}, MA",
        phone="+17815550100",
        starts=starts,
    )
    clinic.open_weekly(made, WHOLE_WEEK, time(8), time(18), valid_from=ALWAYS)
    for number in range(1, chairs + 1):
        clinic.add_resource(ResourceKind.CHAIR, f"Chair {number}", site_id=made.id, position=number)
    return made


def person(
    where: Site, name: str = "Ines Roy", *, skills: tuple[str, ...] = ("calls",), lanes: int = 1
) -> Resource:
    """Somebody who works at a site from 8 to 6 every day."""
    made = clinic.add_resource(ResourceKind.PERSON, name, lanes=lanes, skills=skills)
    clinic.add_shift(made, where, WHOLE_WEEK, time(8), time(18), valid_from=ALWAYS)
    return made


def clinic_day(*, chairs: int = 2, callers: int = 1, nurses: int = 1) -> Site:
    """Services and one site with chairs, callers and nurses of three lanes each."""
    standard.add_services()
    where = site(chairs=chairs)
    for number in range(callers):
        person(where, f"Caller {number + 1}")
    for number in range(nurses):
        person(where, f"Nurse {number + 1}", skills=("nurse",), lanes=3)
    return where


def patient(
    given: str = "Ana", family: str = "Duarte", *, now: datetime = MONDAY, **details: object
) -> Patient:
    """Somebody known, with a mobile."""
    known: dict[str, object] = {"mobile": "+17815550111", "email": "ana@example.org"}
    return patients.add(given, family, actor="staff:1", now=now, **(known | details))  # type: ignore[arg-type]


def call(
    where: Site,
    who: Patient,
    starts_at: datetime | None = None,
    *,
    now: datetime = MONDAY,
    **more: object,
) -> Appointment:
    """A consultation call, booked by the desk."""
    return booking.book(
        ServiceCode.CALL,
        where.id,
        starts_at or at(10),
        who,
        actor="staff:1",
        now=now,
        **more,  # type: ignore[arg-type]
    )


def infusion(
    where: Site,
    who: Patient,
    starts_at: datetime | None = None,
    *,
    now: datetime = MONDAY,
    **more: object,
) -> Appointment:
    """An infusion, on a clinician's word."""
    known = {"authority": (Authority.OVERRIDE, "staff:1", "Known to the clinic.")}
    return booking.book(
        ServiceCode.INFUSION,
        where.id,
        starts_at or at(10),
        who,
        actor="staff:1",
        now=now,
        **(known | more),  # type: ignore[arg-type]
    )


def two_sites() -> tuple[Site, Site]:
    """Woburn (Ines takes calls, Rosa is a nurse) and Danvers (Omar takes calls)."""
    standard.add_services()
    woburn, danvers = site(), site("danvers", "Danvers", chairs=1)
    person(woburn, "Ines Roy", skills=("calls", "chats"))
    person(woburn, "Rosa Lima", skills=("nurse",), lanes=3)
    person(danvers, "Omar Haddad")
    return woburn, danvers


def staff(username: str, *, role: Role = Role.FRONT_DESK, name: str = "") -> Staff:
    """Somebody who signs in with PASSWORD, which is hashed only once a run; home is Woburn."""
    made = Staff(
        username=username,
        name=name or username.replace("-", " ").title(),
        title="",
        role=role,
        home_site_id=clinic_queries.site_called("woburn").id,
        password_hash=_hash(),
        created_at=MONDAY,
    )
    db.session.add(made)
    db.session.flush()
    return made


def private_link(visit: Appointment, *, now: datetime = MONDAY) -> str:
    """A private link to an appointment, as a text holds it: "/my/…"."""
    until = visit.ends_at + timedelta(hours=24)
    return "/my/" + mint_link(visit.patient, visit.topic, expires_at=until, now=now)


def with_clinician(client: FlaskClient, page: str, form: dict[str, object]) -> dict[str, object]:
    """Fill in who is on site, the first of the list, where a form only says that somebody is."""
    if form.get("ready-clinician") != "yes" or "on-site" in form:
        return form
    found = re.search(r'id="on-site".*?<option value="(\d+)"', client.get(page).text, re.S)
    assert found
    return {**form, "on-site": found[1]}


def form_token(client: FlaskClient, page: str) -> str:
    """Return the form token on a page, as a browser would send it back.

    The desk's pages, which take long, are not fetched for it: a browser's token is the same on
    each. That a form carries it, and is refused without, is tested in tests/house.
    """
    if page.startswith("/desk"):
        return _written(client)
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
    assert found, f"no form on {page}"
    return found.group(1)


def _written(client: FlaskClient) -> str:
    """Return a token as Flask-WTF writes it into a form, from what the browser's session holds."""
    app = client.application
    with client.session_transaction() as session:
        secret = session.setdefault("csrf_token", "a" * 40)
    assert app.secret_key
    return str(URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(secret))


@cache
def _hash() -> str:
    return passwords.hashed(PASSWORD)
