"""How much waits for a person, for the numbers beside the desk's rooms. A few small counts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.timespan import day_span
from scheduler.messaging import outbox
from scheduler.messaging.models import InboundText
from scheduler.patients import queries as patients
from scheduler.tasks.models import Task

CALLS = (ServiceCode.CALL, ServiceCode.CHAT)


@dataclass(frozen=True)
class Waiting:
    """What waits, by room of the desk."""

    to_call: int
    not_reached: int
    tasks: int
    inbox: int
    enquirers: int


def waiting(*, now: datetime) -> Waiting:
    """Return what waits at all sites together."""
    not_sent, others = _tasks()
    return Waiting(
        to_call=_to_call(now=now),
        not_reached=not_sent,
        tasks=others,
        inbox=db.session.scalar(
            select(func.count(func.distinct(InboundText.number))).where(
                InboundText.read_at.is_(None)
            )
        )
        or 0,
        enquirers=patients.count_enquirers(),
    )


def _tasks() -> tuple[int, int]:
    rows = db.session.execute(
        select(Task.kind, func.count()).where(Task.closed_at.is_(None)).group_by(Task.kind)
    ).all()
    by_kind: dict[str, int] = {row[0]: row[1] for row in rows}
    not_sent = by_kind.pop(outbox.NOT_SENT, 0)
    return not_sent, sum(by_kind.values())


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
