"""What happened to an appointment, as sentences for staff."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.accounts import queries as accounts
from scheduler.audit import queries as audit
from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply

_SAID = {
    "appointment.booked": "booked it",
    "appointment.confirmed": "confirmed it",
    "appointment.unconfirmed": "took the confirmation back",
    "appointment.cancel": "cancelled it",
    "appointment.re-seat": "gave it another chair or person",
    "appointment.arrive": "checked in",
    "appointment.unarrive": "took the check-in back",
    "appointment.fulfil": "closed it",
    "appointment.reopen": "reopened it",
    "appointment.no-show": "marked it as not come",
    "appointment.reinstate": "put it back",
    "appointment.strike": "struck it out",
    "appointment.unplaced": "changed the supply, and it lost its place",
    "call.outcome": "recorded the outcome",
    "readiness.answered": "answered the questions before the visit",
    "session.start": "started it",
    "session.end": "noted its end",
    "session.safe": "signed that they may go home",
    "session.gone": "noted that they left",
}
#: What the record of the chair says beside its times is for who may read that record.
_UNSAID = "session."


@dataclass(frozen=True)
class Deed:
    """One thing somebody did."""

    at: datetime
    who: str
    what: str


def of_appointment(appointment: Appointment) -> list[Deed]:
    """Return what was done to an appointment, the newest first."""
    entries = [
        e
        for e in audit.deeds(appointment.topic)
        if e.action in _SAID or not e.action.startswith(_UNSAID)
    ]
    names = accounts.actor_names({e.actor for e in entries})
    return [Deed(e.at, names.get(e.actor) or who(e.actor), _what(e)) for e in entries]


def who(actor: str) -> str:
    """Return words for an actor who is no member of staff."""
    kind = actor.partition(":")[0]
    return {"patient": "The patient", "visitor": "The patient", "staff": "Someone"}.get(
        kind, "The system"
    )


def _what(entry: AuditEntry) -> str:
    if entry.action == "appointment.rule-set-aside":
        return f"set a rule aside: {entry.detail.get('reason', '')}"
    if entry.action != "appointment.move":
        return _SAID.get(entry.action, entry.action)
    before, after = entry.detail.get("before") or {}, entry.detail.get("after") or {}
    if before.get("starts_at") == after.get("starts_at"):
        return "gave it another chair or person"
    return f"moved it from {_told(before)} to {_told(after)}"


def _told(facts: dict[str, object]) -> str:
    site = clinic_supply.current().sites.get(int(str(facts.get("site_id") or 0)))
    zone = site.zone if site else ZoneInfo("UTC")
    wall = datetime.fromisoformat(str(facts["starts_at"])).astimezone(zone)
    return f"{wall:%a, %b} {wall.day}, {(wall.hour - 1) % 12 + 1}:{wall:%M %p}"
