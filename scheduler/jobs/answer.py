"""What follows when a text comes in, by whichever door: the one place the verb is said."""

from datetime import datetime

from scheduler.core.db import db
from scheduler.core.errors import Refusal
from scheduler.messaging import inbound
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
    except Refusal:
        appointment = None
    inbound.answered(came, done=appointment is not None, now=now)
    return came
