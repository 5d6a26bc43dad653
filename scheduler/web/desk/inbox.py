"""Conversations by text."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.messaging import queries as messages
from scheduler.messaging import reading
from scheduler.patients import queries as patients
from scheduler.reports import lists
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.rooms import say
from scheduler.web.guards import requires

bp = Blueprint("desk_inbox", __name__, url_prefix="/desk/inbox")


@bp.get("", strict_slashes=False)
def conversations() -> ResponseReturnValue:
    """Show every conversation, those with something unread first."""
    page = render_template("desk/inbox.html", talks=lists.conversations(), zone=_zone())
    looks.note("list.viewed", "list:inbox", once_in_a_while=True)
    return page


@bp.get("/<int:text_id>")
def show(text_id: int) -> ResponseReturnValue:
    """Show the conversation that a text belongs to. Its number never stands in the address."""
    text = reading.inbound(text_id)
    holders = patients.with_mobile(text.number)
    talk = messages.conversation(text.number)
    page = render_template(
        "desk/conversation.html",
        text=text,
        holders=holders,
        talk=talk,
        unread=reading.unread_of(text.number),
        zone=_zone(),
    )
    patient_id = text.patient_id
    looks.note("conversation.viewed", f"text:{text_id}", patient_id=patient_id)
    return page


@bp.post("/<int:text_id>/read")
@requires(Act.ANSWER)
def read(text_id: int) -> ResponseReturnValue:
    """Note that somebody has dealt with what they wrote."""
    with transaction():
        text = reading.inbound(text_id)
        reading.mark_read(text.number, up_to=text.id, actor=login.me().actor, now=clock.now())
    say("Marked as read.")
    return redirect(url_for(".conversations"), code=303)


def _zone() -> object:
    return next(iter(clinic_supply.current().sites.values())).zone
