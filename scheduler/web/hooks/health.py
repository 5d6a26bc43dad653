"""What a watchdog asks: is the database there, and is a worker alive?"""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from scheduler.core import clock
from scheduler.messaging import queries as messages

bp = Blueprint("health", __name__)


@bp.get("/health")
def show() -> ResponseReturnValue:
    """Answer 200 while pages can be served; `worker` says whether texts would go out.

    The pages come first: a silent worker is said here and on the desk's banner, but a watchdog
    that restarts the web server for it would only make things worse.
    """
    silent = messages.worker_is_silent(now=clock.now())
    return jsonify(database="ok", worker="silent" if silent else "ok")
