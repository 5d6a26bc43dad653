"""One's own calendar addresses: make, read once, close."""

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts import feeds
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.core.errors import Refusal
from scheduler.web import login
from scheduler.web.desk.rooms import say
from scheduler.web.fields import read_number

bp = Blueprint("desk_calendars", __name__, url_prefix="/desk/calendars")


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Show which addresses are open, and since when they were last read."""
    return _page()


@bp.post("", strict_slashes=False)
def make() -> ResponseReturnValue:
    """Make an address and show it, this once."""
    asked = read_number(request.form.get("site"))
    site_id = asked if asked in clinic_supply.current().sites else None
    with transaction():
        token = feeds.renew(login.me().id, site_id, now=clock.now())
    config = current_app.extensions["emerge_config"]
    return _page(address=f"{config.public_url}{url_for('staff_feeds.dates', token=token)}")


@bp.post("/<int:key_id>/close")
def close(key_id: int) -> ResponseReturnValue:
    """Close one of one's own addresses at once."""
    try:
        with transaction():
            feeds.close(key_id, staff_id=login.me().id, now=clock.now())
    except Refusal as refusal:
        return _page(refusal=refusal), refusal.status
    say("Closed. Programs that read it get nothing more.")
    return redirect(url_for(".show"), code=303)


def _page(*, address: str | None = None, refusal: Refusal | None = None) -> str:
    me = login.me()
    sites = clinic_supply.current().sites
    return render_template(
        "desk/calendars.html",
        keys={key.site_id: key for key in feeds.of_staff(me.id)},
        sites=sites,
        gives_time=me.session.resource_id is not None,
        zone=next(iter(sites.values())).zone,
        address=address,
        refusal=refusal,
    )
