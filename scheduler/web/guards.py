"""Who may come in. Every blueprint is given its guard where it is registered."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import (
    Blueprint,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from scheduler.accounts import queries as accounts_queries
from scheduler.accounts import service as accounts
from scheduler.accounts.rules import Act
from scheduler.booking import queries
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.core.errors import Forbidden
from scheduler.patients.links import open_link
from scheduler.waitlist import service as waitlist
from scheduler.web import i18n, kept, login, visitor
from scheduler.web.errors import answer

Guard = Callable[[], ResponseReturnValue | None]
P = ParamSpec("P")
R = TypeVar("R")

#: Noting each use of a session would be a write a click; a minute is exact enough for 15.
NOTE_USE_EVERY = timedelta(minutes=1)


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


def offer_link() -> ResponseReturnValue | None:
    """Let in a browser that opened the link of an offer a short while ago, as `manage_link` does.

    Puts the one offer it may see into `g.offer`.
    """
    now = clock.now()
    token = visitor.visit_token(now=now)
    link = open_link(token, now=now) if token else None
    offer = waitlist.offer_of(link.topic) if link else None
    if offer is None:
        return render_template("portal/gone.html"), 404
    if not request.cookies.get(i18n.COOKIE):
        g.language = offer.entry.patient.language
    g.offer = offer
    return None


def signed_request() -> None:
    """Let the view in that judges the sender's signature itself, before it reads anything."""


def signed_in() -> ResponseReturnValue | None:
    """Let staff in who are signed in; send others to the sign-in page and back afterwards."""
    person = login.somebody()
    if person is None:
        return _sign_in_first()
    if not person.may(Act.SEE_DESK):
        raise Forbidden("This page is not part of your work here.")
    now = clock.now()
    if not login.is_poll() and now - person.session.last_used_at >= NOTE_USE_EVERY:
        with transaction():
            accounts.keep_alive(person.session.session_id, now=now)
    return None


def supply_keeper() -> ResponseReturnValue | None:
    """Let staff in who may change what the clinic can give: sites, hours, people, services."""
    answered = signed_in()
    if answered is None:
        insist(Act.CHANGE_SUPPLY)
    return answered


def texts_keeper() -> ResponseReturnValue | None:
    """Let staff in who may change what messages say."""
    answered = signed_in()
    if answered is None:
        insist(Act.CHANGE_TEXTS)
    return answered


def requires(act: Act) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only those whose role gives them `act` reach a view of a guarded blueprint.

    Raises:
        Forbidden: from the view, for everybody else.
    """

    def around(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def only_with_the_right(*args: P.args, **kwargs: P.kwargs) -> R:
            insist(act)
            return view(*args, **kwargs)

        return only_with_the_right

    return around


def insist(act: Act) -> None:
    """Stop here unless the person signed in may `act`.

    Raises:
        Forbidden: they may not.
    """
    if not login.me().may(act):
        raise Forbidden("Your role does not include this. Please ask a colleague who may do it.")


def _end_for_good(token: object) -> None:
    now = clock.now()
    if isinstance(token, str) and accounts_queries.has_lapsed(token, now=now):
        with transaction():
            accounts.end_lapsed(token, now=now)


def _sign_in_first() -> ResponseReturnValue:
    ended = session.pop("_user_id", None)
    if ended:
        session["signed_out"] = True  # so that the page can say why
        _end_for_good(ended)
    if login.is_poll() or "X-Fragment" in request.headers:
        return answer(
            401,
            code="signed-out",
            heading="Please sign in again",
            message="You were signed out. Please sign in again.",
        )
    if request.method == "GET":
        back = request.full_path.rstrip("?")
        return redirect(url_for("desk_sign_in.show", next=back), code=303)
    staff_id = accounts_queries.owner_of(ended) if isinstance(ended, str) else None
    if staff_id is None:
        return redirect(url_for("desk_sign_in.show"), code=303)
    # What they typed stays with the page that asks them to sign in.
    g.kept = kept.seal_request(staff_id, now=clock.now())
    return make_response(current_app.view_functions["desk_sign_in.show"](), 401)
