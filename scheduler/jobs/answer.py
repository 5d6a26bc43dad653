"""What follows when a text comes in, by whichever door: the one place the verb is said."""

from datetime import datetime

from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.core.errors import Refusal, Stale
from scheduler.messaging import inbound, queries
from scheduler.messaging.inbound import Inbound
from scheduler.messaging.rules import Intent
from scheduler.plans import service as plans


def take_in(
    *,
    provider_ref: str,
    number: str,
    body: str,
    opt_out: str | None = None,
    came_at: datetime | None = None,
    now: datetime,
) -> Inbound | None:
    """Take in one text and do what it asks for, in the caller's transaction.

    None when this very text was taken in before: then nothing happens. What the book refuses is
    left to a person, as a text nobody understood.
    """
    came = inbound.receive(
        provider_ref=provider_ref,
        number=number,
        body=body,
        opt_out=opt_out,
        came_at=came_at,
        now=now,
    )
    if came is None or came.topic is None:
        return came
    actor = f"patient:{came.patient_id}"
    verb = plans.confirm_by_text if came.intent is Intent.CONFIRM else plans.ask_change_by_text
    try:
        with db.session.begin_nested():  # the text is kept, whatever becomes of the verb
            appointment = verb(came.topic, actor=actor, now=now)
            if came.intent is Intent.CONFIRM and not _is_as_asked(appointment, came):
                raise Stale("It was moved after we asked.")
    except Refusal:
        appointment = None
    inbound.answered(came, done=appointment is not None, now=now)
    return came


def _is_as_asked(appointment: Appointment | None, came: Inbound) -> bool:
    """Say whether it stands where and when the words of our question had it.

    Word of a move may be on its way yet, or have gone in a text with several dates: a "1" then
    speaks of the time they know.
    """
    asked = queries.last_said(came.topic or "", came.number)
    return appointment is None or (
        datetime.fromisoformat(asked["starts_at"]) == appointment.starts_at
        and asked["site"] == appointment.site.name
    )
