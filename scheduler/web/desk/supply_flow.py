"""How every change of the supply is asked for: who is hit is shown first, then it is kept."""

from collections.abc import Callable

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue

from scheduler.accounts import queries as accounts
from scheduler.booking.withdrawal import Impact, PeopleAreHit, withdraw_supply
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.marks import ChangedMeanwhile
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.rooms import say
from scheduler.web.fields import Form

#: What the page of who is hit adds to the fields that were typed.
OURS = ("csrf_token", "seen", "step")

#: How a deed on the supply is named to whoever it surprises.
DEEDS = {
    "site.changed": "changed this clinic",
    "setting.changed": "changed these numbers",
    "chair.renamed": "renamed this chair",
    "hours.set": "changed these hours",
    "shifts.set": "changed these shifts",
    "person.changed": "changed this person's entry",
    "service.changed": "changed this service",
    "person.account-chosen": "chose who signs in as this person",
}


def carry_out(
    change: Callable[[], object],
    again: Callable[[Refusal | None], str],
    *,
    form: Form | None = None,
    question: str,
    done: str,
    back: str,
) -> ResponseReturnValue:
    """Make one change of the supply, after whoever it hits was looked at.

    The first sending makes it at once when nobody is hit; else it shows who is, and keeps
    nothing. The second sending carries what was shown, and is held against how things are then.

    Args:
        change: The verbs; they may raise a refusal, said at its field.
        again: Renders the form once more, with what was typed.
        question: What is about to be done, as a heading.
        done: What was done.
        back: Where to go afterwards.
    """
    if form is not None and not form.validate():
        return again(None), 422
    if request.form.get("step") == "edit":
        return again(None)
    try:
        with transaction():
            impact = withdraw_supply(
                change,
                seen=request.form.get("seen", "").split(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except PeopleAreHit as refusal:
        was_shown = bool(request.form.get("seen"))
        return _impact(refusal, question, back, was_shown), 409 if was_shown else 200
    except Refusal as refusal:
        return again(told(refusal)), refusal.status
    say(f"{done} {_summary(impact)}".strip())
    return redirect(back, code=303)


def told(refusal: Refusal) -> Refusal:
    """Return a refusal that says who changed a thing meanwhile, where it is known."""
    if not isinstance(refusal, ChangedMeanwhile) or refusal.actor is None:
        return refusal
    let_go()
    who = accounts.actor_names({refusal.actor}).get(refusal.actor, "Somebody")
    what = DEEDS.get(refusal.what or "", "changed this")
    refusal.message = (
        f"{who} {what} while you had this open. Nothing of yours is lost: look at how it stands "
        "now, then save again."
    )
    return refusal


def typed_mark() -> str | None:
    """Return the print of what the page had read."""
    return request.form.get("mark")


def _impact(refusal: PeopleAreHit, question: str, back: str, was_shown: bool) -> str:
    let_go()
    supply = clinic_supply.current()
    page = render_template(
        "desk/supply/impact.html",
        impact=refusal.impact,
        question=question,
        refusal=refusal if was_shown else None,
        kept=[(k, v) for k, v in request.form.items(multi=True) if k not in OURS],
        seen=" ".join(hit.mark for hit in refusal.impact.hits),
        sites=supply.sites,
        services={code: s.name for code, s in supply.services.items()},
        back=back,
    )
    looks.note(
        "supply.impact.viewed", "supply", found=[h.appointment_id for h in refusal.impact.hits]
    )
    return page


def _summary(impact: Impact) -> str:
    words = []
    if impact.hits:
        number = len(impact.hits)
        words.append(
            "1 appointment is on the list “To re-place”."
            if number == 1
            else f"{number} appointments are on the list “To re-place”."
        )
    if impact.reseated:
        number = impact.reseated
        words.append(
            "1 visit has another chair or lane; nobody needs to be told."
            if number == 1
            else f"{number} visits have another chair or lane; nobody needs to be told."
        )
    if impact.healed:
        number = impact.healed
        words.append(
            "1 appointment has its place again."
            if number == 1
            else f"{number} appointments have their place again."
        )
    return " ".join(words)


def number_of(text: str | None, field: str) -> int:
    """Read a whole number.

    Raises:
        Invalid: it is none, or far too long to be meant.
    """
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise Invalid("Enter a whole number.", field=field)
    return int(text)
