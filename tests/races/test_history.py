"""R-10: acknowledged is kept, refused is absent, taken is not shown free, whatever breaks.

Clients book, call off and look through a served clinic while a nemesis kills web processes,
crashes PostgreSQL, stops processes in their tracks and lets no file grow.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.core.db import db
from tests.conftest import built, dispose
from tests.races import history, portal
from tests.races.history import FAIL, OK, UNKNOWN, Deed, Look, Row
from tests.races.portal import BROKEN, Guest
from tests.support import databases, postgres
from tests.support.served import Served, serving

FULL = bool(os.environ.get("EMERGE_PROVE"))
SECONDS = 600 if FULL else 9
CLIENTS = 6
KILL_EVERY_S = 3.0
PAUSE_S, FULL_DISK_S = (5.0, 10.0) if FULL else (1.5, 1.5)
DAYS = range(1, 29)
ANSWER_WITHIN_S = 20.0
NOBODY_KNOWS = (502, 503, 504)
AGAIN_AFTER_S = 1.0
#: Of PostgreSQL's tables. Where no disk can be mounted, PostgreSQL is not tried without room.
DISK_MB = 64 if FULL and postgres.may_mount() else None
MOST_UNKNOWN = 0.01 if FULL else 1.0  # of a few deeds, those cut off by the end are many


@dataclass
class Hurt:
    """A database with a server of its own, and how it is hurt."""

    url: str
    server: postgres.Server | None = None


@pytest.fixture(params=["sqlite", "postgresql"])
def hurt(request: pytest.FixtureRequest) -> Iterator[Hurt]:
    """A database that may be broken."""
    if request.param == "sqlite":
        with request.getfixturevalue("sqlite_template").fresh() as url:
            yield Hurt(url)
        return
    with postgres.own(disk_mb=DISK_MB) as server, server.database() as url:
        databases.migrate(url)
        yield Hurt(url, server)


@dataclass
class Recorder:
    """What all clients saw."""

    deeds: list[Deed] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    first_lost: int = 0  # deeds whose first answer never came


@dataclass
class Client:
    """Somebody who books, looks and calls off until told to stop; every booking a new person."""

    served: Served
    record: Recorder
    chance: random.Random
    mine: list[tuple[Guest, str]] = field(default_factory=list)
    unsure: list[tuple[Guest, Deed]] = field(default_factory=list)

    def live(self) -> None:
        while not self.record.done.is_set():
            deed = self.chance.random()
            try:
                if deed < 0.35:
                    self._look(self.chance.choice(DAYS))
                elif deed < 0.5 and self.mine:
                    self._cancel(*self.mine.pop(self.chance.randrange(len(self.mine))))
                else:
                    self._book()
            except BROKEN:
                self.record.done.wait(0.1)  # the server is down for a moment
            except AssertionError:
                pass  # a page without what was sought on it: an error page of the same moment

    def _book(self) -> None:
        start = portal.at(0, days=self.chance.choice(DAYS)) + timedelta(
            minutes=15 * self.chance.randrange(32, 72)
        )
        guest = self._guest()
        if guest.choose(start).status != 303:
            return
        began = time.monotonic()
        outcome = self._until_known(lambda: self._outcome(guest))
        deed = Deed("book", guest.mobile, in_one_form(start), began, time.monotonic(), outcome)
        self.record.deeds.append(deed)
        if outcome == UNKNOWN:
            self.unsure.append((guest, deed))
        elif outcome == OK:
            self.mine.append((guest, in_one_form(start)))

    def _until_known(self, send: Callable[[], str]) -> str:
        """Send, and the same again a second later while nobody knows, as its person would."""
        outcome = send()
        self.record.first_lost += outcome == UNKNOWN
        while outcome == UNKNOWN and not self.record.done.wait(AGAIN_AFTER_S):
            outcome = send()
        return outcome

    def _outcome(self, guest: Guest) -> str:
        try:
            answer = guest.send()
        except BROKEN:
            return UNKNOWN
        if answer.status in NOBODY_KNOWS:
            return UNKNOWN
        return OK if answer.status == 303 else FAIL

    def _cancel(self, guest: Guest, start: str) -> None:
        page = guest.browser.get("/my/visit/cancel")
        form = {"csrf_token": page.value("csrf_token"), "version": page.value("version")}

        def send() -> str:
            try:
                status = guest.browser.post("/my/visit/cancel", form).status
            except BROKEN:
                return UNKNOWN
            return OK if status == 303 else UNKNOWN if status in NOBODY_KNOWS else FAIL

        began = time.monotonic()
        outcome = self._until_known(send)
        self.record.deeds.append(
            Deed("cancel", guest.mobile, start, began, time.monotonic(), outcome)
        )

    def _look(self, days: int) -> None:
        day = portal.at(0, days=days)
        began = time.monotonic()
        page = self._guest().times(day)
        if page.status == 200:
            starts = frozenset(in_one_form(datetime.fromisoformat(s)) for s in page.starts)
            self.record.looks.append(Look(day.isoformat(), starts, began, time.monotonic()))

    def _guest(self) -> Guest:
        guest = Guest(self.served, patience_s=ANSWER_WITHIN_S)
        guest.browser.statuses = self.record.statuses
        return guest

    def settle(self) -> None:
        """Send again what nobody knows of, as its person would: the form's token tells."""
        for guest, deed in self.unsure:
            outcome = self._outcome(guest)
            self.record.deeds.append(
                replace(deed, began=time.monotonic(), ended=time.monotonic(), outcome=outcome)
            )


@dataclass
class Nemesis:
    """What breaks things, from a seed; it counts what it did."""

    served: Served
    hurt: Hurt
    chance: random.Random
    did: Counter[str] = field(default_factory=Counter)

    def rage(self, seconds: float) -> None:
        """Break something every few seconds until the time is over."""
        until = time.monotonic() + seconds
        turn = 0
        while time.monotonic() + KILL_EVERY_S < until:
            time.sleep(KILL_EVERY_S)  # how often it strikes is part of the promise
            hands = self.served.hands()
            if not hands:
                continue
            victim = self.chance.choice(hands)
            turn += 1
            if turn % (30 if FULL else 3) == 2 and self.hurt.server:
                postgres.crash(self.hurt.server)
                self.did["crashes of PostgreSQL"] += 1
            elif turn % 20 == 12 and DISK_MB and self.hurt.server:
                with postgres.full_disk(self.hurt.url):
                    time.sleep(FULL_DISK_S)
                self.did["times without room to write"] += 1
            elif turn % (20 if FULL else 3) == 2 and not self.hurt.server:
                self._fill_disk()
            elif turn % 10 == 0:
                self.served.pause(victim, PAUSE_S)
                self.did["pauses"] += 1
            else:
                self.served.kill(victim)
                self.did["kills"] += 1

    def _fill_disk(self) -> None:
        """Let no file of the web processes grow, nor be written: the kernel refuses."""
        assert self.served.process is not None
        everybody = [psutil.Process(self.served.process.pid), *self.served.hands()]
        hard = everybody[0].rlimit(psutil.RLIMIT_FSIZE)[1]
        self._limit(everybody, 0, hard)
        time.sleep(FULL_DISK_S)
        self._limit([everybody[0], *self.served.hands()], hard, hard)
        self.did["times without room to write"] += 1

    @staticmethod
    def _limit(processes: list[psutil.Process], soft: int, hard: int) -> None:
        for process in processes:
            try:
                process.rlimit(psutil.RLIMIT_FSIZE, (soft, hard))
            except psutil.NoSuchProcess:
                continue


def rows_of(app: Flask) -> list[Row]:
    """Read what the book has."""
    with app.app_context():
        found = db.session.execute(
            sa.text(
                "SELECT p.mobile, a.starts_at, a.status FROM appointment a "
                "JOIN patient p ON p.id = a.patient_id"
            ).columns(starts_at=db.metadata.tables["appointment"].c.starts_at.type)
        ).all()
        db.session.rollback()
    return [Row(r.mobile, in_one_form(r.starts_at), r.status == "booked") for r in found]


def in_one_form(moment: datetime) -> str:
    """Spell a moment in the one way in which looks, deeds and rows are compared."""
    return moment.astimezone(UTC).isoformat(timespec="minutes")


def test_what_was_acknowledged_is_kept_whatever_breaks(hurt: Hurt, tmp_path: Path) -> None:
    seed = 10
    app = built(hurt.url, {})
    portal.clinic(app, callers=1)
    record = Recorder()
    with serving(hurt.url, tmp_path) as served:
        clients = [Client(served, record, random.Random(seed + n)) for n in range(CLIENTS)]
        threads = [threading.Thread(target=c.live) for c in clients]
        for thread in threads:
            thread.start()
        nemesis = Nemesis(served, hurt, random.Random(seed))
        try:
            nemesis.rage(SECONDS)
        finally:
            record.done.set()
            for thread in threads:
                thread.join()
        served.restart()
        for client in clients:
            client.settle()

    counts = Counter((d.kind, d.outcome) for d in record.deeds)
    unknown = counts["book", UNKNOWN] + counts["cancel", UNKNOWN]
    verdict = history.check(record.deeds, record.looks, rows_of(app))
    dispose(app)
    did = ", ".join(f"{n} {what}" for what, n in sorted(nemesis.did.items()))
    print(
        f"history, {hurt.url.partition(':')[0].partition('+')[0]}: seed {seed}, {SECONDS} s, "
        f"{CLIENTS} clients, {len(record.looks)} looks, {counts['book', OK]} booked, "
        f"{counts['cancel', OK]} called off, {counts['book', FAIL]} refused, {unknown} unknown of "
        f"{len(record.deeds)}, the first answer lost of {record.first_lost}; "
        f"{did}; {verdict.line()}"
    )
    assert verdict.is_clean, verdict
    assert [s for s in record.statuses if s >= 500 and s not in NOBODY_KNOWS] == []
    asked_again = [d for c in clients for _, d in c.unsure]
    settled = {d.who for d in record.deeds if d.kind == "book" and d.outcome != UNKNOWN}
    assert {d.who for d in asked_again} <= settled, "every unknown was shown in the end"
    assert unknown <= MOST_UNKNOWN * len(record.deeds)
    assert counts["book", OK], "the clinic went on working"
    assert record.looks
    assert nemesis.did


# ---------------------------------------------------------------- the checker itself


NINE = "2026-03-03T14:00+00:00"
BOOKED = Deed("book", "ana", NINE, 1.0, 2.0, OK)
LIVE = Row("ana", NINE, is_live=True)


def test_a_good_history_is_clean() -> None:
    cancelled = Deed("cancel", "ana", NINE, 5.0, 6.0, OK)
    before, during = (Look("d", frozenset({NINE}), began, began + 0.5) for began in (1.5, 5.5))

    assert history.check([BOOKED], [before], [LIVE]).is_clean
    assert history.check(
        [BOOKED, cancelled], [before, during], [replace(LIVE, is_live=False)]
    ).is_clean
    assert history.check([replace(BOOKED, outcome=UNKNOWN)], [], []).is_clean
    assert history.check([replace(BOOKED, outcome=UNKNOWN)], [], [LIVE]).is_clean
    assert history.check([BOOKED, replace(cancelled, outcome=UNKNOWN)], [], [LIVE]).is_clean


def test_each_bad_history_is_noticed() -> None:
    """Negative control: doctored logs, one for each complaint."""
    off = Deed("cancel", "ana", NINE, 3.0, 4.0, OK)
    later = Look("d", frozenset({NINE}), 2.5, 2.8)

    assert history.check([BOOKED], [], []).lost == ["ana"]
    assert history.check([replace(BOOKED, outcome=FAIL)], [], [LIVE]).phantom == ["ana"]
    assert history.check([], [], [LIVE]).phantom == ["ana"]
    assert history.check([BOOKED], [], [LIVE, LIVE]).doubled == [NINE, "ana"]
    assert history.check([BOOKED, off], [], [LIVE]).resurrected == ["ana"]
    assert history.check([BOOKED], [later], [LIVE]).stale == [f"ana {NINE}"]
    assert history.check([BOOKED, off], [later], [replace(LIVE, is_live=False)]).stale == [
        f"ana {NINE}"
    ]
