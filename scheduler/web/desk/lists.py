"""Worklists: to call, not reached, tasks, new people."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts import queries as accounts
from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.messaging import consent
from scheduler.patients import queries as patients
from scheduler.patients.models import Patient
from scheduler.plans import calling
from scheduler.reports import board as boards
from scheduler.reports import lists, reach, unreached
from scheduler.tasks import service as tasks
from scheduler.web import login
from scheduler.web.desk import looks, signing
from scheduler.web.desk.rooms import back, say
from scheduler.web.fields import read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_lists", __name__, url_prefix="/desk")

#: How long the words about what came of a task may be.
LONGEST = 200


@bp.get("/to-call")
def to_call() -> ResponseReturnValue:
    """Show today's calls that are still to be made."""
    now = clock.now()
    calls = lists.to_call(now=now)
    page = render_template(
        "desk/to_call.html",
        calls=calls,
        standings={a.id: boards.standing(a, now=now) for a in calls},
        texts={a.id: consent.standing(a.patient) for a in calls},
        services={c: s.name for c, s in clinic_supply.current().services.items()},
        several=len(clinic_supply.current().sites) > 1,
    )
    return _looked_at(page, "to-call")


@bp.get("/not-reached")
def not_reached() -> ResponseReturnValue:
    """Show who has not been reached and is to be called today."""
    return _to_reach()


@bp.get("/reach")
def show_reach() -> ResponseReturnValue:
    """Show of every visit of the next days how far word of it came."""
    now = clock.now()
    visits = reach.coming(now=now)
    texted = consent.textable_among({a.patient_id for a in visits})
    page = render_template(
        "desk/reach.html",
        visits=visits,
        reached=reach.of(visits, now=now, texted=texted),
        texts=texted,
        services={c: s.name for c, s in clinic_supply.current().services.items()},
    )
    return _looked_at(page, "reach")


@bp.post("/not-reached/<string:public_id>")
@requires(Act.BOOK)
def note_call(public_id: str) -> ResponseReturnValue:
    """Note what came of calling somebody who was not reached."""
    try:
        said = request.form.get("answer", "")
        if said not in {answer.value for answer in calling.Answer}:
            raise Invalid("Choose what came of the call.")
        with transaction():
            calling.note_call(
                patients.by_public_id(public_id),
                [_as_shown(key) for key in request.form.getlist("visit")[:20]],
                calling.Answer(said),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _to_reach(refusal, public_id), refusal.status
    say("Noted.")
    return redirect(url_for(".not_reached"), code=303)


def _as_shown(key: str) -> Appointment:
    """Return a visit of the list, if it is still as the page had it.

    Raises:
        NotFound: there is none.
        Invalid: it was changed since.
    """
    public_id, _, sequence = key.partition(":")
    visit = book.by_public_id(public_id)
    if read_number(sequence) != visit.sequence:
        raise Invalid("One of these visits has changed. Please look at the list again.")
    return visit


def _to_reach(refusal: Refusal | None = None, of: str = "") -> str:
    now = clock.now()
    let_go()
    people = unreached.people(now=now)
    page = render_template(
        "desk/not_reached.html",
        people=people,
        errands=lists.not_reached(),
        unclear=unreached.to_nobody(now=now),
        answers=calling.WORDS,
        names=accounts.actor_names({str(t.closed_by) for row in people for t in row.tried}),
        services={c: s.name for c, s in clinic_supply.current().services.items()},
        refusal=refusal,
        of=of,
        zone=next(iter(clinic_supply.current().sites.values())).zone,
    )
    return _looked_at(page, "not-reached")


@bp.get("/tasks")
def show_tasks() -> ResponseReturnValue:
    """Show what only a person can close."""
    return _looked_at(_errands("Tasks", lists.other_tasks(), "Nothing waits for you."), "tasks")


@bp.post("/tasks/<int:task_id>/close")
@requires(Act.ANSWER)
def close(task_id: int) -> ResponseReturnValue:
    """Close a task with what came of it."""
    outcome = request.form.get("outcome", "").strip()
    version = read_number(request.form.get("version"))
    try:
        if not signing.words_of("outcome", LONGEST):
            raise Invalid("Say in a few words what came of it.")
        if version is None:
            raise Invalid("Please open the list again.")
        with transaction():
            tasks.close(
                task_id,
                outcome,
                version=version,
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        page = _errands(
            "Tasks", lists.other_tasks(), "Nothing waits for you.", refusal, {task_id: outcome}
        )
        return page, refusal.status
    say("Closed.")
    return redirect(back(url_for(".show_tasks")), code=303)


@bp.get("/new-people")
def new_people() -> ResponseReturnValue:
    """Show who booked online and is not linked to a record yet."""
    waiting = patients.enquirers()
    page = render_template(
        "desk/new_people.html",
        people=[(p, patients.likely_same(p)) for p in waiting],
        twice=_twice(waiting),
        zone=next(iter(clinic_supply.current().sites.values())).zone,
    )
    return _looked_at(page, "new-people")


def _twice(waiting: list[Patient]) -> set[int]:
    """Return who of them came more than once, going by mobile or e-mail."""
    seen: dict[str, set[int]] = {}
    for person in waiting:
        for key in filter(None, (person.mobile, (person.email or "").lower())):
            seen.setdefault(key, set()).add(person.id)
    return {found for together in seen.values() if len(together) > 1 for found in together}


def _errands(
    title: str,
    errands: list[lists.Errand],
    nothing: str,
    refusal: Refusal | None = None,
    typed: dict[int, str] | None = None,
) -> str:
    return render_template(
        "desk/tasks.html",
        title=title,
        errands=errands,
        nothing=nothing,
        refusal=refusal,
        typed=typed or {},
        now=clock.now(),
        zone=next(iter(clinic_supply.current().sites.values())).zone,
    )


def _looked_at(page: str, name: str) -> str:
    looks.note("list.viewed", f"list:{name}", once_in_a_while=True)
    return page
