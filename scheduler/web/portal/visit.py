"""A patient's own appointment, reached by a private link: see it, move it, call it off."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.audit import service as audit
from scheduler.booking import notices, queries
from scheduler.booking.errors import NotOffered, Overtaken, PatientBusy, SlotTaken, WrongState
from scheduler.booking.models import Appointment, Status
from scheduler.booking.offers import Audience
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.core.errors import Refusal
from scheduler.messaging import consent
from scheduler.messaging import queries as messages
from scheduler.patients.links import close_feed, feed_since, open_link, renew_feed
from scheduler.plans import service as plans
from scheduler.plans import waiting
from scheduler.reports import way_home
from scheduler.treatment import readiness
from scheduler.web import visitor
from scheduler.web.fields import read_aware, read_number
from scheduler.web.i18n import gettext as _
from scheduler.web.portal import book
from scheduler.web.portal.times import best_site, times, where

visit = Blueprint("visit", __name__)

#: Where a private link leads, by what it is about.
_PAGES = {"appointment": "visit.show", "offer": "offer.show"}


def join(bp: Blueprint) -> None:
    """Add the exchange of a link for a cookie to the public blueprint."""
    bp.add_url_rule("/my/<string(length=32):token>", "exchange", exchange)


def exchange(token: str) -> ResponseReturnValue:
    """Take a private link's secret and go on under an address without it. Changes no data."""
    return go_on(token, _PAGES)


def go_on(token: str, pages: Mapping[str, str]) -> ResponseReturnValue:
    """Trade a link for a cookie and go to the page for its kind of topic."""
    now = clock.now()
    link = open_link(token, now=now)
    page = pages.get(link.topic.partition(":")[0]) if link else None
    if page is None:
        return render_template("portal/gone.html"), 404
    visitor.open_visit(token, is_booker=False, now=now)
    return redirect(url_for(page), code=303)


@visit.get("/book/booked")
def booked() -> ResponseReturnValue:
    """Say what was booked, who calls, what happens next. Only the browser that booked sees it."""
    if not visitor.is_booker():
        return redirect(url_for("visit.show"), code=303)
    appointment: Appointment = g.appointment
    patient = appointment.patient
    offering = clinic_supply.current().services[appointment.service_code]
    config = current_app.extensions["emerge_config"]
    now = clock.now()
    token = visitor.visit_token(now=now)
    lines = [_("Please keep your phone near you at that time.")]
    if consent.may_text(patient, now=now):
        lines.append(
            _("You get a text from us now, and a reminder the day before.")
            if any(m.template == "call-tomorrow" for m in messages.about(appointment.topic))
            else _("You get a text from us now.")
        )
    if patient.email:
        lines.append(_("You get a calendar entry by e-mail."))
    lines.append(
        _("On the call we ask what hurts and what you have tried, and tell you if we may help.")
    )
    lines.append(_("You decide what comes next. There is no cost and no duty."))
    return render_template(
        "portal/booked.html",
        appointment=appointment,
        zone=appointment.site.zone,
        minutes=offering.visit_minutes,
        ending=(patient.mobile or "")[-2:],
        next_lines=lines,
        calendars=notices.calendar_links(appointment, organizer=config.organizer),
        link=f"{config.public_url}{url_for('portal.exchange', token=token)}",
    )


@visit.get("/my/visit")
def show() -> ResponseReturnValue:
    """Show time, place and first initial, and what can be done about it."""
    said = _("Done. This is your new time.") if request.args.get("moved") else None
    if request.args.get("back"):
        said = _("Good. You have your time back.")
    return _page(said=said)


@visit.get("/my/visit/appointment.ics")
def calendar_file() -> ResponseReturnValue:
    """Give the appointment as a calendar file."""
    body = notices.calendar_file(
        g.appointment,
        method="PUBLISH",
        organizer=current_app.extensions["emerge_config"].organizer,
        now=clock.now(),
    )
    return Response(
        body,
        mimetype="text/calendar",
        headers={"Content-Disposition": 'attachment; filename="appointment.ics"'},
    )


@visit.post("/my/visit/dates")
def subscribe() -> ResponseReturnValue:
    """Make the address under which a calendar program finds all dates, and show it once."""
    appointment: Appointment = g.appointment
    now = clock.now()
    with transaction():
        token = renew_feed(appointment.patient, now=now)
        audit.record(
            "feed.renewed",
            f"patient:{appointment.patient_id}",
            actor=f"patient:{appointment.patient_id}",
            now=now,
            patient_id=appointment.patient_id,
        )
    config = current_app.extensions["emerge_config"]
    address = f"{config.public_url}{url_for('feeds.dates', token=token)}"
    return render_template("portal/dates.html", address=address)


@visit.post("/my/visit/dates/stop")
def unsubscribe() -> ResponseReturnValue:
    """Close their calendar address; what a program has read already stays there."""
    appointment: Appointment = g.appointment
    now = clock.now()
    with transaction():
        close_feed(appointment.patient, now=now)
        audit.record(
            "feed.closed",
            f"patient:{appointment.patient_id}",
            actor=f"patient:{appointment.patient_id}",
            now=now,
            patient_id=appointment.patient_id,
        )
    return _page(said=_("Your calendar address is closed."))


@visit.post("/my/visit/open")
def open_other() -> ResponseReturnValue:
    """Go to another of their dates: a text may tell of several, and its link opens the first."""
    now = clock.now()
    coming = {a.public_id: a for a in queries.upcoming(g.appointment.patient_id, now=now)}
    wanted = coming.get(request.form.get("which", ""))
    if wanted is not None:  # else it was called off meanwhile: the page says what stands
        with transaction():
            token = notices.page_token(wanted, now=now)
        visitor.open_visit(token, is_booker=False, now=now)
    return redirect(url_for("visit.show"), code=303)


@visit.post("/my/visit/sooner")
def wait_for_sooner() -> ResponseReturnValue:
    """Put them on the list of those who are told when a sooner time comes free."""
    appointment: Appointment = g.appointment
    now = clock.now()
    try:
        with transaction():
            waiting.ask_sooner(appointment, actor=f"patient:{appointment.patient_id}", now=now)
    except Refusal:
        pass  # on the list already, or there is nothing sooner: the page says how it stands
    return redirect(url_for("visit.show"), code=303)


@visit.post("/my/visit/sooner/stop")
def wait_no_more() -> ResponseReturnValue:
    """Take them off that list; the time they have stays theirs."""
    appointment: Appointment = g.appointment
    try:
        with transaction():
            waiting.ask_no_more(
                appointment, actor=f"patient:{appointment.patient_id}", now=clock.now()
            )
    except Refusal:
        pass  # somebody did it meanwhile
    return redirect(url_for("visit.show"), code=303)


@visit.get("/my/visit/move")
def move() -> ResponseReturnValue:
    """Show other times."""
    if not _can_move(g.appointment, now=clock.now()):
        return redirect(url_for("visit.show"), code=303)
    return _move_page(version=g.appointment.version)


@visit.post("/my/visit/move")
def change_time() -> ResponseReturnValue:
    """Give the appointment the chosen time; the old one is kept until that has worked."""
    appointment: Appointment = g.appointment
    version = read_number(request.form.get("version")) or 0
    start = read_aware(request.form.get("start"))
    now = clock.now()
    place = where(request.form.get("site")) or where(_code_of(appointment))
    if place is None or not _can_move(appointment, now=now):
        return redirect(url_for("visit.show"), code=303)
    if start is None:
        return _move_page(version=version, start_wrong=_("Choose one of the times."), status=422)
    if start == appointment.starts_at:
        return redirect(url_for("visit.show", moved=1), code=303)
    try:
        with transaction():
            plans.move(
                appointment,
                starts_at=start,
                site_id=best_site(place, start, now=now, but_appointment=appointment.id),
                version=version,
                actor=f"patient:{appointment.patient_id}",
                now=now,
                audience=Audience.ONLINE,
            )
    except Overtaken:
        return _page(trouble=_overtaken(), status=409)
    except WrongState:
        return redirect(url_for("visit.show"), code=303)
    except (SlotTaken, NotOffered):
        return _move_page(version=version, start_wrong=book.taken_words(start, place), status=409)
    except PatientBusy:
        return _move_page(
            version=version,
            start_wrong=_("You have another appointment at that time."),
            status=409,
        )
    return redirect(url_for("visit.show", moved=1), code=303)


@visit.get("/my/visit/cancel")
def cancel() -> ResponseReturnValue:
    """Ask whether it is meant. Nothing is changed by looking."""
    appointment: Appointment = g.appointment
    now = clock.now()
    if not _can_change(appointment, now=now):
        return redirect(url_for("visit.show"), code=303)
    return render_template(
        "portal/cancel.html",
        appointment=appointment,
        zone=appointment.site.zone,
        undo_minutes=_undo_minutes(appointment),
        can_move=_can_move(appointment, now=now),
    )


@visit.post("/my/visit/cancel")
def call_off() -> ResponseReturnValue:
    """Call it off; the time is kept for a change of mind."""
    appointment: Appointment = g.appointment
    now = clock.now()
    if not _can_change(appointment, now=now):
        return redirect(url_for("visit.show"), code=303)
    try:
        with transaction():
            plans.cancel(
                appointment,
                version=read_number(request.form.get("version")) or 0,
                actor=f"patient:{appointment.patient_id}",
                now=now,
                by_patient=True,
            )
    except Overtaken:
        if appointment.status is not Status.CANCELLED:
            return _page(trouble=_overtaken(), status=409)
    except WrongState:
        pass  # pressed twice: the page says how it stands
    except Refusal:  # it has begun, say: staff's words are not for the patient
        return _page(trouble=_overtaken(), status=409)
    return redirect(url_for("visit.show"), code=303)


@visit.post("/my/visit/undo")
def undo() -> ResponseReturnValue:
    """Give the time back to a patient who thought again within the fifteen minutes."""
    appointment: Appointment = g.appointment
    now = clock.now()
    if _undo_until(appointment, now=now) is None:
        return redirect(url_for("visit.show"), code=303)
    try:
        with transaction():
            plans.reinstate(appointment, actor=f"patient:{appointment.patient_id}", now=now)
    except WrongState:
        pass  # pressed twice
    except Refusal:  # taken, or the course does not allow it: why is in staff's words
        return redirect(url_for("visit.show", late=1), code=303)
    return redirect(url_for("visit.show", back=1), code=303)


def _page(
    *, said: str | None = None, trouble: str | None = None, status: int = 200
) -> ResponseReturnValue:
    appointment: Appointment = g.appointment
    now = clock.now()
    if request.args.get("late"):
        trouble = _("We are sorry: that time is no longer free.")
    can_change = _can_change(appointment, now=now)
    can_prepare = readiness.may_be_answered(appointment, now=now)
    undo_until = _undo_until(appointment, now=now)
    return (
        render_template(
            "portal/visit.html",
            appointment=appointment,
            zone=appointment.site.zone,
            heading=_heading(appointment, now=now),
            said=said if appointment.is_live else None,
            trouble=trouble,
            is_on=appointment.is_live,
            is_call=notices.is_call(appointment),
            others=[
                (other, notices.is_call(other))
                for other in queries.upcoming(appointment.patient_id, now=now)
                if other.id != appointment.id
            ],
            can_change=can_change,
            can_move=_can_move(appointment, now=now),
            can_prepare=can_prepare,
            is_prepared=can_prepare and readiness.current(appointment) is not None,
            is_sheet=way_home.sheet(appointment, now=now) is not None,
            calendars=notices.calendar_links(
                appointment, organizer=current_app.extensions["emerge_config"].organizer
            ),
            has_feed=feed_since(appointment.patient, now=now) is not None,
            waits_sooner=can_change and waiting.wish_for_sooner(appointment) is not None,
            may_wait_sooner=can_change and waiting.may_come_sooner(appointment, now=now),
            can_undo=undo_until is not None,
            undo_until=undo_until,
        ),
        status,
    )


def _move_page(
    *, version: int, start_wrong: str | None = None, status: int = 200
) -> ResponseReturnValue:
    appointment: Appointment = g.appointment
    now = clock.now()
    place = where(request.values.get("site")) or where(_code_of(appointment))
    assert place is not None
    asked = book.asked_day(place, now=now)
    shown = times(
        place,
        asked.day,
        now=now,
        but_appointment=appointment.id,
        besides=appointment.starts_at,
    )
    return (
        render_template(
            "portal/move.html",
            appointment=appointment,
            version=version,
            zone=appointment.site.zone,
            times=shown,
            chosen_start=request.values.get("start", ""),
            start_wrong=start_wrong,
            wrong=book.wrong_list(asked, start_wrong),
            typed_date=asked.typed,
            date_wrong=asked.wrong,
            empty_words=book.empty_words(shown),
            others=book.others(place),
            address=lambda day: url_for("visit.move", site=place.code, day=day.isoformat()),
            other_address=lambda code: url_for("visit.move", site=code),
        ),
        422 if asked.wrong and status == 200 else status,
    )


def _can_change(appointment: Appointment, *, now: datetime) -> bool:
    return appointment.status is Status.BOOKED and appointment.starts_at > now


def _can_move(appointment: Appointment, *, now: datetime) -> bool:
    """Only what is booked online is moved online; the rest is moved by talking to us."""
    offering = clinic_supply.current().services[appointment.service_code]
    return offering.is_online and _can_change(appointment, now=now)


def _undo_minutes(appointment: Appointment) -> int:
    return clinic_supply.current().sites[appointment.site_id].settings.undo_minutes


def _undo_until(appointment: Appointment, *, now: datetime) -> datetime | None:
    """Return until when the patient's own cancellation can be taken back, or None."""
    if appointment.status is not Status.CANCELLED or appointment.ended_at is None:
        return None
    if not appointment.changed_by.startswith("patient:"):
        return None
    until = min(
        appointment.ended_at + timedelta(minutes=_undo_minutes(appointment)),
        appointment.starts_at,
    )
    return until if until > now else None


def _code_of(appointment: Appointment) -> str:
    return appointment.site.code


def _overtaken() -> str:
    return _("Our team changed this while you had the page open. Here is how it stands now.")


def _heading(appointment: Appointment, *, now: datetime) -> str:
    if appointment.status is Status.CANCELLED:
        return _("Your appointment is cancelled")
    if appointment.status in (Status.NOSHOW, Status.IN_ERROR):
        return _("This appointment is over")
    if appointment.ends_at <= now or appointment.status is Status.FULFILLED:
        return _("This appointment is over")
    return _("Your appointment")
