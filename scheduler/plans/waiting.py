"""The waitlist where a course cares: which times may be offered, and what a yes books.

The book and the waitlist know nothing of windows and spacing; here they are asked before a time
is offered, and again when somebody takes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.booking import queries as book
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.models import LIVE, Appointment, Status
from scheduler.booking.offers import Offer
from scheduler.booking.soft import Excuse, Rule
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.core.timespan import PartOfDay
from scheduler.patients.models import Patient, Standing
from scheduler.plans import finding, rules, safety, scheduling, visits
from scheduler.plans import service as plans
from scheduler.plans.finding import Choice
from scheduler.plans.models import SIGNED, FollowUp, PlannedVisit, VisitState
from scheduler.treatment import clearance
from scheduler.waitlist import offers as waitlist_offers
from scheduler.waitlist import rules as waitlist_rules
from scheduler.waitlist import service as waitlist
from scheduler.waitlist.errors import OfferOver
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from scheduler.waitlist.offers import OVER

FROM_THE_LIST = "Taken from the waitlist."


@dataclass(frozen=True)
class Want:
    """Something a patient could wait for: what the desk may put on the list for them."""

    key: str  # "appointment:42", "visit:7", "new:call"
    words: str
    service: ServiceCode
    since: datetime
    until: datetime | None  # None: nothing says when
    needed_by: datetime | None
    longer_minutes: int = 0  # than the service usually takes

    @property
    def topic(self) -> str | None:
        """What the entry is about; None when nothing is there yet."""
        return None if self.key.startswith("new:") else self.key


def wants(patient: Patient, *, now: datetime) -> list[Want]:
    """Return what a patient could wait for: visits without a date, sooner times, a first call."""
    names = clinic_supply.current().services
    found = []
    plan = safety.signed_plan(patient.id)
    for visit in plan.visits if plan else []:
        if visit.state is VisitState.TO_PLACE and visit.latest > now:
            found.append(
                Want(
                    f"visit:{visit.id}",
                    f"Visit {visit.number} of the plan, which has no date",
                    ServiceCode.INFUSION,
                    visit.earliest,
                    visit.latest,
                    visit.latest,
                    _longer(visit),
                )
            )
    for coming in book.upcoming(patient.id, now=now):
        if coming.status is not Status.BOOKED:
            continue
        planned = visits.find_for(coming.id)
        found.append(
            Want(
                coming.topic,
                f"{names[coming.service_code].name} sooner than "
                f"{coming.starts_at.astimezone(coming.site.zone):%b %-d}",
                coming.service_code,
                planned.earliest if planned else now,
                coming.starts_at,
                planned.latest if planned else None,
                coming.longer_minutes,
            )
        )
    return found + _new(patient, now=now)


def _new(patient: Patient, *, now: datetime) -> list[Want]:
    """Return what could be booked anew, if a time were free."""
    names = clinic_supply.current().services
    found = []
    owed = _owed_chat(patient)
    if owed is not None and owed.due_until > now:
        found.append(
            Want(
                "new:chat",
                f"{names[ServiceCode.CHAT].name}, which is due",
                ServiceCode.CHAT,
                owed.due_from,
                owed.due_until,
                owed.due_until,
            )
        )
    if clearance.current(patient).holds and not _had_first(patient):
        service = ServiceCode.FIRST_INFUSION
        found.append(Want("new:first-infusion", names[service].name, service, now, None, None))
    service = ServiceCode.CALL
    if service in names:
        found.append(Want("new:call", names[service].name, service, now, None, None))
    return found


def allowed(entry: WaitlistEntry, starts: Sequence[Offer]) -> Iterator[Offer]:
    """Yield which of these starts a patient may have, the best first.

    An infusion keeps its distance from the others, a planned visit its window and its place in
    the series; the day nearest to the ideal one is best. Anything else: the sooner the better.
    """
    if entry.service_code not in safety.INFUSIONS:
        yield from starts
        return
    sites = clinic_supply.current().sites
    visit = _visit_of(entry)
    own = book.by_topic(entry.topic or "")
    others = _infusions(entry.patient_id, but=own.id if own else None)
    least = safety.least_hours(entry.patient)
    if visit is not None:
        ideal = visit.ideal
        starts = sorted(starts, key=lambda o: (abs(o.starts_at - ideal), o))
    for start in starts:
        zone = sites[start.site_id].zone
        near = (rules.hours_apart(start.starts_at, zone, at, where) for at, where in others)
        if min(near, default=float(least)) < least:
            continue
        if visit is None or scheduling.fits(visit, Choice(start.site_id, start.starts_at)):
            yield start


def still_wanted(entry: WaitlistEntry, *, now: datetime) -> str | None:
    """Return why a wish is no longer one; None when it still is."""
    patient = entry.patient
    if patient.is_deceased or patient.standing is Standing.MERGED:
        return "nobody to reach"
    if entry.until <= now:
        return "its time is over"
    own = book.by_topic(entry.topic or "")
    if own is not None:
        stands = own.status is Status.BOOKED and own.starts_at > now
        return None if stands else "the appointment no longer stands"
    if entry.topic is not None:
        return _why_no_visit(_visit_of(entry))
    return _why_not_new(entry)


def lags(entry: WaitlistEntry) -> bool:
    """Say whether a planned visit was changed since somebody began to wait for it."""
    stands = entry.since, entry.until, entry.needed_by, entry.longer_minutes
    return _as_it_is(entry) != stands


def catch_up(entry_id: int, *, actor: str, now: datetime) -> None:
    """Let a wish follow its planned visit: the window it has now, and how long it takes now."""
    entry = waitlist.lock(entry_id)
    if entry.closed_at is None and lags(entry):
        since, until, needed_by, longer_minutes = _as_it_is(entry)
        waitlist.revise(
            entry,
            since=since,
            until=until,
            needed_by=needed_by,
            longer_minutes=longer_minutes,
            actor=actor,
            now=now,
        )


def _as_it_is(entry: WaitlistEntry) -> tuple[datetime, datetime, datetime | None, int]:
    """Return from when until when a wish may come true, by when it must, and how long it is."""
    visit, since, until = _visit_of(entry), entry.since, entry.until
    if visit is None:
        return since, until, entry.needed_by, entry.longer_minutes
    own = book.by_topic(entry.topic or "")
    if own is not None:
        return since, until, visit.latest, own.longer_minutes
    if entry.needed_by != visit.latest:
        was_whole = until == entry.needed_by
        since, until = max(since, visit.earliest), min(until, visit.latest)
        if was_whole or until <= since:  # nothing of what they said is left to be kept to
            since, until = visit.earliest, visit.latest
    return since, until, visit.latest, _longer(visit)


def _longer(visit: PlannedVisit) -> int:
    """Return how much longer than usual a visit takes, at the site where that is most."""
    sites = clinic_supply.current().sites
    return max(finding.longer(visit.plan, [visit.phase], site) for site in sites)


def _why_no_visit(visit: PlannedVisit | None) -> str | None:
    if visit is None or visit.state is not VisitState.TO_PLACE:
        return "the visit has a date"
    return None if visit.plan.state in SIGNED else "the plan no longer runs"


def _why_not_new(entry: WaitlistEntry) -> str | None:
    if entry.service_code is ServiceCode.INFUSION:
        return "it belongs to no plan"
    if entry.service_code is ServiceCode.CHAT and _owed_chat(entry.patient) is None:
        return "the chat has a time"
    if entry.service_code is ServiceCode.FIRST_INFUSION and _had_first(entry.patient):
        return "the first visit has a time"
    return None


def accept_offer(offer_id: int, *, actor: str, now: datetime) -> Appointment:
    """Book what was offered, in the caller's transaction: a move, a visit of a plan, or anew.

    Everything is asked again, for days may lie between the offer and the yes.

    Raises:
        OfferOver: the offer was answered, closed or taken back.
        SlotTaken, NotOffered, PatientBusy: it had lapsed, and the time is gone.
        TooClose, NotSchedulable, NoAuthority, NotCleared, WrongState: it may not be any more.
    """
    offer = waitlist_offers.take(offer_id)
    entry = offer.entry
    lock(everything_at(clinic_supply.current().sites.values(), entry.patient.resource_id))
    why = still_wanted(entry, now=now)
    if why is not None:
        raise OfferOver(OVER)
    waitlist_offers.free_for(offer)
    booked = _book(offer, entry, actor=actor, now=now)
    waitlist_offers.accept(offer, booked, actor=actor, now=now)
    return booked


def _book(offer: WaitlistOffer, entry: WaitlistEntry, *, actor: str, now: datetime) -> Appointment:
    excuse = Excuse(FROM_THE_LIST, frozenset({Rule.NOTICE, Rule.HORIZON}))
    own = book.by_topic(entry.topic or "")
    if own is not None:
        return plans.move(
            own,
            starts_at=offer.starts_at,
            site_id=offer.site_id,
            version=own.version,
            actor=actor,
            now=now,
            excuse=excuse,
        )
    visit = _visit_of(entry)
    if visit is not None:
        done = scheduling.schedule(
            visit.plan,
            {visit.number: Choice(offer.site_id, offer.starts_at)},
            keep_rest=False,
            version=visit.plan.version,
            actor=actor,
            now=now,
        )
        appointment = done.booked[0].appointment
        assert appointment is not None
        return appointment
    if entry.service_code is ServiceCode.FIRST_INFUSION:
        return plans.book_first_infusion(
            entry.patient, offer.site_id, offer.starts_at, actor=actor, now=now, excuse=excuse
        ).infusion
    return plans.book(
        entry.service_code,
        offer.site_id,
        offer.starts_at,
        entry.patient,
        actor=actor,
        now=now,
        excuse=excuse,
    )


def put_on_list(
    patient: Patient,
    key: str,
    *,
    since: datetime,
    until: datetime,
    site_ids: Sequence[int] = (),
    weekdays: Sequence[int] = (),
    parts: Sequence[PartOfDay] = (),
    actor: str,
    now: datetime,
) -> WaitlistEntry:
    """Put one of a patient's `wants` on the list, never beyond what its window allows.

    Raises:
        Invalid: they want nothing of the kind, or the days leave nothing.
    """
    want = next((w for w in wants(patient, now=now) if w.key == key), None)
    if want is None:
        raise Invalid("Choose what they wait for.", field="what")
    return waitlist.add(
        patient,
        want.service,
        since=max(since, want.since),
        until=min(until, want.until) if want.until else until,
        site_ids=site_ids,
        weekdays=weekdays,
        parts=parts,
        topic=want.topic,
        needed_by=want.needed_by,
        longer_minutes=want.longer_minutes,
        actor=actor,
        now=now,
    )


def may_come_sooner(appointment: Appointment, *, now: datetime) -> bool:
    """Say whether a patient may wish for a sooner time: there may be one, and they do not yet."""
    planned = visits.find_for(appointment.id)
    since = max(now, planned.earliest) if planned else now
    is_ahead = appointment.status is Status.BOOKED and appointment.starts_at > now
    leaves_time = since + waitlist_rules.SOONER_BY < appointment.starts_at
    return is_ahead and leaves_time and wish_for_sooner(appointment) is None


def wish_for_sooner(appointment: Appointment) -> WaitlistEntry | None:
    """Return the open wish to have an appointment sooner, or None."""
    wishes = waitlist.of_patient(appointment.patient_id)
    return next((wish for wish in wishes if wish.topic == appointment.topic), None)


def ask_sooner(appointment: Appointment, *, actor: str, now: datetime) -> WaitlistEntry:
    """Put a patient on the list for a sooner time; a visit they come for, at the site it is at.

    Raises:
        Invalid: they are on it already, or nothing sooner is possible.
    """
    is_visit = appointment.service_code in safety.INFUSIONS
    return put_on_list(
        appointment.patient,
        appointment.topic,
        since=now,
        until=appointment.starts_at,
        site_ids=[appointment.site_id] if is_visit else [],
        actor=actor,
        now=now,
    )


def ask_no_more(appointment: Appointment, *, actor: str, now: datetime) -> None:
    """Take a patient off the list for a sooner time, with the offer they may have.

    Raises:
        OfferOver: somebody did that already.
    """
    wish = wish_for_sooner(appointment)
    if wish is None:
        raise OfferOver(OVER)
    waitlist_offers.remove(wish.id, "the patient asked to", actor=actor, now=now)


def _visit_of(entry: WaitlistEntry) -> PlannedVisit | None:
    """Return the planned visit a wish is about: one without a date, or one to be sooner."""
    kind, _, number = (entry.topic or "").partition(":")
    if not number.isdigit():
        return None
    if kind == "visit":
        return db.session.get(PlannedVisit, int(number))
    return visits.find_for(int(number)) if kind == "appointment" else None


def _infusions(patient_id: int, *, but: int | None) -> list[tuple[datetime, ZoneInfo]]:
    found = db.session.scalars(
        select(Appointment).where(
            Appointment.patient_id == patient_id,
            Appointment.service_code.in_(safety.INFUSIONS),
            Appointment.status.in_(LIVE),
            Appointment.id != (but or 0),
        )
    )
    return [(a.starts_at, a.site.zone) for a in found]


def _owed_chat(patient: Patient) -> FollowUp | None:
    return db.session.scalar(
        select(FollowUp)
        .where(
            FollowUp.patient_id == patient.id,
            FollowUp.chat_id.is_(None),
            FollowUp.closed_at.is_(None),
        )
        .limit(1)
    )


def _had_first(patient: Patient) -> bool:
    return (
        db.session.scalar(
            select(Appointment.id)
            .where(
                Appointment.patient_id == patient.id,
                Appointment.service_code == ServiceCode.FIRST_INFUSION,
                Appointment.status.in_(LIVE),
            )
            .limit(1)
        )
        is not None
    )
