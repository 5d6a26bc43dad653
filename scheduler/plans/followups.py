"""The chat owed after a first infusion: booked with it, judged again with it, never lost."""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select

from scheduler.booking import offers
from scheduler.booking import service as booking
from scheduler.booking.errors import NotOffered, PatientBusy, SlotTaken
from scheduler.booking.models import Appointment, Status
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import Lane, ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import rules
from scheduler.plans.models import FollowUp

NO_ROOM = "No time for the chat was free."
IDEAL_AFTER = timedelta(days=3)
TRIES = 4


def find_for_infusion(infusion_id: int) -> FollowUp | None:
    """Return the chat owed after an infusion, or None."""
    return db.session.scalar(select(FollowUp).where(FollowUp.infusion_id == infusion_id))


def find_for_chat(chat_id: int) -> FollowUp | None:
    """Return what a chat follows up, or None."""
    return db.session.scalar(select(FollowUp).where(FollowUp.chat_id == chat_id))


def owe(infusion: Appointment) -> FollowUp:
    """Note that a chat is due after a first infusion."""
    due_from, due_until = _window(infusion, infusion.starts_at)
    row = FollowUp(
        patient_id=infusion.patient_id,
        infusion_id=infusion.id,
        due_from=due_from,
        due_until=due_until,
    )
    db.session.add(row)
    db.session.flush()
    return row


def book_chat(
    owed: FollowUp,
    *,
    at: tuple[int, datetime] | None = None,
    actor: str,
    now: datetime,
    notify: bool = True,
) -> Appointment | None:
    """Book the chat where asked (site, moment), else near three days after; None: left due.

    Raises:
        NotOffered, SlotTaken, PatientBusy: only when a moment was asked for.
    """
    patient, infusion = owed.infusion.patient, owed.infusion
    book = partial(
        booking.book, ServiceCode.CHAT, patient=patient, actor=actor, now=now, notify=notify
    )
    made: Appointment | None = None
    if at is not None:
        made = book(site_id=at[0], starts_at=at[1])
    else:
        for offer in _near(patient, infusion, owed, now=now)[:TRIES]:
            try:
                with db.session.begin_nested():
                    made = book(site_id=offer.site_id, starts_at=offer.starts_at)
                break
            except (NotOffered, SlotTaken, PatientBusy):
                continue
    owed.chat_id = made.id if made else None
    owed.reason = None if made else NO_ROOM
    db.session.flush()
    db.session.expire(owed, ["chat"])
    return made


def judge_again(owed: FollowUp, *, actor: str, now: datetime, notify: bool = True) -> None:
    """Put the chat right after its infusion moved, took place, or fell away.

    A chat outside of the days it is due in moves to the nearest time inside, or is left due; a
    chat that was not booked is tried again.
    """
    if owed.closed_at is not None and owed.outcome == "held":
        return
    infusion = owed.infusion
    if not infusion.is_live:
        _drop_chat(owed, actor=actor, now=now, notify=notify)
        owed.closed_at = now
        owed.outcome = infusion.status.value
        owed.reason = None
        db.session.flush()
        return
    owed.closed_at = owed.outcome = None
    owed.due_from, owed.due_until = _window(infusion, infusion.arrived_at or infusion.starts_at)
    chat = owed.chat
    if chat is not None and chat.status in (Status.ARRIVED, Status.FULFILLED):
        db.session.flush()
        return
    if chat is not None and chat.status is Status.BOOKED:
        if owed.due_from <= chat.starts_at < owed.due_until:
            db.session.flush()
            return
        if _move_chat(owed, chat, actor=actor, now=now, notify=notify):
            return
        _drop_chat(owed, actor=actor, now=now, notify=notify)
        owed.reason = NO_ROOM
        db.session.flush()
        return
    book_chat(owed, actor=actor, now=now, notify=notify)


def chat_fell_away(owed: FollowUp, why: str) -> None:
    """Note that the chat was called off or missed: it is still owed."""
    owed.chat_id = None
    owed.reason = why
    db.session.flush()
    db.session.expire(owed, ["chat"])


def _move_chat(
    owed: FollowUp, chat: Appointment, *, actor: str, now: datetime, notify: bool
) -> bool:
    for offer in _near(owed.infusion.patient, owed.infusion, owed, now=now, but=chat.id)[:TRIES]:
        try:
            with db.session.begin_nested():
                booking.move(
                    chat,
                    starts_at=offer.starts_at,
                    site_id=offer.site_id,
                    version=chat.version,
                    actor=actor,
                    now=now,
                    notify=notify,
                )
            return True
        except (NotOffered, SlotTaken, PatientBusy):
            db.session.refresh(chat)
    return False


def _drop_chat(owed: FollowUp, *, actor: str, now: datetime, notify: bool) -> None:
    chat = owed.chat
    if chat is not None and chat.status is Status.BOOKED:
        booking.cancel(chat, actor=actor, now=now, notify=notify)
    owed.chat_id = None
    db.session.flush()
    db.session.expire(owed, ["chat"])


def _near(
    patient: Patient,
    infusion: Appointment,
    owed: FollowUp,
    *,
    now: datetime,
    but: int | None = None,
) -> list[Offer]:
    """Return free starts inside the window, the best first: three days on, their own site."""
    lane = db.session.scalar(
        select(Lane.id).where(Lane.resource_id == patient.resource_id).limit(1)
    )
    found = offers.find(
        ServiceCode.CHAT,
        site_ids=list(clinic_supply.current().sites),
        since=owed.due_from,
        until=owed.due_until,
        now=now,
        audience=Audience.DESK,
        patient_lane=lane,
        but_appointment=but,
    )
    ideal = infusion.starts_at + IDEAL_AFTER
    return sorted(found, key=lambda o: (abs(o.starts_at - ideal), o.site_id != infusion.site_id, o))


def _window(infusion: Appointment, began: datetime) -> tuple[datetime, datetime]:
    site = clinic_supply.current().sites[infusion.site_id]
    return rules.chat_window(
        began,
        site.zone,
        first_day=site.settings.chat_first_day,
        last_day=site.settings.chat_last_day,
    )
