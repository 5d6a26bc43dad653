"""Decisions of the book: the state table and what the patient has been told."""

import enum
from typing import Any

from scheduler.booking.models import Appointment, Status


class Event(enum.StrEnum):
    """What can happen to an appointment."""

    CONFIRM = "confirm"
    MOVE = "move"
    RESEAT = "re-seat"  # another chair or person, nothing else
    ARRIVE = "arrive"
    UNARRIVE = "unarrive"  # undo of arrive
    FULFIL = "fulfil"
    REOPEN = "reopen"  # undo of fulfil
    NO_SHOW = "no-show"
    CANCEL = "cancel"
    REINSTATE = "reinstate"  # undo of cancel and of no-show
    STRIKE = "strike"  # it should never have been written


#: (state, event) -> next state. A pair that is not here is answered with 409.
TABLE: dict[tuple[Status, Event], Status] = {
    (Status.BOOKED, Event.CONFIRM): Status.BOOKED,
    (Status.BOOKED, Event.MOVE): Status.BOOKED,
    (Status.BOOKED, Event.RESEAT): Status.BOOKED,
    (Status.BOOKED, Event.ARRIVE): Status.ARRIVED,
    (Status.BOOKED, Event.FULFIL): Status.FULFILLED,
    (Status.BOOKED, Event.NO_SHOW): Status.NOSHOW,
    (Status.BOOKED, Event.CANCEL): Status.CANCELLED,
    (Status.BOOKED, Event.STRIKE): Status.IN_ERROR,
    (Status.ARRIVED, Event.UNARRIVE): Status.BOOKED,
    (Status.ARRIVED, Event.MOVE): Status.ARRIVED,
    (Status.ARRIVED, Event.RESEAT): Status.ARRIVED,
    (Status.ARRIVED, Event.FULFIL): Status.FULFILLED,
    (Status.ARRIVED, Event.CANCEL): Status.CANCELLED,
    (Status.FULFILLED, Event.REOPEN): Status.ARRIVED,
    (Status.NOSHOW, Event.REINSTATE): Status.BOOKED,
    (Status.NOSHOW, Event.STRIKE): Status.IN_ERROR,
    (Status.CANCELLED, Event.REINSTATE): Status.BOOKED,
    (Status.CANCELLED, Event.STRIKE): Status.IN_ERROR,
}

#: Events after which the appointment's time is given back.
RELEASING = frozenset({Event.CANCEL, Event.NO_SHOW, Event.STRIKE})

#: How a change is named when somebody else has to be told of it.
PAST = {
    Event.CONFIRM: "confirmed",
    Event.MOVE: "moved",
    Event.RESEAT: "reassigned",
    Event.ARRIVE: "checked in",
    Event.UNARRIVE: "taken back from checked in",
    Event.FULFIL: "closed",
    Event.REOPEN: "reopened",
    Event.NO_SHOW: "marked as not come",
    Event.CANCEL: "cancelled",
    Event.REINSTATE: "put back",
    Event.STRIKE: "struck out",
}


#: The task that keeps whoever lost their place on the desk's list.
RE_PLACE = "re-place"

#: How staff read a state.
STATE_WORDS = {
    Status.BOOKED: "booked",
    Status.ARRIVED: "checked in",
    Status.FULFILLED: "done",
    Status.CANCELLED: "cancelled",
    Status.NOSHOW: "marked as not come",
    Status.IN_ERROR: "struck out",
}


def next_state(state: Status, event: Event) -> Status | None:
    """Return the state after `event`, or None where the table has no such step."""
    return TABLE.get((state, event))


def facts(appointment: Appointment) -> dict[str, Any]:
    """Return what a patient can be told about an appointment: the thing two tellings compare."""
    return {
        "starts_at": appointment.starts_at.isoformat(),
        "site_id": appointment.site_id,
        "live": appointment.is_live,
    }


def differs(told: dict[str, Any] | None, appointment: Appointment) -> bool:
    """Say whether the patient knows something else than what stands in the book.

    Somebody who was never told of it needs no word that it is off.
    """
    if told is None:
        return appointment.is_live
    return told != facts(appointment) and (told["live"] or appointment.is_live)
