"""The public page: what the call is, where we are, and the way in."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from scheduler.booking import offers
from scheduler.booking.offers import Audience
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core import clock
from scheduler.web import display


def join(bp: Blueprint) -> None:
    """Add the page to the public blueprint."""
    bp.add_url_rule("/", "home", home)


def home() -> ResponseReturnValue:
    """Show the page, with the next free time when there is one."""
    now = clock.now()
    supply = clinic_supply.current()
    call = supply.services.get(ServiceCode.CALL)
    soonest = None
    if call is not None:
        soonest = offers.first_free(
            ServiceCode.CALL,
            site_ids=list(supply.sites),
            after=now,
            now=now,
            audience=Audience.ONLINE,
            within=call.horizon,
        )
    return render_template(
        "portal/home.html",
        call_minutes=call.visit_minutes if call else 15,
        soonest=display.moment(soonest.starts_at, supply.sites[soonest.site_id].zone)
        if soonest
        else None,
    )
