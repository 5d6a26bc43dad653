"""Random clinics against an oracle that counts and knows no lanes and no bits.

The promise: what fits by count is offered, and what is offered can be booked, whatever was booked
and called off before; nobody is refused because of how others happen to be laid.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP
from scheduler.booking.allocation import Wish, allocate
from scheduler.booking.errors import SlotTaken
from scheduler.booking.offers import Busy, Room, taken_by
from scheduler.clinic.models import NeedKind, ResourceKind, ServiceCode
from scheduler.clinic.settings import Settings
from scheduler.clinic.supply import Away, Need, Offering, SiteSupply, Unit, Weekly
from scheduler.core.timespan import TimeSpan

CLINICS = 10_000 if os.environ.get("EMERGE_PROVE") else 120
SEED = 4_711
ZONE = ZoneInfo("America/New_York")
DAY = date(2026, 3, 3)
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=ZONE)
ALWAYS = date(2020, 1, 1)


def wall(minutes: int) -> datetime:
    """Minutes after midnight of the day, as an instant."""
    return datetime.combine(DAY, time(minutes // 60, minutes % 60), tzinfo=ZONE)


@dataclass
class Clinic:
    """A site of one day, its book in memory, and the product's sums over it."""

    site: SiteSupply
    offering: Offering
    busy: list[Busy] = field(default_factory=list)
    ids: "count[int]" = field(default_factory=lambda: count(1))

    def offered(self) -> set[datetime]:
        """What the product would offer, by the quarter-hour."""
        room = self.room()
        starts = room.starts(self.offering, among=bits.every(15, room.grid))
        return {room.grid.moment(step) for step in bits.steps_in(starts)}

    def room(self) -> Room:
        return Room(self.site, wall(0), wall(0) + STEP, taken_by(self.busy, now=NOW))

    def book(self, start: datetime) -> int:
        """Write what the product chooses; return the number of the booking."""
        room = self.room()
        wish = Wish(self.offering, self.site, start)
        found = allocate(wish, room, room.grid.step(start), self.busy, now=NOW)
        number = next(self.ids)
        self.busy = [
            Busy(b.claim_id, found.moved.get(b.claim_id, b.lane_id), b.span, False,
                 b.appointment_id, None)
            for b in self.busy
        ]  # fmt: skip
        self.busy += [
            Busy(next(self.ids), c.lane_id, c.span, c.is_pinned, number, None)
            for c in found.choices
        ]
        return number

    def cancel(self, number: int) -> None:
        self.busy = [b for b in self.busy if b.appointment_id != number]

    def overlaps(self) -> int:
        """Count pairs of claims of one lane that share a moment."""
        return sum(
            1
            for one in self.busy
            for other in self.busy
            if one.claim_id < other.claim_id
            and one.lane_id == other.lane_id
            and one.span.overlaps(other.span)
        )


@dataclass
class Oracle:
    """The same day, minute by minute: so many are here, so many there may be."""

    clinic: Clinic
    booked: dict[int, tuple[datetime, int]] = field(default_factory=dict)  # start, nurse

    def allows(self, start: datetime) -> bool:
        offering, site = self.clinic.offering, self.clinic.site
        stay = TimeSpan(start, start + timedelta(minutes=offering.visit_minutes))
        if not wall(8 * 60) <= stay.start < stay.end <= wall(18 * 60):
            return False
        for need in offering.needs:
            if need.kind is NeedKind.CHAIR and not self._has_chair(need, start):
                return False
            if need.kind is NeedKind.STARTS and self._starting(need, start) >= len(
                site.starts.lanes
            ):
                return False
            if need.kind is NeedKind.PERSON and not any(
                self._has_time(nurse, need, start) for nurse in site.people
            ):
                return False
        return True

    def _has_chair(self, need: Need, start: datetime) -> bool:
        chairs = len(self.clinic.site.chairs)
        return self._all(need, start, lambda moment: self._load(need, moment) < chairs)

    def _all(self, need: Need, start: datetime, holds: Callable[[datetime], bool]) -> bool:
        moment = start + timedelta(minutes=need.from_minute)
        while moment < start + timedelta(minutes=need.until_minute):
            if not holds(moment):
                return False
            moment += STEP
        return True

    def _load(self, need: Need, moment: datetime, nurse: int | None = None) -> int:
        return sum(
            1
            for start, whose in self.booked.values()
            if nurse in (None, whose)
            and start + timedelta(minutes=need.from_minute) <= moment
            < start + timedelta(minutes=need.until_minute)
        )  # fmt: skip

    def _starting(self, need: Need, start: datetime) -> int:
        def quarter(of: datetime) -> datetime:
            return bits.floor(of + timedelta(minutes=need.from_minute), timedelta(minutes=15))

        return sum(1 for other, _ in self.booked.values() if quarter(other) == quarter(start))

    def _has_time(self, nurse: Unit, need: Need, start: datetime) -> bool:
        def here(moment: datetime) -> bool:
            on = any(wall_of(s.since) <= moment < wall_of(s.until) for s in nurse.shifts)
            off = any(a.span.start <= moment < a.span.end for a in nurse.away)
            return on and not off and self._load(need, moment, nurse.id) < len(nurse.lanes)

        return self._all(need, start, here)


def wall_of(clock: time) -> datetime:
    return wall(clock.hour * 60 + clock.minute)


def clinic(chance: random.Random) -> Clinic:
    """A clinic of any size."""
    lanes = count(1)
    chairs = [
        Unit(n, ResourceKind.CHAIR, f"Chair {n}", (next(lanes),))
        for n in range(1, chance.randint(1, 5) + 1)
    ]
    nurses = []
    for n in range(101, 101 + chance.randint(1, 3)):
        since = chance.randrange(8 * 60, 11 * 60, 15)
        until = chance.randrange(15 * 60, 18 * 60 + 1, 15)
        shift = Weekly(
            1, DAY.weekday(), time(since // 60, since % 60), time(until // 60, until % 60),
            ALWAYS, None,
        )  # fmt: skip
        lunch = chance.randrange(11 * 60, 14 * 60, 5)
        away = (Away(TimeSpan(wall(lunch), wall(lunch + 30)), "lunch"),)
        nurses.append(
            Unit(
                n, ResourceKind.PERSON, f"Nurse {n}",
                tuple(next(lanes) for _ in range(chance.randint(1, 3))),
                frozenset({"nurse"}), (shift,), away if chance.random() < 0.4 else (),
            )
        )  # fmt: skip
    starts = Unit(
        200, ResourceKind.STARTS, "starts", tuple(next(lanes) for _ in range(chance.randint(1, 3)))
    )
    hours = Weekly(1, DAY.weekday(), time(8), time(18), ALWAYS, None)
    site = SiteSupply(
        1,
        "any",
        "Any",
        ZONE,
        "",
        "",
        Settings(),
        tuple(chairs),
        tuple(nurses),
        starts,
        (hours,),
        (),
    )
    visit = chance.choice((60, 85, 120))
    needs = (
        Need(NeedKind.CHAIR, 0, visit + chance.choice((0, 10, 15)), None, False),
        Need(NeedKind.PERSON, chance.choice((0, 5)), visit, "nurse", False),
        Need(NeedKind.STARTS, 15, 30, None, False),
    )
    offering = Offering(
        ServiceCode.INFUSION, "Any", visit, timedelta(0), timedelta(days=90), False, False, needs
    )
    return Clinic(site, offering)


QUARTERS = [wall(minute) for minute in range(6 * 60, 20 * 60, 15)]


def live_a_day(chance: random.Random) -> tuple[int, int]:
    """Book and call off until nothing more fits; return how many were booked, how many re-laid."""
    here = clinic(chance)
    oracle = Oracle(here)
    booked = relaid = 0
    for _ in range(45):
        if oracle.booked and chance.random() < 0.3:
            number = chance.choice(sorted(oracle.booked))
            here.cancel(number)
            del oracle.booked[number]
            continue
        start = chance.choice(QUARTERS)
        if not oracle.allows(start):
            continue
        before = {b.claim_id: b.lane_id for b in here.busy}
        number = here.book(start)
        relaid += any(before[b.claim_id] != b.lane_id for b in here.busy if b.claim_id in before)
        lanes = {b.lane_id for b in here.busy if b.appointment_id == number}
        (nurse,) = [n.id for n in here.site.people if lanes & set(n.lanes)]
        oracle.booked[number] = (start, nurse)
        booked += 1
        assert here.overlaps() == 0
    assert here.offered() == {start for start in QUARTERS if oracle.allows(start)}
    return booked, relaid


def live_days(clinics: int) -> tuple[int, int]:
    """Live a day of so many clinics; the seed of one that breaks the promise is printed."""
    booked = relaid = 0
    for seed in range(SEED, SEED + clinics):
        try:
            more, again = live_a_day(random.Random(seed))
        except (AssertionError, SlotTaken):
            print(f"seed {seed}")
            raise
        booked, relaid = booked + more, relaid + again
    return booked, relaid


def test_what_fits_by_count_is_offered_and_booked_in_any_clinic() -> None:
    booked, relaid = live_days(CLINICS)

    print(f"clinics: {CLINICS} from seed {SEED}, {booked} booked, {relaid} re-laid others")
    assert relaid > 0


def test_without_laying_others_anew_some_that_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: the oracle notices a book that takes only a lane that is free as it is."""
    monkeypatch.setattr("scheduler.booking.allocation._relane", lambda *_, **__: False)

    with pytest.raises(SlotTaken):
        live_days(CLINICS)


@pytest.mark.parametrize("seed", range(SEED, SEED + 40))
def test_with_chairs_out_of_use_and_chairs_asked_for_every_offer_can_be_booked(seed: int) -> None:
    """By count alone some of these could not: a visit never changes chairs half-way."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    here = clinic(chance)
    chairs = []
    for chair in here.site.chairs:
        begin = chance.randrange(9 * 60, 16 * 60, 15)
        shut = Away(TimeSpan(wall(begin), wall(begin + chance.choice((15, 45, 90)))), "repair")
        chairs.append(Unit(chair.id, chair.kind, chair.name, chair.lanes, away=(shut,)))
    here.site = replace(here.site, chairs=tuple(chairs))

    for _ in range(30):
        offered = sorted(here.offered())
        if not offered:
            break
        here.book(chance.choice(offered))  # every offer is honoured
        if chance.random() < 0.3:
            last = here.busy[-1]
            here.busy[-1] = Busy(
                last.claim_id, last.lane_id, last.span, True, last.appointment_id, None
            )
        assert here.overlaps() == 0
    for start in here.offered():
        trial = Clinic(here.site, here.offering, list(here.busy), count(10_000))
        trial.book(start)
        assert trial.overlaps() == 0
