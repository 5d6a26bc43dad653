"""R-09: whatever is done to the book, in whatever order, an independent model says the same.

The model knows what was booked and how many there are of everything; no lanes, bits or claims.
Hypothesis makes up the days. Its choices are derived from the test, so a failure comes again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scheduler.audit.models import AuditEntry
from scheduler.booking import offers
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Claim
from scheduler.booking.offers import Audience
from scheduler.clinic import service as clinic
from scheduler.clinic import supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from tests import make
from tests.conftest import built

FULL = bool(os.environ.get("EMERGE_PROVE"))
EXAMPLES, STEPS = (200, 50) if FULL else (8, 25)
CHAIRS, NURSE_LANES, STARTS_A_QUARTER = 2, 3, 2
PATIENTS = 6
QUARTERS = [make.at(8) + timedelta(minutes=15 * n) for n in range(44)]  # 8:00 to 18:45
OPENS, SHUTS = make.at(8), make.at(18)
CLAIMS_OF_ONE = 4  # chair, nurse, IV start, patient


@dataclass
class Known:
    """What the model remembers of an appointment."""

    patient: int
    start: datetime
    is_live: bool = True
    is_missed: bool = False


class Book(RuleBasedStateMachine):
    """One site, one day: two chairs, a nurse who minds three, two IV starts a quarter-hour."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.app = self.stack.enter_context(self.fresh())
        self.stack.enter_context(self.app.app_context())
        self.now = make.MONDAY
        self.model: dict[int, Known] = {}
        self.closures: list[tuple[datetime, datetime]] = []
        self.deeds = 0
        with transaction():
            self.site = make.clinic_day(chairs=CHAIRS).id
            self.patients = [
                make.patient(f"P{n}", "Model", mobile=None, email=None).id for n in range(PATIENTS)
            ]

    @contextmanager
    def fresh(self) -> Iterator[Flask]:
        """Lend an app on an empty database; each test says of which kind."""
        raise NotImplementedError
        yield

    def teardown(self) -> None:
        db.session.remove()
        self.stack.close()

    # ------------------------------------------------------------ the model

    def live(self, but: int | None = None) -> list[Known]:
        return [k for n, k in self.model.items() if k.is_live and n != but]

    def allows(self, start: datetime, *, but: int | None = None, late: bool = False) -> bool:
        """Say by counting whether an infusion could begin then."""
        stay = (start, start + timedelta(minutes=85))
        if not OPENS <= stay[0] < stay[1] <= SHUTS:
            return False
        if not late and start < self.now - timedelta(minutes=15):
            return False
        if any(a < stay[1] and stay[0] < b for a, b in self.closures):
            return False
        others = [k.start for k in self.live(but)]

        def most(minutes: int) -> int:
            moments = (start + timedelta(minutes=m) for m in range(0, minutes, 5))
            return max(
                sum(1 for o in others if o <= m < o + timedelta(minutes=minutes)) for m in moments
            )

        return (
            most(95) < CHAIRS and most(85) < NURSE_LANES and others.count(start) < STARTS_A_QUARTER
        )

    def is_busy(self, patient: int, start: datetime, *, but: int | None = None) -> bool:
        return any(k.patient == patient for k in self.live(but))

    # ------------------------------------------------------------ the deeds

    @rule(patient=st.integers(0, PATIENTS - 1), start=st.sampled_from(QUARTERS))
    def book(self, patient: int, start: datetime) -> None:
        """Book, or hear a refusal, exactly as the model says."""
        may = self.allows(start) and not self.is_busy(patient, start)
        found = self.attempt(lambda: self._book(patient, start))
        assert (found is not None) == may
        if found is not None:
            self.model[found] = Known(patient, start)

    def _book(self, patient: int, start: datetime) -> int:
        who = db.session.get_one(make.Patient, self.patients[patient])
        where = db.session.get_one(make.Site, self.site)
        return make.infusion(where, who, start, now=self.now).id

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 99), start=st.sampled_from(QUARTERS))
    def move(self, which: int, start: datetime) -> None:
        number = self.one_of(which, lambda k: k.is_live)
        may = self.allows(start, but=number)
        moved = self.attempt(
            lambda: booking.move(
                self.row(number), starts_at=start, version=self.row(number).version,
                actor="staff:1", now=self.now,
            ).id
        )  # fmt: skip
        if may:
            assert moved is not None
        if moved is not None:
            assert may or start == self.model[number].start
            self.model[number].start = start

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        number = self.one_of(which, lambda k: k.is_live)
        done = self.attempt(
            lambda: booking.cancel(self.row(number), actor="staff:1", now=self.now).id
        )
        assert done is not None
        self.model[number].is_live = False

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 99))
    def miss(self, which: int) -> None:
        number = self.one_of(which, lambda k: k.is_live)
        done = self.attempt(
            lambda: booking.no_show(self.row(number), actor="staff:1", now=self.now).id
        )
        assert (done is not None) == (self.model[number].start <= self.now)
        if done is not None:
            self.model[number].is_live, self.model[number].is_missed = False, True

    @precondition(lambda self: any(not k.is_live for k in self.model.values()))
    @rule(which=st.integers(0, 99))
    def take_back(self, which: int) -> None:
        number = self.one_of(which, lambda k: not k.is_live)
        known = self.model[number]
        may = self.allows(known.start, late=True) and not self.is_busy(known.patient, known.start)
        done = self.attempt(
            lambda: booking.reinstate(self.row(number), actor="staff:1", now=self.now).id
        )
        assert (done is not None) == may
        if done is not None:
            known.is_live, known.is_missed = True, False

    @rule(hour=st.integers(8, 16), minutes=st.sampled_from((20, 60)))
    def close(self, hour: int, minutes: int) -> None:
        """Shut the site; who is booked stays booked."""
        if len(self.closures) == 2:
            return
        begins = make.at(hour, 40)
        span = (begins, begins + timedelta(minutes=minutes))
        with transaction():
            where = db.session.get_one(make.Site, self.site)
            clinic.close(where, *span, "training", actor="staff:1", now=self.now)
        self.closures.append(span)
        self.deeds += 1

    @rule(minutes=st.sampled_from((5, 60, 300, 900)))
    def later(self, minutes: int) -> None:
        self.now = min(self.now + timedelta(minutes=minutes), make.at(13))

    # ------------------------------------------------------------ what always holds

    @invariant()
    def claims_are_apart_and_as_many_as_the_model_says(self) -> None:
        overlaps = db.session.scalar(
            sa.text(
                "SELECT count(*) FROM claim a JOIN claim b ON a.lane_id = b.lane_id"
                " AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at"
            )
        )
        claims = db.session.scalar(sa.select(sa.func.count()).select_from(Claim))
        assert overlaps == 0
        assert claims == CLAIMS_OF_ONE * len(self.live())

    @invariant()
    def what_is_offered_is_what_counting_allows(self) -> None:
        found = offers.find(
            ServiceCode.INFUSION,
            site_ids=[self.site],
            since=make.at(0),
            until=make.at(23),
            now=self.now,
            audience=Audience.DESK,
        )
        db.session.rollback()
        assert {o.starts_at for o in found} == {s for s in QUARTERS if self.allows(s)}
        assert all(1 <= o.free <= o.of for o in found)

    @invariant()
    def every_deed_is_on_record(self) -> None:
        count = db.session.scalar(
            sa.select(sa.func.count())
            .select_from(AuditEntry)
            .where(
                sa.or_(
                    AuditEntry.subject.like("appointment:%"), AuditEntry.action == "closure.added"
                )
            )
        )
        assert count == self.deeds

    # ------------------------------------------------------------ hands

    def attempt(self, deed: Callable[[], int]) -> int | None:
        """Do something in a transaction of its own; None when it was refused."""
        try:
            with transaction():
                found = deed()
        except Refusal:
            return None
        self.deeds += 1
        return found

    def row(self, number: int) -> Appointment:
        return db.session.get_one(Appointment, number)

    def one_of(self, which: int, wanted: Callable[[Known], bool]) -> int:
        numbers = sorted(n for n, known in self.model.items() if wanted(known))
        return numbers[which % len(numbers)]


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request: pytest.FixtureRequest) -> type[Book]:
    """The machine on one kind of database, a fresh one for each of its days."""
    kind = "sqlite_template" if request.param == "sqlite" else "postgres_template"
    template = request.getfixturevalue(kind)
    apps: dict[str, Flask] = {}

    class OnThis(Book):
        @contextmanager
        def fresh(self) -> Iterator[Flask]:
            with template.fresh() as url:
                app = apps[url] = apps.get(url) or built(url, {})
                supply._kept.clear()
                yield app
                with app.app_context():
                    db.session.remove()
                    db.engine.dispose()

    return OnThis


def lived(machine: type[Book], *phases: Phase) -> None:
    """Live as many days as there are examples; a day that fails is made as short as can be."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases or (Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_book_agrees_with_a_model_that_counts(machine: type[Book]) -> None:
    lived(machine)


def test_a_book_that_forgets_to_give_time_back_is_noticed(
    machine: type[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(booking, "_release", lambda appointment: None)

    with pytest.raises(AssertionError):
        lived(machine, Phase.generate)
