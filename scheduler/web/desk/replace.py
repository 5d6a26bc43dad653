"""Who has lost their place and waits for another: moved, kept with a reason, or cancelled."""

import dataclasses
from collections.abc import Mapping

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.booking import withdrawal
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.messaging import consent
from scheduler.plans import disruption, rules
from scheduler.plans import service as plans
from scheduler.plans.finding import Choice
from scheduler.web import login
from scheduler.web.desk import looks, plan_form, signing
from scheduler.web.desk.rooms import say
from scheduler.web.fields import read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_replace", __name__, url_prefix="/desk/to-re-place")

#: For so many of the list it is looked up who could take over; the others have it on their turn.
LOOKED_UP = 30
#: How long a reason for leaving somebody where they are may be.
LONGEST = 200


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Show everybody whose place is gone, the earliest first."""
    return _page()


@bp.post("/<string:public_id>/keep")
@requires(Act.BOOK)
def keep(public_id: str) -> ResponseReturnValue:
    """Leave an appointment where it is, knowingly."""
    try:
        with transaction():
            withdrawal.keep(
                book.by_public_id(public_id),
                signing.words_of("reason", LONGEST),
                version=_version(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _page(refusal, public_id), refusal.status
    say("It stays, and your reason is on record.")
    return redirect(url_for(".show"), code=303)


@bp.post("/<string:public_id>/hand-over")
@requires(Act.BOOK)
def hand_over(public_id: str) -> ResponseReturnValue:
    """Give an appointment to a colleague who is free, at its own time."""
    now = clock.now()
    person_id = read_number(request.form.get("person"))
    try:
        with transaction():
            appointment = book.by_public_id(public_id)
            if person_id is None:
                raise Invalid("Choose who takes it over.")
            plans.move(
                appointment,
                starts_at=appointment.starts_at,
                person_id=person_id,
                version=_version(),
                actor=login.me().actor,
                now=now,
            )
            version = appointment.version
    except Refusal as refusal:
        return _page(refusal, public_id), refusal.status
    say(
        "Handed over, at the same time and place. The patient needs no word of it.",
        undo=public_id,
        version=version,
    )
    return redirect(url_for(".show"), code=303)


@bp.post("/places")
@requires(Act.BOOK)
def propose() -> ResponseReturnValue:
    """Show a place for everybody who has lost theirs, the most urgent first; nothing is kept."""
    return _places()


@bp.post("/places/move")
@requires(Act.BOOK)
def move_all() -> ResponseReturnValue:
    """Move everybody to the time that was chosen for them, and tell each of them."""
    try:
        wanted = _wanted()
        if not wanted:
            raise Invalid("Choose a time for at least one of them.")
        with transaction():
            done = disruption.place(wanted, actor=login.me().actor, now=clock.now())
    except Refusal as refusal:
        return _places(refusal), refusal.status
    if done.refused:
        return _places(moved=len(done.moved), rows=done.refused), 409
    say(f"{rules.plural(len(done.moved), 'visit')} moved. Each is asked by text to say yes.")
    return redirect(url_for(".show"), code=303)


def _wanted() -> dict[str, tuple[Choice, int]]:
    """Return what was chosen for whom, or typed; whoever is left for later is left out.

    Raises:
        Invalid: a date was typed in part, or a reason is too long.
    """
    found = {}
    for name in request.form:
        kind, _, public_id = name.partition("-")
        version = read_number(request.form.get(f"version-{public_id}"))
        if kind != "to" or version is None:
            continue
        whose = request.form.get(f"name-{public_id}", "")[:80] or "Somebody"
        choice = plan_form.typed_date(f"-{public_id}", whose)
        choice = choice or plan_form.proposed(request.form[name])
        reason = signing.words_of(f"why-{public_id}", 300)
        if choice is not None:
            found[public_id] = (dataclasses.replace(choice, outside_reason=reason or None), version)
    return found


def _places(
    refusal: Refusal | None = None, *, moved: int = 0, rows: Mapping[str, str] | None = None
) -> str:
    now = clock.now()
    let_go()
    with transaction():  # tried for real, and thrown away
        proposals = disruption.propose(actor=login.me().actor, now=now)
    supply = clinic_supply.current()
    html = render_template(
        "desk/supply/places.html",
        proposals=proposals,
        moved=moved,
        row_problems=rows or {},
        sites=supply.sites,
        services={code: s.name for code, s in supply.services.items()},
        value=plan_form.written,
        refusal=refusal,
    )
    looks.note("list.viewed", "list:to-re-place", once_in_a_while=True)
    return html


def _version() -> int:
    version = read_number(request.form.get("version"))
    if version is None:
        raise Invalid("Please open the list again.")
    return version


def _page(refusal: Refusal | None = None, about: str | None = None) -> str:
    let_go()
    now = clock.now()
    waiting = withdrawal.to_replace(now=now)
    supply = clinic_supply.current()
    appointments = {w.hit.public_id: book.by_public_id(w.hit.public_id) for w in waiting}
    html = render_template(
        "desk/supply/replace.html",
        waiting=waiting,
        appointments=appointments,
        texts={p: consent.standing(a.patient) for p, a in appointments.items()},
        could={
            w.hit.public_id: withdrawal.could_take_over(w.hit, now=now) for w in waiting[:LOOKED_UP]
        },
        sites=supply.sites,
        services={code: s.name for code, s in supply.services.items()},
        typed=request.form.get("reason", "") if about else "",
        about=about,
        refusal=refusal,
    )
    looks.note("list.viewed", "list:to-re-place", once_in_a_while=True)
    return html
