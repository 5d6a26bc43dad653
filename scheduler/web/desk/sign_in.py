"""Staff come in, and go out."""

import re

from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_user, logout_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from scheduler.accounts import passwords
from scheduler.accounts import queries as accounts
from scheduler.accounts import service as door
from scheduler.accounts.errors import SignInRefused
from scheduler.accounts.rules import LONGEST_PASSWORD
from scheduler.core import clock, network
from scheduler.core.db import let_go, transaction
from scheduler.web import kept, login
from scheduler.web.fields import Form

bp = Blueprint("desk_sign_in", __name__, url_prefix="/desk")

#: One slash, then anything but another slash or a backslash: never another host.
_LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x1f]*")


class SignInForm(Form):
    """A name and a password."""

    username = StringField("User name", [InputRequired("Enter your user name."), Length(max=200)])
    password = PasswordField(
        "Password",
        [
            InputRequired("Enter your password."),
            Length(max=LONGEST_PASSWORD, message="That is longer than any password here."),
        ],
    )


@bp.get("/sign-in")
def show() -> ResponseReturnValue:
    """Show the form, or go on when there is nothing to ask."""
    if login.somebody():
        return redirect(_afterwards(), code=303)
    return _page(SignInForm(formdata=None), timed_out=bool(session.pop("signed_out", False)))


@bp.post("/sign-in")
def enter() -> ResponseReturnValue:
    """Let somebody in whose name and password fit; the session is a new one."""
    form = SignInForm()
    if not form.validate():
        return _page(form), 422
    try:
        token = _try(str(form.username.data), str(form.password.data))
    except SignInRefused as refusal:
        form.password.errors = [refusal.message]
        return _page(form), refusal.status
    onward, now = _afterwards(), clock.now()
    session.clear()
    g.pop("csrf_token", None)  # it belonged to the session that was cleared
    found = accounts.find_session(token, now=now)
    assert found is not None
    login_user(login.SignedIn(found, token))
    unsent = kept.open_sealed(request.form.get(kept.FIELD, ""), staff_id=found.staff_id, now=now)
    if unsent is not None:
        return render_template("desk/kept.html", kept=unsent)
    return redirect(onward, code=303)


@bp.post("/sign-out")
def leave() -> ResponseReturnValue:
    """End the session here and on the server."""
    person = login.somebody()
    if person:
        with transaction():
            door.end_session(person.session.session_id, actor=person.actor, now=clock.now())
    logout_user()
    session.clear()
    return redirect(url_for(".show"), code=303)


def _try(username: str, password: str) -> str:
    """Try one password and return the secret of the new session.

    No transaction is open while the password is hashed: that takes a tenth of a second, and
    writers would wait for it.
    """
    now, origin = clock.now(), network.place(request.remote_addr or "-")
    door.refuse_when_locked(username, origin=origin, now=now)
    with transaction():
        attempt_id = door.note_try(username, origin=origin, now=now)
    door.refuse_when_locked(username, origin=origin, now=now, noted=1)
    person = accounts.find_staff(door.plain_username(username))
    stored = person.password_hash if person and person.is_active else None
    let_go()
    if not passwords.fits(stored, password):
        with transaction():
            door.note_failure(username, now=now)
        raise door.no_such_pair()
    with transaction():
        door.renew_hash(username, password)
        return door.open_session(username, attempt_id, origin=origin, now=now)


def _afterwards() -> str:
    wanted = request.args.get("next", "")
    return wanted if _LOCAL_PATH.fullmatch(wanted) else url_for("desk.today")


def _page(form: SignInForm, *, timed_out: bool = False) -> str:
    return render_template(
        "desk/sign_in.html",
        form=form,
        timed_out=timed_out,
        next=request.args.get("next"),
        kept=g.get("kept") or request.form.get(kept.FIELD),
        is_demo=current_app.extensions["emerge_config"].is_demo,
    )
