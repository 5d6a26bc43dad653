"""Protocols: an administrator imports a draft, a clinician activates it; the check is in words."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts import queries as accounts
from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import db, let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.plans import library, protocol
from scheduler.plans.library import Preview
from scheduler.plans.models import ProtocolVersion
from scheduler.web import login
from scheduler.web.desk import looks, refusals, signing
from scheduler.web.desk.rooms import say
from scheduler.web.guards import requires

bp = Blueprint("desk_protocols", __name__, url_prefix="/desk/protocols")

LARGEST = 200_000  # letters


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Show every version with its check."""
    return _page()


@bp.post("", strict_slashes=False)
@requires(Act.DRAFT_PROTOCOL)
def bring() -> ResponseReturnValue:
    """Import a draft; it is used by nothing yet."""
    try:
        text = _text()
        with transaction():
            row = library.import_draft(text, actor=login.me().actor, now=clock.now())
            number = row.number
    except Refusal as refusal:
        return _page(refusal), refusal.status
    say(f"Imported as version {number}. A clinician activates it.")
    return redirect(url_for(".show"), code=303)


@bp.post("/preview")
@requires(Act.DRAFT_PROTOCOL)
def preview() -> ResponseReturnValue:
    """Show what a text would be as a version, before it is kept."""
    try:
        text = _text()
        shown = library.preview(text)
    except Refusal as refusal:
        return _page(refusal), refusal.status
    return _page(preview=shown, text=text)


@bp.post("/<int:row_id>/activate")
@requires(Act.ACTIVATE_PROTOCOL)
def activate(row_id: int) -> ResponseReturnValue:
    """Propose plans from a version from now on."""
    try:
        word = signing.signed()
        with transaction():
            row = db.session.get(ProtocolVersion, row_id)
            if row is None:
                raise NotFound("There is no such version.")
            library.activate(row, word.staff, now=clock.now())
    except Refusal as refusal:
        return _page(refusal, row_id), refusal.status
    say("Active. New plans are proposed from it.")
    return redirect(url_for(".show"), code=303)


def _text() -> str:
    file = request.files.get("file")
    try:
        text = file.read().decode() if file and file.filename else request.form.get("text", "")
    except UnicodeDecodeError:
        raise Invalid("This file is no text.", field="file") from None
    if not text.strip():
        raise Invalid("Choose a file, or paste its text.", field="file")
    if len(text) > LARGEST:
        raise Invalid("That is longer than any protocol.", field="file")
    return text


def _page(
    refusal: Refusal | None = None,
    about: int | None = None,
    *,
    preview: Preview | None = None,
    text: str | None = None,
) -> str:
    let_go()
    versions = library.versions()
    html = render_template(
        "desk/protocols.html",
        versions=[(row, library.problems(row), library.table_of(row)) for row in versions],
        names=accounts.actor_names(
            {row.imported_by for row in versions}
            | {f"staff:{row.activated_by_id}" for row in versions if row.activated_by_id}
        ),
        refusal=refusal,
        lines=refusals.lines(refusal),
        about=about,
        preview=preview,
        text=request.form.get("text", "") if text is None else text,
        tables=protocol,
        zone=next(iter(clinic_supply.current().sites.values())).zone,
    )
    looks.note("list.viewed", "list:protocols", once_in_a_while=True)
    return html
