"""Taking back the last thing that was done to an appointment, for 15 minutes."""

from datetime import datetime, timedelta

from scheduler.audit import queries as audit
from scheduler.audit.models import AuditEntry
from scheduler.booking import queries as book
from scheduler.booking import soft
from scheduler.booking.errors import Overtaken, WrongState
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.plans import service as plans

#: What each deed is called when it can be taken back.
WORDS = {
    "appointment.move": "the move",
    "appointment.re-seat": "the change of chair or person",
    "appointment.cancel": "the cancellation",
    "appointment.no-show": "the no-show",
    "appointment.arrive": "the check-in",
    "appointment.confirmed": "the confirmation",
    "appointment.fulfil": "closing it",
}


def undoable(appointment: Appointment, *, now: datetime) -> str | None:
    """Return what could be taken back now ("the move"), or None: nothing, or too long ago."""
    deed = _last(appointment, now=now)
    return WORDS.get(deed.action) if deed else None


def undo(appointment: Appointment, *, version: int, actor: str, now: datetime) -> str:
    """Take back the last change; return what it was.

    Raises:
        Overtaken: it was changed since version `version` was read.
        WrongState: there is nothing to take back, or it was longer ago than the site allows.
        SlotTaken, NotOffered: somebody has the old time by now.
    """
    if appointment.version != version:
        raise Overtaken(book.who_changed(appointment))
    deed = _last(appointment, now=now)
    if deed is None or deed.action not in WORDS:
        raise WrongState("There is nothing to take back any more.")
    match deed.action:
        case "appointment.move":
            before = deed.detail["before"]
            plans.move(
                appointment,
                starts_at=datetime.fromisoformat(before["starts_at"]),
                site_id=before["site_id"],
                chair_id=before.get("chair_id"),
                person_id=before.get("person_id"),
                version=version,
                actor=actor,
                now=now,
                is_undo=True,
            )
            if before.get("confirmed"):  # they were told nothing meanwhile: it still holds
                plans.confirm(appointment, actor=actor, now=now)
        case "appointment.re-seat":
            before, now_has = deed.detail["before"], book.placed([appointment])[0]
            plans.reseat(
                appointment,
                chair_id=_other(before.get("chair_id"), now_has.chair_id),
                person_id=_other(before.get("person_id"), now_has.person_id),
                is_pinned=bool(before.get("is_pinned")),
                version=version,
                actor=actor,
                now=now,
            )
        case "appointment.cancel" | "appointment.no-show":
            plans.reinstate(appointment, actor=actor, now=now)
        case "appointment.arrive":
            plans.unarrive(appointment, actor=actor, now=now)
        case "appointment.confirmed":
            plans.unconfirm(appointment, actor=actor, now=now)
        case _:
            plans.reopen(appointment, actor=actor, now=now)
    return WORDS[deed.action]


def _other(before: int | None, now_has: int | None) -> int | None:
    return before if before != now_has else None


def _last(appointment: Appointment, *, now: datetime) -> AuditEntry | None:
    minutes = clinic_supply.current().sites[appointment.site_id].settings.undo_minutes
    deed = audit.last_deed(
        appointment.topic,
        since=now - timedelta(minutes=minutes),
        but=(soft.SET_ASIDE,),  # it goes with the move it excused
    )
    if deed is not None and deed.action == "call.outcome":
        return None  # an outcome is corrected by recording another, never taken back
    return deed
