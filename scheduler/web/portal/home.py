"""The public page: what the call is, where we are, and the way in."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core import clock
from scheduler.web import display
from scheduler.web.portal.times import EITHER, times, where


def join(bp: Blueprint) -> None:
    """Add the page to the public blueprint."""
    bp.add_url_rule("/", "home", home)


def home() -> ResponseReturnValue:
    """Show the page, with the next free time when there is one."""
    call = clinic_supply.current().services.get(ServiceCode.CALL)
    place = where(EITHER)
    shown = times(place, None, now=clock.now()) if call and place else None
    return render_template(
        "portal/home.html",
        call_minutes=call.visit_minutes if call else 15,
        soonest=display.moment(shown.parts[0].moments[0], shown.zone)
        if shown and shown.parts
        else None,
    )
