"""Does the past slow the present? The same questions with 1, 10 and 100 times the history."""

import itertools
import json
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from flask import Flask

from benchmarks import plots, serving, workload
from benchmarks.page import PICTURES, Section
from scheduler.app import create_app
from scheduler.booking import offers
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment, Authority, Claim, Status
from scheduler.booking.offers import Audience
from scheduler.clinic import standard, supply
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.timespan import wall_text
from scheduler.patients.models import Patient
from tests import make
from tests.support import databases

TIMES = (1, 10, 100)
VISITS = 5_000  # of history at 1x: four claims each, so 20,000, and two millions at 100x
DAYS = 60
PATIENTS = 2_000
VISITS_A_DAY = 5  # of one chair
ROUNDS = 25
MOST = 1.5
NOW = make.MONDAY
TABLES = ("claim", "appointment", "audit_entry")
WORDS = f"""
Two sites with ten chairs and twelve people, half full for the {DAYS} days ahead, and a past of
visits at every chair, day after day: {VISITS * 4:,} claims, then ten and a hundred times as
many, with their appointments and their entries in the record. The statements are those the
product sends; the plan is the database's own (`EXPLAIN`), with the names of the indexes. Work
is counted, not timed: on PostgreSQL the rows that were read, kept or not; on SQLite the steps
of its machine. Times are medians of {ROUNDS} warm calls in this process, the three sizes asked
in turns.
"""
HEAD = (
    "database",
    "claims in the past",
    "question",
    "ms",
    "times 1x",
    "rows found",
    "rows read (PostgreSQL), steps (SQLite)",
    "plan",
)
SIXTY = f"infusions, both sites, {DAYS} days"
ONE = "infusions, one site, one day"
BOOK = "one booking"


@dataclass(frozen=True)
class Point:
    """One question at one size of the past."""

    ms: float = 0.0
    ratio: float = 1.0  # to 1x
    rows: int = 0
    read: int = 0
    plan: str = ""


def run() -> Section:
    """Measure both databases, and draw the curves."""
    section = Section("Growth: a hundred times the history", WORDS, HEAD)
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for kind in serving.KINDS:
        with ExitStack() as stack:
            books = [_book(stack, kind, times) for times in TIMES]
            for question, points in _measure(books).items():
                for times, point in zip(TIMES, points, strict=True):
                    _say(section, kind, times, question, point)
                _judge(section, kind, question, points)
                curves.setdefault(question, {})[kind] = [
                    (VISITS * 4 * times, point.ms)
                    for times, point in zip(TIMES, points, strict=True)
                ]
    PICTURES.mkdir(exist_ok=True)
    for number, (question, lines) in enumerate(curves.items(), 1):
        name = f"growth-{number}.svg"
        (PICTURES / name).write_text(plots.curves(question, lines))
        section.pictures.append((f"Time of “{question}” over claims in the past", name))
    return section


def _book(stack: ExitStack, kind: str, times: int) -> "Book":
    """Return a clinic with so much of a past, in a database of its own."""
    began = time.monotonic()
    app = create_app(databases.config(stack.enter_context(serving.database(kind))))
    stack.callback(serving.dispose, app)
    with app.app_context():
        book = Book(app, VISITS * times)
    print(f"{kind}: {times}x loaded in {time.monotonic() - began:.0f} s", flush=True)
    return book


def _say(section: Section, kind: str, times: int, question: str, point: Point) -> None:
    section.say(
        kind,
        f"{VISITS * 4 * times:,}",
        question,
        f"{point.ms:.2f}",
        f"{point.ratio:.2f}",
        f"{point.rows:,}" if point.plan else "",
        f"{point.read:,}" if point.plan else "",
        point.plan,
    )


def _judge(section: Section, kind: str, question: str, points: list[Point]) -> None:
    last = points[-1]
    section.judge(
        kind,
        f"{question}, 100x history",
        f"{last.ratio:.2f} times 1x",
        f"at most {MOST}",
        last.ratio <= MOST,
    )
    if not last.plan:
        return
    plans = {point.plan for point in points}
    section.judge(
        kind,
        f"{question}, plan",
        "the same" if len(plans) == 1 else f"{len(plans)} plans",
        "the same at 1x, 10x, 100x",
        len(plans) == 1,
    )
    reads = [point.read for point in points]
    section.judge(
        kind,
        f"{question}, rows read" if kind == "PostgreSQL" else f"{question}, steps",
        " / ".join(f"{n:,}" for n in reads),
        "the same at 1x, 10x, 100x",
        len(set(reads)) == 1,
    )


class Book:
    """A clinic with so many visits behind it."""

    def __init__(self, app: Flask, visits: int) -> None:
        self.app = app
        with transaction():
            standard.add_services()
            for code, chairs in (("woburn", 6), ("danvers", 4)):
                site = make.site(code, code.title(), chairs=chairs, starts=2)
                for n in range(3):
                    make.person(site, f"Nurse {code} {n}", skills=("nurse",), lanes=3)
                    make.person(site, f"Caller {code} {n}")
            self.patients = list(workload.add_patients(PATIENTS).items())
        self.sites = list(supply.current().sites.values())
        self.people = itertools.cycle(self.patients)
        chance = random.Random(workload.SEED)
        ahead = [v for day in range(1, DAYS + 1) for v in self._day(day) if chance.random() < 0.5]
        past = (visit for n in itertools.count(1) for visit in self._day(-n))
        self._load(itertools.chain(ahead, itertools.islice(past, visits)))
        with transaction():
            self.bookers = [
                make.patient(f"B{n}", "Bench", mobile=None, email=f"b{n}@example.org").id
                for n in range(ROUNDS + 3)
            ]

    @property
    def site_ids(self) -> list[int]:
        """Both sites."""
        return [site.id for site in self.sites]

    def _day(self, day: int) -> Iterator[tuple[int, datetime, tuple[int, ...]]]:
        """Yield a full day: (site, arrival, the lanes of chair, nurse and start)."""
        opening = make.at(8, days=day)
        for site in self.sites:
            nurses = [lane for p in site.with_skill("nurse") for lane in p.lanes]
            for place, chair in enumerate(site.chairs):
                first = opening + timedelta(minutes=15 * (place // 2))
                start = site.starts.lanes[place % 2]
                for n in range(VISITS_A_DAY):
                    lanes = (chair.lanes[0], nurses[place], start)
                    yield site.id, first + timedelta(minutes=105 * n), lanes

    def _load(self, visits: Any) -> None:
        """Write visits as they would stand had they been booked, with the laws off meanwhile."""
        first = 1 + (db.session.scalar(sa.select(sa.func.max(Appointment.id))) or 0)
        numbered = zip(itertools.count(first), visits, self.people, strict=False)
        db.session.remove()
        write = _into_sqlite if db.engine.dialect.name == "sqlite" else _into_postgresql
        write(numbered)
        with transaction():
            workload.count_on()
        _insist_on_the_law()


def _insist_on_the_law() -> None:
    """Make sure that the database refuses a claim over another, as it did before the load.

    Raises:
        AssertionError: it takes it.
    """
    lane, since, until, owner = db.session.execute(
        sa.select(Claim.lane_id, Claim.starts_at, Claim.ends_at, Claim.appointment_id).limit(1)
    ).one()
    row = {"lane_id": lane, "starts_at": since, "ends_at": until, "is_pinned": False}
    try:
        with transaction() as session:
            session.execute(sa.insert(Claim).values(appointment_id=owner, **row))
            raise AssertionError("the database took two claims of one lane")
    except sa.exc.IntegrityError:
        return


Row = tuple[object, ...]
Numbered = Iterator[tuple[int, tuple[int, datetime, tuple[int, ...]], tuple[int, int]]]


def _rows(numbered: Numbered) -> Iterator[tuple[Row, list[Row], Row]]:
    """Yield each visit as rows of appointment, claims and record; moments as text in UTC."""
    known: dict[datetime, tuple[str, ...]] = {}
    for number, (site_id, arrival, (chair, nurse, start)), (patient, patient_lane) in numbered:
        if arrival not in known:
            known = {arrival: _moments(arrival)} if len(known) > 100 else known
            known[arrival] = _moments(arrival)
        booked, begins, drip, dripping, ends, clean, wall = known[arrival]
        appointment = (
            *(number, f"past-{number}", ServiceCode.INFUSION.value, site_id, patient),
            *(begins, ends, wall, workload.ZONE.key, Status.FULFILLED.value),
            *(Authority.OVERRIDE.value, "staff:1", "Known to the clinic.", False, 1, 0),
            *(begins, "operator", "booked"),
        )
        claims: list[Row] = [
            (chair, begins, clean, number, False),
            (nurse, begins, ends, number, False),
            (start, drip, dripping, number, False),
            (patient_lane, begins, ends, number, False),
        ]
        entry = (
            *(booked, "staff:1", "appointment.booked", f"appointment:{number}"),
            *(patient, "{}", "process", "-"),
        )
        yield appointment, claims, entry


def _moments(arrival: datetime) -> tuple[str, ...]:
    """Return when it was booked, begins, drips, has dripped, ends, is clean; and on the wall."""
    after = (timedelta(minutes=n) for n in (0, 15, 30, 85, 95))
    moments = (arrival - timedelta(days=9), *(arrival + later for later in after))
    return *(f"{m.astimezone(UTC):%Y-%m-%d %H:%M:%S.000000}" for m in moments), wall_text(
        arrival, workload.ZONE
    )


APPOINTMENT = (
    "id, public_id, service_code, site_id, patient_id, starts_at, ends_at, wall_start, zone_name, "
    "status, authority, authority_ref, authority_reason, is_online, version, sequence, "
    "changed_at, changed_by, change"
)
CLAIM = "lane_id, starts_at, ends_at, appointment_id, is_pinned"
ENTRY = "at, actor, action, subject, patient_id, detail, origin, request_id"


def _into_sqlite(numbered: Numbered) -> None:
    raw = db.engine.raw_connection()
    try:
        connection: Any = raw.driver_connection
        connection.execute("BEGIN IMMEDIATE")
        laws = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL "
            f"AND type IN ('trigger', 'index') AND tbl_name IN {TABLES} ORDER BY type"
        ).fetchall()
        for kind, name, _ in laws:
            connection.execute(f"DROP {kind} {name}")
        rows = _rows(numbered)
        while some := list(itertools.islice(rows, 20_000)):
            for table, columns, values in (
                ("appointment", APPOINTMENT, [a for a, _, _ in some]),
                ("claim", CLAIM, [c for _, claims, _ in some for c in claims]),
                ("audit_entry", ENTRY, [e for _, _, e in some]),
            ):
                marks = ", ".join("?" for _ in columns.split(","))
                connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        for _, _, law in laws:
            connection.execute(law)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()
    db.engine.dispose()


def _into_postgresql(numbered: Numbered) -> None:
    raw = db.engine.raw_connection()
    try:
        connection: Any = raw.driver_connection
        cursor = connection.cursor()
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute("SET session_replication_role = replica")  # the keys are right by making
        names = "('claim', 'appointment', 'audit_entry')"
        laws = cursor.execute(
            "SELECT conindid, conindid::regclass FROM pg_constraint "
            f"WHERE contype = 'x' AND conrelid::regclass::text IN {names}"
        ).fetchall()
        numbers = [number for number, _ in laws]
        indexes = cursor.execute(
            f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN {names} "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            "AND indexname <> 'uq_appointment_id_starts_at'"  # other tables' keys refer to it
        ).fetchall()
        # Checking each of two million claims against the others would take the most time by far,
        # so the laws' indexes are built as plain ones, and are laws again before anybody books.
        cursor.execute(
            "UPDATE pg_index SET indisexclusion = false, indisready = false, indisvalid = false "
            "WHERE indexrelid = ANY(%s)",
            [numbers],
        )
        for index, _ in indexes:
            cursor.execute(f"DROP INDEX {index}")
        rows = _rows(numbered)
        while some := list(itertools.islice(rows, 20_000)):
            for table, columns, values in (
                ("appointment", APPOINTMENT, [a for a, _, _ in some]),
                ("claim", CLAIM, [c for _, claims, _ in some for c in claims]),
                ("audit_entry", ENTRY, [e for _, _, e in some]),
            ):
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("".join("\t".join(map(str, row)) + "\n" for row in values))
        for _, definition in indexes:
            cursor.execute(definition)
        for _, law in laws:
            cursor.execute(f"REINDEX INDEX {law}")
        cursor.execute(
            "UPDATE pg_index SET indisexclusion = true WHERE indexrelid = ANY(%s)", [numbers]
        )
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        connection.autocommit = False
    finally:
        raw.close()
    db.engine.dispose()


def _measure(books: list[Book]) -> dict[str, list[Point]]:
    """Ask each question of every book in turns, so that all meet the same weather."""
    found: dict[str, list[Point]] = {}
    for question, sites, first, end in ((SIXTY, 2, 0, DAYS), (ONE, 1, 20, 21)):
        acts = [partial(_find, book.site_ids[:sites], first, end) for book in books]
        explained = []
        for book, act in zip(books, acts, strict=True):
            with book.app.app_context():
                explained.append(_explain(act))
        found[question] = [
            replace(point, ms=ms, ratio=ratio)
            for point, (ms, ratio) in zip(explained, _turns(books, acts), strict=True)
        ]
    bookings = []
    for book in books:
        with book.app.app_context():
            bookings.append(_bookings(book))
    found[BOOK] = [Point(ms, ratio) for ms, ratio in _turns(books, bookings)]
    return found


def _turns(
    books: Sequence[Book], acts: Sequence[Callable[[], object]]
) -> list[tuple[float, float]]:
    """Return, by book, the median milliseconds and the median ratio to the first book's."""
    taken: list[list[float]] = [[] for _ in books]
    for n in range(ROUNDS + 3):
        for book, act, times in zip(books, acts, taken, strict=True):
            with book.app.app_context():
                began = time.perf_counter()
                act()
                if n >= 3:  # warm
                    times.append((time.perf_counter() - began) * 1000)
    return [
        (
            statistics.median(times),
            statistics.median(ours / first for ours, first in zip(times, taken[0], strict=True)),
        )
        for times in taken
    ]


def _find(site_ids: Sequence[int], first: int, end: int) -> object:
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=site_ids,
        since=make.at(0, days=first),
        until=make.at(0, days=end),
        now=NOW,
        audience=Audience.DESK,
    )
    db.session.rollback()
    return found


def _bookings(book: Book) -> Callable[[], object]:
    """Return an act that books the next free infusion for the next patient."""
    free = [
        (offer.site_id, offer.starts_at)
        for offer in offers.find(
            ServiceCode.INFUSION,
            site_ids=book.site_ids,
            since=make.at(0),
            until=make.at(0, days=DAYS),
            now=NOW,
            audience=Audience.DESK,
        )
    ]
    db.session.rollback()
    starts = iter(random.Random(workload.SEED).sample(free, len(free)))

    def act() -> None:
        patient_id = book.bookers.pop()
        while True:
            site_id, start = next(starts)
            try:
                with transaction() as session:
                    site = session.get_one(Site, site_id)
                    make.infusion(site, session.get_one(Patient, patient_id), start)
            except SlotTaken:
                continue
            return

    return act


def _explain(ask: Callable[[], object]) -> Point:
    """Have the database explain what a question sends about claims."""
    sent: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if "FROM claim" in statement:
            sent.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
    explain = _sqlite_explains if db.engine.dialect.name == "sqlite" else _postgresql_explains
    parts = [explain(*each) for each in sent]
    return Point(
        rows=sum(rows for rows, _, _ in parts),
        read=sum(read for _, read, _ in parts),
        plan="; ".join(dict.fromkeys(plan for _, _, plan in parts)),
    )


def _sqlite_explains(statement: str, parameters: Any) -> tuple[int, int, str]:
    """Return how many rows came, the steps of SQLite's machine, and its plan."""
    raw = db.engine.raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    steps = itertools.count()

    def step() -> int:
        next(steps)
        return 0

    connection.set_progress_handler(step, 1)
    rows = len(connection.execute(statement, parameters).fetchall())
    connection.set_progress_handler(None, 0)
    taken = next(steps)
    plan = connection.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
    raw.close()
    return rows, taken, ", ".join(str(line[3]) for line in plan)


def _postgresql_explains(statement: str, parameters: Any) -> tuple[int, int, str]:
    """Return how many rows came, how many were read, and PostgreSQL's plan."""
    raw = db.engine.raw_connection()
    cursor: Any = raw.cursor()
    cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement, parameters)
    document = cursor.fetchone()[0]
    raw.rollback()
    raw.close()
    top = (json.loads(document) if isinstance(document, str) else document)[0]["Plan"]
    names: list[str] = []
    return int(top["Actual Rows"]), round(_read(top, names)), ", ".join(names)


def _read(node: dict[str, Any], names: list[str]) -> float:
    """Add up the rows the scans of a plan read, kept or thrown away; note their names."""
    total = 0.0
    if "Scan" in node["Node Type"]:
        what = node.get("Index Name") or node.get("Relation Name") or ""
        names.append(f"{node['Node Type']} {what}".strip())
        if node["Node Type"] != "Bitmap Heap Scan":  # its index scan has counted them
            thrown = node.get("Rows Removed by Filter", 0)
            total += (node["Actual Rows"] + thrown) * node["Actual Loops"]
    return total + sum(_read(child, names) for child in node.get("Plans", ()))
