"""The desk's and the clinicians' lists. Each is a question to the book, never a list kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import selectinload

from scheduler.booking.models import Appointment, Status
from scheduler.core.db import db
from scheduler.core.errors import NotFound
from scheduler.patients.models import Patient, Standing
from scheduler.plans.models import (
    SIGNED,
    Assessment,
    FollowUp,
    Plan,
    PlannedVisit,
    PlanState,
    VisitState,
)


class ChatStanding(StrEnum):
    """How an owed chat stands."""

    NOT_CLOSED = "not-closed"  # its days have begun, and nobody closed the visit before it
    TO_BOOK = "to-book"  # due, and no time is booked
    BOOKED = "booked"
    TO_RECORD = "to-record"  # its time has come, nothing is recorded
    OVERDUE = "overdue"  # its days are over


@dataclass(frozen=True)
class ChatDue:
    """A chat that is owed, and how it stands."""

    owed: FollowUp
    standing: ChatStanding


@dataclass(frozen=True)
class Falling:
    """A plan whose next visit is not booked inside its window: why, and since when."""

    plan: Plan
    visit: PlannedVisit
    why: str
    since: datetime


def by_public_id(public_id: str) -> Plan:
    """Return the plan staff know by this opaque reference.

    Raises:
        NotFound: there is none.
    """
    found = db.session.scalar(select(Plan).where(Plan.public_id == public_id))
    if found is None:
        raise NotFound("We cannot find that plan.")
    return found


def of_patient(patient_id: int) -> list[Plan]:
    """Return every plan of a patient, the newest first."""
    return list(
        db.session.scalars(
            select(Plan).where(Plan.patient_id == patient_id).order_by(Plan.id.desc())
        )
    )


def current(patient_id: int) -> Plan | None:
    """Return a patient's newest plan, or None."""
    return next(iter(of_patient(patient_id)), None)


def follow_up(follow_up_id: int) -> FollowUp:
    """Return an owed chat.

    Raises:
        NotFound: there is none of this number.
    """
    found = db.session.get(FollowUp, follow_up_id)
    if found is None:
        raise NotFound("We cannot find that chat.")
    return found


def newest_assessment(infusion_id: int) -> Assessment | None:
    """Return what was found after an infusion: the newest row counts."""
    return db.session.scalar(
        select(Assessment)
        .where(Assessment.infusion_id == infusion_id)
        .order_by(Assessment.id.desc())
        .limit(1)
    )


def chats_due(*, now: datetime, site_id: int | None = None) -> list[ChatDue]:
    """Return the chats owed after infusions that took place, the most pressing first.

    A visit that nobody closed hides no chat: once the chat's days have begun, it is here too.
    """
    rows = db.session.scalars(
        select(FollowUp)
        .where(FollowUp.closed_at.is_(None), FollowUp.patient_id.in_(alive()))
        .order_by(FollowUp.due_until)
    ).unique()
    found = [
        ChatDue(owed, _standing(owed, now=now))
        for owed in rows
        if site_id in (None, owed.infusion.site_id)
        and (
            owed.infusion.status is Status.FULFILLED
            or (owed.infusion.status in (Status.BOOKED, Status.ARRIVED) and owed.due_from <= now)
        )
    ]
    order = [
        ChatStanding.OVERDUE,
        ChatStanding.NOT_CLOSED,
        ChatStanding.TO_RECORD,
        ChatStanding.TO_BOOK,
        ChatStanding.BOOKED,
    ]
    return sorted(found, key=lambda c: (order.index(c.standing), c.owed.due_until, c.owed.id))


def drafts(*, site_id: int | None = None) -> list[Plan]:
    """Return the plans waiting for a clinician's word, the longest-waiting first."""
    wanted = (
        select(Plan)
        .where(Plan.state == PlanState.DRAFT, Plan.patient_id.in_(alive()))
        .order_by(Plan.changed_at, Plan.id)
    )
    if site_id is not None:
        wanted = wanted.where(Plan.site_id == site_id)
    return list(db.session.scalars(wanted).unique())


def to_place(*, site_id: int | None = None) -> list[PlannedVisit]:
    """Return the visits of running plans that have no date, the soonest window first."""
    wanted = (
        select(PlannedVisit)
        .join(Plan, PlannedVisit.plan_id == Plan.id)
        .where(
            Plan.state.in_(SIGNED),
            PlannedVisit.state == VisitState.TO_PLACE,
            Plan.patient_id.in_(alive()),
        )
        .order_by(PlannedVisit.latest, PlannedVisit.id)
    )
    if site_id is not None:
        wanted = wanted.where(Plan.site_id == site_id)
    return list(db.session.scalars(wanted).unique())


def falling_off(*, now: datetime, site_id: int | None = None) -> list[Falling]:
    """Return the running plans whose next visit is not booked inside its window, urgent first."""
    wanted = (
        select(Plan)
        .where(Plan.state.in_(SIGNED), Plan.patient_id.in_(alive()))
        .options(selectinload(Plan.visits))
    )
    if site_id is not None:
        wanted = wanted.where(Plan.site_id == site_id)
    running = db.session.scalars(wanted).unique().all()
    former = _former(running)
    found = [f for plan in running if (f := _falling(plan, former, now=now))]
    return sorted(found, key=lambda f: (f.visit.latest, f.plan.id))


def alive() -> Select[int]:
    """Whom something can still be booked or signed for: not the dead, nor records merged away."""
    return select(Patient.id).where(~Patient.is_deceased, Patient.standing != Standing.MERGED)


def has_visits_ahead() -> ColumnElement[bool]:
    """Whether a plan has visits that are to come: with a date, or to be placed."""
    ahead = (VisitState.TO_PLACE, VisitState.BOOKED)
    return (
        select(PlannedVisit.id)
        .where(PlannedVisit.plan_id == Plan.id, PlannedVisit.state.in_(ahead))
        .exists()
    )


def _former(plans: Sequence[Plan]) -> dict[int, datetime]:
    """Return since when what visits without a date had before is no more, by its id."""
    lost = [v.former_id for plan in plans for v in plan.visits if v.former_id is not None]
    if not lost:
        return {}
    asked = select(Appointment.id, Appointment.changed_at).where(Appointment.id.in_(lost))
    return {row.id: row.changed_at for row in db.session.execute(asked)}


def _falling(plan: Plan, former: Mapping[int, datetime], *, now: datetime) -> Falling | None:
    ahead = [v for v in plan.visits if v.state in (VisitState.TO_PLACE, VisitState.BOOKED)]
    if not ahead:
        return None
    visit = ahead[0]
    if visit.state is VisitState.TO_PLACE:
        if visit.latest <= now:
            return Falling(plan, visit, "Its window has passed with no date.", visit.latest)
        return Falling(plan, visit, visit.reason or "It has no date yet.", _since(visit, former))
    appointment = visit.appointment
    assert appointment is not None
    if appointment.ends_at <= now and appointment.status is Status.BOOKED:
        return Falling(
            plan, visit, "Its time has passed, and nobody recorded it.", appointment.ends_at
        )
    if not visit.earliest <= appointment.starts_at < visit.latest and not visit.outside_reason:
        return Falling(plan, visit, "Its date lies outside of its window.", appointment.changed_at)
    return None


def _since(visit: PlannedVisit, former: Mapping[int, datetime]) -> datetime:
    """Return since when a visit has no date: its last one fell away, or the plan was changed."""
    return former.get(visit.former_id or 0, visit.plan.changed_at)


def _standing(owed: FollowUp, *, now: datetime) -> ChatStanding:
    if owed.due_until <= now:
        return ChatStanding.OVERDUE
    if owed.infusion.status is not Status.FULFILLED:
        return ChatStanding.NOT_CLOSED
    if owed.chat is None:
        return ChatStanding.TO_BOOK
    if owed.chat.starts_at <= now or owed.chat.status is Status.FULFILLED:
        return ChatStanding.TO_RECORD
    return ChatStanding.BOOKED


def lines_of(plan: Plan) -> Sequence[PlannedVisit]:
    """Return a plan's visits in order, dropped ones too."""
    return plan.visits
