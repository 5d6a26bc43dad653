"""The visits of a plan that want a date, and every start that is free for them."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from sqlalchemy import Select, func, select
from sqlalchemy.orm import selectinload

from scheduler.booking import offers
from scheduler.booking.models import LIVE, Appointment
from scheduler.booking.offers import Audience
from scheduler.booking.soft import Excuse
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import approval, followups, pencils, safety, visits
from scheduler.plans.models import Plan, PlannedVisit, PlanState, PlanWishes, VisitState
from scheduler.plans.optimiser import Start, Visit, Wishes
from scheduler.plans.preferences import Preferences
from scheduler.plans.protocol import Act

#: How starts are sorted, and looked up among those that are.
MOMENT, IN_ORDER = attrgetter("at"), attrgetter("at", "site_id")


@dataclass(frozen=True)
class Choice:
    """A date somebody chose for one visit; outside of its window only with a reason."""

    site_id: int
    starts_at: datetime
    outside_reason: str | None = None
    excuse: Excuse | None = None  # why notice, horizon or a nurse's number may be set aside


@dataclass(frozen=True)
class Spot:
    """A start that could be: where, when, and how far from its neighbours."""

    starts_at: datetime
    site_id: int


@dataclass(frozen=True)
class Slot:
    """A visit to be shown: a row of the plan, or a window of a draft."""

    number: int
    phase: int
    earliest: datetime
    ideal: datetime
    latest: datetime
    min_days: int
    target_days: int
    max_days: int
    booked: Appointment | None
    stands: Spot | None = None  # booked there, but it may be moved


def slots_of(plan: Plan, *, now: datetime) -> list[Slot]:
    """Return the visits of a plan, as signed or as its draft proposes them, but those left out."""
    if plan.state is PlanState.DRAFT:
        if approval.proposal_of(plan).act is not Act.SERIES:
            return []
        return [
            Slot(
                w.number, w.phase, w.earliest, w.ideal, w.latest,
                w.min_days, w.target_days, w.max_days, None,
            )
            for w in approval.windows_of(plan, now=now)
        ]  # fmt: skip
    return [
        Slot(
            v.number, v.phase, v.earliest, v.ideal, v.latest,
            v.min_days, v.target_days, v.max_days, v.appointment,
        )
        for v in plan.visits
        if v.state is not VisitState.OMITTED
    ]  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What is asked of the book for many plans at once; without it each plan asks by itself."""

    taken: offers.Taken
    lanes: Mapping[int, int]  # of each patient
    wishes: Mapping[int, Preferences]  # by plan
    infusions: Mapping[int, Sequence[Appointment]]  # by patient


def look_over(plans: Sequence[Plan], *, now: datetime, until: datetime) -> Look:
    ids, people = [plan.id for plan in plans], [plan.patient_id for plan in plans]
    db.session.scalars(  # the visits and versions of all of them, into the session
        select(Plan)
        .where(Plan.id.in_(ids))
        .options(selectinload(Plan.visits), selectinload(Plan.versions))
    ).unique().all()
    kept = db.session.scalars(select(PlanWishes).where(PlanWishes.plan_id.in_(ids)))
    resources = {plan.patient.resource_id: plan.patient_id for plan in plans}
    found = db.session.execute(
        select(Lane.resource_id, func.min(Lane.id))
        .where(Lane.resource_id.in_(resources))
        .group_by(Lane.resource_id)
    )
    lanes = {resources[resource]: lane for resource, lane in found}
    infusions: dict[int, list[Appointment]] = {}
    for one in db.session.scalars(_infusions(people)).unique():
        infusions.setdefault(one.patient_id, []).append(one)
    sites = clinic_supply.current().sites
    return Look(
        offers.read_over(ServiceCode.INFUSION, sites, lanes.values(), now, until, now=now),
        lanes,
        {row.plan_id: Preferences.restored(row.wishes) for row in kept},
        infusions,
    )


def wishes_of(
    plan: Plan, prefer: Preferences, slots: Sequence[Slot], *, look: Look | None = None
) -> Wishes:
    """Return what a series is placed by, after the infusion that came before its windows."""
    begins = min((s.booked.starts_at if s.booked else s.earliest for s in slots), default=None)
    if look is None:
        last = _infusion_before(plan, begins)
    else:
        own = {v.appointment_id for v in plan.visits}
        others = (a for a in look.infusions.get(plan.patient_id, ()) if a.id not in own)
        last = max(
            (a for a in others if begins is None or a.starts_at < begins),
            key=lambda a: a.starts_at,
            default=None,
        )
    sites = clinic_supply.current().sites
    start = start_of(last.starts_at, sites[last.site_id]) if last else None
    return Wishes(
        home_site_id=prefer.site_id or plan.site_id,
        minute=start.minute if start else 10 * 60,
        weekdays=prefer.weekdays,
        min_hours=safety.least_hours_of(plan),
        before=start,
    )


def _infusion_before(plan: Plan, begins: datetime | None) -> Appointment | None:
    """Return the last infusion before a plan begins that is no part of it: the first, mostly."""
    own = select(PlannedVisit.appointment_id).where(
        PlannedVisit.plan_id == plan.id, PlannedVisit.appointment_id.is_not(None)
    )
    before = [Appointment.starts_at < begins] if begins is not None else []
    return db.session.scalar(
        _infusions([plan.patient_id])
        .where(Appointment.id.not_in(own), *before)
        .order_by(Appointment.starts_at.desc())
        .limit(1)
    )


def _infusions(people: Collection[int]) -> Select[Appointment]:
    return select(Appointment).where(
        Appointment.patient_id.in_(people),
        Appointment.service_code.in_(safety.INFUSIONS),
        Appointment.status.in_(LIVE),
    )


def free_starts(
    plan: Plan,
    slots: Sequence[Slot],
    *,
    now: datetime,
    but: Collection[int] = (),
    look: Look | None = None,
) -> list[Start]:
    """Return every start that is free over all windows at all sites, in one look."""
    wanted = [s for s in slots if s.booked is None]
    if not wanted:
        return []
    since = max(min(s.earliest for s in wanted), _usual(now))
    until = max(s.latest for s in wanted)
    if until <= since:
        return []
    sites = clinic_supply.current().sites  # asked once: there are thousands of starts
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=list(sites),
        since=since,
        until=until,
        now=now,
        audience=Audience.DESK,
        patient_lane=look.lanes.get(plan.patient_id) if look else lane_of(plan),
        but_appointment=tuple(but) or None,
        longer_minutes=max(longer(plan, {s.phase for s in wanted}, site_id) for site_id in sites),
        taken=look.taken if look else None,
    )
    return [
        Start.on_wall(o.starts_at, o.site_id, sites[o.site_id].zone, free=o.free, of=o.of)
        for o in found
    ]


def _usual(now: datetime) -> datetime:
    """Return from when on an infusion is booked without being asked why so soon."""
    return now + clinic_supply.current().services[ServiceCode.INFUSION].notice


def longer(plan: Plan, phases: Collection[int], site_id: int) -> int:
    """Return how many minutes longer than usual a visit of these phases takes: its recovery.

    What the service books after the infusion is what it usually takes. Of several phases, the
    longest.
    """
    known = approval.proposal_of(plan).phases
    asked = [known[n].recovery_minutes for n in phases if n < len(known)]
    return visits.longer_than_usual(max(asked, default=0), site_id)


def pencilled_of(plan: Plan, slots: Sequence[Slot], *, now: datetime) -> dict[int, Spot]:
    """Return what is pencilled in, by the number of the visit whose window it fits."""
    owed = followups.find_for_infusion(plan.assessment.infusion_id)
    left = pencils.live(owed, now=now) if owed is not None else []
    found: dict[int, Spot] = {}
    for slot in slots:
        hold = next((h for h in left if slot.earliest <= h.starts_at < slot.latest), None)
        if slot.booked is None and hold is not None:
            found[slot.number] = Spot(hold.starts_at, hold.site_id)
            left = [h for h in left if h.starts_at > hold.starts_at]
    return found


def lane_of(plan: Plan) -> int | None:
    """Return the lane of the patient of a plan: nobody is in two places."""
    return lane_of_patient(plan.patient)


def lane_of_patient(patient: Patient) -> int | None:
    """Return the patient's own lane: nobody is in two places."""
    return db.session.scalar(
        select(Lane.id).where(Lane.resource_id == patient.resource_id).limit(1)
    )


def is_free(
    plan: Plan, choice: Choice, phase: int, *, now: datetime, but: Collection[int] = ()
) -> bool:
    """Say whether a date could be booked for a visit of this phase of a plan."""
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=[choice.site_id],
        since=choice.starts_at,
        until=choice.starts_at + timedelta(minutes=1),
        now=now,
        audience=Audience.DESK,
        patient_lane=lane_of(plan),
        but_appointment=tuple(but) or None,
        longer_minutes=longer(plan, [phase], choice.site_id),
    )
    return bool(found)


def start_of(moment: datetime, site: SiteSupply) -> Start:
    """Return a moment as the optimiser counts it: by the wall clock of its site."""
    return Start.on_wall(moment, site.id, site.zone)


def visit_of(
    slot: Slot,
    choice: Choice | None,
    free: Sequence[Start],
    sites: Mapping[int, SiteSupply],
    home: int,
) -> Visit:
    """Return a visit as the optimiser takes it: fixed, chosen, or with all its free starts."""
    stands = start_of(slot.stands.starts_at, sites[slot.stands.site_id]) if slot.stands else None
    if slot.booked is not None:
        starts: tuple[Start, ...] = (start_of(slot.booked.starts_at, sites[slot.booked.site_id]),)
    elif choice is not None:
        starts = (start_of(choice.starts_at, sites[choice.site_id]),)
    else:
        first, end = (bisect_left(free, at, key=MOMENT) for at in (slot.earliest, slot.latest))
        starts = tuple(free[first:end])
        if stands is not None:
            starts = (stands, *(s for s in starts if s != stands))
    return Visit(
        number=slot.number,
        ideal_day=slot.ideal.astimezone(sites[home].zone).toordinal(),
        min_days=slot.min_days,
        target_days=slot.target_days,
        max_days=slot.max_days,
        starts=starts,
        is_fixed=slot.booked is not None,
        stands=stands,
    )
