"""Why a start is not offered: the conditions that bind, from the same sums as the offers.

Each check of `offers.Room.starts` has its twin of words here, asked of the same `Room`; a start
with no reason against it is an offer, and an offer has none (a test holds the two together).
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.availability import grid as bits
from scheduler.booking.offers import Audience, Room, bounds, room, window_of
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import Away, Need, Offering, SiteSupply, Unit
from scheduler.core.timespan import TimeSpan


class Binding(enum.StrEnum):
    """Which condition a start fails."""

    OFF_GRID = "off-grid"
    TOO_SOON = "too-soon"
    TOO_FAR = "too-far"
    NOT_ONLINE = "not-online"
    CLOSED = "closed"
    PAST_CLOSING = "past-closing"
    CHAIRS_TAKEN = "chairs-taken"
    NOBODY_WORKS = "nobody-works"
    PEOPLE_TAKEN = "people-taken"
    STARTS_FULL = "starts-full"
    PATIENT_BUSY = "patient-busy"


@dataclass(frozen=True)
class Reason:
    """One condition that binds, in words for staff; `span` is when, as far as that can be said."""

    binding: Binding
    words: str
    span: TimeSpan | None = None


def why_not(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    *,
    now: datetime,
    audience: Audience,
    person_id: int | None = None,
    chair_id: int | None = None,
    patient_lane: int | None = None,
    but_appointment: int | None = None,
) -> list[Reason]:
    """Return every condition that keeps `starts_at` from being offered; none when it is offered."""
    supply = clinic_supply.current()
    offering, site = supply.services[service], supply.sites[site_id]
    free = room(
        site,
        starts_at,
        starts_at + bits.STEP,
        now=now,
        patient_lane=patient_lane,
        but_appointment=but_appointment,
    )
    return [
        *rules_against(offering, site, starts_at, now=now, audience=audience),
        *time_against(
            free,
            offering,
            starts_at,
            person_id=person_id,
            chair_id=chair_id,
            patient_lane=patient_lane,
        ),
    ]


def sentence(words: Sequence[str]) -> str:
    """Return reasons as one sentence: "All 6 chairs are taken 2:15 PM–2:40 PM." """
    said = "; ".join(words)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def rules_against(
    offering: Offering, site: SiteSupply, starts_at: datetime, *, now: datetime, audience: Audience
) -> Iterator[Reason]:
    """Yield what the clinic's rules have against a start, whoever else is there."""
    every = timedelta(minutes=site.settings.start_every_minutes)
    if bits.floor(starts_at, every) != starts_at:
        yield Reason(
            Binding.OFF_GRID,
            f"{_clock(starts_at, site)} is between the offered times: they start every "
            f"{site.settings.start_every_minutes} minutes",
        )
    if audience is Audience.ONLINE and not offering.is_online:
        yield Reason(Binding.NOT_ONLINE, f"{offering.name} cannot be booked online")
    since, until = bounds(offering, starts_at, starts_at + bits.STEP, now=now, audience=audience)
    if since > starts_at:
        yield Reason(
            Binding.TOO_SOON,
            "it has passed"
            if starts_at < now
            else f"it is sooner than the {_length(offering.notice)} of notice",
        )
    elif until <= starts_at:
        yield Reason(Binding.TOO_FAR, f"it is more than {offering.horizon.days} days ahead")


def time_against(
    free: Room,
    offering: Offering,
    starts_at: datetime,
    *,
    person_id: int | None = None,
    chair_id: int | None = None,
    patient_lane: int | None = None,
) -> Iterator[Reason]:
    """Yield what the site's time has against a start."""
    step = free.grid.step(starts_at)
    length = offering.visit_minutes // 5
    is_shut = not bits.lasting(free.open, length) >> step & 1
    if is_shut:
        yield _shut(free, step, length)
    for need in offering.needs:
        if need.kind is NeedKind.CHAIR:
            if not free.chairs_from(need, chair_id, among=1 << step):
                yield _no_chair(free, need, step, chair_id)
        elif need.kind is NeedKind.STARTS:
            if not free.starts_from(need) >> step & 1:
                quarter = bits.floor(
                    starts_at + timedelta(minutes=need.from_minute), timedelta(minutes=15)
                )
                yield Reason(
                    Binding.STARTS_FULL,
                    f"IV starts at {_clock(quarter, free.site)} are full "
                    f"({len(free.site.starts.lanes)} a quarter-hour)",
                    TimeSpan(quarter, quarter + timedelta(minutes=15)),
                )
        elif not bits.any_busy(free.people_from(need, person_id).values()) >> step & 1:
            nobody = _nobody(free, need, step, person_id)
            if not is_shut or nobody.binding is not Binding.NOBODY_WORKS:
                yield nobody  # that nobody works where it is shut goes without saying
    taken = free.lane(patient_lane) if patient_lane is not None else 0
    taken &= bits.window(step, step + length)
    if taken:
        span = _span(free, _longest(taken))
        yield Reason(
            Binding.PATIENT_BUSY,
            f"this patient has another appointment {_during(span, free.site)}",
            span,
        )


def _shut(free: Room, step: int, length: int) -> Reason:
    site = free.site
    stay = TimeSpan(free.grid.moment(step), free.grid.moment(step + length))
    for away in site.closures:
        if away.span.overlaps(stay):
            return Reason(
                Binding.CLOSED,
                f"{site.name} is closed {_during(away.span, site)} ({away.reason})",
                away.span,
            )
    if free.open >> step & 1:
        shut = next(n for n in range(length) if not free.open >> (step + n) & 1)
        closing = free.grid.moment(step + shut)
        return Reason(
            Binding.PAST_CLOSING,
            f"the visit would run past closing at {_clock(closing, site)}",
            TimeSpan(closing, stay.end),
        )
    return Reason(Binding.CLOSED, f"{site.name} is not open at {_clock(stay.start, site)}", stay)


def _no_chair(free: Room, need: Need, step: int, chair_id: int | None) -> Reason:
    site = free.site
    chairs = [c for c in site.chairs if chair_id in (None, c.id)]
    if not chairs:
        return Reason(Binding.CHAIRS_TAKEN, f"{site.name} has no such chair")
    window = window_of(need, step)
    full = bits.full(free.chair(c) for c in chairs) & window
    span = _span(free, _longest(full or window))
    if not full and len(chairs) > 1:
        return Reason(
            Binding.CHAIRS_TAKEN,
            f"no one chair is free for all of {_during(span, site)}, and those who have theirs "
            "cannot all change",
            span,
        )
    away = _away(chairs, span)
    if len(chairs) == 1:
        said = f"{chairs[0].name} is {'out of use' if away else 'taken'} {_during(span, site)}"
    elif away:
        said = (
            f"all {len(chairs)} chairs are taken or out of use {_during(span, site)} "
            f"({', '.join(sorted(away))})"
        )
    else:
        said = f"all {len(chairs)} chairs are taken {_during(span, site)}"
    return Reason(Binding.CHAIRS_TAKEN, said, span)


def _nobody(free: Room, need: Need, step: int, person_id: int | None) -> Reason:
    site, window = free.site, window_of(need, step)
    able = [p for p in site.with_skill(need.skill) if person_id in (None, p.id)]
    who = _WHO.get(need.skill or "", "person")
    span = _span(free, window)
    if not able:
        named = next((p.name for p in site.people if p.id == person_id), "nobody")
        return Reason(Binding.NOBODY_WORKS, f"{named} may not do this at {site.name}")
    here = free.there(need, step, person_id)
    if not here:
        away = _away(able, span)
        because = f" ({', '.join(sorted(away))})" if away else ""
        said = (
            f"{able[0].name} does not work all of {_during(span, site)}{because}"
            if person_id is not None
            else f"no {who} works all of {_during(span, site)}{because}"
        )
        return Reason(Binding.NOBODY_WORKS, said, span)
    busy = bits.full(~free.person_free(p, need) for p in here) & window
    span = _span(free, _longest(busy or window))
    if person_id is not None:
        said = f"{here[0].name} is taken {_during(span, site)}"
    elif len(here) == 1:
        said = f"the only {who} there, {here[0].name}, is taken {_during(span, site)}"
    elif need.all_lanes:
        said = f"all {len(here)} {who}s are taken {_during(span, site)}"
    else:
        said = f"all {len(here)} {who}s are at their limit {_during(span, site)}"
    return Reason(Binding.PEOPLE_TAKEN, said, span)


#: What somebody with a skill is called where they are counted.
_WHO = {"nurse": "nurse", "calls": "caller", "chats": "clinician"}


def _away(units: Sequence[Unit], span: TimeSpan) -> set[str]:
    def of(unit: Unit) -> Iterator[Away]:
        return (away for away in unit.away if away.span.overlaps(span))

    return {f"{unit.name}: {away.reason}" for unit in units for away in of(unit)}


def _longest(steps: int) -> int:
    """Return the first unbroken run of the longest length among set steps."""
    best = run = 0
    for step in bits.steps_in(steps):
        run = run | 1 << step if run >> (step - 1) & 1 else 1 << step
        if run.bit_count() > best.bit_count():
            best = run
    return best


def _span(free: Room, run: int) -> TimeSpan:
    first = (run & -run).bit_length() - 1
    return TimeSpan(free.grid.moment(first), free.grid.moment(run.bit_length()))


def _clock(moment: datetime, site: SiteSupply) -> str:
    return moment.astimezone(site.zone).strftime("%I:%M %p").lstrip("0")


def _during(span: TimeSpan, site: SiteSupply) -> str:
    if span.end - span.start >= timedelta(days=1):
        first = span.start.astimezone(site.zone)
        last = span.end.astimezone(site.zone)
        return f"from {first:%b} {first.day} to {last:%b} {last.day}"
    return f"{_clock(span.start, site)}–{_clock(span.end, site)}"


def _length(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours != 1 else "hour"
