"""Every act on an appointment enters here, so that a plan can care; without one it falls through.

Doors call these and nothing of the book's own verbs (design section 2, "Where rooms meet").
"""

from datetime import datetime, timedelta

from scheduler.booking import merging, queries
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Authority
from scheduler.booking.offers import Audience
from scheduler.clinic.models import ServiceCode
from scheduler.messaging import consent, outbox
from scheduler.patients import service as patients
from scheduler.patients.models import Patient
from scheduler.tasks import service as tasks
from scheduler.treatment import service as treatment
from scheduler.treatment.models import CallOutcome, Outcome


def book(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    patient: Patient,
    *,
    actor: str,
    now: datetime,
    person_id: int | None = None,
    chair_id: int | None = None,
    authority: tuple[Authority, str, str | None] | None = None,
    note: str | None = None,
    notify: bool = True,
) -> Appointment:
    """Book for the desk; see booking.service.book for what is refused."""
    return booking.book(
        service,
        site_id,
        starts_at,
        patient,
        actor=actor,
        now=now,
        person_id=person_id,
        chair_id=chair_id,
        authority=authority,
        note=note,
        notify=notify,
    )


def book_held(
    hold_id: int,
    *,
    holder: str,
    patient: Patient,
    actor: str,
    now: datetime,
    audience: Audience = Audience.ONLINE,
) -> Appointment:
    """Turn a visitor's hold into a booking."""
    return booking.book_held(
        hold_id, holder=holder, patient=patient, actor=actor, now=now, audience=audience
    )


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
    notify: bool = True,
) -> Appointment:
    """Give an appointment another time, place or person."""
    moved = booking.move(
        appointment,
        starts_at=starts_at,
        site_id=site_id,
        person_id=person_id,
        chair_id=chair_id,
        version=version,
        actor=actor,
        now=now,
        audience=audience,
        notify=notify,
    )
    tasks.close_by_event("change-asked", moved.topic, "moved", actor=actor, now=now)
    return moved


def cancel(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    by_patient: bool = False,
    notify: bool = True,
) -> Appointment:
    """Call an appointment off."""
    gone = booking.cancel(
        appointment, actor=actor, now=now, version=version, by_patient=by_patient, notify=notify
    )
    tasks.close_by_event("change-asked", gone.topic, "cancelled", actor=actor, now=now)
    return gone


def reinstate(
    appointment: Appointment, *, actor: str, now: datetime, audience: Audience = Audience.DESK
) -> Appointment:
    """Take a cancellation or a no-show back."""
    return booking.reinstate(appointment, actor=actor, now=now, audience=audience)


def confirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Note that the patient says they will come."""
    return booking.confirm(appointment, actor=actor, now=now)


def unconfirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a confirmation back."""
    return booking.unconfirm(appointment, actor=actor, now=now)


def arrive(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they are here, or that the call is on."""
    return booking.arrive(appointment, actor=actor, now=now, version=version)


def unarrive(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a check-in back."""
    return booking.unarrive(appointment, actor=actor, now=now)


def no_show(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they did not come."""
    return booking.no_show(appointment, actor=actor, now=now, version=version)


def complete_visit(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that a visit took place."""
    return booking.fulfil(appointment, actor=actor, now=now, version=version)


def reopen(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take back that it took place."""
    return booking.reopen(appointment, actor=actor, now=now)


def record_call(
    appointment: Appointment,
    outcome: Outcome,
    *,
    note: str | None,
    actor: str,
    now: datetime,
    version: int | None = None,
) -> CallOutcome:
    """Record what a consultation call came to."""
    return treatment.record_call(
        appointment, outcome, note=note, actor=actor, now=now, version=version
    )


def confirm_by_text(topic: str, *, actor: str, now: datetime) -> Appointment | None:
    """Confirm the appointment a text answered; None when it cannot be confirmed any more."""
    appointment = queries.by_topic(topic)
    if appointment is None or not appointment.is_live or appointment.starts_at <= now:
        return None
    return booking.confirm(appointment, actor=actor, now=now)


def ask_change_by_text(topic: str, *, actor: str, now: datetime) -> Appointment | None:
    """Open a task for the desk: the patient asks for another time. Nothing is freed by it."""
    appointment = queries.by_topic(topic)
    if appointment is None or not appointment.is_live or appointment.starts_at <= now:
        return None
    tasks.open_task(
        "change-asked",
        appointment.topic,
        patient_id=appointment.patient_id,
        site_id=appointment.site_id,
        due_at=min(now + timedelta(hours=4), appointment.starts_at),
        now=now,
    )
    return appointment


def merge_patients(enquirer: Patient, into: Patient, *, actor: str, now: datetime) -> Patient:
    """Fold an enquirer into the patient they are, with all that every room keeps of them."""

    def move_rows(since: Patient, target: Patient) -> None:
        merging.hand_over(since, target, now=now)
        outbox.hand_over(since.id, target.id)
        consent.hand_over(since, target, actor=actor, origin="merge", now=now)
        tasks.hand_over(since.id, target.id)

    return patients.merge(enquirer, into, move_rows=move_rows, actor=actor, now=now)
