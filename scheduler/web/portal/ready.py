"""The questions before a visit, and by when to eat and drink, reached by the private link."""

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from scheduler.booking.models import Appointment
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Stale
from scheduler.treatment import readiness
from scheduler.treatment.errors import NotInOrder
from scheduler.web.portal.visit import go_on, visit
from scheduler.web.ready_form import ReadyForm, hours


def join(bp: Blueprint) -> None:
    """Add the exchange of the link in a reminder for a cookie to the public blueprint."""
    bp.add_url_rule("/my/<string(length=32):token>/ready", "exchange_ready", exchange)


def exchange(token: str) -> ResponseReturnValue:
    """Take the link's secret and go on to the questions, under an address without it."""
    return go_on(token, {"appointment": "visit.ready"})


@visit.get("/my/visit/ready")
def ready() -> ResponseReturnValue:
    """Show the hours of that day, and the questions; once answered, only that they were."""
    appointment: Appointment = g.appointment
    if not readiness.may_be_answered(appointment, now=clock.now()):
        return redirect(url_for("visit.show"), code=303)
    return _page(ReadyForm(formdata=None))


@visit.post("/my/visit/ready")
def answer_ready() -> ResponseReturnValue:
    """Keep the answers; what is missing or wrong shows the form again with all that was typed."""
    appointment: Appointment = g.appointment
    form = ReadyForm()
    now = clock.now()
    if not readiness.may_be_answered(appointment, now=now):
        return redirect(url_for("visit.show"), code=303)
    if not form.validate() or form.starts.data is None:
        return _page(form), 422
    try:
        with transaction():
            readiness.answer(
                appointment,
                form.given(),
                seen_start=form.starts.data,
                actor=f"patient:{appointment.patient_id}",
                now=now,
            )
    except Stale as refusal:
        words = _("Your visit has a new time. Please look at the times again, then send.")
        return _page(form, words), refusal.status
    except Invalid as refusal:
        return _page(form, _("Please call us to change your answers.")), refusal.status
    except NotInOrder:
        return redirect(url_for("visit.show"), code=303)
    return redirect(url_for("visit.ready"), code=303)


def _page(form: ReadyForm, trouble: str | None = None) -> str:
    let_go()
    appointment: Appointment = g.appointment
    answered = readiness.current(appointment)
    # What was answered is not shown again: the link may be open on somebody else's screen.
    asks = answered is None or request.method == "POST" or "again" in request.args
    wrong = form.wrong() if request.method == "POST" else []
    return render_template(
        "portal/ready.html",
        appointment=appointment,
        zone=appointment.site.zone,
        hours=hours(appointment),
        consent_version=readiness.consent_signed(appointment),
        form=form,
        asks=asks,
        is_open=bool(answered and readiness.concerns(answered)),
        trouble=trouble,
        wrong=[(None, trouble), *wrong] if trouble else wrong,
    )
