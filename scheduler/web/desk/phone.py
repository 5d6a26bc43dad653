"""The simulated phone: the other end of the line in a demo. What is typed here comes in as a text.

It takes the same way as a text through the provider, from the moment its signature was judged.
"""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.jobs import answer
from scheduler.messaging.models import SimulatedText
from scheduler.messaging.senders import simulated
from scheduler.patients import queries as patients
from scheduler.web.desk import looks
from scheduler.web.guards import requires

bp = Blueprint("desk_phone", __name__, url_prefix="/desk/phone")

LONGEST = 1600


@bp.get("", strict_slashes=False)
def numbers() -> ResponseReturnValue:
    """Show every number that has got or sent a text, the newest first."""
    newest: dict[str, SimulatedText] = {}
    for text in simulated.shown_texts(limit=2000):
        newest.setdefault(text.number, text)
    page = render_template(
        "desk/phones.html",
        phones=[(text, patients.with_mobile(number)) for number, text in newest.items()],
        zone=_zone(),
    )
    looks.note("list.viewed", "list:phones", once_in_a_while=True)
    return page


@bp.get("/<int:text_id>")
def show(text_id: int) -> ResponseReturnValue:
    """Show one phone as its owner sees it; any of its texts names it."""
    return _page(text_id)


@bp.post("/<int:text_id>")
@requires(Act.ANSWER)
def reply(text_id: int) -> ResponseReturnValue:
    """Text back, as the owner of the phone would."""
    number = simulated.shown_text(text_id).number
    body = request.form.get("body", "").strip()[:LONGEST]
    if not body:
        return _page(text_id, error="Type a text first."), 422
    now = clock.now()
    with transaction():
        reference = simulated.texted_by_patient(number, body, now=now)
        answer.take_in(provider_ref=reference, number=number, body=body, now=now)
    return redirect(url_for(".show", text_id=text_id), code=303)


def _page(text_id: int, *, error: str | None = None) -> str:
    text = simulated.shown_text(text_id)
    holders = patients.with_mobile(text.number)
    talk = [t for t in simulated.shown_texts(limit=2000) if t.number == text.number][::-1]
    page = render_template(
        "desk/phone.html", text=text, holders=holders, talk=talk, zone=_zone(), error=error
    )
    looks.note("conversation.viewed", f"phone:{text_id}", once_in_a_while=True)
    return page


def _zone() -> object:
    return next(iter(clinic_supply.current().sites.values())).zone
