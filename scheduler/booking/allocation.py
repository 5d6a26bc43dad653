"""Choosing lanes, under the lock: lock all candidates, drop what expired, read, choose.

The order is the law of design decision 2: every writer locks all candidate resources in one
statement in id order, so two writers for one slot wait instead of deadlocking, and only then
reads. What the arithmetic overlooks, the database refuses.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP
from scheduler.availability.lanes import Piece, place
from scheduler.booking.errors import AtRatio, NotOffered, PatientBusy, SlotTaken, WrongState
from scheduler.booking.models import Claim, Hold
from scheduler.booking.offers import (
    LOOK_BACK,
    Audience,
    Busy,
    Room,
    bounds,
    lanes_of,
    taken_by,
    window_of,
)
from scheduler.booking.reasons import sentence, time_against
from scheduler.clinic import places as clinic_places
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, NeedKind, Resource
from scheduler.clinic.supply import Need, Offering, SiteSupply, Unit
from scheduler.core.db import db, insert_rows, table_of
from scheduler.core.timespan import TimeSpan, day_span
from scheduler.patients.models import Patient, Standing

_resource, _claim, _hold = (table_of(model).c for model in (Resource, Claim, Hold))
_LOCK = (
    select(_resource.id)
    .where(_resource.id.in_(bindparam("resources", expanding=True)))
    .order_by(_resource.id)
    .with_for_update()
)
_CLAIMS = (
    select(
        _claim.id,
        _claim.lane_id,
        _claim.starts_at,
        _claim.ends_at,
        _claim.is_pinned,
        _claim.appointment_id,
        _claim.hold_id,
        _hold.expires_at,
    )
    .select_from(table_of(Claim).outerjoin(table_of(Hold)))
    .where(
        _claim.lane_id.in_(bindparam("lanes", expanding=True)),
        _claim.starts_at < bindparam("until"),
        _claim.starts_at > bindparam("look_back"),
        _claim.ends_at > bindparam("since"),
    )
    .order_by(_claim.starts_at, _claim.id)
)

_NO_LANE = -1
TAKEN = "That time has just been taken. Please choose another."


@dataclass(frozen=True)
class Wish:
    """What is to be booked: a service at a site from a moment, maybe with a person or chair."""

    offering: Offering
    site: SiteSupply
    starts_at: datetime
    person_id: int | None = None
    chair_id: int | None = None
    patient_resource_id: int | None = None
    patient_lane: int | None = None
    beyond_ratio: bool = False  # a nurse may watch one more than usual for it
    longer_minutes: int = 0  # than usual; `offering` has them in it

    @property
    def stay(self) -> TimeSpan:
        """When the patient is here, or on the line."""
        return TimeSpan(
            self.starts_at, self.starts_at + timedelta(minutes=self.offering.visit_minutes)
        )

    def span(self, need: Need) -> TimeSpan:
        """When a need is taken; an IV start takes the clock quarter-hour it falls in."""
        since = self.starts_at + timedelta(minutes=need.from_minute)
        if need.kind is NeedKind.STARTS:
            quarter = bits.floor(since, timedelta(minutes=15))
            return TimeSpan(quarter, quarter + timedelta(minutes=15))
        return TimeSpan(since, self.starts_at + timedelta(minutes=need.until_minute))

    def renewed(self) -> "Wish":
        """Return the same wish on the supply as it is under the lock.

        Raises:
            SlotTaken: the service has another length by now, so another end was asked for.
        """
        supply = clinic_supply.current()
        site = supply.sites[self.site.id]
        offering = supply.services[self.offering.code].lasting(self.longer_minutes)
        if site is self.site and offering == self.offering:
            return self
        again = replace(self, site=site, offering=offering)
        if again.stay != self.stay:
            raise SlotTaken(TAKEN)
        return again


@dataclass(frozen=True)
class Choice:
    """One claim to be written."""

    lane_id: int
    span: TimeSpan
    is_pinned: bool = False


@dataclass(frozen=True)
class Allocation:
    """What is to be written: new claims, and the lanes that claims already there change to."""

    choices: list[Choice]
    moved: dict[int, int]  # id of a claim, its new lane


def refuse_gone(patient: Patient) -> None:
    """Refuse whom nothing can be booked for any more; read anew, under the caller's lock.

    Raises:
        WrongState: they have died, or their record was merged into another.
    """
    db.session.refresh(patient, ["is_deceased", "standing"])
    if patient.is_deceased:
        raise WrongState("They have died. Nothing new is booked or signed for them.")
    if patient.standing is Standing.MERGED:
        raise WrongState("This record was merged into another. Please open that one.")


def lock(resource_ids: Iterable[int]) -> None:
    """Take the rows of these resources, in id order, until the transaction ends.

    On SQLite the transaction itself is the lock (BEGIN IMMEDIATE), so there is nothing to take.
    """
    if db.session.get_bind().dialect.name == "sqlite":
        return
    db.session.execute(_LOCK, {"resources": sorted(set(resource_ids))}).all()
    clinic_supply.look_again()


def candidates(wish: Wish) -> set[int]:
    """Return the ids of every resource whose claims this wish may read or write."""
    site = wish.site
    ids = {unit.id for unit in (*site.chairs, *site.people, site.starts)}
    if wish.patient_resource_id is not None:
        ids.add(wish.patient_resource_id)
    return ids


def everything_at(sites: Iterable[SiteSupply], patient_resource_id: int) -> set[int]:
    """Return the ids of all that visits of one patient to any of these sites may touch.

    For acts of several visits: locked once, as the union, so that nobody deadlocks.
    """
    units = (u for site in sites for u in (*site.chairs, *site.people, site.starts))
    return {patient_resource_id, *(unit.id for unit in units)}


def clear(lanes: Iterable[int], since: datetime, until: datetime, *, now: datetime) -> list[Busy]:
    """Return what `busy_claims` does, after deleting what expired holds still have in the way."""
    found = db.session.execute(
        _CLAIMS,
        {
            "lanes": list(lanes),
            "since": since,
            "until": until,
            "look_back": since - LOOK_BACK,  # lets the index answer, however long ago
        },
    ).all()
    over = [row.id for row in found if row.expires_at is not None and row.expires_at <= now]
    if over:
        db.session.execute(
            delete(Claim).where(Claim.id.in_(over)).execution_options(synchronize_session="fetch")
        )
    gone = set(over)
    return [
        Busy(id_, lane, TimeSpan(starts_at, ends_at), is_pinned, appointment_id, hold_id)
        for id_, lane, starts_at, ends_at, is_pinned, appointment_id, hold_id, _ in found
        if id_ not in gone
    ]


def choose(
    wish: Wish,
    *,
    now: datetime,
    judged_at: datetime,
    audience: Audience,
    but_appointment: int | None = None,
) -> list[Choice]:
    """Return the claims that give the wish its time. The caller holds the lock.

    Args:
        judged_at: The moment notice and horizon count from; mostly `now`.

    Raises:
        NotOffered: the site is shut then, or it is too soon or too far ahead, or nobody works.
        PatientBusy: the patient has another appointment then.
        SlotTaken: the time is there but somebody has it.
    """
    wish = wish.renewed()  # the supply may have changed while we waited for the lock
    site = wish.site
    day = day_span(wish.starts_at.astimezone(site.zone).date(), site.zone)
    lanes = lanes_of(site, wish.offering)
    if wish.patient_lane is not None:
        lanes = [*lanes, wish.patient_lane]
    found = clear(lanes, day.start, day.end, now=now)
    busy = [b for b in found if but_appointment is None or b.appointment_id != but_appointment]
    room = Room(site, wish.starts_at, wish.starts_at + STEP, taken_by(busy, now=now))
    step = _allowed(wish, room, now=judged_at, audience=audience)
    if wish.patient_lane is not None:
        theirs = [b for b in busy if b.lane_id == wish.patient_lane]
        if any(b.span.overlaps(wish.stay) for b in theirs):
            raise PatientBusy("They have another appointment at that time.")
    try:
        chosen = allocate(wish, room, step, busy, now=now)
    except SlotTaken:
        if audience is Audience.ONLINE:
            raise
        chosen = _beyond_ratio(wish, room, step, busy, now=now)
    rewrite(chosen.moved)
    return chosen.choices


def _beyond_ratio(
    wish: Wish, room: Room, step: int, busy: Sequence[Busy], *, now: datetime
) -> Allocation:
    """Return what a wish takes when the least busy nurse who is there watches one more.

    Raises:
        AtRatio: that would do, and nobody has allowed it.
        SlotTaken: something else is in the way as well.
    """
    need = wish.offering.need(NeedKind.PERSON)
    there = [] if need is None or need.all_lanes else room.there(need, step, wish.person_id)
    words = _in_words(wish, room) or TAKEN
    if need is None or not there:
        raise SlotTaken(words)
    nurse = min(there, key=lambda p: (sum(b.lane_id in p.lanes for b in busy), p.id))
    try:
        chosen = allocate(wish, room, step, busy, now=now, nurse_lane=_NO_LANE)
    except SlotTaken:
        raise SlotTaken(words) from None
    if not wish.beyond_ratio:
        raise AtRatio(words)
    lane = _extra_lane(nurse, wish.span(need), now=now)
    return Allocation(
        [replace(c, lane_id=lane) if c.lane_id == _NO_LANE else c for c in chosen.choices],
        chosen.moved,
    )


def _extra_lane(nurse: Unit, span: TimeSpan, *, now: datetime) -> int:
    """Return a lane of a nurse that is offered to nobody, free in a span; made when there is none.

    The nurse's row is locked, so nobody else chooses it meanwhile.
    """
    taken = select(Claim.id).where(
        Claim.lane_id == Lane.id, Claim.starts_at < span.end, Claim.ends_at > span.start
    )
    free = db.session.scalar(
        select(Lane.id)
        .where(Lane.resource_id == nurse.id, Lane.retired_at.is_not(None), ~taken.exists())
        .order_by(Lane.id)
        .limit(1)
    )
    return free if free is not None else clinic_places.add_extra_lane(nurse.id, now=now)


def allocate(
    wish: Wish,
    room: Room,
    step: int,
    busy: Sequence[Busy],
    *,
    now: datetime,
    nurse_lane: int | None = None,
) -> Allocation:
    """Return which lanes a wish takes at a step, and which claims make way. Reads nothing.

    Args:
        nurse_lane: The lane of the person it needs, when that is decided already.

    Raises:
        NotOffered: nobody who may do it works there.
        SlotTaken: there is no room.
    """
    found = Allocation([], {})
    for need in wish.offering.needs:
        if need.kind is NeedKind.CHAIR:
            _chair(found, wish, need, room, step, busy, now=now)
        elif need.kind is NeedKind.STARTS:
            found.choices.append(_start(wish, need, room, step))
        elif nurse_lane is not None:
            found.choices.append(Choice(nurse_lane, wish.span(need)))
        else:
            _person(found, wish, need, room, step, busy, now=now)
    if wish.patient_lane is not None:
        found.choices.append(Choice(wish.patient_lane, wish.stay))
    return found


def _in_words(wish: Wish, room: Room) -> str:
    """Return what the site's time has against a wish, as a sentence; empty when nothing."""
    against = time_against(
        room, wish.offering, wish.starts_at, person_id=wish.person_id, chair_id=wish.chair_id
    )
    return sentence([reason.words for reason in against])


def _allowed(wish: Wish, room: Room, *, now: datetime, audience: Audience) -> int:
    """Check what is no question of who else is there; return the start's step."""
    site, offering = wish.site, wish.offering
    if bits.floor(wish.starts_at, STEP) != wish.starts_at:
        raise NotOffered("Times start on five minutes, like 10:45.")
    if audience is Audience.ONLINE:
        every = timedelta(minutes=site.settings.start_every_minutes)
        if not offering.is_online or bits.floor(wish.starts_at, every) != wish.starts_at:
            raise NotOffered("That time cannot be booked online. Please choose another.")
    since, until = bounds(
        offering, wish.starts_at, wish.starts_at + STEP, now=now, audience=audience
    )
    if not since <= wish.starts_at < until:
        too_soon = since > wish.starts_at
        raise NotOffered(
            "That time is too soon or has passed. Please choose a later one."
            if too_soon
            else "That is too far ahead. Please choose an earlier time."
        )
    step = room.grid.step(wish.starts_at)
    if not bits.lasting(room.open, offering.visit_minutes // 5) >> step & 1:
        if audience is Audience.ONLINE:
            raise NotOffered(f"{site.name} is not open for all of that time.")
        raise NotOffered(_in_words(wish, room))
    return step


def _chair(
    found: Allocation,
    wish: Wish,
    need: Need,
    room: Room,
    step: int,
    busy: Sequence[Busy],
    *,
    now: datetime,
) -> None:
    span = wish.span(need)
    chairs = [c for c in wish.site.chairs if wish.chair_id in (None, c.id)]
    window = window_of(need, step)
    for chair in chairs:
        if not room.chair(chair) & window:
            pinned = wish.chair_id is not None
            found.choices.append(Choice(chair.lanes[0], span, is_pinned=pinned))
            return
    if wish.chair_id is not None or not _relane(found, wish.site.chairs, span, busy, now=now):
        raise SlotTaken(TAKEN)


def _start(wish: Wish, need: Need, room: Room, step: int) -> Choice:
    span = wish.span(need)
    first = room.grid.step(span.start)
    for lane in wish.site.starts.lanes:
        if not room.lane(lane) >> first & 1:
            return Choice(lane, span)
    raise SlotTaken("Too many visits begin at that time. Please choose 15 minutes later.")


def _person(
    found: Allocation,
    wish: Wish,
    need: Need,
    room: Room,
    step: int,
    busy: Sequence[Busy],
    *,
    now: datetime,
) -> None:
    span = wish.span(need)
    people = room.people_from(need, wish.person_id)
    if not people:
        raise NotOffered("Nobody who can do this works there.")
    able = [p for p in wish.site.people if people.get(p.id, 0) >> step & 1]
    # The least busy that day first, so that one nurse does not get them all.
    load = {p.id: sum(1 for b in busy if b.lane_id in p.lanes) for p in able}
    for person in sorted(able, key=lambda p: (load[p.id], p.id)):
        if need.all_lanes:
            found.choices.extend(Choice(lane, span) for lane in person.lanes)
            return
        for lane in person.lanes:
            if not any(b.lane_id == lane and b.span.overlaps(span) for b in busy):
                found.choices.append(Choice(lane, span))
                return
        if _relane(found, (person,), span, busy, now=now):
            return
    raise SlotTaken(TAKEN)


def _relane(
    found: Allocation, pool: Sequence[Unit], span: TimeSpan, busy: Sequence[Busy], *, now: datetime
) -> bool:
    """Make room for `span` in a pool that has room by count; say whether that could be done.

    Future claims that are not pinned are laid anew; nobody's appointment changes, for lanes mean
    nothing to people. A claim that has begun, is pinned, or takes every lane of its person stays.
    """
    fixed, movable = _sorted_out(pool, busy, now=now)
    pieces = [Piece(b.claim_id, b.span, b.lane_id) for b in movable]
    placed = place([*pieces, Piece(0, span)], fixed)
    if placed is None:
        return False
    found.choices.append(Choice(placed[0], span))
    found.moved.update(
        {b.claim_id: placed[b.claim_id] for b in movable if placed[b.claim_id] != b.lane_id}
    )
    return True


def make_way(
    pool: Sequence[Unit], lane_id: int, span: TimeSpan, busy: Sequence[Busy], *, now: datetime
) -> bool:
    """Lay the pool's future claims anew so that one lane is free for `span`; say whether it is.

    `busy` leaves out the claim that is to have the span.
    """
    fixed, movable = _sorted_out(pool, busy, now=now)
    if any(span.overlaps(other) for other in fixed[lane_id]):
        return False
    fixed[lane_id].append(span)
    placed = place([Piece(b.claim_id, b.span, b.lane_id) for b in movable], fixed)
    if placed is None:
        return False
    rewrite({b.claim_id: placed[b.claim_id] for b in movable if placed[b.claim_id] != b.lane_id})
    return True


def _sorted_out(
    pool: Sequence[Unit], busy: Sequence[Busy], *, now: datetime
) -> tuple[dict[int, list[TimeSpan]], list[Busy]]:
    """Return what stays, by lane, and the claims that may be laid elsewhere in the pool."""
    lanes = {lane for unit in pool for lane in unit.lanes}
    whole = _taking_all([b for b in busy if b.lane_id in lanes], len(lanes))
    return sort_out(pool, busy, lambda b: b.span.start < now or b.is_pinned or b.claim_id in whole)


def sort_out(
    pool: Sequence[Unit], busy: Sequence[Busy], stays: Callable[[Busy], bool]
) -> tuple[dict[int, list[TimeSpan]], list[Busy]]:
    """Return what is fixed, by lane of the pool, and the claims that may be laid elsewhere in it.

    Who lost their place and waits for another stays too: nobody else is refused for them.
    """
    away = {lane: [a.span for a in unit.away] for unit in pool for lane in unit.lanes}
    fixed = {lane: list(spans) for lane, spans in away.items()}
    movable: list[Busy] = []
    for claim in busy:
        if claim.lane_id not in fixed:
            continue
        if stays(claim) or any(span.overlaps(claim.span) for span in away[claim.lane_id]):
            fixed[claim.lane_id].append(claim.span)
        else:
            movable.append(claim)
    return fixed, movable


def _taking_all(claims: Sequence[Busy], lanes: int) -> set[int]:
    """Return the claims of owners that hold every lane of the pool at once."""
    owned: dict[tuple[int | None, int | None], list[int]] = {}
    for claim in claims:
        owned.setdefault((claim.appointment_id, claim.hold_id), []).append(claim.claim_id)
    return {c for ids in owned.values() if lanes > 1 and len(ids) == lanes for c in ids}


def write_claims(
    choices: Sequence[Choice], *, appointment_id: int | None = None, hold_id: int | None = None
) -> None:
    """Write the claims that were chosen for one owner."""
    insert_rows(
        Claim,
        [
            {
                "lane_id": c.lane_id,
                "starts_at": c.span.start,
                "ends_at": c.span.end,
                "appointment_id": appointment_id,
                "hold_id": hold_id,
                "is_pinned": c.is_pinned,
            }
            for c in choices
        ],
    )


def rewrite(lanes: dict[int, int]) -> None:
    """Give claims other lanes. Two that swap would clash half-way, so all leave, then return."""
    if not lanes:
        return
    with db.session.begin_nested():
        claims = db.session.scalars(select(Claim).where(Claim.id.in_(lanes))).all()
        rows = [
            Claim(
                lane_id=lanes[c.id],
                starts_at=c.starts_at,
                ends_at=c.ends_at,
                appointment_id=c.appointment_id,
                hold_id=c.hold_id,
                is_pinned=c.is_pinned,
            )
            for c in claims
        ]
        db.session.execute(
            delete(Claim).where(Claim.id.in_(lanes)).execution_options(synchronize_session="fetch")
        )
        db.session.add_all(rows)
        db.session.flush()
