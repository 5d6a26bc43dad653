"""What Twilio tells us: a text that came in, and how one of ours fared.

Nothing is read before the signature is judged, on the address we were configured with and never
on the one a request claims. Answers say nothing: neither whether a row exists nor what was done.
"""

import logging

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from config import Config
from scheduler.booking import notices
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.jobs import answer, deliver
from scheduler.messaging import addresses, evidence, inbound, signatures
from scheduler.web.fields import Typed

bp = Blueprint("twilio", __name__)
security = logging.getLogger("scheduler.security")

_EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

#: What the desk reads where somebody sent a picture without a word. We keep none.
_PICTURE = "(a picture, which is not kept here)"


@bp.post(addresses.TEXTS)
def text() -> ResponseReturnValue:
    """Take in a text. The answer is queued; the reply to this request is empty."""
    address = addresses.inbound(_config().public_url)
    _judge_signature(address)
    form = Typed(request.form)
    now = clock.now()
    if _is_ours() and form.get("MessageSid") and form.get("From"):
        with transaction():
            inbound.note_route(address, now=now)
            answer.take_in(
                provider_ref=form["MessageSid"],
                number=form["From"],
                body=form.get("Body") or (_PICTURE if _holds_pictures() else ""),
                opt_out=form.get("OptOutType"),
                now=now,
            )
    return Response(_EMPTY, mimetype="text/xml")


@bp.post(f"{addresses.REPORTS}/<string:public_id>")
def report(public_id: str) -> ResponseReturnValue:
    """Note how one of our texts fared. Unknown and stale ones get the same answer."""
    _judge_signature(addresses.report(_config().public_url, public_id))
    form = Typed(request.form)  # signed as it came, kept as it can be
    now = clock.now()
    if _is_ours() and form.get("MessageSid") and form.get("MessageStatus"):
        with transaction():
            sent = evidence.record_report(
                public_id,
                form["MessageSid"],
                form["MessageStatus"],
                form.get("ErrorCode") or None,
                now=now,
            )
            deliver.tell(lambda message, at: notices.after_sent(message, now=at), sent, now)
    return "", 204


def _judge_signature(url: str) -> None:
    config = _config()
    if signatures.is_signed(
        url,
        list(request.form.items(multi=True)),
        signature=request.headers.get(signatures.SIGNATURE),
        settings=request.headers.get(signatures.SETTINGS),
        auth_token=config.twilio_auth_token,
        shared_key=config.twilio_shared_key,
    ):
        return
    security.warning("a request to %s did not carry the provider's signature", request.endpoint)
    abort(403)


def _holds_pictures() -> bool:
    return request.form.get("NumMedia", "0") not in ("", "0")


def _is_ours() -> bool:
    """Say whether it speaks of our account; another one's is noted and left alone."""
    account = request.form.get("AccountSid")
    if account == _config().twilio_account_sid:
        return True
    security.warning("a signed request to %s named another account", request.endpoint)
    return False


def _config() -> Config:
    config: Config = current_app.extensions["emerge_config"]
    return config
