"""Taking supply away: who is hit is known before anything is kept, and nobody is lost after.

Whether an appointment still has its place is derived from supply and claims, never stored, so
whatever took the place away, it is seen. A task is opened for each, so that it is counted, can be
assigned, and has a history; a place kept knowingly is such a task, closed with its reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property

from sqlalchemy import ColumnElement, delete, select

from scheduler.audit import service as audit
from scheduler.availability.grid import STEP
from scheduler.availability.lanes import Piece, place
from scheduler.booking import notices, offers, rules
from scheduler.booking.allocation import (
    Wish,
    allocate,
    clear,
    lock,
    rewrite,
    sort_out,
    write_claims,
)
from scheduler.booking.errors import NotOffered, Overtaken, SlotTaken, WrongState
from scheduler.booking.models import Appointment, Claim, Status
from scheduler.booking.offers import LOOK_BACK, Busy, taken_by
from scheduler.booking.queries import who_changed
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, NeedKind, Resource, ResourceKind, ServiceCode
from scheduler.clinic.supply import Offering, SiteSupply, Supply, Unit
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import TimeSpan, day_span
from scheduler.patients.models import Patient
from scheduler.tasks import queries as task_queries
from scheduler.tasks import service as tasks
from scheduler.tasks.models import Task

TASK = rules.RE_PLACE
KEPT = "Kept: "
#: What is taken from whom in one go is asked for at least this long before the visit.
DUE_BEFORE = timedelta(days=7)


@dataclass(frozen=True)
class Hit:
    """An appointment without its place, and why: plain values, true when they were read."""

    appointment_id: int
    public_id: str
    patient_id: int
    patient_name: str
    service_code: ServiceCode
    site_id: int
    starts_at: datetime
    ends_at: datetime
    why: tuple[str, ...]

    @property
    def topic(self) -> str:
        """How other rooms name the appointment."""
        return f"appointment:{self.appointment_id}"

    @property
    def mark(self) -> str:
        """Which appointment at which time: what a person has seen when they say yes."""
        return f"{self.appointment_id}@{int(self.starts_at.timestamp()) // 60}"

    @property
    def note(self) -> str:
        """The place and why it is gone, in words; a keeping holds for exactly these."""
        return f"{self.starts_at.isoformat()}: {' '.join(self.why)}"


@dataclass(frozen=True)
class Impact:
    """What a change of the supply does: who is hit by it, and who only changes places unseen."""

    hits: tuple[Hit, ...] = ()
    reseated: int = 0  # another chair, another lane: nobody notices
    healed: int = 0  # had lost their place and have it again


class PeopleAreHit(Refusal):
    """The change would hit people whom nobody has looked at yet; nothing was kept."""

    code = "people-are-hit"

    def __init__(self, impact: Impact, *, was_shown: bool) -> None:
        people = "1 appointment" if len(impact.hits) == 1 else f"{len(impact.hits)} appointments"
        super().__init__(
            "Somebody has booked meanwhile. Please look at the list again."
            if was_shown
            else f"This would hit {people}."
        )
        self.impact = impact


@dataclass(frozen=True)
class Waiting:
    """An appointment that needs a new place, with its task once one was opened."""

    hit: Hit
    task: Task | None


def withdraw_supply(
    change: Callable[[], object],
    *,
    seen: Iterable[str] | None,
    actor: str,
    now: datetime,
) -> Impact:
    """Change the supply and take care of everybody it hits, in the caller's transaction.

    Locks everything that can be busy, as a booking does; makes the change; lays the claims anew
    that can simply lie elsewhere in their pool; opens a task for each appointment whose place is
    gone by it, and closes those of appointments that have theirs again.

    Args:
        change: The verbs of the clinic's room; they flush and raise the supply's version.
        seen: The marks of the hits a person was shown and agreed to; None agrees to all.

    Raises:
        PeopleAreHit: others would be hit; carries the whole impact. The caller lets the
            transaction go.
    """
    _lock_all()
    book = _Book(now)
    before = _troubles(book, clinic_supply.current())
    change()  # of the supply alone, and everything is locked: the book stands as it was read
    db.session.flush()
    supply = clinic_supply.current()
    reseated = _lay_anew(book, supply, now=now)
    book = _Book(now)
    after = _troubles(book, supply)
    newly = {a: why for a, why in after.items() if set(why) - set(before.get(a, ()))}
    impact = Impact(
        hits=_hits(book, newly),
        reseated=reseated,
        healed=len(before.keys() - after.keys()),
    )
    if seen is not None:
        shown = set(seen)
        if any(hit.mark not in shown for hit in impact.hits):
            raise PeopleAreHit(impact, was_shown=bool(shown))
    for hit in impact.hits:
        _ask(hit, actor=actor, now=now)
        audit.record(
            "appointment.unplaced",
            hit.topic,
            actor=actor,
            now=now,
            patient_id=hit.patient_id,
            why=list(hit.why),
        )
        appointment = db.session.get_one(Appointment, hit.appointment_id)
        if notices.is_shut_out(appointment):
            notices.after_closing(appointment, now=now)
    for number in sorted(before.keys() - after.keys()):
        tasks.close_by_event(TASK, f"appointment:{number}", "Fits again", actor=actor, now=now)
        notices.after_reopening(db.session.get_one(Appointment, number), now=now)
    return impact


def stranded(*, now: datetime) -> list[Hit]:
    """Return every booked appointment that has not ended and has lost its place, kept or not."""
    book = _Book(now)
    return list(_hits(book, _troubles(book, clinic_supply.current())))


def to_replace(*, now: datetime) -> list[Waiting]:
    """Return who waits for a new place, the earliest first: derived, so nobody can be missing."""
    found = stranded(now=now)
    topics = [hit.topic for hit in found]
    waiting = {t.topic: t for t in task_queries.open_tasks(kinds=(TASK,), limit=10_000)}
    kept = {
        (t.topic, t.note)
        for t in task_queries.closed_about(TASK, topics)
        if (t.outcome or "").startswith(KEPT)
    }
    return [
        Waiting(hit, waiting.get(hit.topic))
        for hit in found
        if hit.topic in waiting or (hit.topic, hit.note) not in kept
    ]


def count_waiting(*, now: datetime) -> int:
    """Return how many wait for a new place, by their tasks: for the number beside the list."""
    numbers = [
        int(topic.partition(":")[2])
        for topic in task_queries.open_topics(TASK)
        if topic.partition(":")[2].isdigit()
    ]
    if not numbers:
        return 0
    rows = db.session.scalars(
        select(Appointment.id).where(Appointment.id.in_(numbers), *_ahead(now))
    )
    return len(rows.all())


def keep(
    appointment: Appointment, reason: str, *, version: int, actor: str, now: datetime
) -> Appointment:
    """Leave an appointment where it is although its place is gone, and say why.

    It comes back on the list when it loses its place in another way.

    Raises:
        Invalid: no reason.
        Overtaken: somebody changed it since it was read.
        WrongState: it has its place, or is over.
    """
    reason = reason.strip()
    if not reason:
        raise Invalid("Say why it stays, so that others know.", field="reason")
    _lock_all()
    db.session.refresh(appointment, with_for_update={"of": Appointment})
    if appointment.version != version:
        raise Overtaken(who_changed(appointment))
    if not keep_from_start(appointment, reason, actor=actor, now=now):
        raise WrongState("This appointment has its place again. There is nothing to decide.")
    return appointment


def keep_from_start(appointment: Appointment, reason: str, *, actor: str, now: datetime) -> bool:
    """Keep knowingly what was booked although it has no usual place; say whether that was so."""
    hit = _hit_of(appointment, now=now)
    if hit is None:
        return False
    task = _ask(hit, actor=actor, now=now)
    tasks.close(task.id, KEPT + reason, version=task.version, actor=actor, now=now)
    return True


def could_take_over(hit: Hit, *, now: datetime) -> list[Unit]:
    """Return who could do it at the very same time and place, free chair and all."""
    supply = clinic_supply.current()
    site, usual = supply.sites[hit.site_id], supply.services[hit.service_code]
    stays = (hit.ends_at - hit.starts_at) // timedelta(minutes=1)
    offering = usual.lasting(max(stays - usual.visit_minutes, 0))
    need = offering.need(NeedKind.PERSON)
    if need is None or hit.starts_at < now:
        return []
    room = offers.room(
        site, hit.starts_at, hit.starts_at, now=now, but_appointment=hit.appointment_id
    )
    step = room.grid.step(hit.starts_at)
    return [
        person
        for person in site.with_skill(need.skill)
        if room.starts(offering, person_id=person.id, among=1 << step)
    ]


def settle(appointment: Appointment, outcome: str, *, actor: str, now: datetime) -> None:
    """Take an appointment off the list: it was moved, or called off."""
    tasks.close_by_event(TASK, appointment.topic, outcome, actor=actor, now=now)


def look_again(appointment: Appointment, *, actor: str, now: datetime) -> None:
    """Put an appointment on the list if what was given back to it is no place any more."""
    hit = _hit_of(appointment, now=now)
    if hit is not None:
        _ask(hit, actor=actor, now=now)


def is_in_line(*, now: datetime) -> bool:
    """Say whether exactly those have an open task whose place is gone."""
    waiting = to_replace(now=now)
    return {w.hit.topic for w in waiting} == set(task_queries.open_topics(TASK)) and all(
        w.task is not None for w in waiting
    )


def reconcile(*, actor: str, now: datetime) -> int:
    """Bring the tasks in line with what is derived; return how many were opened or closed."""
    waiting = to_replace(now=now)
    changed = 0
    for one in waiting:
        if one.task is None:
            _ask(one.hit, actor=actor, now=now)
            changed += 1
    still = {one.hit.topic for one in waiting}
    for topic in set(task_queries.open_topics(TASK)) - still:
        outcome = "Has its place, or is over"
        changed += tasks.close_by_event(TASK, topic, outcome, actor=actor, now=now)
    return changed


def _ask(hit: Hit, *, actor: str, now: datetime) -> Task:
    task = tasks.open_task(
        TASK,
        hit.topic,
        now=now,
        due_at=max(now, hit.starts_at - DUE_BEFORE),
        patient_id=hit.patient_id,
        site_id=hit.site_id,
        note=hit.note,
    )
    task.note = hit.note
    db.session.flush()
    return task


def _lock_all() -> None:
    """Take every chair, person and site's starts: no booking is under way while supply changes."""
    ids = db.session.scalars(
        select(Resource.id).where(Resource.kind != ResourceKind.PATIENT).order_by(Resource.id)
    )
    lock(ids.all())


def _ahead(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Appointment.status == Status.BOOKED, Appointment.ends_at > now


@dataclass(frozen=True)
class _Seat:
    """One claim of an appointment, with what it is a claim of."""

    claim_id: int
    lane_id: int
    span: TimeSpan
    is_pinned: bool
    resource_id: int
    kind: ResourceKind
    name: str


@dataclass(frozen=True)
class _Row:
    id: int
    public_id: str
    patient_id: int
    service_code: ServiceCode
    site_id: int
    stay: TimeSpan
    seats: list[_Seat] = field(default_factory=list)


class _Book:
    """Every booked appointment that has not ended, with its claims: two queries."""

    def __init__(self, now: datetime, only: int | None = None) -> None:
        self.now = now
        ahead = [*_ahead(now)]
        if only is not None:
            ahead.append(Appointment.id == only)
        self.rows: dict[int, _Row] = {
            r.id: _Row(
                r.id,
                r.public_id,
                r.patient_id,
                r.service_code,
                r.site_id,
                TimeSpan(r.starts_at, r.ends_at),
            )
            for r in db.session.execute(
                select(
                    Appointment.id,
                    Appointment.public_id,
                    Appointment.patient_id,
                    Appointment.service_code,
                    Appointment.site_id,
                    Appointment.starts_at,
                    Appointment.ends_at,
                )
                .where(*ahead)
                .order_by(Appointment.starts_at, Appointment.id)
            )
        }
        for c in db.session.execute(
            select(
                Claim.appointment_id,
                Claim.id,
                Claim.lane_id,
                Claim.starts_at,
                Claim.ends_at,
                Claim.is_pinned,
                Resource.id.label("resource_id"),
                Resource.kind,
                Resource.name,
            )
            .join(Lane, Claim.lane_id == Lane.id)
            .join(Resource, Lane.resource_id == Resource.id)
            .join(Appointment, Claim.appointment_id == Appointment.id)
            .where(*ahead, Resource.kind != ResourceKind.PATIENT)
            .order_by(Claim.starts_at, Claim.id)
        ):
            self.rows[c.appointment_id].seats.append(
                _Seat(
                    c.id,
                    c.lane_id,
                    TimeSpan(c.starts_at, c.ends_at),
                    c.is_pinned,
                    c.resource_id,
                    c.kind,
                    c.name,
                )
            )


class _Judge:
    """Says of one appointment after another whether the supply still carries it."""

    def __init__(self, supply: Supply, *, now: datetime) -> None:
        self.supply, self._now = supply, now
        self._open: dict[tuple[int, date], list[TimeSpan]] = {}
        self._here: dict[tuple[int, int, date], list[TimeSpan]] = {}

    @cached_property
    def units(self) -> dict[int, Unit]:
        """Everything that can be busy and is in use, by id."""
        return {
            unit.id: unit
            for site in self.supply.sites.values()
            for unit in (*site.chairs, *site.people, site.starts)
        }

    def why_not(self, row: _Row) -> tuple[str, ...]:
        """Return in words what the appointment misses; nothing when it has its place."""
        site = self.supply.sites[row.site_id]
        found = [
            f"{site.name} is closed: {shut.reason}."
            for shut in site.closures
            if shut.span.overlaps(row.stay)
        ]
        if not _covered(row.stay, self._open_spans(site, row.stay)):
            found.append(f"{site.name} is not open for all of that time.")
        offering = self.supply.services[row.service_code]
        for need in offering.needs:
            seats = [s for s in row.seats if s.kind.value == need.kind.value]
            if not seats:
                found.append(f"No {_WORDS[need.kind]} is kept for it.")
            for seat in seats:
                skill = need.skill if need.kind is NeedKind.PERSON else None
                found.extend(self._why_not_there(seat, site, skill))
            is_whole = need.kind is NeedKind.PERSON and need.all_lanes
            if is_whole and row.stay.start > self._now and not found:
                found.extend(self._why_not_alone(seats))
        return tuple(dict.fromkeys(found))

    def _why_not_there(self, seat: _Seat, site: SiteSupply, skill: str | None) -> list[str]:
        unit = self.units.get(seat.resource_id)
        if unit is None:
            gone = "does not work here any more" if seat.kind is ResourceKind.PERSON else "is gone"
            return [f"{seat.name} {gone}."]
        if seat.kind is ResourceKind.CHAIR:
            mine = unit in site.chairs
            found = [] if mine else [f"{unit.name} is not at {site.name}."]
            return found + [
                f"{unit.name} is out: {a.reason}." for a in unit.away if a.span.overlaps(seat.span)
            ]
        found = []
        if seat.kind is ResourceKind.PERSON:
            found = self._why_not_with(unit, seat.span, site, skill)
        if not found and seat.lane_id not in unit.lanes:
            found.append(f"{unit.name} can take fewer at the same time.")
        return found

    def _why_not_with(
        self, person: Unit, span: TimeSpan, site: SiteSupply, skill: str | None
    ) -> list[str]:
        away = [a.reason for a in person.away if a.span.overlaps(span)]
        found = [
            f"{person.name} is away."
            if reason.casefold() == "away"
            else f"{person.name} is away: {reason}."
            for reason in away
        ]
        if not _covered(span, self._shift_spans(person, site, span)):
            found.append(f"{person.name} does not work at {site.name} then.")
        if skill is not None and skill not in person.skills:
            found.append(f"{person.name} does not do this any more.")
        return found

    def _why_not_alone(self, seats: Sequence[_Seat]) -> list[str]:
        """Say that what takes a whole person shares them: a second visit has one of their lanes."""
        unit = self.units[seats[0].resource_id]
        missing = set(unit.lanes) - {s.lane_id for s in seats}
        return [f"{unit.name} does something else at the same time."] if missing else []

    def _open_spans(self, site: SiteSupply, span: TimeSpan) -> list[TimeSpan]:
        first, days = clinic_supply.local_days(span.start, span.end, site.zone)
        key = (site.id, first)
        if days > 1 or key not in self._open:
            self._open[key] = site.open_spans(first, days)
        return self._open[key]

    def _shift_spans(self, person: Unit, site: SiteSupply, span: TimeSpan) -> list[TimeSpan]:
        first, days = clinic_supply.local_days(span.start, span.end, site.zone)
        key = (person.id, site.id, first)
        if days > 1 or key not in self._here:
            self._here[key] = site.shift_spans(person, first, days)
        return self._here[key]


_WORDS = {NeedKind.CHAIR: "chair", NeedKind.PERSON: "person", NeedKind.STARTS: "start"}


def _covered(span: TimeSpan, by: Sequence[TimeSpan]) -> bool:
    """Say whether spans, in order, leave no moment of `span` out; two may meet or overlap."""
    reached = span.start
    for one in by:
        if one.start <= reached < one.end:
            reached = one.end
    return reached >= span.end


def _troubles(book: _Book, supply: Supply) -> dict[int, tuple[str, ...]]:
    judge = _Judge(supply, now=book.now)
    judged = ((row.id, judge.why_not(row)) for row in book.rows.values())
    return {number: why for number, why in judged if why}


def _hits(book: _Book, troubles: dict[int, tuple[str, ...]]) -> tuple[Hit, ...]:
    rows = [row for row in book.rows.values() if row.id in troubles]
    patients = {
        p.id: p.shown_name
        for p in db.session.scalars(
            select(Patient).where(Patient.id.in_({row.patient_id for row in rows}))
        )
    }
    return tuple(
        Hit(
            appointment_id=row.id,
            public_id=row.public_id,
            patient_id=row.patient_id,
            patient_name=patients[row.patient_id],
            service_code=row.service_code,
            site_id=row.site_id,
            starts_at=row.stay.start,
            ends_at=row.stay.end,
            why=troubles[row.id],
        )
        for row in rows
    )


def _hit_of(appointment: Appointment, *, now: datetime) -> Hit | None:
    book = _Book(now, only=appointment.id)
    found = _hits(book, _troubles(book, clinic_supply.current()))
    return found[0] if found else None


def _lay_anew(book: _Book, supply: Supply, *, now: datetime) -> int:
    """Lay claims elsewhere in their pool where their own lane is out; return how many."""
    units = _Judge(supply, now=now).units
    _share_whole_people(book, supply, units, now=now)
    _give_what_is_needed_now(book, supply, now=now)
    laid = 0
    for pool, displaced in _displaced(book, supply, units, now=now):
        laid += _relay(pool, displaced, now=now)
    db.session.flush()
    return laid


def _share_whole_people(
    book: _Book, supply: Supply, units: Mapping[int, Unit], *, now: datetime
) -> None:
    """Have what takes a whole person take exactly the lanes that person has now."""
    for row in book.rows.values():
        need = supply.services[row.service_code].need(NeedKind.PERSON)
        seats = [s for s in row.seats if s.kind is ResourceKind.PERSON]
        unit = units.get(seats[0].resource_id) if seats else None
        if need is None or not need.all_lanes or unit is None or row.stay.start <= now:
            continue
        _take_whole(row.id, unit, [s for s in seats if s.resource_id == unit.id], now)


def _give_what_is_needed_now(book: _Book, supply: Supply, *, now: datetime) -> None:
    """Give visits to come what their service did not take when they were booked, where it is free.

    The earliest is first; who gets none has lost their place, and is shown.
    """
    lacking: dict[tuple[int, date], list[tuple[_Row, Offering]]] = {}
    for row in book.rows.values():
        site, usual = supply.sites[row.site_id], supply.services[row.service_code]
        stays = (row.stay.end - row.stay.start) // timedelta(minutes=1)
        offering = usual.lasting(max(stays - usual.visit_minutes, 0))
        has = {seat.kind.value for seat in row.seats}
        needs = tuple(need for need in offering.needs if need.kind.value not in has)
        if has and needs and row.stay.start > now:
            day = row.stay.start.astimezone(site.zone).date()
            only = replace(offering, needs=needs)
            lacking.setdefault((site.id, day), []).append((row, only))
    for (site_id, day), rows in lacking.items():
        site = supply.sites[site_id]
        span = day_span(day, site.zone)
        for row, offering in rows:
            lanes = offers.lanes_of(site, offering)
            busy = clear(lanes, span.start, span.end, now=now)
            room = offers.Room(site, span.start, span.end - STEP, taken_by(busy, now=now))
            wish = Wish(offering, site, row.stay.start)
            try:
                found = allocate(wish, room, room.grid.step(row.stay.start), busy, now=now)
            except (NotOffered, SlotTaken):
                continue
            rewrite(found.moved)
            write_claims(found.choices, appointment_id=row.id)


def _take_whole(appointment_id: int, person: Unit, seats: list[_Seat], now: datetime) -> None:
    held = {s.lane_id for s in seats}
    surplus = [s.claim_id for s in seats if s.lane_id not in person.lanes]
    if surplus and len(surplus) < len(seats):
        db.session.execute(
            delete(Claim)
            .where(Claim.id.in_(surplus))
            .execution_options(synchronize_session="fetch")
        )
    span = seats[0].span
    missing = [lane for lane in person.lanes if lane not in held]
    taken = {b.lane_id for b in clear(missing, span.start, span.end, now=now)}
    free = [lane for lane in missing if lane not in taken]
    db.session.add_all(
        Claim(
            lane_id=lane,
            starts_at=span.start,
            ends_at=span.end,
            appointment_id=appointment_id,
            is_pinned=False,
        )
        for lane in free
    )
    db.session.flush()


def _displaced(
    book: _Book, supply: Supply, units: Mapping[int, Unit], *, now: datetime
) -> list[tuple[tuple[Unit, ...], list[_Seat]]]:
    """Return, by pool and day, the claims whose lane is out while others of the pool may do."""
    found: dict[tuple[tuple[int, ...], date], tuple[tuple[Unit, ...], list[_Seat]]] = {}
    for row in book.rows.values():
        site = supply.sites[row.site_id]
        whole = supply.services[row.service_code].need(NeedKind.PERSON)
        for seat in row.seats:
            if seat.span.start <= now or seat.is_pinned:
                continue
            if seat.kind is ResourceKind.PERSON and whole is not None and whole.all_lanes:
                continue
            pool = _pool(seat, site, units)
            if not pool or not _is_out(seat, pool):
                continue
            day = seat.span.start.astimezone(site.zone).date()
            key = (tuple(unit.id for unit in pool), day)
            found.setdefault(key, (pool, []))[1].append(seat)
    return list(found.values())


def _pool(seat: _Seat, site: SiteSupply, units: Mapping[int, Unit]) -> tuple[Unit, ...]:
    if seat.kind is ResourceKind.CHAIR:
        return site.chairs
    if seat.kind is ResourceKind.STARTS:
        return (site.starts,)
    unit = units.get(seat.resource_id)
    return (unit,) if unit is not None else ()


def _is_out(seat: _Seat, pool: tuple[Unit, ...]) -> bool:
    unit = next((u for u in pool if seat.lane_id in u.lanes), None)
    if unit is None:
        return True
    return seat.kind is ResourceKind.CHAIR and any(a.span.overlaps(seat.span) for a in unit.away)


def _relay(pool: tuple[Unit, ...], displaced: list[_Seat], *, now: datetime) -> int:
    """Lay displaced claims into the free lanes of their pool: all of them, else one by one."""
    lanes = {lane for unit in pool for lane in unit.lanes}
    span = _day_around([s.span for s in displaced])
    out = {s.claim_id for s in displaced}
    busy = [b for b in clear(lanes, span.start, span.end, now=now) if b.claim_id not in out]
    fixed, movable = _sorted_out(pool, busy, now=now)
    homeless = sorted(displaced, key=lambda s: (s.span.start, s.claim_id))
    placed = _try(movable, homeless, [], fixed)
    settled = list(homeless) if placed is not None else []
    for seat in homeless if placed is None else ():
        others = [s for s in homeless if s not in settled and s is not seat]
        better = _try(movable, [*settled, seat], others, fixed)
        if better is not None:
            placed = better
            settled.append(seat)
    if not placed:
        return 0
    at = {b.claim_id: b.lane_id for b in movable} | {s.claim_id: s.lane_id for s in settled}
    rewrite({claim: lane for claim, lane in placed.items() if at[claim] != lane})
    return len(settled)


def _try(
    movable: Sequence[Busy],
    wanted: Sequence[_Seat],
    staying: Sequence[_Seat],
    fixed: dict[int, list[TimeSpan]],
) -> dict[int, int] | None:
    """Find lanes for all of it; what has no other lane yet still stands where it is."""
    taken = {lane: list(spans) for lane, spans in fixed.items()}
    for seat in staying:
        if seat.lane_id in taken:
            taken[seat.lane_id].append(seat.span)
    pieces = [Piece(b.claim_id, b.span, b.lane_id) for b in movable]
    pieces += [Piece(s.claim_id, s.span) for s in wanted]
    if not _fit_by_count([p.span for p in pieces], taken):
        return None  # no need to try
    return place(pieces, taken)


def _fit_by_count(spans: Sequence[TimeSpan], fixed: dict[int, list[TimeSpan]]) -> bool:
    """Say whether there are never more than there are lanes; what is fixed counts once a lane."""
    moments = sorted({span.start for span in spans})
    for moment in moments:
        busy = sum(any(f.start <= moment < f.end for f in lane) for lane in fixed.values())
        busy += sum(s.start <= moment < s.end for s in spans)
        if busy > len(fixed):
            return False
    return True


def _sorted_out(
    pool: tuple[Unit, ...], busy: Sequence[Busy], *, now: datetime
) -> tuple[dict[int, list[TimeSpan]], list[Busy]]:
    """Return what stays, by lane, and what may be laid elsewhere.

    A claim that has begun, is pinned, is one of several of its owner, or lies where its lane is
    shut stays: it is over, was asked for, or has been judged already.
    """
    owners = Counter((b.appointment_id, b.hold_id) for b in busy)
    return sort_out(
        pool,
        busy,
        lambda b: b.span.start <= now or b.is_pinned or owners[b.appointment_id, b.hold_id] > 1,
    )


def _day_around(spans: Sequence[TimeSpan]) -> TimeSpan:
    """Return a span with room for whatever could touch these in a day."""
    return TimeSpan(min(s.start for s in spans) - LOOK_BACK, max(s.end for s in spans) + LOOK_BACK)
