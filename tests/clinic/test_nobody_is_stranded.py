"""Whatever is taken away: each future appointment has its place, or is on the list.

Judged by an oracle that reads the rows itself and counts minute by minute; it knows no lanes, and
nothing of how the product judges.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler.booking import withdrawal
from scheduler.booking.errors import NotOffered, PatientBusy, SlotTaken, TooClose
from scheduler.booking.models import Appointment, Claim, Status
from scheduler.booking.withdrawal import withdraw_supply
from scheduler.clinic import hours, places, roster
from scheduler.clinic.hours import Period
from scheduler.clinic.models import (
    Closure,
    Lane,
    OpeningHours,
    Resource,
    ResourceKind,
    ResourceSkill,
    Shift,
    Site,
    TimeOff,
)
from scheduler.core.db import db, transaction
from scheduler.core.errors import Invalid
from scheduler.core.timespan import TimeSpan
from tests import make

ACTOR = "staff:9"
CLINICS = 60 if os.environ.get("EMERGE_PROVE") else 2
ROUNDS = 6
STEP = timedelta(minutes=5)


@dataclass(frozen=True)
class Placed:
    """An appointment as the oracle sees it: what it needs, and who does it."""

    id: int
    is_infusion: bool
    start: datetime
    end: datetime
    person: int


def placed() -> list[Placed]:
    found = []
    for a in db.session.scalars(select(Appointment).where(Appointment.status == Status.BOOKED)):
        person = db.session.scalars(
            select(Resource.id)
            .join(Lane, Lane.resource_id == Resource.id)
            .join(Claim, Claim.lane_id == Lane.id)
            .where(Claim.appointment_id == a.id, Resource.kind == ResourceKind.PERSON)
            .distinct()
        ).one()
        is_infusion = a.service_code.value == "infusion"
        found.append(Placed(a.id, is_infusion, a.starts_at, a.ends_at, person))
    return found


class Oracle:
    """The rows, read as they are."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.hours = db.session.scalars(select(OpeningHours)).all()
        self.shifts = db.session.scalars(select(Shift)).all()
        self.closures = db.session.scalars(select(Closure)).all()
        self.off = db.session.scalars(select(TimeOff)).all()
        self.skills = {(s.resource_id, s.skill) for s in db.session.scalars(select(ResourceSkill))}
        self.all = {r.id: r for r in db.session.scalars(select(Resource))}

    def is_open(self, at: datetime) -> bool:
        return self._weekly(self.hours, at, "opens", "closes") and not any(
            c.resource_id is None and c.starts_at <= at < c.ends_at for c in self.closures
        )

    def chairs(self, at: datetime) -> int:
        shut = {c.resource_id for c in self.closures if c.starts_at <= at < c.ends_at}
        return sum(
            r.kind is ResourceKind.CHAIR and r.retired_at is None and r.id not in shut
            for r in self.all.values()
        )

    def works(self, person: int, at: datetime) -> bool:
        return (
            self.all[person].retired_at is None
            and self._weekly(
                [s for s in self.shifts if s.resource_id == person], at, "since", "until"
            )
            and not any(o.resource_id == person and o.starts_at <= at < o.ends_at for o in self.off)
        )

    def _weekly(self, rows: object, at: datetime, first: str, last: str) -> bool:
        wall = at.astimezone(self.site.zone)
        return any(
            r.weekday == wall.weekday()
            and r.valid_from <= wall.date() <= (r.valid_until or date.max)
            and getattr(r, first) <= wall.time() < getattr(r, last)
            for r in rows  # type: ignore[attr-defined]
        )

    def lanes(self, person: int) -> int:
        return sum(lane.retired_at is None for lane in self.all[person].lanes)

    def stranded(self, some: list[Placed]) -> list[str]:
        """Say what is wrong with these appointments, all taken together."""
        wrong: list[str] = []
        chairs: Counter[datetime] = Counter()
        watched: Counter[tuple[int, datetime]] = Counter()
        for a in some:
            skill = "nurse" if a.is_infusion else "calls"
            if (a.person, skill) not in self.skills:
                wrong.append(f"{a.id}: nobody who may")
            at = a.start
            while at < a.end:
                if not self.is_open(at):
                    wrong.append(f"{a.id}: shut at {at}")
                if not self.works(a.person, at):
                    wrong.append(f"{a.id}: nobody there at {at}")
                watched[a.person, at] += 1 if a.is_infusion else self.lanes(a.person)
                at += STEP
            at = a.start
            while a.is_infusion and at < a.end + timedelta(minutes=10):
                chairs[at] += 1
                at += STEP
        wrong += [f"chairs at {at}" for at, n in chairs.items() if n > self.chairs(at)]
        wrong += [f"{p} at {at}" for (p, at), n in watched.items() if n > self.lanes(p)]
        return wrong


def clinic(chance: random.Random) -> Site:
    """A small clinic with two busy days."""
    site = make.clinic_day(
        chairs=chance.randint(1, 4), nurses=chance.randint(1, 2), callers=chance.randint(1, 2)
    )
    for number in range(24):
        who = make.patient("Ana", f"Nr {number}", mobile=f"+1781555{number:04}")
        start = make.at(
            chance.randint(8, 16), chance.choice((0, 15, 30, 45)), days=chance.randint(1, 2)
        )
        book = make.infusion if chance.random() < 0.7 else make.call
        try:
            with db.session.begin_nested():
                book(site, who, start)
        except (NotOffered, SlotTaken, PatientBusy, TooClose):
            continue
    return site


def some_change(site: Site, chance: random.Random, now: datetime) -> object:
    """Something a clinic does to its supply; mostly it takes, sometimes it gives."""
    resources = db.session.scalars(select(Resource).order_by(Resource.id)).all()
    chairs = [r for r in resources if r.kind is ResourceKind.CHAIR and r.retired_at is None]
    people = [r for r in resources if r.kind is ResourceKind.PERSON and r.retired_at is None]
    since = make.at(chance.randint(6, 17), chance.choice((0, 30)), days=chance.randint(1, 2))
    span = TimeSpan(since, since + timedelta(minutes=chance.choice((30, 120, 480, 1440))))
    whole = TimeSpan(make.at(0), make.at(0, days=3))
    days = Period(tuple(range(7)), date(2026, 3, chance.choice((3, 4))))
    act = chance.randrange(9)
    some = chance.sample(chairs, min(len(chairs), chance.randint(1, 2)))
    if act == 0:
        return hours.close(site, span, "Snow", actor=ACTOR, now=now)
    if act in (1, 2) and some:
        return hours.close(
            site, chance.choice((span, whole)), "Motor", chairs=some, actor=ACTOR, now=now
        )
    if act == 3 and len(chairs) > 1:
        return places.retire(some[0], actor=ACTOR, now=now)
    if act == 4:
        wall = (time(chance.randint(8, 12)), time(chance.randint(13, 18)))
        return hours.set_hours(site, days, wall, seen=None, actor=ACTOR, now=now)
    if act == 5 and hours.closures(now=now):
        return hours.reopen(chance.choice(hours.closures(now=now)), actor=ACTOR, now=now)
    if not people:
        return None
    person = chance.choice(people)
    if act == 6:
        return roster.take_off(person, span, "Away", actor=ACTOR, now=now)
    if act == 7:
        at = None if chance.random() < 0.3 else (site, time(chance.randint(8, 12)), time(18))
        return roster.set_shifts(person, days, at, seen=None, actor=ACTOR, now=now)
    return roster.change_person(
        person,
        name=person.name,
        skills=chance.sample(["nurse", "calls", "chats"], 2),
        lanes=chance.randint(1, 4),
        seen=None,
        actor=ACTOR,
        now=now,
    )


def live(seed: int, now: datetime) -> tuple[list[str], int, int]:
    """Live through a clinic's bad week; return what the oracle found, hits and appointments."""
    chance = random.Random(seed)
    with transaction():
        site = clinic(chance)
    wrong: list[str] = []
    hits = 0
    for _ in range(ROUNDS):
        try:
            with transaction():
                impact = withdraw_supply(
                    lambda: some_change(site, chance, now), seen=None, actor=ACTOR, now=now
                )
        except Invalid:
            continue
        hits += len(impact.hits)
        listed = {w.hit.appointment_id for w in withdrawal.to_replace(now=now)}
        asked = {w.hit.appointment_id for w in withdrawal.to_replace(now=now) if w.task}
        assert listed == asked  # each has its task at once, not at the next tick
        here = [a for a in placed() if a.id not in listed]
        wrong += Oracle(site).stranded(here)
        if wrong:
            break
    return wrong, hits, len(placed())


@pytest.mark.parametrize("seed", range(CLINICS))
def test_everybody_has_their_place_or_is_on_the_list(room: Flask, now: datetime, seed: int) -> None:
    wrong, _, appointments = live(seed, now)

    assert wrong == []
    assert appointments > 0


def test_the_bad_weeks_do_hit_people(room: Flask, now: datetime) -> None:
    assert live(0, now)[1] > 0


@pytest.mark.parametrize("blind", ["chairs", "people", "hours"])
def test_the_oracle_notices_a_product_that_is_blind(
    room: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch, blind: str
) -> None:
    """The negative control: one question is not asked any more."""
    judge = withdrawal._Judge
    if blind == "hours":
        monkeypatch.setattr(judge, "_open_spans", lambda self, site, span: [span])
    elif blind == "people":
        monkeypatch.setattr(judge, "_why_not_with", lambda *a: [])
    else:
        monkeypatch.setattr(judge, "_why_not_there", lambda *a: [])
        monkeypatch.setattr(withdrawal, "_lay_anew", lambda *a, **k: 0)
    with transaction():
        site = make.clinic_day(chairs=1)
        make.infusion(site, make.patient())
    chair = db.session.scalars(select(Resource).where(Resource.kind == ResourceKind.CHAIR)).one()
    nurse = db.session.scalars(select(Resource).where(Resource.name == "Nurse 1")).one()
    day = TimeSpan(make.at(0), make.at(0, days=2))
    changes = {
        "chairs": lambda: hours.close(site, day, "x", chairs=[chair], actor=ACTOR, now=now),
        "people": lambda: roster.take_off(nurse, day, "x", actor=ACTOR, now=now),
        "hours": lambda: hours.set_hours(
            site, Period((1,), date(2026, 3, 3)), None, seen=None, actor=ACTOR, now=now
        ),
    }
    with transaction():
        withdraw_supply(changes[blind], seen=None, actor=ACTOR, now=now)

    assert withdrawal.to_replace(now=now) == []
    assert Oracle(site).stranded(placed()) != []


@pytest.mark.parametrize("seed", range(CLINICS))
def test_nobody_is_hit_for_whom_a_whole_chair_is_left(
    room: Flask, now: datetime, seed: int
) -> None:
    """Chairs that are out from morning to night: who fits by count is laid anew, not hit."""
    chance = random.Random(seed)
    with transaction():
        site = clinic(chance)
        chairs = places.chairs_of(site)
        out = chance.sample(list(chairs), chance.randint(1, len(chairs)))
        whole = TimeSpan(make.at(0), make.at(0, days=4))
        withdraw_supply(
            lambda: hours.close(site, whole, "Motor", chairs=out, actor=ACTOR, now=now),
            seen=None,
            actor=ACTOR,
            now=now,
        )
    listed = {w.hit.appointment_id for w in withdrawal.to_replace(now=now)}
    oracle = Oracle(site)
    stays = [a for a in placed() if a.id not in listed]

    for a in placed():
        if a.id in listed:
            assert oracle.stranded([*stays, a]) != [], f"{a.id} fits and was hit"
