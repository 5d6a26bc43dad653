"""Readiness: what is asked before a visit, by when to eat and drink, and who has not answered.

It is asked by a link days before; the nurse asks again at the chair, and only that lets the drip
run (see chair.py). What is answered here is what everybody can still do something about.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from scheduler.audit import service as audit
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Stale
from scheduler.tasks import queries as task_queries
from scheduler.tasks import service as tasks
from scheduler.treatment import clearance, rules, vocabulary
from scheduler.treatment.errors import NotInOrder
from scheduler.treatment.models import EventKind, ReadinessAnswer, SessionEvent
from scheduler.treatment.rules import ClockTimes

#: The task to call whoever has not answered; its topic is the appointment's.
UNANSWERED = "ready-unanswered"
#: The task to call whoever answered that something is not as it must be.
CONCERN = "ready-concern"
ANSWERED = "answered"
INFUSIONS = (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION)
#: Nobody changes their mind so often; a program might.
MOST_ANSWERS = 20


@dataclass(frozen=True)
class Given:
    """What somebody answered. No name of an escort means that nobody is found yet."""

    escort_name: str | None
    escort_phone: str | None
    keeps_times: bool
    knows_medicines: bool
    is_ill: bool
    illness: str | None
    agrees: bool


def is_asked(appointment: Appointment) -> bool:
    """Say whether a visit has questions before it: one of those in the chair, still to come."""
    return appointment.service_code in INFUSIONS and appointment.status in (
        Status.BOOKED,
        Status.ARRIVED,
    )


def may_be_answered(appointment: Appointment, *, now: datetime) -> bool:
    """Say whether a patient may still answer, or answer anew, here or not: until it begins."""
    still_ahead = is_asked(appointment) and appointment.starts_at > now
    return still_ahead and not _is_started(appointment.id)


def is_unanswered(appointment: Appointment) -> bool:
    """Say whether a visit has questions before it that nobody has answered for its time."""
    return is_asked(appointment) and current(appointment) is None


def clock_times(appointment: Appointment) -> ClockTimes:
    """Return by when to eat, drink and take medicines, counted back from the visit's own start."""
    chosen = clinic_supply.current().sites[appointment.site_id].settings
    return rules.clock_times(
        appointment.starts_at,
        heavy_hours=chosen.food_heavy_hours,
        light_hours=chosen.food_light_hours,
        drink_hours=chosen.drink_clear_hours,
        medicines_hours=chosen.medicines_hours,
    )


def current(appointment: Appointment) -> ReadinessAnswer | None:
    """Return the newest answers for the time the visit has now, or None."""
    return db.session.scalar(
        select(ReadinessAnswer)
        .where(
            ReadinessAnswer.appointment_id == appointment.id,
            ReadinessAnswer.starts_at == appointment.starts_at,
        )
        .order_by(ReadinessAnswer.id.desc())
        .limit(1)
    )


def concerns(answered: ReadinessAnswer) -> list[str]:
    """Return what is not as it must be, by item of `vocabulary.READINESS`, in its order."""
    well = {
        "escort": answered.has_escort,
        "fasting": answered.keeps_times,
        "medicines": answered.knows_medicines,
        "no-new-illness": not answered.is_ill,
        "consent": answered.agrees,
    }
    return [item for item, is_well in well.items() if not is_well]


def consent_signed(appointment: Appointment) -> str | None:
    """Return which version of the consent the patient signed last, or None."""
    entry = clearance.current(appointment.patient).entries.get(vocabulary.CONSENT)
    return entry.consent_version if entry else None


def answer(
    appointment: Appointment, given: Given, *, seen_start: datetime, actor: str, now: datetime
) -> ReadinessAnswer:
    """Keep what was answered before a visit; what is not as it must be becomes a task.

    Args:
        seen_start: The visit's time as it stood on the page that asked.

    Raises:
        NotInOrder: nothing is asked before this visit, or it has begun.
        Stale: the visit has another time by now, so the page showed the wrong hours.
        Invalid: it was answered too often.
    """
    db.session.refresh(appointment, with_for_update={"of": Appointment})
    if not is_asked(appointment) or _is_started(appointment.id):
        raise NotInOrder("There is nothing to answer before this visit any more.")
    if appointment.starts_at != seen_start:
        raise Stale("The visit has another time now. Please look at the hours again.")
    newest = current(appointment)
    if newest is not None and _given(newest) == given and newest.recorded_by == actor:
        return newest  # sent twice
    if _count(appointment.id) >= MOST_ANSWERS:
        raise Invalid("This was answered many times. Please call us.")
    row = ReadinessAnswer(
        appointment_id=appointment.id,
        starts_at=appointment.starts_at,
        has_escort=given.escort_name is not None,
        escort_name=given.escort_name,
        escort_phone=given.escort_phone,
        keeps_times=given.keeps_times,
        knows_medicines=given.knows_medicines,
        is_ill=given.is_ill,
        illness=given.illness,
        agrees=given.agrees,
        consent_version=consent_signed(appointment),
        recorded_by=actor,
        recorded_at=now,
    )
    db.session.add(row)
    db.session.flush()
    open_items = concerns(row)
    audit.record(
        "readiness.answered",
        appointment.topic,
        actor=actor,
        now=now,
        patient_id=appointment.patient_id,
        open=len(open_items),
    )
    _close(UNANSWERED, appointment.topic, ANSWERED, actor=actor, now=now)
    if open_items:
        tasks.open_task(
            CONCERN,
            appointment.topic,
            patient_id=appointment.patient_id,
            site_id=appointment.site_id,
            due_at=min(now + timedelta(hours=4), appointment.starts_at),
            now=now,
        )
    else:
        _close(CONCERN, appointment.topic, "answered anew", actor=actor, now=now)
    return row


def is_settled(*, now: datetime) -> bool:
    """Say whether nothing is to be asked or taken back: what the clock's job finds mostly."""
    return not _to_ask(now=now) and not _to_close(now=now)


def settle(*, now: datetime) -> int:
    """Ask a person to call whoever has not answered; take back what no longer matters.

    Returns how many tasks were opened or closed.
    """
    asked, done = _to_ask(now=now), _to_close(now=now)
    for appointment in asked:
        tasks.open_task(
            UNANSWERED,
            appointment.topic,
            patient_id=appointment.patient_id,
            site_id=appointment.site_id,
            now=now,
        )
    for kind, topic, why in done:
        _close(kind, topic, why, actor="worker", now=now)
    return len(asked) + len(done)


def _close(kind: str, topic: str, why: str, *, actor: str, now: datetime) -> None:
    """Close a task, be it that somebody has just done so."""
    with suppress(Stale):
        tasks.close_by_event(kind, topic, why, actor=actor, now=now)


def _to_ask(*, now: datetime) -> list[Appointment]:
    """Return whose visit is near and who has not answered, nor was called about it already."""
    sites = clinic_supply.current().sites
    hours = {site.id: timedelta(hours=site.settings.ready_task_hours) for site in sites.values()}
    if not hours:
        return []
    near = db.session.scalars(
        select(Appointment)
        .where(
            Appointment.service_code.in_(INFUSIONS),
            Appointment.status == Status.BOOKED,
            Appointment.starts_at > now,
            Appointment.starts_at <= now + max(hours.values()),
        )
        .order_by(Appointment.starts_at, Appointment.id)
    ).all()
    near = [a for a in near if a.starts_at <= now + hours[a.site_id]]
    answered = {
        (row.appointment_id, row.starts_at)
        for row in db.session.execute(
            select(ReadinessAnswer.appointment_id, ReadinessAnswer.starts_at).where(
                ReadinessAnswer.appointment_id.in_([a.id for a in near])
            )
        )
    }
    return [
        a
        for a in near
        if (a.id, a.starts_at) not in answered
        and not task_queries.is_open(UNANSWERED, a.topic)
        and not any(
            task.created_at >= a.starts_at - hours[a.site_id] and task.outcome != ANSWERED
            for task in task_queries.closed_about(UNANSWERED, [a.topic])
        )
    ]


def _to_close(*, now: datetime) -> list[tuple[str, str, str]]:
    """Return (kind, topic, why) of open tasks about a visit that is here, off, or moved away."""
    sites = clinic_supply.current().sites
    found: list[tuple[str, str, str]] = []
    for kind in (UNANSWERED, CONCERN):
        for topic in task_queries.open_topics(kind):
            appointment = book.by_topic(topic)
            if appointment is None or appointment.status is not Status.BOOKED:
                here = appointment is not None and appointment.is_live
                found.append((kind, topic, "they are here" if here else "it is off"))
                continue
            ahead = timedelta(hours=sites[appointment.site_id].settings.ready_task_hours)
            if kind == UNANSWERED and appointment.starts_at > now + ahead:
                found.append((kind, topic, "it was moved"))
    return found


def _given(row: ReadinessAnswer) -> Given:
    return Given(
        escort_name=row.escort_name,
        escort_phone=row.escort_phone,
        keeps_times=row.keeps_times,
        knows_medicines=row.knows_medicines,
        is_ill=row.is_ill,
        illness=row.illness,
        agrees=row.agrees,
    )


def _count(appointment_id: int) -> int:
    rows = select(func.count()).select_from(ReadinessAnswer)
    return db.session.scalar(rows.where(ReadinessAnswer.appointment_id == appointment_id)) or 0


def _is_started(appointment_id: int) -> bool:
    return (
        db.session.scalar(
            select(SessionEvent.id)
            .where(
                SessionEvent.appointment_id == appointment_id,
                SessionEvent.kind == EventKind.START,
            )
            .limit(1)
        )
        is not None
    )
