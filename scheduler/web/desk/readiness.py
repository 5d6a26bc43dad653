"""Readiness before a visit: what was answered, and asking it on the phone."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts import queries as accounts
from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.core.phone import shown
from scheduler.reports.history import who
from scheduler.treatment import readiness
from scheduler.treatment.models import ReadinessAnswer
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.rooms import back, say
from scheduler.web.guards import requires
from scheduler.web.ready_form import ReadyForm, hours

bp = Blueprint("desk_readiness", __name__, url_prefix="/desk/ready")


@dataclass(frozen=True)
class Answered:
    """What was answered, in words by item; `wrong` are the items that are not as they must be."""

    words: dict[str, str]
    wrong: frozenset[str]
    escort: str | None
    who: str
    at: datetime


def answered(appointment: Appointment, *, clinical: bool) -> Answered | None:
    """Return what was answered for the time the visit has now, for who reads it.

    Args:
        clinical: Whether they may read in words what is new with somebody's health.
    """
    found = readiness.current(appointment)
    if found is None:
        return None
    names = accounts.actor_names({found.recorded_by})
    return Answered(
        words=_words(found, clinical=clinical),
        wrong=frozenset(readiness.concerns(found)),
        escort=found.escort_name,
        who=names.get(found.recorded_by) or who(found.recorded_by),
        at=found.recorded_at,
    )


@bp.get("/<string:public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show what was answered, and the questions to ask on the phone."""
    return _page(public_id, ReadyForm(formdata=None), None)


@bp.post("/<string:public_id>")
@requires(Act.BOOK)
def record(public_id: str) -> ResponseReturnValue:
    """Keep what they said on the phone."""
    form = ReadyForm()
    try:
        if not form.validate() or form.starts.data is None:
            raise Invalid("Please check what is marked.")
        with transaction():
            readiness.answer(
                book.by_public_id(public_id),
                form.given(),
                seen_start=form.starts.data,
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _page(public_id, form, refusal), refusal.status
    say("Kept.", about=public_id)
    return redirect(
        back(url_for("desk_appointments.show", public_id=public_id)),
        code=303,
    )


def _words(found: ReadinessAnswer, *, clinical: bool) -> dict[str, str]:
    escort = "Nobody found yet"
    if found.has_escort:
        phone = shown(found.escort_phone) if found.escort_phone else ""
        escort = ", ".join(part for part in (found.escort_name, phone) if part)
    illness = "Nothing new"
    if found.is_ill:
        illness = "Something is new"
        if clinical and found.illness:
            illness += f": {found.illness}"
    version = f" (version {found.consent_version})" if found.consent_version else ""
    return {
        "escort": escort,
        "fasting": "Keeps to the times" if found.keeps_times else "Has a question about the times",
        "medicines": "Knows which to take" if found.knows_medicines else "Has a question",
        "no-new-illness": illness,
        "consent": f"Still agrees{version}" if found.agrees else "Wants to talk about it first",
    }


def _page(public_id: str, form: ReadyForm, refusal: Refusal | None) -> str:
    let_go()
    appointment = book.by_public_id(public_id)
    if appointment.service_code not in readiness.INFUSIONS:
        raise NotFound("Nothing is asked before this appointment.")
    html = render_template(
        "desk/readiness.html",
        a=appointment,
        zone=appointment.site.zone,
        answered=answered(appointment, clinical=login.me().may(Act.SEE_CLINICAL)),
        is_asked=readiness.is_asked(appointment),
        consent_version=readiness.consent_signed(appointment),
        hours=hours(appointment),
        form=form,
        refusal=None if any(f.errors for f in form) else refusal,
        has_errors=request.method == "POST" and any(f.errors for f in form),
        back=back(url_for("desk_appointments.show", public_id=public_id)),
    )
    looks.note("readiness.viewed", appointment.topic, patient_id=appointment.patient_id)
    return html
