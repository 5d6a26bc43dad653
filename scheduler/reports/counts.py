"""How much waits for a person, for the numbers beside the desk's rooms. A few small counts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
)

from scheduler.booking import withdrawal
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import Model, db
from scheduler.core.statements import Moment
from scheduler.core.timespan import day_span
from scheduler.messaging import ending
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.queries import is_stuck
from scheduler.patients.models import Patient, Standing
from scheduler.plans.models import SIGNED, FollowUp, Plan, PlannedVisit, PlanState, VisitState
from scheduler.plans.queries import alive, has_visits_ahead
from scheduler.reports import drifting, unreached
from scheduler.tasks.models import Task
from scheduler.treatment import clearance
from scheduler.waitlist.models import WaitlistEntry

CALLS = (ServiceCode.CALL, ServiceCode.CHAT)


@dataclass(frozen=True)
class Waiting:
    """What waits, by room of the desk."""

    to_call: int
    not_reached: int
    to_replace: int
    tasks: int
    inbox: int
    enquirers: int
    to_clear: int
    chats: int
    drafts: int
    to_place: int
    falling: int
    waitlist: int


def waiting(*, now: datetime) -> Waiting:
    """Return what waits at all sites together, in one question to the database.

    Every page of the desk shows these numbers.
    """
    sites = clinic_supply.current().sites
    question, moments = _question(tuple(sites))
    told: dict[str, Any] = moments["now"].told(now) | moments["midnight"].told(
        unreached.midnight_before(now)
    )
    for site in sites.values():
        today = day_span(now.astimezone(site.zone).date(), site.zone)
        told |= moments[f"from_{site.id}"].told(today.start)
        told |= moments[f"until_{site.id}"].told(today.end)
        told[f"today_{site.id}"] = now.astimezone(site.zone).date()
    found = db.session.execute(question, told).one()
    return Waiting(
        to_call=found.to_call,
        not_reached=found.not_reached + found.to_nobody + found.unclear,
        to_replace=withdrawal.count_waiting(now=now) if found.lost_their_place else 0,
        tasks=found.tasks,
        inbox=found.inbox,
        enquirers=found.enquirers,
        to_clear=found.to_clear,
        chats=found.chats,
        drafts=found.drafts,
        to_place=found.to_place,
        falling=found.falling + found.reviews + found.stale_drafts + found.late_chats,
        waitlist=found.waitlist,
    )


@lru_cache(maxsize=4)
def _question(site_ids: tuple[int, ...]) -> tuple[Select[Any], dict[str, Moment]]:
    """Return the one question, and the moments it is to be told."""
    ends = [f"{end}_{number}" for number in site_ids for end in ("from", "until")]
    moments = {name: Moment(name) for name in ("now", "midnight", *ends)}
    now, midnight, *_ = (moment.as_datetime() for moment in moments.values())
    question = select(
        _open_tasks(Task.kind == ending.NOT_SENT, Task.patient_id.is_(None)).label("to_nobody"),
        _count(Patient, unreached.wanted(now=now, midnight=midnight)).label("not_reached"),
        _count(Message, Message.patient_id.is_(None), is_stuck(now=now)).label("unclear"),
        _open_tasks(Task.kind == clearance.TASK).label("to_clear"),
        _open_tasks(Task.kind == withdrawal.TASK).label("lost_their_place"),
        _open_tasks(Task.kind.not_in((ending.NOT_SENT, clearance.TASK, withdrawal.TASK))).label(
            "tasks"
        ),
        _to_call(site_ids, moments).label("to_call"),
        select(func.count(InboundText.number.distinct()))
        .where(InboundText.read_at.is_(None))
        .scalar_subquery()
        .label("inbox"),
        _count(Patient, Patient.standing == Standing.ENQUIRER).label("enquirers"),
        _chats(now=now).label("chats"),
        _count(Plan, Plan.state == PlanState.DRAFT, Plan.patient_id.in_(alive())).label("drafts"),
        _to_place().label("to_place"),
        _falling(now=now).label("falling"),
        _reviews(site_ids).label("reviews"),
        _count(
            Plan,
            Plan.state == PlanState.DRAFT,
            Plan.patient_id.in_(alive()),
            Plan.changed_at <= now - drifting.DRAFT_MAY_WAIT,
        ).label("stale_drafts"),
        _chats(FollowUp.due_until <= now, now=now).label("late_chats"),
        _count(WaitlistEntry, WaitlistEntry.closed_at.is_(None), WaitlistEntry.until > now).label(
            "waitlist"
        ),
    )
    return question, moments


def _count(table: type[Model], *wanted: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).where(*wanted).scalar_subquery()


def _open_tasks(*wanted: ColumnElement[bool]) -> ScalarSelect[int]:
    return _count(Task, Task.closed_at.is_(None), *wanted)


def _chats(*wanted: ColumnElement[bool], now: datetime) -> ScalarSelect[int]:
    """Count the chats of plans.queries.chats_due, without reading them."""
    return (
        select(func.count())
        .select_from(FollowUp)
        .join(Appointment, FollowUp.infusion_id == Appointment.id)
        .where(
            FollowUp.closed_at.is_(None),
            FollowUp.patient_id.in_(alive()),
            *wanted,
            or_(
                Appointment.status == Status.FULFILLED,
                and_(
                    Appointment.status.in_((Status.BOOKED, Status.ARRIVED)),
                    FollowUp.due_from <= now,
                ),
            ),
        )
        .scalar_subquery()
    )


def _to_place() -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(PlannedVisit)
        .join(Plan, PlannedVisit.plan_id == Plan.id)
        .where(
            Plan.state.in_(SIGNED),
            PlannedVisit.state == VisitState.TO_PLACE,
            Plan.patient_id.in_(alive()),
        )
        .scalar_subquery()
    )


def _falling(*, now: datetime) -> ScalarSelect[int]:
    """Count the plans of plans.queries.falling_off, without reading them."""
    ahead = (
        select(PlannedVisit.plan_id, func.min(PlannedVisit.number).label("number"))
        .join(Plan, PlannedVisit.plan_id == Plan.id)
        .where(
            Plan.state.in_(SIGNED),
            Plan.patient_id.in_(alive()),
            PlannedVisit.state.in_((VisitState.TO_PLACE, VisitState.BOOKED)),
        )
        .group_by(PlannedVisit.plan_id)
        .subquery()
    )
    return (
        select(func.count())
        .select_from(PlannedVisit)
        .join(
            ahead,
            and_(
                PlannedVisit.plan_id == ahead.c.plan_id,
                PlannedVisit.number == ahead.c.number,
            ),
        )
        .outerjoin(Appointment, PlannedVisit.appointment_id == Appointment.id)
        .where(
            or_(
                PlannedVisit.state == VisitState.TO_PLACE,
                and_(Appointment.ends_at <= now, Appointment.status == Status.BOOKED),
            )
        )
        .scalar_subquery()
    )


def _reviews(site_ids: Collection[int]) -> ScalarSelect[int]:
    """Count the running plans with nothing ahead whose review is due, on the day at their site."""
    today = (
        and_(Plan.site_id == n, Plan.review_on <= bindparam(f"today_{n}", type_=Date()))
        for n in site_ids
    )
    return _count(
        Plan,
        Plan.state.in_(SIGNED),
        or_(false(), *today),
        ~has_visits_ahead(),
        Plan.patient_id.in_(alive()),
    )


def _to_call(site_ids: Collection[int], moments: Mapping[str, Moment]) -> ScalarSelect[int]:
    today = [
        and_(
            Appointment.site_id == number,
            Appointment.starts_at >= moments[f"from_{number}"].as_datetime(),
            Appointment.starts_at < moments[f"until_{number}"].as_datetime(),
        )
        for number in site_ids
    ]
    return _count(
        Appointment,
        or_(false(), *today),
        Appointment.service_code.in_(CALLS),
        Appointment.status == Status.BOOKED,
    )
