"""What a person or a machine is told when something cannot be done. Never a stack."""

import logging
from http import HTTPStatus

import sqlalchemy as sa
from flask import Flask, Response, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from scheduler.core.errors import Refusal

log = logging.getLogger(__name__)

MACHINES = ("/hooks/", "/api/", "/fhir/")
NOT_REPEATED = ("csrf_token", "password", "current_password", "new_password")


def _words(status: int) -> tuple[str, str]:
    """Return a heading and a sentence for a status, in the reader's language."""
    match status:
        case 400:
            return gettext("That did not come through"), gettext(
                "Please go back and try it once more."
            )
        case 403:
            return gettext("This page is not open to you"), gettext(
                "If you need it for your work, please ask an administrator."
            )
        case 404 | 410:
            return gettext("We cannot find that page"), gettext(
                "The link may be old, or a letter may be missing from the address."
            )
        case 405:
            return gettext("That does not work here"), gettext(
                "Please go back and use the buttons on the page."
            )
        case 413:
            return gettext("That was too much at once"), gettext(
                "Please send less text and try again."
            )
        case 429:
            return gettext("Too many tries"), gettext("Please wait a few minutes and try again.")
        case 503:
            return gettext("We will be right back"), gettext(
                "Nothing was lost or changed. Please try again in a minute."
            )
        case status if status < 500:
            return gettext("That cannot be done"), gettext("Please go back and try again.")
        case _:
            return gettext("Something went wrong on our side"), gettext(
                "Nothing was changed. Please try again. If it keeps happening, tell us the number "
                "below."
            )


def answer(
    status: int,
    *,
    code: str,
    heading: str,
    message: str,
    again: list[tuple[str, str]] | None = None,
) -> Response:
    """Return the answer in the form the asker reads: page, fragment, or problem document.

    `again` holds what was typed, when sending the same form once more is the way out.
    """
    request_id = g.get("request_id", "-")
    if request.path.startswith(MACHINES) or request.accept_mimetypes.best == "application/json":
        response = make_response(
            {
                "type": "about:blank",
                "title": heading,
                "status": status,
                "detail": message,
                "code": code,
                "request": request_id,
            }
        )
        response.content_type = "application/problem+json"
    else:
        fragment = "HX-Request" in request.headers or "X-Fragment" in request.headers
        response = make_response(
            render_template(
                "errors/_fragment.html" if fragment else "errors/page.html",
                status=status,
                code=code,
                heading=heading,
                message=message,
                request_id=request_id,
                again=again,
            )
        )
    response.status_code = status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "5"
    return response


def join(app: Flask) -> None:
    """Give every failure a kind page."""

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> ResponseReturnValue:
        heading, _ = _words(refusal.status)
        return answer(refusal.status, code=refusal.code, heading=heading, message=refusal.message)

    @app.errorhandler(CSRFError)
    def form_too_old(_: CSRFError) -> ResponseReturnValue:
        # What was typed is only offered again to a form that came from one of our own pages.
        ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
        typed = [
            (name, value)
            for name, value in request.form.items(multi=True)
            if name not in NOT_REPEATED
        ]
        secret = any(name in request.form for name in NOT_REPEATED if name != "csrf_token")
        return answer(
            400,
            code="form-expired",
            heading=gettext("This page was open for a long time"),
            message=gettext("For your safety we need you to send it once more."),
            again=typed if ours and not secret else None,
        )

    @app.errorhandler(HTTPException)
    def known(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if error.response is not None or status < 400:
            return error.get_response()
        heading, message = _words(status)
        response = answer(status, code=str(status), heading=heading, message=message)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or ())
        return response

    @app.errorhandler(sa.exc.OperationalError)
    @app.errorhandler(sa.exc.TimeoutError)
    def database_away(error: Exception) -> ResponseReturnValue:
        # The statement and its values may hold a person's data: only the kind is written down.
        log.error("database away: %s request=%s", type(error).__name__, g.get("request_id"))
        heading, message = _words(503)
        return answer(503, code="unavailable", heading=heading, message=message)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> ResponseReturnValue:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "-"
        log.error("%s at %s request=%s", type(error).__name__, where, g.get("request_id"))
        if app.testing and app.config.get("PROPAGATE_EXCEPTIONS"):
            raise error
        heading, message = _words(500)
        return answer(500, code="fault", heading=heading, message=message)
