"""Verbs of the book: hold, book, move, cancel and what follows. They flush; doors commit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from sqlalchemy import CursorResult, and_, bindparam, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import lazyload
from sqlalchemy.orm.util import identity_key

from scheduler.audit import service as audit
from scheduler.booking import notices, queries, rules, seats, withdrawal
from scheduler.booking.allocation import (
    TAKEN,
    Choice,
    Wish,
    candidates,
    choose,
    everything_at,
    lock,
    refuse_gone,
    write_claims,
)
from scheduler.booking.errors import (
    HoldGone,
    NoAuthority,
    NotOffered,
    Overtaken,
    SlotTaken,
    TooClose,
    TooManyHolds,
    WrongState,
)
from scheduler.booking.models import (
    Appointment,
    Authority,
    Claim,
    Hold,
    HoldKind,
    Status,
)
from scheduler.booking.offers import Audience, capacity_that_day, nearest
from scheduler.booking.rules import Event
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db, insert_object, table_of, violated
from scheduler.core.timespan import day_span, wall_text
from scheduler.core.tokens import public_id
from scheduler.patients.models import Patient
from scheduler.tasks import queries as task_queries

#: What visitors may keep of a day, however short it is.
LEAST_KEPT = 3
_kept = table_of(Hold).c
_is_of_day = and_(
    _kept.kind == HoldKind.FORM,
    _kept.site_id == bindparam("site"),
    _kept.service_code == bindparam("service"),
    _kept.expires_at > bindparam("now"),
    _kept.starts_at >= bindparam("since"),
    _kept.starts_at < bindparam("until"),
)
#: What a browser keeps, the oldest first, and what all browsers keep of a service's day.
_KEPT = (
    select(
        _kept.id,
        _kept.holder,
        _kept.kind,
        _kept.service_code,
        _kept.site_id,
        _kept.starts_at,
        _kept.expires_at,
        _is_of_day.label("is_of_day"),
    )
    .where(or_(_kept.holder == bindparam("holder"), _is_of_day))
    .order_by(_kept.first_held_at, _kept.id)
)
_HOLD = select(
    _kept.service_code, _kept.site_id, _kept.starts_at, _kept.first_held_at, _kept.person_id
).where(_kept.id == bindparam("hold"), _kept.holder == bindparam("holder"))
_DROP_HOLD = delete(table_of(Hold)).where(_kept.id == bindparam("hold"))

HOLD_GONE = "We no longer keep that time. Please choose it again."
TOO_CLOSE = "Another visit like this is within two days of it. A clinician may allow that."


def hold(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    *,
    holder: str,
    now: datetime,
    audience: Audience = Audience.ONLINE,
    kind: HoldKind = HoldKind.FORM,
    person_id: int | None = None,
    until: datetime | None = None,
    longer_minutes: int = 0,
) -> Hold:
    """Keep a start for a browser while its person types (IHE Scheduling: hold).

    Asking again for the same start renews it. A browser keeps two at once; a third takes the
    place of its oldest. All form holds together take at most 30 % of a day's online starts.

    Args:
        until: How long it is kept; a form's ten minutes when left out.
        longer_minutes: How much longer than usual the visit would be.

    Raises:
        NotOffered, SlotTaken: as for booking; SlotTaken carries alternatives.
        TooManyHolds: too much of that day is already being kept by visitors.
    """
    wish = _wish(service, site_id, starts_at, person_id=person_id, longer_minutes=longer_minutes)
    lock(candidates(wish))
    day = day_span(starts_at.astimezone(wish.site.zone).date(), wish.site.zone)
    kept = db.session.execute(
        _KEPT,
        {
            "holder": holder,
            "site": site_id,
            "service": service,
            "now": now,
            "since": day.start,
            "until": day.end,
        },
    ).all()
    own = [h for h in kept if h.holder == holder and h.kind is kind]
    same = next((h for h in own if h.starts_at == starts_at and h.site_id == site_id), None)
    if same is not None and same.service_code == service and same.expires_at > now:
        return renew(db.session.get_one(Hold, same.id), now=now)
    keep = wish.site.settings.holds_per_browser
    out = own[: max(len(own) - keep + 1, 0)]
    for old in out:
        release_hold(db.session.get_one(Hold, old.id))
    if kind is HoldKind.FORM:
        _leave_room_for_others(wish, sum(h.is_of_day for h in kept if h not in out))
    row = Hold(
        kind=kind,
        holder=holder,
        service_code=service,
        site_id=site_id,
        starts_at=starts_at,
        first_held_at=now,
        expires_at=until or now + timedelta(minutes=wish.site.settings.form_hold_minutes),
        person_id=person_id,
    )

    def write(choices: Sequence[Choice]) -> None:
        insert_object(row)
        write_claims(choices, hold_id=row.id)

    _allocate(wish, write, now=now, audience=audience)
    return row


def pencil(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    *,
    holder: str,
    expires_at: datetime,
    now: datetime,
    longer_minutes: int = 0,
) -> Hold:
    """Keep a start of a likely course until a moment; staff ask, and nobody is told.

    A clash ends the transaction; who means to go on opens a savepoint.

    Raises:
        NotOffered, SlotTaken: as for booking.
    """
    wish = _wish(service, site_id, starts_at, longer_minutes=longer_minutes)
    lock(candidates(wish))
    row = Hold(
        kind=HoldKind.PENCIL,
        holder=holder,
        service_code=service,
        site_id=site_id,
        starts_at=starts_at,
        first_held_at=now,
        expires_at=expires_at,
    )

    def write(choices: Sequence[Choice]) -> None:
        insert_object(row)
        write_claims(choices, hold_id=row.id)

    _allocate(wish, write, now=now, audience=Audience.DESK)
    return row


def renew(row: Hold, *, now: datetime) -> Hold:
    """Give a hold another ten minutes from now, thirty in all from when it was first kept."""
    settings = clinic_supply.current().sites[row.site_id].settings
    longest = row.first_held_at + timedelta(minutes=settings.form_hold_longest_minutes)
    row.expires_at = max(
        row.expires_at, min(now + timedelta(minutes=settings.form_hold_minutes), longest)
    )
    db.session.flush()
    return row


def find_hold(hold_id: int, *, holder: str) -> Hold:
    """Return a browser's own hold, expired or not.

    Raises:
        HoldGone: there is none of that number for this browser.
    """
    row = db.session.get(Hold, hold_id, options=[lazyload(Hold.site)])
    if row is None or row.holder != holder:
        raise HoldGone(HOLD_GONE)
    return row


def release_hold(row: Hold) -> None:
    """Give the time back."""
    db.session.execute(
        delete(Claim).where(Claim.hold_id == row.id).execution_options(synchronize_session="fetch")
    )
    db.session.delete(row)
    db.session.flush()


def book_held(
    hold_id: int,
    *,
    holder: str,
    patient: Patient,
    actor: str,
    now: datetime,
    audience: Audience = Audience.ONLINE,
) -> Appointment:
    """Turn a hold into a booking (IHE Scheduling: book).

    A hold that expired but whose time nobody took is honoured.

    Raises:
        HoldGone: no such hold of this browser.
        SlotTaken: it expired and somebody took the time; carries alternatives.
    """
    row = db.session.execute(_HOLD, {"hold": hold_id, "holder": holder}).one_or_none()
    if row is None:
        raise HoldGone(HOLD_GONE)
    wish = _wish(
        row.service_code, row.site_id, row.starts_at, patient=patient, person_id=row.person_id
    )
    lock(candidates(wish))
    _consume(hold_id)
    appointment = _book(
        wish,
        patient,
        actor=actor,
        now=now,
        judged_at=_judged_at(row.first_held_at, row.starts_at, now=now),
        audience=audience,
    )
    _booked(appointment, actor=actor, now=now, audience=audience, notify=True)
    return appointment


def _consume(hold_id: int) -> None:
    """Delete a hold with its claims: its time is free for the booking that follows.

    Raises:
        HoldGone: somebody did that while we waited.
    """
    known = db.session.identity_map.get(identity_key(Hold, hold_id))
    if known is not None:
        db.session.expunge(known)
    gone = db.session.execute(_DROP_HOLD, {"hold": hold_id})
    if not cast("CursorResult[Any]", gone).rowcount:
        raise HoldGone(HOLD_GONE)


def book(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    patient: Patient,
    *,
    actor: str,
    now: datetime,
    audience: Audience = Audience.DESK,
    person_id: int | None = None,
    chair_id: int | None = None,
    authority: tuple[Authority, str, str | None] | None = None,
    spacing_reason: str | None = None,
    note: str | None = None,
    beyond_ratio: bool = False,
    longer_minutes: int = 0,
    notify: bool = True,
) -> Appointment:
    """Book a start at once: appointment, claims, audit and messages in the caller's transaction.

    Args:
        authority: For an infusion: what entitles it, as (kind, "clearance:12", reason).
        spacing_reason: Why it may lie closer to another infusion than usual.
        beyond_ratio: Whether a nurse may watch one more than usual; for soft.note afterwards.
        longer_minutes: How much longer than usual they stay, in steps of five; it keeps that.
        notify: Whether the patient is to be told; without it they count as told.

    Raises:
        NoAuthority: an infusion without one.
        NotOffered, SlotTaken, PatientBusy: as their names say.
        WrongState: they have died, or their record was merged into another.
        TooClose: another infusion of theirs is within two days, and there is no reason.
    """
    wish = _wish(
        service,
        site_id,
        starts_at,
        patient=patient,
        person_id=person_id,
        chair_id=chair_id,
        beyond_ratio=beyond_ratio,
        longer_minutes=longer_minutes,
    )
    if wish.offering.needs_authority and authority is None:
        raise NoAuthority("This visit needs a clinician's clearance or an approved plan first.")
    lock(candidates(wish))
    refuse_gone(patient)
    appointment = _book(
        wish,
        patient,
        actor=actor,
        now=now,
        audience=audience,
        authority=authority,
        spacing_reason=spacing_reason,
        note=note,
    )
    _booked(appointment, actor=actor, now=now, audience=audience, notify=notify)
    return appointment


def move(
    appointment: Appointment,
    *,
    starts_at: datetime,
    site_id: int | None = None,
    person_id: int | None = None,
    chair_id: int | None = None,
    version: int,
    actor: str,
    now: datetime,
    audience: Audience = Audience.DESK,
    spacing_reason: str | None = None,
    beyond_ratio: bool = False,
    longer_minutes: int | None = None,
    notify: bool = True,
) -> Appointment:
    """Give an appointment another time, place or person; all of it or nothing.

    Args:
        longer_minutes: How much longer than usual they stay from now on; as before if left out.

    Raises:
        Overtaken: somebody changed it since version `version` was read; says who and what.
        WrongState: it is over or called off.
        NotOffered, SlotTaken, PatientBusy, TooClose: as for booking; the old time is kept.
    """
    target = site_id or appointment.site_id
    wish = _wish(
        appointment.service_code,
        target,
        starts_at,
        patient=appointment.patient,
        person_id=person_id,
        chair_id=chair_id,
        beyond_ratio=beyond_ratio,
        longer_minutes=appointment.longer_minutes if longer_minutes is None else longer_minutes,
    )
    here = _wish(appointment.service_code, appointment.site_id, appointment.starts_at)
    lock(candidates(wish) | candidates(here))
    _step(appointment, Event.MOVE, version=version)
    before = rules.facts(appointment)
    place = queries.placed([appointment])[0]
    was_confirmed = appointment.confirmed_at is not None

    def write(choices: Sequence[Choice]) -> None:
        _release(appointment)
        write_claims(choices, appointment_id=appointment.id)
        appointment.spacing_reason = spacing_reason or appointment.spacing_reason
        appointment.site_id = target
        appointment.starts_at = wish.stay.start
        appointment.ends_at = wish.stay.end
        appointment.longer_minutes = wish.longer_minutes
        appointment.wall_start = wall_text(starts_at, wish.site.zone)
        appointment.zone_name = wish.site.zone.key
        db.session.flush()

    _allocate(wish, write, now=now, audience=audience, but_appointment=appointment.id)
    is_other = rules.facts(appointment) != before
    if is_other:
        appointment.sequence += 1
        appointment.confirmed_at = None
    since = {  # so that it can be undone
        "chair_id": place.chair_id,
        "person_id": place.person_id,
        "confirmed": was_confirmed,
    }
    _changed(appointment, Event.MOVE, actor=actor, now=now, before=before | since)
    db.session.refresh(appointment, ["site"])
    withdrawal.settle(appointment, "Moved", actor=actor, now=now)
    if is_other:  # another chair or person is nothing to the patient: what waits to be said stands
        notices.after_change(appointment, actor=actor, now=now, notify=notify)
    return appointment


def reseat(
    appointment: Appointment,
    *,
    chair_id: int | None = None,
    person_id: int | None = None,
    is_pinned: bool = True,
    version: int,
    actor: str,
    now: datetime,
) -> Appointment:
    """Give an appointment another chair or person at its own time; the patient hears nothing.

    One that has begun, or runs late, keeps the time it has by now.

    Args:
        is_pinned: Whether this very chair was asked for.

    Raises:
        Overtaken, WrongState: as for `move`.
        Invalid: neither was named, or it takes none.
        NotOffered, SlotTaken: its time is over, or they are not free; it stays as it was.
    """
    site = clinic_supply.current().sites[appointment.site_id]
    lock(everything_at([site], appointment.patient.resource_id))
    _step(appointment, Event.RESEAT, version=version)
    place = queries.placed([appointment])[0]
    since = {  # so that it can be undone
        "chair_id": place.chair_id,
        "person_id": place.person_id,
        "is_pinned": any(claim.is_pinned for claim in appointment.claims),
    }
    seats.take(appointment, chair_id=chair_id, person_id=person_id, is_pinned=is_pinned, now=now)
    _changed(
        appointment, Event.RESEAT, actor=actor, now=now, before=rules.facts(appointment) | since
    )
    if any(t.kind == withdrawal.TASK for t in task_queries.open_about(appointment.topic)):
        withdrawal.settle(appointment, "Has another chair or person", actor=actor, now=now)
        withdrawal.look_again(appointment, actor=actor, now=now)  # it may lack something else
    return appointment


def cancel(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    by_patient: bool = False,
    notify: bool = True,
) -> Appointment:
    """Call an appointment off and give its time back.

    When the patient does it, the time is kept for them for 15 minutes more, so that a change of
    mind costs nothing; when the desk does it, the time is free at once.

    Raises:
        Overtaken, WrongState: as for `move`.
    """
    wish = _wish(appointment.service_code, appointment.site_id, appointment.starts_at)
    lock(candidates(wish))
    _step(appointment, Event.CANCEL, version=version)
    before = rules.facts(appointment)
    if by_patient and appointment.starts_at > now:
        _keep_for_undo(appointment, now=now)
    else:
        _release(appointment)
    appointment.status = Status.CANCELLED
    appointment.sequence += 1
    appointment.ended_at = now
    _changed(appointment, Event.CANCEL, actor=actor, now=now, before=before)
    withdrawal.settle(appointment, "Cancelled", actor=actor, now=now)
    notices.after_change(appointment, actor=actor, now=now, notify=notify)
    return appointment


def reinstate(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    audience: Audience = Audience.DESK,
) -> Appointment:
    """Take a cancellation or a no-show back, at the same time and place.

    Raises:
        Overtaken: somebody changed it since version `version` was read.
        SlotTaken: somebody has the time by now; carries alternatives.
        TooClose: another infusion of theirs was booked within two days of it meanwhile.
        WrongState: there is nothing to take back.
    """
    wish = _wish(
        appointment.service_code,
        appointment.site_id,
        appointment.starts_at,
        patient=appointment.patient,
        longer_minutes=appointment.longer_minutes,
    )
    lock(candidates(wish))
    event = _step(appointment, Event.REINSTATE, version=version)
    before = rules.facts(appointment)
    kept = db.session.scalar(
        select(Hold).where(Hold.kind == HoldKind.UNDO, Hold.holder == appointment.topic)
    )
    if kept is not None and kept.expires_at > now and kept.claims:
        for claim in kept.claims:
            claim.appointment_id, claim.hold_id = appointment.id, None
        db.session.flush()
        db.session.expire(kept, ["claims"])
        release_hold(kept)
    else:

        def write(choices: Sequence[Choice]) -> None:
            write_claims(choices, appointment_id=appointment.id)

        # A no-show is taken back after its time began: then the past is allowed.
        past = min(now, appointment.starts_at)
        _allocate(wish, write, now=now, judged_at=past, audience=Audience.DESK)
        if kept is not None:
            release_hold(kept)
    appointment.status = Status.BOOKED
    appointment.ended_at = None
    appointment.sequence += 1
    with _spaced():
        _changed(appointment, event, actor=actor, now=now, before=before)
    withdrawal.look_again(appointment, actor=actor, now=now)
    notices.after_change(appointment, actor=actor, now=now, notify=True)
    return appointment


def confirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Note that the patient says they will come. Saying it twice changes nothing."""
    _lock_row(appointment)
    _step(appointment, Event.CONFIRM)
    if appointment.confirmed_at is None:
        appointment.confirmed_at = now
        audit.record(
            "appointment.confirmed",
            appointment.topic,
            actor=actor,
            now=now,
            patient_id=appointment.patient_id,
        )
    return appointment


def unconfirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a confirmation back: a wrong reply, or a wrong click."""
    _lock_row(appointment)
    appointment.confirmed_at = None
    audit.record(
        "appointment.unconfirmed",
        appointment.topic,
        actor=actor,
        now=now,
        patient_id=appointment.patient_id,
    )
    return appointment


def arrive(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they are here, or that the call is on."""
    _lock_row(appointment)
    _step(appointment, Event.ARRIVE, version=version)
    appointment.status = Status.ARRIVED
    appointment.arrived_at = now
    return _changed(appointment, Event.ARRIVE, actor=actor, now=now)


def unarrive(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a check-in back."""
    _lock_row(appointment)
    _step(appointment, Event.UNARRIVE)
    appointment.status = Status.BOOKED
    appointment.arrived_at = None
    return _changed(appointment, Event.UNARRIVE, actor=actor, now=now)


def fulfil(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that it took place. Its claims stay: that is what happened."""
    _lock_row(appointment)
    _step(appointment, Event.FULFIL, version=version)
    appointment.status = Status.FULFILLED
    appointment.arrived_at = appointment.arrived_at or now
    appointment.ended_at = now
    return _changed(appointment, Event.FULFIL, actor=actor, now=now)


def reopen(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take back that it took place."""
    _lock_row(appointment)
    _step(appointment, Event.REOPEN)
    appointment.status = Status.ARRIVED
    appointment.ended_at = None
    return _changed(appointment, Event.REOPEN, actor=actor, now=now)


def no_show(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they did not come, and free what is left of the time.

    Raises:
        NotOffered: it has not begun yet.
    """
    _lock_row(appointment)
    if now < appointment.starts_at:
        raise NotOffered("It has not begun yet, so nobody has missed it.")
    _step(appointment, Event.NO_SHOW, version=version)
    _release(appointment)
    appointment.status = Status.NOSHOW
    appointment.ended_at = now
    return _changed(appointment, Event.NO_SHOW, actor=actor, now=now)


def strike(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Mark an appointment as one that should never have been written; its time is free."""
    _lock_row(appointment)
    _step(appointment, Event.STRIKE, version=version)
    before = rules.facts(appointment)
    _release(appointment)
    appointment.status = Status.IN_ERROR
    appointment.ended_at = now
    appointment.sequence += 1
    _changed(appointment, Event.STRIKE, actor=actor, now=now, before=before)
    notices.after_change(appointment, actor=actor, now=now, notify=False)
    return appointment


def _wish(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    *,
    patient: Patient | None = None,
    person_id: int | None = None,
    chair_id: int | None = None,
    beyond_ratio: bool = False,
    longer_minutes: int = 0,
) -> Wish:
    supply = clinic_supply.current()
    site = supply.sites.get(site_id)
    offering = supply.services.get(service)
    if site is None or offering is None:
        raise NotOffered("We do not offer that there.")
    lane = None
    if patient is not None:
        lane = clinic_queries.lane_of(patient.resource_id)
    return Wish(
        offering=offering.lasting(longer_minutes),
        site=site,
        starts_at=starts_at,
        person_id=person_id,
        chair_id=chair_id,
        patient_resource_id=patient.resource_id if patient else None,
        patient_lane=lane,
        beyond_ratio=beyond_ratio,
        longer_minutes=longer_minutes,
    )


def _allocate(
    wish: Wish,
    write: Callable[[Sequence[Choice]], None],
    *,
    now: datetime,
    audience: Audience,
    judged_at: datetime | None = None,
    but_appointment: int | None = None,
) -> None:
    """Choose and write. A clash ends the transaction; who means to go on opens a savepoint."""
    try:
        with _spaced():
            write(
                choose(
                    wish,
                    now=now,
                    judged_at=judged_at or now,
                    audience=audience,
                    but_appointment=but_appointment,
                )
            )
    except SlotTaken as refusal:
        raise _with_alternatives(refusal, wish, now=now, audience=audience) from None
    except IntegrityError as clash:
        if not violated(clash, "ex_claim_no_overlap"):
            raise
        raise _with_alternatives(SlotTaken(TAKEN), wish, now=now, audience=audience) from clash


@contextmanager
def _spaced() -> Iterator[None]:
    """Say in words what the database's law on the hours between infusions refuses."""
    try:
        yield
    except IntegrityError as clash:
        if violated(clash, "ex_appointment_spacing"):
            raise TooClose(TOO_CLOSE) from clash
        raise


def _with_alternatives(
    refusal: SlotTaken, wish: Wish, *, now: datetime, audience: Audience
) -> SlotTaken:
    near = partial(
        nearest,
        wish.offering.code,
        site_ids=[wish.site.id],
        around=wish.starts_at,
        now=now,
        audience=audience,
        longer_minutes=wish.longer_minutes,
    )
    return type(refusal)(refusal.message, near)


def _book(
    wish: Wish,
    patient: Patient,
    *,
    actor: str,
    now: datetime,
    audience: Audience,
    judged_at: datetime | None = None,
    authority: tuple[Authority, str, str | None] | None = None,
    spacing_reason: str | None = None,
    note: str | None = None,
) -> Appointment:
    made: list[Appointment] = []

    def write(choices: Sequence[Choice]) -> None:
        appointment = _new(
            wish,
            patient,
            actor=actor,
            now=now,
            audience=audience,
            authority=authority,
            spacing_reason=spacing_reason,
            note=note,
        )
        write_claims(choices, appointment_id=appointment.id)
        made.append(appointment)

    _allocate(wish, write, now=now, judged_at=judged_at, audience=audience)
    return made[-1]


def _new(
    wish: Wish,
    patient: Patient,
    *,
    actor: str,
    now: datetime,
    audience: Audience,
    authority: tuple[Authority, str, str | None] | None = None,
    spacing_reason: str | None = None,
    note: str | None = None,
) -> Appointment:
    kind, ref, reason = authority or (None, None, None)
    appointment = Appointment(
        public_id=public_id(),
        service_code=wish.offering.code,
        site_id=wish.site.id,
        patient_id=patient.id,
        starts_at=wish.stay.start,
        ends_at=wish.stay.end,
        longer_minutes=wish.longer_minutes,
        wall_start=wall_text(wish.starts_at, wish.site.zone),
        zone_name=wish.site.zone.key,
        status=Status.BOOKED,
        authority=kind,
        authority_ref=ref,
        authority_reason=reason,
        spacing_reason=spacing_reason,
        is_online=audience is Audience.ONLINE,
        note=note,
        changed_at=now,
        changed_by=actor,
        change="booked",
        version=1,
        sequence=0,
    )
    appointment.told = notices.known_from_the_start(appointment)
    insert_object(appointment)
    return appointment


def _booked(
    appointment: Appointment, *, actor: str, now: datetime, audience: Audience, notify: bool
) -> None:
    audit.record(
        "appointment.booked",
        appointment.topic,
        actor=actor,
        now=now,
        patient_id=appointment.patient_id,
        service=appointment.service_code.value,
        site=appointment.site_id,
        starts_at=appointment.starts_at.isoformat(),
    )
    notices.after_booking(
        appointment,
        actor=actor,
        now=now,
        by_patient=audience is Audience.ONLINE or actor.startswith("patient:"),
        notify=notify,
    )


def _judged_at(first_held_at: datetime, starts_at: datetime, *, now: datetime) -> datetime:
    """Return the moment a hold's notice is judged by: when it was made, for up to an hour.

    Otherwise somebody who chose the last bookable start would lose it while typing.
    """
    typed_at_once = now - first_held_at < timedelta(hours=1) and now < starts_at
    return first_held_at if typed_at_once else now


def _release(appointment: Appointment) -> None:
    db.session.execute(
        delete(Claim)
        .where(Claim.appointment_id == appointment.id)
        .execution_options(synchronize_session="fetch")
    )
    db.session.expire(appointment, ["claims"])


def _keep_for_undo(appointment: Appointment, *, now: datetime) -> None:
    settings = clinic_supply.current().sites[appointment.site_id].settings
    until = min(now + timedelta(minutes=settings.undo_minutes), appointment.starts_at)
    row = Hold(
        kind=HoldKind.UNDO,
        holder=appointment.topic,
        service_code=appointment.service_code,
        site_id=appointment.site_id,
        starts_at=appointment.starts_at,
        first_held_at=now,
        expires_at=until,
    )
    db.session.add(row)
    db.session.flush()
    for claim in db.session.scalars(select(Claim).where(Claim.appointment_id == appointment.id)):
        claim.hold_id, claim.appointment_id = row.id, None
    db.session.flush()
    db.session.expire(appointment, ["claims"])


def _leave_room_for_others(wish: Wish, held: int) -> None:
    """Visitors together may keep at most a share of the day (promise R-07)."""
    if held < LEAST_KEPT:
        return  # what a day could give is not free to count
    most = capacity_that_day(wish.offering, wish.site, wish.starts_at)
    if held >= max(LEAST_KEPT, most * wish.site.settings.anonymous_holds_percent // 100):
        raise TooManyHolds(
            "Many people are choosing a time on that day right now. "
            "Please try another day, or again in a few minutes."
        )


def _lock_row(appointment: Appointment) -> None:
    """Take the appointment's own row and read it anew, before judging its state."""
    db.session.refresh(appointment, with_for_update={"of": Appointment})


def _step(appointment: Appointment, event: Event, *, version: int | None = None) -> Event:
    """Check version and state table; the caller holds the lock."""
    db.session.refresh(appointment, with_for_update={"of": Appointment})
    if version is not None and appointment.version != version:
        raise Overtaken(queries.who_changed(appointment))
    if rules.next_state(appointment.status, event) is None:
        raise WrongState(
            f"This appointment is {rules.STATE_WORDS[appointment.status]}, "
            f"so it cannot be {rules.PAST[event]}."
        )
    return event


def _changed(
    appointment: Appointment,
    event: Event,
    *,
    actor: str,
    now: datetime,
    before: dict[str, object] | None = None,
) -> Appointment:
    appointment.version += 1
    appointment.changed_at = now
    appointment.changed_by = actor
    appointment.change = rules.PAST[event]
    db.session.flush()
    audit.record(
        f"appointment.{event.value}",
        appointment.topic,
        actor=actor,
        now=now,
        patient_id=appointment.patient_id,
        before=before,
        after=rules.facts(appointment),
    )
    return appointment
