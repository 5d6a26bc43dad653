"""Another chair or another person for a booking at its very own time: nothing to the patient.

What could take it is asked of the same free time that offers are made of. Of a visit that has
begun only what is left counts: the new chair need not have been free before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from scheduler.availability import grid as bits
from scheduler.availability.grid import STEP
from scheduler.booking.allocation import Choice, clear, make_way, write_claims
from scheduler.booking.errors import NotOffered, SlotTaken
from scheduler.booking.models import Appointment, Claim
from scheduler.booking.offers import Busy, Room, busy_claims, lanes_of, taken_by
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, NeedKind, Resource, ResourceKind
from scheduler.clinic.supply import Need, SiteSupply, Unit
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.core.timespan import TimeSpan, day_span


@dataclass(frozen=True)
class Seats:
    """Who or what else could take a booking at its own time."""

    chairs: tuple[Unit, ...]
    people: tuple[Unit, ...]


def could_take(appointment: Appointment, *, now: datetime) -> Seats:
    """Return the other chairs and people that are free for what is left of a booking."""
    look = _Look(appointment, busy_claims, now=now)
    return Seats(tuple(look.chairs()), tuple(look.people()))


def take(
    appointment: Appointment,
    *,
    chair_id: int | None,
    person_id: int | None,
    is_pinned: bool,
    now: datetime,
) -> None:
    """Give a booking's claims to another chair, another person, or both. The caller locks.

    Args:
        is_pinned: Whether this very chair was asked for, so that it is not changed again.

    Raises:
        Invalid: neither a chair nor a person was named, or it takes none.
        NotOffered: all of its time is over.
        SlotTaken: they are not free for all of what is left.
    """
    if chair_id is None and person_id is None:
        raise Invalid("Choose a chair or a person.", field="chair")
    look = _Look(appointment, clear, now=now)
    if chair_id is not None:
        span = look.left(ResourceKind.CHAIR)
        chair = next((c for c in look.chairs() if c.id == chair_id), None)
        if chair is None:
            raise look.not_free(chair_id, "That chair")
        look.give(ResourceKind.CHAIR, chair.lanes, span, is_pinned=is_pinned)
    if person_id is not None:
        span = look.left(ResourceKind.PERSON)
        person = next((p for p in look.people() if p.id == person_id), None)
        lanes = look.lanes_for(person, span) if person else ()
        if not lanes:
            raise look.not_free(person_id, "That person")
        look.give(ResourceKind.PERSON, lanes, span, is_pinned=False)


class _Look:
    """The free time around one booking, without the booking itself."""

    def __init__(
        self, appointment: Appointment, read: Callable[..., list[Busy]], *, now: datetime
    ) -> None:
        supply = clinic_supply.current()
        self._appointment, self._now = appointment, now
        self.site: SiteSupply = supply.sites[appointment.site_id]
        self._need: Need | None = supply.services[appointment.service_code].need(NeedKind.PERSON)
        self._own: dict[ResourceKind, list[Claim]] = {}
        self._has: set[int] = set()
        rows = db.session.execute(
            select(Claim, Resource.kind, Resource.id)
            .join(Lane, Claim.lane_id == Lane.id)
            .join(Resource, Lane.resource_id == Resource.id)
            .where(Claim.appointment_id == appointment.id)
            .order_by(Claim.id)
        )
        for claim, kind, resource_id in rows:
            self._own.setdefault(kind, []).append(claim)
            self._has.add(resource_id)
        day = day_span(appointment.starts_at.astimezone(self.site.zone).date(), self.site.zone)
        last = max((c.ends_at for claims in self._own.values() for c in claims), default=day.end)
        found = read(lanes_of(self.site), day.start, max(day.end, last), now=now)
        self._busy = [b for b in found if b.appointment_id != appointment.id]
        self._room = Room(self.site, day.start, day.start + STEP, taken_by(self._busy, now=now))

    def left(self, kind: ResourceKind) -> TimeSpan:
        """Return what is left of the time on a kind of thing.

        Raises:
            Invalid: the booking takes no such thing.
            NotOffered: nothing is left.
        """
        if kind not in self._own:
            what = "chair" if kind is ResourceKind.CHAIR else "person"
            raise Invalid(f"This takes no {what}.", field=what)
        span = self._left(kind)
        if span is None:
            raise NotOffered("All of its time is over, so nobody else can take it.")
        return span

    def chairs(self) -> list[Unit]:
        """Return the other chairs that are free for what is left."""
        span = self._left(ResourceKind.CHAIR)
        if span is None:
            return []
        window = self._window(span)
        return [
            chair
            for chair in self.site.chairs
            if chair.id not in self._has and not self._room.chair(chair) & window
        ]

    def people(self) -> list[Unit]:
        """Return the others who may do it, are here for what was planned, and have time."""
        span = self._left(ResourceKind.PERSON)
        if span is None or self._need is None:
            return []
        planned = min(max(self._appointment.ends_at, span.start + STEP), span.end)
        here, window = self._window(TimeSpan(span.start, planned)), self._window(span)
        return [
            person
            for person in self.site.with_skill(self._need.skill)
            if person.id not in self._has
            and not here & ~self._room.is_here(person)
            and not window & self._taken(person)
        ]

    def lanes_for(self, person: Unit, span: TimeSpan) -> tuple[int, ...]:
        """Return the lanes of a person that take it; what is to come makes way. None: no room."""
        if self._need is not None and self._need.all_lanes:
            return person.lanes
        window = self._window(span)
        for lane in person.lanes:
            if not self._room.lane(lane) & window:
                return (lane,)
        for lane in person.lanes:
            if make_way((person,), lane, span, self._busy, now=self._now):
                return (lane,)
        return ()

    def give(
        self, kind: ResourceKind, lanes: Sequence[int], span: TimeSpan, *, is_pinned: bool
    ) -> None:
        """Let other lanes have the time; from its beginning when they were free then too."""
        old = self._own[kind]
        since = min(c.starts_at for c in old)
        before = self._window(TimeSpan(since, span.start)) if since < span.start else 0
        if any(self._room.lane(lane) & before for lane in lanes):
            since = span.start
        db.session.execute(
            delete(Claim)
            .where(Claim.id.in_([c.id for c in old]))
            .execution_options(synchronize_session="fetch")
        )
        choices = [Choice(lane, TimeSpan(since, span.end), is_pinned) for lane in lanes]
        write_claims(choices, appointment_id=self._appointment.id)
        db.session.expire(self._appointment, ["claims"])

    def not_free(self, unit_id: int, otherwise: str) -> SlotTaken:
        """Return the refusal that names who or what has no time."""
        if unit_id in self._has:
            return SlotTaken(f"{self.site.names.get(unit_id, otherwise)} has it already.")
        name = self.site.names.get(unit_id, otherwise)
        return SlotTaken(f"{name} is not free for all of that time.")

    def _taken(self, person: Unit) -> int:
        lanes = [self._room.lane(lane) for lane in person.lanes]
        if self._need is not None and self._need.all_lanes:
            return bits.any_busy(lanes)
        return bits.full(lanes)

    def _left(self, kind: ResourceKind) -> TimeSpan | None:
        claims = self._own.get(kind)
        if not claims:
            return None
        since = max(min(c.starts_at for c in claims), bits.floor(self._now, STEP))
        until = max(c.ends_at for c in claims)
        return TimeSpan(since, until) if since < until else None

    def _window(self, span: TimeSpan) -> int:
        return bits.window(self._room.grid.step(span.start), self._room.grid.step(span.end))
