"""How much waits for a person, for the numbers beside the desk's rooms. A few small counts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from scheduler.booking import withdrawal
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import Model, db
from scheduler.core.timespan import day_span
from scheduler.messaging import outbox
from scheduler.messaging.models import InboundText
from scheduler.patients import queries as patients
from scheduler.plans.models import SIGNED, FollowUp, Plan, PlannedVisit, PlanState, VisitState
from scheduler.tasks.models import Task
from scheduler.treatment import clearance

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


def waiting(*, now: datetime) -> Waiting:
    """Return what waits at all sites together."""
    not_sent, to_clear, others = _tasks()
    return Waiting(
        to_call=_to_call(now=now),
        not_reached=not_sent,
        to_replace=withdrawal.count_waiting(now=now),
        tasks=others,
        inbox=db.session.scalar(
            select(func.count(func.distinct(InboundText.number))).where(
                InboundText.read_at.is_(None)
            )
        )
        or 0,
        enquirers=patients.count_enquirers(),
        to_clear=to_clear,
        chats=_chats(),
        drafts=_count(Plan, Plan.state == PlanState.DRAFT),
        to_place=_to_place(),
        falling=_falling(now=now),
    )


def _tasks() -> tuple[int, int, int]:
    rows = db.session.execute(
        select(Task.kind, func.count()).where(Task.closed_at.is_(None)).group_by(Task.kind)
    ).all()
    by_kind: dict[str, int] = {row[0]: row[1] for row in rows}
    not_sent = by_kind.pop(outbox.NOT_SENT, 0)
    to_clear = by_kind.pop(clearance.TASK, 0)
    by_kind.pop(withdrawal.TASK, None)
    return not_sent, to_clear, sum(by_kind.values())


def _count(table: type[Model], *wanted: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(table).where(*wanted)) or 0


def _chats() -> int:
    """Count the chats owed after infusions that took place."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(FollowUp)
            .join(Appointment, FollowUp.infusion_id == Appointment.id)
            .where(FollowUp.closed_at.is_(None), Appointment.status == Status.FULFILLED)
        )
        or 0
    )


def _to_place() -> int:
    return (
        db.session.scalar(
            select(func.count())
            .select_from(PlannedVisit)
            .join(Plan, PlannedVisit.plan_id == Plan.id)
            .where(Plan.state.in_(SIGNED), PlannedVisit.state == VisitState.TO_PLACE)
        )
        or 0
    )


def _falling(*, now: datetime) -> int:
    """Count the plans of plans.queries.falling_off, without reading them."""
    ahead = (
        select(PlannedVisit.plan_id, func.min(PlannedVisit.number).label("number"))
        .join(Plan, PlannedVisit.plan_id == Plan.id)
        .where(
            Plan.state.in_(SIGNED),
            PlannedVisit.state.in_((VisitState.TO_PLACE, VisitState.BOOKED)),
        )
        .group_by(PlannedVisit.plan_id)
        .subquery()
    )
    return (
        db.session.scalar(
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
        )
        or 0
    )


def _to_call(*, now: datetime) -> int:
    number = 0
    for site in clinic_supply.current().sites.values():
        today = day_span(now.astimezone(site.zone).date(), site.zone)
        number += (
            db.session.scalar(
                select(func.count())
                .select_from(Appointment)
                .where(
                    Appointment.site_id == site.id,
                    Appointment.service_code.in_(CALLS),
                    Appointment.status == Status.BOOKED,
                    Appointment.starts_at >= today.start,
                    Appointment.starts_at < today.end,
                )
            )
            or 0
        )
    return number
