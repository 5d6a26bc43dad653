"""A patient's calendar feed: every date, one address, always right.

The address is the secret; calendar programs cannot sign in. It shows dates and sites only, can
be replaced by its owner, and dies when records are merged.
"""

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from scheduler.booking import notices
from scheduler.core import clock
from scheduler.patients.links import open_link
from scheduler.patients.queries import by_id
from scheduler.web.feeds import limits
from scheduler.web.feeds.answers import calendar

bp = Blueprint("feeds", __name__)
limits.join(bp)


@bp.get("/feeds/<string(length=32):token>.ics")
def dates(token: str) -> ResponseReturnValue:
    """Give all dates of the patient whose address this is; unknown ones all look the same."""
    now = clock.now()
    link = open_link(token, now=now)
    patient = by_id(link.patient_id) if link and link.topic.startswith("feed:") else None
    if patient is None:
        abort(404)
    body = notices.feed(
        patient, organizer=current_app.extensions["emerge_config"].organizer, now=now
    )
    return calendar(body)
