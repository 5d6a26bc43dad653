"""`make bench`: how long the main questions take, each against a floor measured in the same run.

A number alone says more of the machine than of the code, so each row is a ratio to the least the
database could do for the same answer. Written to docs/benchmarks.md.
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from scheduler.app import create_app
from scheduler.audit.models import AuditEntry
from scheduler.booking import offers
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment, Claim
from scheduler.booking.offers import Audience
from scheduler.clinic import standard, supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.messaging.models import Message
from scheduler.patients.models import Patient
from tests import make
from tests.support import databases, postgres

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
NOW = make.MONDAY
DAYS = 60
ROUNDS = 60


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


def measure(name: str, url: str) -> Iterator[Row]:
    """Measure one kind of database."""
    app = create_app(databases.config(url))
    with app.app_context():
        sites = build()
        yield _offers(name, sites)
        yield _booking(name, sites[0])
        db.session.rollback()
        db.engine.dispose()


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
    starts = iter(
        [
            o.starts_at
            for o in offers.find(
                ServiceCode.CALL,
                site_ids=[site_id],
                since=make.at(0),
                until=make.at(0, days=DAYS),
                now=NOW,
                audience=Audience.DESK,
            )
        ]
    )
    with transaction():
        people = iter([make.patient(f"B{n}", "Bench").id for n in range(ROUNDS + 3)])

    def ours() -> None:
        with transaction():
            site = db.session.get_one(make.Site, site_id)
            make.call(site, db.session.get_one(Patient, next(people)), next(starts))

    booking = median_ms(ours)
    rows = _rows_of_the_last_booking()

    def floor() -> None:
        with transaction() as session:
            for table, values in rows:
                session.execute(sa.insert(table), values)
            session.execute(sa.delete(Claim).where(Claim.starts_at >= FAR))

    return Row(
        name,
        "one booking: appointment, claims, audit, messages",
        booking,
        "the same rows inserted bare in one transaction",
        median_ms(floor),
    )


FAR = datetime(2090, 1, 1, tzinfo=NOW.tzinfo)


def _rows_of_the_last_booking() -> list[tuple[sa.Table, list[dict[str, object]]]]:
    """Return what the last booking wrote, moved out of the way, to be written again bare."""
    last = db.session.scalar(sa.select(sa.func.max(Appointment.id)))
    found: list[tuple[sa.Table, list[dict[str, object]]]] = []
    for model, condition in (
        (AuditEntry, AuditEntry.subject == f"appointment:{last}"),
        (Message, Message.topic == f"appointment:{last}"),
        (Claim, Claim.appointment_id == last),
    ):
        table = model.__table__
        assert isinstance(table, sa.Table)
        rows = [dict(r._mapping) for r in db.session.execute(sa.select(table).where(condition))]
        for row in rows:
            row.pop("id")
            if "starts_at" in row:
                row["starts_at"], row["ends_at"] = FAR, FAR + timedelta(minutes=15)
        found.append((table, rows))
    return [(t, r) for t, r in found if r and "dedupe_key" not in r[0]]


@contextmanager
def database(name: str) -> Iterator[str]:
    """Yield a fresh database of one kind."""
    if name == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/bench.db"
            databases.migrate(url)
            yield url
    else:
        with databases.PostgresTemplate(postgres.server().admin_url).fresh() as url:
            yield url


def main() -> None:
    """Measure and write the page."""
    rows: list[Row] = []
    for name in ("SQLite", "PostgreSQL"):
        with database(name) as url:
            for row in measure(name, url):
                print(
                    f"{row.database}: {row.what}: {row.ours_ms:.2f} ms, "
                    f"{row.ratio:.1f} x {row.floor} ({row.floor_ms:.2f} ms)",
                    flush=True,
                )
                rows.append(row)
    if "--no-page" not in sys.argv:
        PAGE.write_text(page(rows))


def page(rows: list[Row]) -> str:
    """Return the page."""
    table = [
        f"| {r.database} | {r.what} | {r.ours_ms:.2f} | {r.floor}: {r.floor_ms:.2f} "
        f"| {r.ratio:.1f} |"
        for r in rows
    ]
    where = (
        f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, "
        f"{platform.system()} {platform.machine()}."
    )
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`. Medians of warm calls, in milliseconds; the ratio to a",
            "floor measured in the same run is what may be compared between machines.",
            "",
            where,
            "",
            "| database | what | ms | floor | ratio |",
            "| --- | --- | --- | --- | --- |",
            *table,
            "",
        ]
    )


if __name__ == "__main__":
    main()
