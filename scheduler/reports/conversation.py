"""A conversation with its patient's day beside it: what one needs to answer well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.accounts import queries as accounts
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core.timespan import day_span
from scheduler.messaging import consent, reading, texts
from scheduler.messaging import queries as messages
from scheduler.messaging.consent import ConsentStanding
from scheduler.messaging.models import InboundText, Message
from scheduler.patients import queries as patients
from scheduler.patients.models import Patient
from scheduler.reports import board
from scheduler.tasks import queries as tasks
from scheduler.tasks.models import Task

_MOST_AHEAD = 4


@dataclass(frozen=True)
class Beside:
    """One person with this number: today's appointments, what is next, what waits for them."""

    patient: Patient
    texts: ConsentStanding
    today: Sequence[Appointment]
    ahead: Sequence[Appointment]
    standings: Mapping[int, board.Standing]
    tasks: Sequence[Task]


@dataclass(frozen=True)
class Thread:
    """What was said with a number, by whom, and whose day stands beside it."""

    number: str
    talk: Sequence[Message | InboundText]
    people: Sequence[Beside]
    names: Mapping[str, str]  # of staff, by "staff:3"
    unread: int
    assignee: str | None
    silence: reading.Silence | None


def of_number(number: str, *, now: datetime) -> Thread:
    """Return the conversation with a number."""
    talk = messages.conversation(number)
    assignee = reading.assignee(number)
    said_by = {str(m.facts.get("by")) for m in talk if isinstance(m, Message)}
    return Thread(
        number=number,
        talk=talk,
        people=[_beside(p, now=now) for p in patients.with_mobile(number)[:4]],
        names=accounts.actor_names(said_by | ({assignee} if assignee else set())),
        unread=reading.unread_of(number),
        assignee=assignee,
        silence=reading.silence(number, now=now),
    )


def reader(text: InboundText) -> Patient | None:
    """Return who reads an answer to this text, if that is certain."""
    if text.patient_id is not None:
        return patients.by_id(text.patient_id)
    holders = patients.with_mobile(text.number)
    return holders[0] if len(holders) == 1 else None


def site_of(patient: Patient | None) -> SiteSupply:
    """Return the site whose number stands under an answer: the patient's own, else the first."""
    sites = clinic_supply.current().sites
    return sites.get((patient.home_site_id if patient else None) or 0) or next(iter(sites.values()))


def ready_answers(patient: Patient | None) -> list[tuple[str, str, str]]:
    """Return the ready answers as (name, what it says to them, what it says in English)."""
    site = site_of(patient)
    facts = {"phone": site.phone, "site": site.name, "address": site.address}
    language = patient.language if patient else "en"
    return [
        (
            name.removeprefix("ready/"),
            texts.phrase(name, language, facts),
            texts.phrase(name, "en", facts),
        )
        for name in texts.ready()
    ]


def _beside(patient: Patient, *, now: datetime) -> Beside:
    site = site_of(patient)
    today = day_span(now.astimezone(site.zone).date(), site.zone)
    all_of_them = book.of_patient(patient.id)
    here = [a for a in all_of_them if today.start <= a.starts_at < today.end]
    coming = (Status.BOOKED, Status.ARRIVED)
    ahead = [a for a in all_of_them if a.starts_at >= today.end and a.status in coming]
    shown = sorted(here, key=_when) + sorted(ahead, key=_when)[:_MOST_AHEAD]
    in_chair = board.chair_states(shown, now=now)
    return Beside(
        patient=patient,
        texts=consent.standing(patient),
        today=sorted(here, key=_when),
        ahead=sorted(ahead, key=_when)[:_MOST_AHEAD],
        standings={a.id: board.standing(a, now=now, in_chair=in_chair.get(a.id)) for a in shown},
        tasks=tasks.open_of(patient.id),
    )


def _when(appointment: Appointment) -> datetime:
    return appointment.starts_at
