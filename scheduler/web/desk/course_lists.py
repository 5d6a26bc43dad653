"""Worklists of the course: to clear, chats due, plans to sign, visits to place, falling off."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.plans import queries as plans
from scheduler.plans.queries import ChatStanding
from scheduler.reports import lists
from scheduler.web.desk import looks

bp = Blueprint("desk_course", __name__, url_prefix="/desk/course")

CHAT_WORDS = {
    ChatStanding.OVERDUE: ("▲", "Overdue", "trouble"),
    ChatStanding.NOT_CLOSED: ("▲", "The visit before it was not closed", "trouble"),
    ChatStanding.TO_RECORD: ("●", "To be held and recorded", "attention"),
    ChatStanding.TO_BOOK: ("◷", "No time booked", "attention"),
    ChatStanding.BOOKED: ("✓", "Booked", "fine"),
}


@bp.get("/to-clear")
def to_clear() -> ResponseReturnValue:
    """Show the candidates who wait for a clinician's clearance."""
    return _list("to-clear", errands=lists.to_clear())


@bp.get("/chats")
def chats_due() -> ResponseReturnValue:
    """Show the chats that are owed."""
    return _list("chats", chats=plans.chats_due(now=clock.now()), chat_words=CHAT_WORDS)


@bp.get("/drafts")
def drafts() -> ResponseReturnValue:
    """Show the plans that wait for a clinician's word."""
    return _list("drafts", plans=plans.drafts())


@bp.get("/to-place")
def to_place() -> ResponseReturnValue:
    """Show the visits without a date."""
    return _list("to-place", visits=plans.to_place())


@bp.get("/falling-off")
def falling_off() -> ResponseReturnValue:
    """Show the plans whose next visit is not booked inside its window."""
    return _list("falling-off", falling=plans.falling_off(now=clock.now()))


def _list(name: str, **found: object) -> str:
    html = render_template(
        "desk/course_list.html",
        name=name,
        zone=next(iter(clinic_supply.current().sites.values())).zone,
        now=clock.now(),
        **found,
    )
    looks.note("list.viewed", f"list:{name}", once_in_a_while=True)
    return html
