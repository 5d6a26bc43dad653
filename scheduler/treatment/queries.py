"""Reads of what happened in the chair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from scheduler.booking import overruns
from scheduler.booking.models import Appointment, Status
from scheduler.booking.overruns import Expected, Fix, Hit
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind
from scheduler.clinic.supply import SiteSupply
from scheduler.core.db import db
from scheduler.treatment import rules
from scheduler.treatment.models import EventKind, SessionEvent
from scheduler.treatment.rules import ChairState, Line, Release, Stage


@dataclass(frozen=True)
class Wait:
    """Somebody who will have to wait for a visit that runs late, and the nearest way out."""

    hit: Hit
    fix: Fix


def events(appointment_id: int) -> Sequence[SessionEvent]:
    """Return everything ever written into the record, amendments too, in order of writing."""
    return db.session.scalars(
        select(SessionEvent)
        .where(SessionEvent.appointment_id == appointment_id)
        .order_by(SessionEvent.id)
    ).all()


def lines(appointment_id: int) -> list[Line]:
    """Return the record as it counts now: amended, struck lines gone, in order of time."""
    return effective(events(appointment_id))


def lines_of_day(appointment: Appointment, moment: datetime) -> list[Line]:
    """Return what counts and was recorded on the day of a moment: the rest may have changed."""
    zone = appointment.site.zone
    today = moment.astimezone(zone).date()
    return [x for x in lines(appointment.id) if x.at.astimezone(zone).date() == today]


def effective(written: Sequence[SessionEvent]) -> list[Line]:
    """Return what counts of the rows of one record."""
    amended: dict[int, SessionEvent] = {}
    for event in written:
        if event.amends_id is not None:
            amended[event.amends_id] = event
    found = []
    for root in (e for e in written if e.amends_id is None):
        stands = amended.get(root.id, root)
        if stands.is_struck:
            continue
        found.append(
            Line(
                id=root.id,
                kind=root.kind,
                at=stands.at,
                data=stands.data,
                note=stands.note,
                recorded_by=stands.recorded_by,
                recorded_at=stands.recorded_at,
                signed_by_id=stands.signed_by_id,
                reason=stands.reason,
                is_amended=stands is not root,
            )
        )
    return sorted(found, key=lambda line: (line.at, line.id))


def lines_of(appointments: Sequence[Appointment]) -> dict[int, list[Line]]:
    """Return, by appointment id, what counts of each record: one query."""
    written: dict[int, list[SessionEvent]] = {a.id: [] for a in appointments}
    for event in db.session.scalars(
        select(SessionEvent)
        .where(SessionEvent.appointment_id.in_(list(written)))
        .order_by(SessionEvent.id)
    ):
        written[event.appointment_id].append(event)
    return {number: effective(rows) for number, rows in written.items()}


def chair_states(appointments: Sequence[Appointment], *, now: datetime) -> Mapping[int, ChairState]:
    """Return, by appointment id, where each patient is: one query for a whole board."""
    counted = lines_of(appointments)
    return {a.id: _state(a, counted[a.id], now=now) for a in appointments}


def chair_state(appointment: Appointment, *, now: datetime) -> ChairState:
    """Return where one patient is."""
    return _state(appointment, lines(appointment.id), now=now)


def next_observation(site: SiteSupply, lines: Sequence[Line]) -> datetime | None:
    """Return when vital signs are due next by a site's schedule, or None."""
    return rules.next_observation(
        lines,
        first_minutes=site.settings.observe_first_minutes,
        every_minutes=site.settings.observe_every_minutes,
        recovery_minutes=site.settings.observe_recovery_minutes,
    )


def expected_release(appointment: Appointment, *, now: datetime) -> Release | None:
    """Return when nurse and chair are expected to be free; None before anybody is here."""
    return _release(appointment, lines(appointment.id), now=now)


def who_is_hit(appointment: Appointment, *, now: datetime) -> list[Hit]:
    """Return whose time a late release will touch, the soonest first."""
    release = expected_release(appointment, now=now)
    if release is None:
        return []
    return overruns.hits([Expected(appointment, release.person_at, release.chair_at)], now=now)


def waits(appointments: Sequence[Appointment], *, over: timedelta, now: datetime) -> list[Wait]:
    """Return who will have to wait longer than `over` because of these visits, the soonest first.

    Only visits whose patient is here count; a board asks for all of them at once.
    """
    here = [a for a in appointments if a.status is Status.ARRIVED]
    if not here:
        return []
    counted = lines_of(here)
    expected = []
    for a in here:
        release = _release(a, counted[a.id], now=now)
        if release is not None:
            expected.append(Expected(a, release.person_at, release.chair_at))
    return [
        Wait(hit, overruns.nearest_fix(hit, now=now))
        for hit in overruns.hits(expected, now=now)
        if timedelta(minutes=hit.minutes) > over
        and hit.appointment.status in (Status.BOOKED, Status.ARRIVED)
        and hit.appointment.ends_at > now
    ]


def worst_severity(appointment_id: int) -> int:
    """Return the worst side effect of a session: 0 none, 3 severe."""
    return rules.worst_severity(lines(appointment_id))


def baseline(appointment_id: int) -> int | None:
    """Return the pain score before the infusion, when one was recorded."""
    return rules.score(lines(appointment_id), "baseline")


def after(appointment_id: int) -> int | None:
    """Return the pain score after the infusion, when one was recorded."""
    return rules.score(lines(appointment_id), "after")


def _release(appointment: Appointment, counted: Sequence[Line], *, now: datetime) -> Release | None:
    supply = clinic_supply.current()
    settings = supply.sites[appointment.site_id].settings
    by_record = rules.release(
        counted,
        now=now,
        infusion_minutes=settings.infusion_minutes,
        recovery_minutes=settings.recovery_minutes + appointment.longer_minutes,
        turnover_minutes=settings.turnover_minutes,
    )
    if by_record is not None:
        return by_record
    if appointment.status is not Status.ARRIVED or appointment.arrived_at is None:
        return None
    zone = appointment.site.zone
    if (
        appointment.arrived_at.astimezone(zone).date()
        != appointment.starts_at.astimezone(zone).date()
    ):
        return None  # checked in another day: the book is put right, and nobody is there
    offering = supply.services[appointment.service_code]
    drip, chair = offering.need(NeedKind.STARTS), offering.need(NeedKind.CHAIR)
    visit = appointment.ends_at - appointment.starts_at
    return rules.release_before_start(
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        arrived_at=appointment.arrived_at,
        until_drip=min(timedelta(minutes=drip.from_minute), visit) if drip else visit,
        turnover=timedelta(minutes=chair.until_minute - offering.visit_minutes if chair else 0),
        now=now,
    )


def _state(appointment: Appointment, counted: Sequence[Line], *, now: datetime) -> ChairState:
    site = clinic_supply.current().sites[appointment.site_id]
    settings, zone = site.settings, appointment.site.zone
    on = appointment.starts_at.astimezone(zone).date()
    found = rules.state(
        [  # who was ready on another day, before a move, is not ready now
            line
            for line in counted
            if line.kind is not EventKind.READINESS or line.at.astimezone(zone).date() == on
        ],
        now=now,
        infusion_minutes=settings.infusion_minutes,
        recovery_minutes=settings.recovery_minutes + appointment.longer_minutes,
    )
    if found.stage not in (Stage.INFUSING, Stage.RECOVERING):
        return found
    due = next_observation(site, counted)
    return replace(found, is_look_due=due is not None and due <= now)
