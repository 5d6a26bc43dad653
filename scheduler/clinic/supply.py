"""The supply as plain values: read once, kept per process until its version changes.

This is the one cache of the house (design decision 21). It holds no appointment and no patient.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import SessionTransaction

from scheduler.clinic import settings
from scheduler.clinic.models import (
    Closure,
    NeedKind,
    OpeningHours,
    Resource,
    ResourceKind,
    ResourceSkill,
    Service,
    ServiceCode,
    Shift,
    Site,
    SupplyVersion,
    TimeOff,
)
from scheduler.clinic.settings import Settings
from scheduler.core.db import db, is_writing, notes, table_of
from scheduler.core.timespan import TimeSpan, instant


@dataclass(frozen=True)
class Weekly:
    """A wall-clock span that returns each week while it is valid."""

    site_id: int
    weekday: int
    since: time
    until: time
    valid_from: date
    valid_until: date | None

    def on(self, day: date, zone: ZoneInfo) -> TimeSpan | None:
        """Return its UTC span on `day`, or None when it does not hold that day."""
        if day.weekday() != self.weekday or day < self.valid_from:
            return None
        if self.valid_until is not None and day > self.valid_until:
            return None
        return TimeSpan(instant(day, self.since, zone), instant(day, self.until, zone))


@dataclass(frozen=True)
class Away:
    """A span in which something is shut or somebody is away, and why."""

    span: TimeSpan
    reason: str


@dataclass(frozen=True)
class Unit:
    """A resource with the ids of its lanes."""

    id: int
    kind: ResourceKind
    name: str
    lanes: tuple[int, ...]
    skills: frozenset[str] = frozenset()
    shifts: tuple[Weekly, ...] = ()
    away: tuple[Away, ...] = ()  # a chair's closures, a person's time off


@dataclass(frozen=True)
class Need:
    """What a service takes, in minutes after the start."""

    kind: NeedKind
    from_minute: int
    until_minute: int
    skill: str | None
    all_lanes: bool


@dataclass(frozen=True)
class Offering:
    """A service as plain values."""

    code: ServiceCode
    name: str
    visit_minutes: int
    notice: timedelta
    horizon: timedelta
    is_online: bool
    needs_authority: bool
    needs: tuple[Need, ...]

    def lasting(self, longer_minutes: int) -> "Offering":
        """Return the same service for a visit that stays so much longer: chair, people and all."""
        if not longer_minutes:
            return self
        needs = tuple(
            need
            if need.kind is NeedKind.STARTS
            else replace(need, until_minute=need.until_minute + longer_minutes)
            for need in self.needs
        )
        return replace(self, visit_minutes=self.visit_minutes + longer_minutes, needs=needs)

    def need(self, kind: NeedKind) -> Need | None:
        """Return what it takes of one kind, if anything."""
        return next((n for n in self.needs if n.kind is kind), None)


#: A few kilobytes each: what people ask about in a day, and no more.
MOST_WORKED_OUT = 500


@dataclass(frozen=True)
class SiteSupply:
    """Everything one site can give, and when."""

    id: int
    code: str
    name: str
    zone: ZoneInfo
    phone: str
    address: str
    settings: Settings
    chairs: tuple[Unit, ...]
    people: tuple[Unit, ...]  # whoever has a shift here
    starts: Unit
    hours: tuple[Weekly, ...]
    closures: tuple[Away, ...]  # of the whole site
    former: tuple[Unit, ...] = ()  # out of use, or without a shift here: the book may name them
    _worked_out: dict[Hashable, int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, what: Hashable, work_out: Callable[[], int]) -> int:
        """Return a number that depends on nothing but this supply, worked out when first asked.

        It lives as long as the supply itself, which is replaced when anything of it changes.
        """
        known = self._worked_out.get(what)
        if known is None:
            known = work_out()
            if len(self._worked_out) >= MOST_WORKED_OUT:
                self._worked_out.clear()
            self._worked_out[what] = known
        return known

    @property
    def names(self) -> dict[int, str]:
        """The name of every chair and person, of those out of use too, by id."""
        return {u.id: u.name for u in (*self.former, *self.chairs, *self.people)}

    def open_spans(self, first: date, days: int) -> list[TimeSpan]:
        """Return when the site is open by its hours, closures not yet taken off, in order."""
        return _on_days(self.hours, first, days, self.zone)

    def shift_spans(self, person: Unit, first: date, days: int) -> list[TimeSpan]:
        """Return when `person` works here, time off not yet taken off, in order."""
        here = [s for s in person.shifts if s.site_id == self.id]
        return _on_days(here, first, days, self.zone)

    def with_skill(self, skill: str | None) -> list[Unit]:
        """Return who works here and may do it, in order of id."""
        return [p for p in self.people if skill is None or skill in p.skills]


@dataclass(frozen=True)
class Supply:
    """The whole clinic's supply at one version."""

    version: int
    sites: dict[int, SiteSupply]
    services: dict[ServiceCode, Offering]

    def site(self, code: str) -> SiteSupply | None:
        """Return the site called `code`, or None."""
        return next((s for s in self.sites.values() if s.code == code), None)


_VERSION = select(table_of(SupplyVersion).c.version)
_SEEN = "supply seen"
_kept: WeakKeyDictionary[Engine, Supply] = WeakKeyDictionary()


def current() -> Supply:
    """Return the supply as of now; one small query when nothing has changed.

    It is asked once a page, and a writing transaction is given the same one until it takes a lock
    or changes it.
    """
    if not is_writing():
        return _once_a_reading()
    seen: Supply | None = notes().get(_SEEN)
    if seen is not None:
        return seen
    supply = notes()[_SEEN] = _kept_or_read()
    return supply


def look_again() -> None:
    """Have the supply read anew: somebody may have changed it while a lock was waited for."""
    notes().pop(_SEEN, None)


def _once_a_reading() -> Supply:
    """Return what this reading transaction was told already; a new one asks again."""
    session = db.session()
    told: tuple[SessionTransaction | None, Supply] | None = session.info.get(_SEEN)
    if told is not None and told[0] is session.get_transaction():
        return told[1]
    supply = _kept_or_read()
    session.info[_SEEN] = (session.get_transaction(), supply)
    return supply


def _kept_or_read() -> Supply:
    db.session.flush()
    version = db.session.connection().scalar(_VERSION) or 0
    kept = _kept.get(db.engine)
    if kept is not None and kept.version == version:
        return kept
    supply = _read(version)
    if not notes().get("supply changed"):  # what this transaction changed is not yet for others
        _kept[db.engine] = supply
    return supply


def _read(version: int) -> Supply:
    every = _units()
    units = [(unit, site_id) for unit, site_id, retired in every if not retired]
    sites: dict[int, SiteSupply] = {}
    hours = db.session.scalars(select(OpeningHours)).all()
    closures = db.session.scalars(select(Closure)).all()
    for site in db.session.scalars(select(Site).order_by(Site.id)):
        chairs = [u for u, site_id in units if u.kind is ResourceKind.CHAIR and site_id == site.id]
        starts = [u for u, site_id in units if u.kind is ResourceKind.STARTS and site_id == site.id]
        people = [u for u, _ in units if any(s.site_id == site.id for s in u.shifts)]
        here = {u.id for u in (*chairs, *people)}
        sites[site.id] = SiteSupply(
            id=site.id,
            code=site.code,
            name=site.name,
            zone=site.zone,
            phone=site.phone,
            address=site.address,
            settings=settings.of_site(site.id),
            chairs=tuple(chairs),
            people=tuple(people),
            starts=starts[0],
            hours=tuple(
                Weekly(h.site_id, h.weekday, h.opens, h.closes, h.valid_from, h.valid_until)
                for h in hours
                if h.site_id == site.id
            ),
            closures=tuple(
                Away(TimeSpan(c.starts_at, c.ends_at), c.reason)
                for c in closures
                if c.site_id == site.id and c.resource_id is None
            ),
            former=tuple(
                unit
                for unit, site_id, _ in every
                if unit.id not in here
                and (unit.kind is ResourceKind.PERSON or site_id == site.id)
                and unit.kind is not ResourceKind.STARTS
            ),
        )
    services = {s.code: _offering(s) for s in db.session.scalars(select(Service))}
    return Supply(version, sites, services)


def _units() -> list[tuple[Unit, int | None, bool]]:
    skills: dict[int, set[str]] = {}
    for skill in db.session.scalars(select(ResourceSkill)):
        skills.setdefault(skill.resource_id, set()).add(skill.skill)
    shifts: dict[int, list[Weekly]] = {}
    for s in db.session.scalars(select(Shift)):
        shifts.setdefault(s.resource_id, []).append(
            Weekly(s.site_id, s.weekday, s.since, s.until, s.valid_from, s.valid_until)
        )
    away: dict[int, list[Away]] = {}
    for off in db.session.scalars(select(TimeOff)):
        away.setdefault(off.resource_id, []).append(
            Away(TimeSpan(off.starts_at, off.ends_at), off.reason)
        )
    for shut in db.session.scalars(select(Closure).where(Closure.resource_id.is_not(None))):
        away.setdefault(shut.resource_id or 0, []).append(
            Away(TimeSpan(shut.starts_at, shut.ends_at), shut.reason)
        )
    rows = db.session.scalars(
        select(Resource)
        .where(Resource.kind != ResourceKind.PATIENT)
        .order_by(Resource.position, Resource.id)
    )
    return [
        (
            Unit(
                id=r.id,
                kind=r.kind,
                name=r.name,
                lanes=tuple(lane.id for lane in r.lanes if lane.retired_at is None),
                skills=frozenset(skills.get(r.id, ())),
                shifts=tuple(shifts.get(r.id, ())),
                away=tuple(away.get(r.id, ())),
            ),
            r.site_id,
            r.retired_at is not None,
        )
        for r in rows
    ]


def _offering(service: Service) -> Offering:
    return Offering(
        code=service.code,
        name=service.name,
        visit_minutes=service.visit_minutes,
        notice=timedelta(minutes=service.notice_minutes),
        horizon=timedelta(days=service.horizon_days),
        is_online=service.is_online,
        needs_authority=service.needs_authority,
        needs=tuple(
            Need(n.kind, n.from_minute, n.until_minute, n.skill, n.all_lanes) for n in service.needs
        ),
    )


def _on_days(weekly: Sequence[Weekly], first: date, days: int, zone: ZoneInfo) -> list[TimeSpan]:
    spans = (
        w.on(first + timedelta(days=n), zone)
        for w in weekly
        for n in range((w.weekday - first.weekday()) % 7, days, 7)
    )
    return sorted(s for s in spans if s is not None)


def local_days(since: datetime, until: datetime, zone: ZoneInfo) -> tuple[date, int]:
    """Return the first local day that `since` falls on, and how many days reach past `until`."""
    first = since.astimezone(zone).date()
    last = until.astimezone(zone).date()
    return first, (last - first).days + 1
