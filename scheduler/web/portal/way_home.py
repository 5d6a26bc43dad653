"""The words to take home after a visit, reached by the link in a text."""

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from scheduler.core import clock
from scheduler.reports import way_home as reports
from scheduler.web.portal.visit import go_on, visit


def join(bp: Blueprint) -> None:
    """Add the exchange of the link in the text for a cookie to the public blueprint."""
    bp.add_url_rule("/my/<string(length=32):token>/home", "exchange_home", exchange)


def exchange(token: str) -> ResponseReturnValue:
    """Take the link's secret and go on to the words, under an address without it."""
    return go_on(token, {"appointment": "visit.way_home"})


@visit.get("/my/visit/home")
def way_home() -> ResponseReturnValue:
    """Show the words to take home, once there is something to go home from."""
    found = reports.sheet(g.appointment, now=clock.now())
    if found is None:
        return redirect(url_for("visit.show"), code=303)
    return render_template("portal/way_home.html", sheet=found, zone=g.appointment.site.zone)
