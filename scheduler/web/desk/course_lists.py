"""Worklists of the course: to clear, chats due, plans to sign, visits to place, falling off."""

from dataclasses import replace
from datetime import datetime

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.plans import previews, scheduling, visits
from scheduler.plans import queries as plans
from scheduler.plans.finding import Choice
from scheduler.plans.models import Plan
from scheduler.plans.queries import ChatStanding
from scheduler.reports import drifting, lists
from scheduler.web import login
from scheduler.web.desk import looks, plan_form, refusals
from scheduler.web.desk.rooms import say
from scheduler.web.guards import requires

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
    """Show who drifts off their course: a visit without a date, a review, a draft, a chat."""
    return _falling()


@bp.post("/falling-off/<string:public_id>")
@requires(Act.BOOK)
def place(public_id: str) -> ResponseReturnValue:
    """Book one visit at one of the times that were offered."""
    now = clock.now()
    try:
        choices = plan_form.read_first()
        if not choices:
            raise Invalid("Choose a time.")
        with transaction():
            found = plans.by_public_id(public_id)
            scheduling.schedule(
                found,
                {n: _with_reason(found, n, c, now=now) for n, c in choices.items()},
                keep_rest=False,
                version=plan_form.read_version(),
                actor=login.me().actor,
                now=now,
            )
    except Refusal as refusal:
        return _falling(refusal), refusal.status
    say("Booked. They are told within minutes.")
    return redirect(url_for(".falling_off"), code=303)


def _with_reason(found: Plan, number: int, choice: Choice, *, now: datetime) -> Choice:
    """Return a date with the reason the calendar gives, where its window is over or full."""
    visit = next((v for v in found.visits if v.number == number), None)
    if visit is None or visits.is_inside(visit, choice.starts_at):
        return choice
    return replace(choice, outside_reason=previews.why_outside(visit, now=now))


def _falling(refusal: Refusal | None = None) -> str:
    let_go()
    sites = clinic_supply.current().sites
    return _list(
        "falling-off",
        falling=drifting.drifting(now=clock.now(), book_too=login.me().may(Act.BOOK)),
        sites=sites,
        value=plan_form.written,
        refusal=refusal,
        lines=refusals.lines(refusal),
    )


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
