"""Who may come in. Every blueprint is given its guard where it is registered."""

from collections.abc import Callable

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from scheduler.booking import queries
from scheduler.core import clock
from scheduler.patients.links import open_link
from scheduler.web import i18n, visitor

Guard = Callable[[], ResponseReturnValue | None]


def protect(blueprint: Blueprint, guard: Guard) -> Blueprint:
    """Put `guard` before every view of `blueprint`, and write its name on it."""
    if getattr(blueprint, "guard", None) is None:
        blueprint.guard = guard.__name__  # type: ignore[attr-defined]
        blueprint.before_request(guard)
    return blueprint


def public() -> None:
    """Let anybody in."""


def manage_link() -> ResponseReturnValue | None:
    """Let in a browser that opened a private link a short while ago; to others nothing is there.

    Puts the one appointment it may see into `g.appointment`, and speaks its patient's language
    unless the browser was told another.
    """
    now = clock.now()
    token = visitor.visit_token(now=now)
    link = open_link(token, now=now) if token else None
    appointment = queries.by_topic(link.topic) if link else None
    if appointment is None:
        return render_template("portal/gone.html"), 404
    if not request.cookies.get(i18n.COOKIE):
        g.language = appointment.patient.language
    g.appointment = appointment
    return None


def signed_request() -> None:
    """Let the view in that judges the sender's signature itself, before it reads anything."""
