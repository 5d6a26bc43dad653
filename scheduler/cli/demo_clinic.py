"""The two clinics of the demo: their houses, their staff and their own words."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from flask import current_app

from config import Config
from scheduler.accounts import service as accounts
from scheduler.accounts.models import Role, Staff
from scheduler.clinic import service as clinic
from scheduler.clinic import standard
from scheduler.clinic.models import Resource, ResourceKind, Site
from scheduler.messaging import versions
from scheduler.patients.models import Patient
from scheduler.plans import (
    library,
    protocol,
)

PASSWORD = "quiet-harbor-lamp"  # noqa: S105  a demo's, printed at every start
SIGN_INS = (
    ("ines", "front desk, Woburn"),
    ("rosa", "nurse, Woburn"),
    ("amara", "clinician"),
    ("priya", "administrator"),
)
PAST_DAYS = 21
BEFORE = timedelta(days=PAST_DAYS + 8)  # the first bookings are made before the first visit
ZONE = "America/New_York"
#: What the administrator has the text before a visit say.
TOMORROW = (
    "{clinic}: see you {when}, at {place}. Park for free behind the house. {before}"
    "Reply 1 to confirm, 2 to change. Questions? Call {phone}. Text STOP to end texts."
)


@dataclass
class Clinic:
    """What was built, by the names the story uses."""

    woburn: Site
    danvers: Site
    staff: dict[str, Staff] = field(default_factory=dict)
    people: list[Patient] = field(default_factory=list)


def build(*, now: datetime) -> Clinic:
    """Build both sites with chairs, hours and staff, and activate the shipped protocol."""
    since = date(2020, 1, 1)
    woburn = clinic.add_site(
        "woburn",
        "Woburn",
        zone_name=ZONE,
        address="12 Demo Mill Lane, Woburn, MA 01801",
        phone="+17815550134",
        starts=2,
    )
    danvers = clinic.add_site(
        "danvers",
        "Danvers",
        zone_name=ZONE,
        address="40 Demo Harbor Road, Danvers, MA 01923",
        phone="+19785550142",
        starts=2,
    )
    clinic.open_weekly(woburn, range(5), time(8), time(18), valid_from=since)
    clinic.open_weekly(woburn, (5, 6), time(8), time(16), valid_from=since)
    clinic.open_weekly(danvers, range(5), time(8), time(17), valid_from=since)
    clinic.open_weekly(danvers, (5,), time(9), time(14), valid_from=since)
    for site, chairs in ((woburn, 6), (danvers, 4)):
        for number in range(1, chairs + 1):
            clinic.add_resource(
                ResourceKind.CHAIR, f"Chair {number}", site_id=site.id, position=number
            )
    standard.add_services()
    built = Clinic(woburn, danvers)
    _staff(built, since=since, now=now)
    shipped = library.import_draft(
        protocol.shipped()[0].read_text(), actor="operator", now=now - BEFORE
    )
    library.activate(shipped, built.staff["amara"], now=now - BEFORE)
    return built


def own_words(built: Clinic, *, now: datetime) -> None:
    """Have the administrator write one text anew."""
    config: Config = current_app.extensions["emerge_config"]
    versions.save(
        "visit-tomorrow",
        "en",
        TOMORROW,
        seen=0,
        public_url=config.public_url,
        actor=f"staff:{built.staff['priya'].id}",
        now=now,
    )


def _staff(built: Clinic, *, since: date, now: datetime) -> None:
    week, all_days = range(5), range(7)
    woburn, danvers = built.woburn, built.danvers
    nurse, calls, chats = ("nurse",), ("calls",), ("chats", "approve-plans")
    # (username, name, title, role, skills, lanes, [(site, weekdays, from, until)])
    roster: tuple[
        tuple[str, str, str, Role, tuple[str, ...], int, list[tuple[Site, range, time, time]]], ...
    ] = (
        ("rosa", "Rosa Lima", "RN", Role.NURSE, nurse, 3,
         [(woburn, all_days, time(8), time(16))]),
        ("dev", "Dev Patel", "RN", Role.NURSE, nurse, 3, [(woburn, week, time(9), time(18))]),
        ("hana", "Hana Sato", "RN", Role.NURSE, nurse, 3,
         [(danvers, range(6), time(8), time(17))]),
        ("luis", "Luis Ferreira", "RN", Role.NURSE, nurse, 3,
         [(danvers, week, time(10), time(17))]),
        ("ines", "Ines Roy", "Calls", Role.FRONT_DESK, calls, 1,
         [(woburn, all_days, time(9), time(17))]),
        ("nell", "Nell Quinn", "Calls", Role.FRONT_DESK, calls, 1,
         [(danvers, range(6), time(9), time(17))]),
        ("sam", "Sam Ortiz", "Calls", Role.FRONT_DESK, calls, 1,
         [(woburn, range(3), time(8), time(16))]),
        ("amara", "Dr. Amara Obi", "MD", Role.CLINICIAN, chats, 1,
         [(woburn, all_days, time(9), time(16))]),
        ("jonas", "Dr. Jonas Weiss", "MD", Role.CLINICIAN, chats, 1,
         [(danvers, week, time(9), time(16))]),
        ("priya", "Priya Nair", "Office", Role.ADMIN, (), 0, []),
    )  # fmt: skip
    for username, name, title, role, skills, lanes, shifts in roster:
        resource: Resource | None = None
        if lanes:
            resource = clinic.add_resource(
                ResourceKind.PERSON, name, lanes=lanes, skills=skills, position=len(built.staff)
            )
            for site, weekdays, start, end in shifts:
                end = min(end, time(16)) if site is woburn and 6 in weekdays else end
                clinic.add_shift(resource, site, weekdays, start, end, valid_from=since)
        built.staff[username] = accounts.add_staff(
            username=username,
            name=name,
            title=title,
            role=role,
            home_site_id=(shifts[0][0] if shifts else woburn).id,
            resource_id=resource.id if resource else None,
            password=PASSWORD,
            actor="operator",
            now=now,
        )
