"""Offers free time to those who wait for it, one after the other, and takes back what lapsed.

Nobody who frees time calls anybody: at each tick the book is looked at as it stands.
"""

import logging
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Refusal
from scheduler.messaging import queries as messages
from scheduler.plans import waiting
from scheduler.waitlist import notices, offers
from scheduler.waitlist import service as waitlist

log = logging.getLogger(__name__)
ACTOR = "worker"


def run(inbound_url: str | None, *, now: datetime) -> int:
    """Close what lapsed or is no longer wanted, then make the offers there are; return how many.

    Args:
        inbound_url: As for deliver: while texts are blocked nobody is offered anything by text.
    """
    lapse(now=now)
    _follow_visits(now=now)
    _drop_unwanted(now=now)
    blocked = messages.sending_is_blocked(inbound_url)
    wishes = [] if blocked else [entry.id for entry in waitlist.waiting(now=now)]
    let_go()
    return sum(_offer_next(number, now=now) for number in wishes)


def lapse(*, now: datetime) -> int:
    """Take back the offers nobody answered in time; return how many."""
    over = offers.lapsed(now=now)
    let_go()
    closed = 0
    for number in over:
        with transaction():
            closed += offers.lapse(number, actor=ACTOR, now=now)
    return closed


def _follow_visits(*, now: datetime) -> None:
    """Let who waits for a planned visit wait for it as it is now."""
    lagging = [entry.id for entry in waitlist.still_open() if waiting.lags(entry)]
    let_go()
    for number in lagging:
        with transaction():
            waiting.catch_up(number, actor=ACTOR, now=now)


def _drop_unwanted(*, now: datetime) -> None:
    gone = [(e.id, why) for e in waitlist.still_open() if (why := waiting.still_wanted(e, now=now))]
    let_go()
    for number, why in gone:
        try:
            with transaction():
                offers.remove(number, why, actor=ACTOR, now=now)
        except Refusal:
            continue  # somebody did it meanwhile


def _offer_next(entry_id: int, *, now: datetime) -> bool:
    """Look first, reading only; a time that is gone by the time it is kept is left for later."""
    entry = waitlist.find(entry_id)
    if entry.closed_at is not None or offers.open_of(entry_id) is not None:
        let_go()
        return False
    sites = clinic_supply.current().sites
    some = next(iter(sites.values()))
    home = sites.get(entry.patient.home_site_id or 0, some)
    if notices.why_not(entry.patient, home, now=now) is not None:
        let_go()
        return False
    start = offers.next_for(entry, waiting.allowed, now=now)
    let_go()
    if start is None:
        return False
    try:
        with transaction():
            offers.make(
                entry_id, start.site_id, start.starts_at, by_text=True, actor=ACTOR, now=now
            )
    except (Refusal, IntegrityError) as refusal:
        log.info("waitlist %s: not offered, %s", entry_id, type(refusal).__name__)
        return False
    return True
