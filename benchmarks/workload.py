"""The clinic everybody is measured with: ten people, one service of half an hour, half booked.

One site, Monday to Friday 9 to 5; thirty working days from next Monday on; of the sixteen slots
of each person's day eight are booked, drawn with a seed, for 480 patients in turn.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from scheduler.accounts import service as accounts
from scheduler.accounts.models import Role
from scheduler.booking.models import Appointment, Claim, Status
from scheduler.clinic import service as clinic
from scheduler.clinic.models import Lane, NeedKind, Resource, ResourceKind, ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.timespan import instant, wall_text
from scheduler.patients.models import Patient, Standing

SEED = 20261123
ZONE = ZoneInfo("America/New_York")
ALWAYS = date(2000, 1, 1)
PEOPLE = 10
PATIENTS = 480
DAYS = 30
OPENS, CLOSES = time(9), time(17)
MINUTES = 30
SLOTS = 16
BOOKED = 8
USERNAME, PASSWORD = "desk", "a long and calm password"
#: Nobody in a benchmark is held to what one household may book.
NO_LIMITS = {
    "start_every_minutes": MINUTES,
    "online_calls_per_number": 100_000,
    "online_bookings_per_address_per_hour": 1_000_000,
    "anonymous_holds_percent": 100,
}


@dataclass(frozen=True)
class Workload:
    """What was built, and which slots are free: known here without asking the product."""

    site_id: int
    site_code: str
    people: list[int]
    patients: list[tuple[int, str]]  # number and public reference
    days: list[date]
    free: dict[tuple[int, date], list[datetime]]  # by person and day


def working_days(first: date, count: int) -> list[date]:
    """Return the first so many days from `first` on that are no weekend."""
    found: list[date] = []
    while len(found) < count:
        if first.weekday() < 5:
            found.append(first)
        first += timedelta(days=1)
    return found


def next_monday(today: date) -> date:
    """Return the Monday after `today`."""
    return today + timedelta(days=7 - today.weekday())


def slots(day: date) -> list[datetime]:
    """Return the starts of a working day."""
    opening = instant(day, OPENS, ZONE)
    return [opening + timedelta(minutes=MINUTES * n) for n in range(SLOTS)]


def build(*, today: date, people: int = PEOPLE, booked: int = BOOKED) -> Workload:
    """Fill an empty database."""
    days = working_days(next_monday(today), DAYS)
    with transaction():
        site, callers = _supply(people)
        accounts.add_staff(
            username=USERNAME,
            name="Front Desk",
            title="",
            role=Role.FRONT_DESK,
            home_site_id=site.id,
            password=PASSWORD,
            actor="operator",
            now=datetime.now(UTC),
        )
        lanes = {p.id: p.lanes[0].id for p in callers}
        patients = add_patients(PATIENTS)
    rng = random.Random(SEED)
    taken = {(p, d): set(rng.sample(slots(d), booked)) for d in days for p in lanes}
    visits = _visits(taken, list(patients))
    with transaction():
        add_calls(site.id, visits, lanes, patients)
    return Workload(
        site_id=site.id,
        site_code=site.code,
        people=list(lanes),
        patients=[(number, reference(number)) for number in patients],
        days=days,
        free={key: [s for s in slots(key[1]) if s not in gone] for key, gone in taken.items()},
    )


def _supply(people: int) -> tuple[Site, list[Resource]]:
    site = clinic.add_site(
        "woburn",
        "Woburn",
        zone_name=ZONE.key,
        address="1 Main Street, Woburn, MA",
        phone="+17815550100",
        starts=2,
    )
    clinic.open_weekly(site, range(5), OPENS, CLOSES, valid_from=ALWAYS)
    clinic.add_service(
        ServiceCode.CALL,
        "Consultation call",
        visit_minutes=MINUTES,
        notice_minutes=0,
        horizon_days=60,
        is_online=True,
        needs=((NeedKind.PERSON, 0, MINUTES, "calls", True),),
    )
    for name, value in NO_LIMITS.items():
        clinic.choose(site, name, value, actor="operator", now=datetime.now(UTC))
    callers = []
    for number in range(1, people + 1):
        person = clinic.add_resource(ResourceKind.PERSON, f"Caller {number}", skills=("calls",))
        clinic.add_shift(person, site, range(5), OPENS, CLOSES, valid_from=ALWAYS)
        callers.append(person)
    return site, callers


def add_patients(count: int) -> dict[int, int]:
    """Add so many people; return the lane of each by their number."""
    found: dict[int, int] = {}
    first = 1 + (db.session.scalar(sa.select(sa.func.max(Patient.id))) or 0)
    resource = 1 + (db.session.scalar(sa.select(sa.func.max(Resource.id))) or 0)
    lane = 1 + (db.session.scalar(sa.select(sa.func.max(Lane.id))) or 0)
    resources, lanes, patients = [], [], []
    for n in range(count):
        resources.append(
            {"id": resource + n, "kind": ResourceKind.PATIENT, "name": "", "position": 0}
        )
        lanes.append({"id": lane + n, "resource_id": resource + n, "number": 1})
        patients.append(_person(first + n, resource + n))
        found[first + n] = lane + n
    for model, rows in ((Resource, resources), (Lane, lanes), (Patient, patients)):
        db.session.execute(sa.insert(model.__table__), rows)  # type: ignore[arg-type]
    count_on()
    return found


def _person(number: int, resource_id: int) -> dict[str, object]:
    return {
        "id": number,
        "public_id": reference(number),
        "resource_id": resource_id,
        "standing": Standing.PATIENT,
        "given_name": f"Guest{number}",
        "family_name": "Bench",
        "language": "en",
        "is_deceased": False,
        "search": f" guest{number} bench ",
        "created_at": datetime.now(UTC),
        "version": 1,
    }


def reference(number: int) -> str:
    """Return how a patient of that number is named in addresses."""
    return f"bench-{number}"


def _visits(
    taken: dict[tuple[int, date], set[datetime]], patients: list[int]
) -> Iterator[tuple[int, int, datetime]]:
    """Yield (person, patient, start), each patient in turn: never twice at one moment."""
    starts = sorted((start, p) for (p, _), gone in taken.items() for start in gone)
    for (start, person), patient in zip(starts, cycle(patients), strict=False):
        yield person, patient, start


def add_calls(
    site_id: int,
    visits: Iterator[tuple[int, int, datetime]],
    lanes: dict[int, int],
    patients: dict[int, int],
) -> None:
    """Write calls as they would stand had they been booked: (person, patient, start)."""
    first = 1 + (db.session.scalar(sa.select(sa.func.max(Appointment.id))) or 0)
    appointments, claims = [], []
    length = timedelta(minutes=MINUTES)
    for number, (person, patient, start) in enumerate(visits, first):
        span = {"starts_at": start, "ends_at": start + length}
        appointments.append(
            {
                "id": number,
                "public_id": f"bench-visit-{number}",
                "service_code": ServiceCode.CALL,
                "site_id": site_id,
                "patient_id": patient,
                **span,
                "wall_start": wall_text(start, ZONE),
                "zone_name": ZONE.key,
                "status": Status.BOOKED,
                "is_online": False,
                "version": 1,
                "sequence": 0,
                "changed_at": start,
                "changed_by": "operator",
                "change": "booked",
            }
        )
        claims += [
            {"lane_id": lane, "appointment_id": number, "is_pinned": False, **span}
            for lane in (lanes[person], patients[patient])
        ]
    if appointments:
        db.session.execute(sa.insert(Appointment.__table__), appointments)  # type: ignore[arg-type]
        db.session.execute(sa.insert(Claim.__table__), claims)  # type: ignore[arg-type]
    count_on()


def count_on() -> None:
    """Let PostgreSQL count on after the rows that were numbered here."""
    if db.engine.dialect.name != "postgresql":
        return
    for table in ("resource", "lane", "patient", "appointment", "claim", "audit_entry"):
        db.session.execute(
            sa.text(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                f"(SELECT coalesce(max(id), 1) FROM {table}))"
            )
        )
