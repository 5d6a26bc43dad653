"""Calendars staff subscribe to: their own appointments, or a site's.

The address is the secret, one for each person; it shows initials, times and the site.
"""

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from scheduler.accounts import feeds
from scheduler.booking import diary
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.web.feeds import limits
from scheduler.web.feeds.answers import calendar

bp = Blueprint("staff_feeds", __name__)
limits.join(bp)


@bp.get("/feeds/staff/<string(length=32):token>.ics")
def dates(token: str) -> ResponseReturnValue:
    """Give the calendar this address opens; unknown ones all look the same."""
    now = clock.now()
    key = feeds.open_key(token)
    if key is None:
        abort(404)
    organizer = current_app.extensions["emerge_config"].organizer
    uid = f"feed-{key.id}"
    if key.site_id is None:
        body = diary.of_person(key.staff.resource_id, uid=uid, organizer=organizer, now=now)
    else:
        body = diary.of_site(key.site_id, uid=uid, organizer=organizer, now=now)
    number, is_stale = key.id, feeds.is_stale(key, now=now)
    let_go()
    if is_stale:
        with transaction():
            feeds.note_use(number, now=now)
    return calendar(body)
