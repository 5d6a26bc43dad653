"""A crowd at the doors of a served clinic: visitors, the desk, and those who move or call off.

The clinic is one room for everybody: one chair, and one nurse who also takes calls, so that a call
and an infusion at the same minutes are a double booking. Each round has a block of two hours on a
day of its own; everybody wants something in it at the same instant.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Flask

from scheduler.clinic import service as clinic_service
from scheduler.clinic import standard
from scheduler.core.db import db, transaction
from tests import course, make
from tests.support.gate import Answer, Browser, together
from tests.support.served import Served

ZONE = "Etc/GMT+5"  # no change of the clock: hours of a day are plain sums
DONE, REFUSED = "done", "refused"
BLOCK_MINUTES = 120
BLOCKS_A_DAY = 4
MOST_ROUNDS = 26 * BLOCKS_A_DAY  # the days that can be booked online


@dataclass(frozen=True)
class Attempt:
    """What one client wanted and what came of it."""

    kind: str  # "call", "infusion", "move", "cancel"
    outcome: str  # DONE, REFUSED, or what else was answered
    has_alternatives: bool = True


@dataclass
class Clinic:
    """Where the crowd goes, as ids."""

    site_id: int
    first_day: datetime  # midnight there
    parked: list[str] = field(default_factory=list)  # public ids that can be moved
    cleared: list[str] = field(default_factory=list)  # patients with a signed clearance
    staff: list[str] = field(default_factory=list)

    def block(self, number: int) -> datetime:
        """Return when a round's block begins."""
        day, part = divmod(number, BLOCKS_A_DAY)
        return self.first_day + timedelta(days=day, minutes=8 * 60 + part * BLOCK_MINUTES + 15)


def clinic(app: Flask, *, desks: int, movers: int, infusions: int) -> Clinic:
    """Make the one-room clinic, its desk, and the people who come to it."""
    now = datetime.now(UTC)
    with app.app_context(), transaction():
        standard.add_services()
        where = clinic_service.add_site(
            "woburn",
            "Woburn",
            zone_name=ZONE,
            address="1 Main Street, Woburn, MA",
            phone="+17815550100",
            starts=2,
        )
        clinic_service.open_weekly(where, range(7), time(8), time(18), valid_from=make.ALWAYS)
        clinic_service.add_resource(
            make.ResourceKind.CHAIR, "Chair 1", site_id=where.id, position=1
        )
        make.person(where, "Rosa Lima", skills=("nurse", "calls"), lanes=3)
        elsewhere = make.site("danvers", "Danvers", chairs=0)
        for n in range(2):
            make.person(elsewhere, f"Caller {n}", skills=("calls",))
        today = now.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
        found = Clinic(where.id, today + timedelta(days=2))
        doctor = make.staff("doctor", role=make.Role.CLINICIAN)
        for n in range(infusions):
            patient = make.patient(f"Guest{n}", "Cleared", mobile=None, email=None, now=now)
            course.screened(patient, now=now)
            standing = course.clearance.current(patient)
            course.clearance.sign(
                patient, doctor, course.Decision.CLEARED, basis=standing.basis, now=now
            )
            found.cleared.append(patient.public_id)
        for n in range(movers):
            patient = make.patient(f"Mover{n}", "Parked", mobile=None, email=None, now=now)
            starts_at = found.first_day + timedelta(days=27, hours=9, minutes=15 * n)
            found.parked.append(make.call(elsewhere, patient, starts_at, now=now).public_id)
        for n in range(desks):
            found.staff.append(make.staff(f"desk-{n}").username)
    with app.app_context():
        db.engine.dispose()
    return found


@dataclass
class Crowd:
    """Who comes: 60 % visitors, 20 % desks, 10 % who move, 10 % who call off."""

    served: Served
    clinic: Clinic
    size: int
    chance: random.Random
    booked: list[str] = field(default_factory=list)  # public ids somebody may call off
    people: "count[int]" = field(default_factory=count)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        tenth = max(self.size // 10, 1)
        self.movers = [self._desk(n) for n in range(tenth)]
        self.cancellers = [self._desk(tenth + n) for n in range(tenth)]
        self.desks = [self._desk(2 * tenth + n) for n in range(2 * tenth)]
        self.visitors = self.size - 4 * tenth

    @staticmethod
    def desks_needed(size: int) -> int:
        """Return how many must be able to sign in."""
        return 4 * max(size // 10, 1)

    def round(self, number: int) -> list[Attempt]:
        """Let everybody want something in one block; return what each met."""
        block = self.clinic.block(number)
        hot = block + timedelta(minutes=30)
        called_off = self.chance.sample(self.booked, min(len(self.booked), len(self.cancellers)))
        moves = list(zip(self.movers, self.clinic.parked, strict=False))
        deeds: list[Callable[[threading.Barrier], Attempt]] = []
        for _ in range(self.visitors):
            start = hot if self.chance.random() < 0.5 else self._near(block, 6)
            deeds.append(self._visit(start, next(self.people)))
        for desk, patient in zip(self.desks, self.clinic.cleared, strict=False):
            deeds.append(self._infusion(desk, patient, self._near(block, 2)))
        for desk, one in moves:
            start = hot if self.chance.random() < 0.5 else self._near(block, 6)
            deeds.append(self._move(desk, one, start))
        for desk, one in zip(self.cancellers, called_off, strict=False):
            deeds.append(self._cancel(desk, one))
        return together(deeds)

    def _near(self, block: datetime, quarters: int) -> datetime:
        return block + timedelta(minutes=15 * self.chance.randrange(quarters))

    def _desk(self, number: int) -> Browser:
        browser = Browser(self.served.port, f"198.51.100.{number + 1}")
        page = browser.get("/desk/sign-in")
        answer = browser.post(
            "/desk/sign-in",
            {
                "username": self.clinic.staff[number],
                "password": make.PASSWORD,
                "csrf_token": page.value("csrf_token"),
            },
        )
        assert answer.status == 303, answer.words
        return browser

    def _fire(
        self, browser: Browser, path: str, form: dict[str, str], gate: threading.Barrier
    ) -> Answer:
        gate.wait()  # all pages have been read; now each sends all but the last byte
        shot = browser.aim(path, form)
        gate.wait()
        shot.fire()
        return shot.answer()

    def _visit(self, start: datetime, person: int) -> Callable[[threading.Barrier], Attempt]:
        """A visitor: times, hold (at the gate), details, book."""

        def run(gate: threading.Barrier) -> Attempt:
            browser = Browser(
                self.served.port, f"10.{person // 62500}.{person // 250 % 250}.{person % 250 + 1}"
            )
            day = start.astimezone(ZoneInfo(ZONE)).date().isoformat()
            page = browser.get(f"/book/time?site=woburn&day={day}")
            form = {
                "csrf_token": page.value("csrf_token"),
                "site": "woburn",
                "day": day,
                "start": start.isoformat(timespec="minutes"),
            }
            kept = self._fire(browser, "/book/time", form, gate)
            if kept.status == 409:
                return Attempt("call", REFUSED, has_alternatives=bool(kept.starts))
            if kept.status != 303:
                return Attempt("call", f"hold {kept.status}: {kept.words[:200]}")
            return self._details(browser, browser.get(kept.location), person)

        return run

    def _details(self, browser: Browser, page: Answer, person: int) -> Attempt:
        form = {n: page.value(n) for n in ("csrf_token", "token", "hold", "site", "day", "start")}
        form |= {
            "given_name": f"Visitor{person}",
            "family_name": "Crowd",
            "mobile": f"+1617{220 + person // 10000}{person % 10000:04}",
            "language": "en",
            "pain": "crps",
            "consent": "y",
        }
        answer = browser.post("/book/details", form)
        if answer.status != 303:
            return Attempt("call", f"book {answer.status}")
        shown = browser.get(answer.location)
        booked = shown.status == 200 and "Your call is booked" in shown.words
        return Attempt("call", DONE if booked else f"shown {shown.status}")

    def _infusion(
        self, desk: Browser, patient: str, start: datetime
    ) -> Callable[[threading.Barrier], Attempt]:
        """A desk books the first infusion of somebody with a clearance."""
        path = f"/desk/clearance/{patient}/first"

        def run(gate: threading.Barrier) -> Attempt:
            page = desk.get(path)
            form = {
                "csrf_token": page.value("csrf_token"),
                "start": f"{start.isoformat()}|woburn",
                "notify": "y",
            }
            answer = self._fire(desk, path, form, gate)
            if answer.status == 303:
                self.clinic.cleared.remove(patient)
                self.booked.append(answer.location.rpartition("/")[2])
                return Attempt("infusion", DONE)
            return self._refused("infusion", answer, bool(answer.starts))

        return run

    def _move(
        self, desk: Browser, one: str, start: datetime
    ) -> Callable[[threading.Barrier], Attempt]:
        """A desk moves an appointment into the block, from wherever it is."""

        def run(gate: threading.Barrier) -> Attempt:
            page = desk.get(f"/desk/appointments/{one}/move")
            form = {
                "csrf_token": page.value("csrf_token"),
                "version": page.value("version"),
                "site": "woburn",
                "start": start.isoformat(),
                "notify": "y",
            }
            answer = self._fire(desk, f"/desk/appointments/{one}/move", form, gate)
            if answer.status == 303:
                return Attempt("move", DONE)
            return self._refused("move", answer, bool(answer.starts))

        return run

    def _cancel(self, desk: Browser, one: str) -> Callable[[threading.Barrier], Attempt]:
        """A desk calls off what was booked in an earlier round."""

        def run(gate: threading.Barrier) -> Attempt:
            page = desk.get(f"/desk/appointments/{one}/cancel")
            form = {
                "csrf_token": page.value("csrf_token"),
                "version": page.value("version"),
                "notify": "y",
            }
            answer = self._fire(desk, f"/desk/appointments/{one}/cancel", form, gate)
            if answer.status == 303:
                self.booked.remove(one)
                return Attempt("cancel", DONE)
            return self._refused("cancel", answer, True)

        return run

    def _refused(self, kind: str, answer: Answer, has_alternatives: bool) -> Attempt:
        if answer.status == 409:
            return Attempt(kind, REFUSED, has_alternatives)
        return Attempt(kind, f"{kind} {answer.status}: {answer.words[:200]}")


def counted(attempts: Sequence[Attempt]) -> Counter[tuple[str, str]]:
    """Count attempts by kind and outcome."""
    return Counter((a.kind, a.outcome) for a in attempts)


# ---------------------------------------------------------------- what the database says


def overlaps(app: Flask) -> int:
    """Oracle 1: pairs of claims of one lane that share a moment, in plain SQL."""
    with app.app_context():
        return int(
            db.session.scalar(
                sa.text(
                    "SELECT count(*) FROM claim a JOIN claim b ON a.lane_id = b.lane_id "
                    "AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at"
                )
            )
            or 0
        )


def overfull_minutes(app: Flask, where: Clinic) -> int:
    """Oracle 2: minutes in which more is on than one chair and one nurse can do.

    Counts appointments minute by minute in Python and knows neither claims nor lanes: one
    infusion holds the chair for 95 minutes and a third of the nurse, a call all of her.
    """
    with app.app_context():
        rows = db.session.execute(
            sa.text(
                "SELECT service_code, CAST(starts_at AS TEXT), CAST(ends_at AS TEXT) "
                "FROM appointment WHERE site_id = :site AND status = 'booked'"
            ),
            {"site": where.site_id},
        ).all()
    chair: Counter[datetime] = Counter()
    nurse: Counter[datetime] = Counter()
    for service, start, end in rows:
        begins, ends = datetime.fromisoformat(start), datetime.fromisoformat(end)
        moments = int((ends - begins).total_seconds()) // 60
        for minute in range(moments + (0 if service == "call" else 10)):
            at = begins + timedelta(minutes=minute)
            if service != "call":
                chair[at] += 1
            if minute < moments:
                nurse[at] += 3 if service == "call" else 1
    return sum(n > 1 for n in chair.values()) + sum(n > 3 for n in nurse.values())


def on_record(app: Flask, action: str) -> int:
    """Count what the audit says was done through the served pages."""
    with app.app_context():
        return int(
            db.session.scalar(
                sa.text(
                    "SELECT count(*) FROM audit_entry WHERE action = :action "
                    "AND actor <> 'staff:1' AND subject LIKE 'appointment:%'"
                ),
                {"action": action},
            )
            or 0
        )


def without_law(app: Flask) -> None:
    """Take the database's own law away: for negative controls."""
    with app.app_context(), transaction() as session:
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sa.text("DROP TRIGGER ex_claim_no_overlap_insert"))
            session.execute(sa.text("DROP TRIGGER ex_claim_no_overlap_update"))
        else:
            session.execute(sa.text("ALTER TABLE claim DROP CONSTRAINT ex_claim_no_overlap"))
    with app.app_context():
        db.engine.dispose()
