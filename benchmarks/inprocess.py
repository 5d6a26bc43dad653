"""The two main questions in process, each against the least the database could do for it."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from benchmarks import serving
from benchmarks.page import Section
from scheduler.audit.models import AuditEntry
from scheduler.booking import offers
from scheduler.booking import service as booking
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment, Claim, Hold, HoldKind
from scheduler.booking.offers import Audience
from scheduler.clinic import standard, supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import Model, db, transaction
from scheduler.messaging.models import Message
from scheduler.patients.models import Patient
from tests import make
from tests.messaging.kit import ana

NOW = make.MONDAY
DAYS = 60
ROUNDS = 60
WORDS = """
Two sites with ten chairs and twelve people, about half full. Medians of warm calls, in
milliseconds, ours and the floor in turns.
"""
HEAD = ("database", "what", "ms", "floor, ms", "times the floor")


@dataclass(frozen=True)
class Row:
    """One measure: median milliseconds, of the answer and of its floor."""

    database: str
    what: str
    ours_ms: float
    floor: str
    floor_ms: float

    @property
    def ratio(self) -> float:
        """How many floors the answer costs."""
        return self.ours_ms / self.floor_ms


def medians_ms(
    ours: Callable[[], object], floor: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the median times of an answer and its floor, taken in turns on the same machine.

    Warm: the first three rounds do not count.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for n in range(rounds + 3):
        for act, taken in zip((ours, floor), times, strict=True):
            began = time.perf_counter()
            act()
            if n >= 3:
                taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def build() -> list[int]:
    """Two sites with ten chairs and twelve people, about half full for 60 days; site ids."""
    sites = []
    with transaction():
        standard.add_services()
        for code, chairs in (("woburn", 6), ("danvers", 4)):
            site = make.site(code, code.title(), chairs=chairs, starts=2)
            for n in range(3):
                make.person(site, f"Nurse {code} {n}", skills=("nurse",), lanes=3)
                make.person(site, f"Caller {code} {n}", skills=("calls",))
            sites.append(site.id)
    people = iter(_people())
    for day in range(1, DAYS):
        with transaction():
            for site_id in sites:
                _fill_day(site_id, day, people)
    return sites


def _people() -> Iterator[Patient]:
    number = 0
    while True:
        number += 1
        yield make.patient(f"P{number}", "Bench", mobile=None, email=None)


def _fill_day(site_id: int, day: int, people: Iterator[Patient]) -> None:
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=[site_id],
        since=make.at(0, days=day),
        until=make.at(23, days=day),
        now=NOW,
        audience=Audience.DESK,
    )
    site = db.session.get_one(make.Site, site_id)
    chairs = len(supply.current().sites[site_id].chairs)
    for offer in found[:: max(len(found) // (chairs * 3), 1)][: chairs * 3]:
        try:
            with db.session.begin_nested():
                make.infusion(site, next(people), offer.starts_at)
        except SlotTaken:
            continue  # this very filling has taken it


def run() -> Section:
    """Measure both databases."""
    section = Section("In process", WORDS, HEAD)
    for kind in serving.KINDS:
        with serving.database(kind) as url, serving.room(url):
            sites = build()
            for row, most in ((_offers(kind, sites), 3), (_booking(kind, sites[0]), 4)):
                section.say(
                    row.database,
                    row.what,
                    f"{row.ours_ms:.2f}",
                    f"{row.floor}: {row.floor_ms:.2f}",
                    f"{row.ratio:.1f}",
                )
                section.judge(
                    row.database,
                    row.what,
                    f"{row.ratio:.1f} times {row.floor}",
                    f"at most {most}",
                    row.ratio <= most,
                )
            db.session.rollback()
    return section


def _offers(name: str, sites: list[int]) -> Row:
    since, until = make.at(0), make.at(0, days=DAYS)
    lanes = [lane for s in sites for lane in offers.lanes_of(supply.current().sites[s])]

    def ours() -> None:
        offers.find(
            ServiceCode.INFUSION,
            site_ids=sites,
            since=since,
            until=until,
            now=NOW,
            audience=Audience.DESK,
        )

    bare = sa.select(Claim.lane_id, Claim.starts_at, Claim.ends_at).where(
        Claim.lane_id.in_(lanes), Claim.starts_at < until, Claim.starts_at > since
    )
    taken, floor = medians_ms(ours, lambda: db.session.execute(bare).all())
    return Row(
        name,
        f"infusion offers, both sites, {DAYS} days",
        taken,
        "the bare query of the same claims",
        floor,
    )


def _booking(name: str, site_id: int) -> Row:
    found = offers.find(
        ServiceCode.CALL,
        site_ids=[site_id],
        since=make.at(0),
        until=make.at(0, days=28),
        now=NOW,
        audience=Audience.ONLINE,
    )
    starts = iter([offer.starts_at for offer in found])
    with transaction():
        people = iter([ana(NOW, email=f"b{n}@example.org").id for n in range(ROUNDS + 4)])

    def ours() -> None:
        with transaction():
            held = booking.hold(ServiceCode.CALL, site_id, next(starts), holder="bench", now=NOW).id
        with transaction() as session:
            patient = session.get_one(Patient, next(people))
            booking.book_held(held, holder="bench", patient=patient, actor="online", now=NOW)

    ours()
    rows = _rows_of_the_last_booking()
    counted = ", ".join(f"{len(each)} {table.name}" for table, each in rows)
    turn = iter(range(1, ROUNDS + 4))

    def floor() -> None:
        n = next(turn)
        with transaction() as session:
            for table, each in rows:
                session.execute(sa.insert(table), [_again(row, n, k) for k, row in enumerate(each)])

    taken, bare = medians_ms(ours, floor)
    return Row(
        name,
        "one booking: hold, appointment, claims, audit, messages",
        taken,
        f"the same rows ({counted}) inserted bare in one transaction",
        bare,
    )


FAR = datetime(2090, 1, 1, tzinfo=NOW.tzinfo)


def _rows_of_the_last_booking() -> list[tuple[sa.Table, list[dict[str, object]]]]:
    """Return what the last booking wrote, by table. Its hold is gone, and stood for as it was."""
    last = db.session.scalars(sa.select(Appointment).order_by(Appointment.id.desc())).first()
    assert last is not None
    hold = {
        "kind": HoldKind.FORM,
        "holder": "floor",
        "service_code": last.service_code,
        "site_id": last.site_id,
        "starts_at": last.starts_at,
        "first_held_at": NOW,
        "expires_at": NOW,
    }
    found: list[tuple[sa.Table, list[dict[str, object]]]] = [(_table(Hold), [hold])]
    for model, condition in (
        (Appointment, Appointment.id == last.id),
        (Claim, Claim.appointment_id == last.id),
        (AuditEntry, AuditEntry.subject == last.topic),
        (Message, Message.patient_id == last.patient_id),
    ):
        table = _table(model)
        rows = [dict(r._mapping) for r in db.session.execute(sa.select(table).where(condition))]
        for row in rows:
            row.pop("id")
        assert rows, f"the booking wrote no {table.name}"
        found.append((table, rows))
    return found


def _table(model: type[Model]) -> sa.Table:
    assert isinstance(model.__table__, sa.Table)
    return model.__table__


def _again(row: dict[str, object], n: int, k: int) -> dict[str, object]:
    """Return a row with new names, and a claim far from every other: the n-th floor, k-th row."""
    changed = dict(row)
    for unique in ("public_id", "dedupe_key"):
        if changed.get(unique):
            changed[unique] = f"floor-{n}-{k}"
    if "lane_id" in changed:
        changed["starts_at"] = FAR + timedelta(minutes=15 * n)
        changed["ends_at"] = FAR + timedelta(minutes=15 * n + 15)
    return changed
