"""A time is offered to one person at a time: kept, told, and given back unless they take it.

Every verb locks the wish first, then what it needs of the book. Whether a time may be offered at
all (spacing, a plan's window) is asked of the rooms above: they give `allowed`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.booking import offers as book_offers
from scheduler.booking import queries as book
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Hold, HoldKind
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core.db import db
from scheduler.core.tokens import public_id
from scheduler.messaging import outbox
from scheduler.messaging import queries as messages
from scheduler.patients.models import Standing
from scheduler.waitlist import notices, rules, service
from scheduler.waitlist.errors import NotToBeTexted, OfferOver
from scheduler.waitlist.models import OfferState, WaitlistEntry, WaitlistOffer

#: Which of these starts may be offered for a wish, the best first.
Allowed = Callable[[WaitlistEntry, Sequence[Offer]], Iterable[Offer]]

#: How far ahead times are looked for.
LOOK = timedelta(days=60)
#: Who let so many offers lapse, one after the other, is left to a person.
MOST_UNANSWERED = 3
#: How long a time is kept while somebody is called, when it is too near to be texted.
WHILE_CALLING = timedelta(minutes=10)
OVER = "This time is no longer kept for you."


def fitting(entry: WaitlistEntry, allowed: Allowed, *, now: datetime, most: int = 6) -> list[Offer]:
    """Return the times a wish could have now, the best first."""
    return list(islice(_fitting(entry, allowed, now=now), most))


def next_for(entry: WaitlistEntry, allowed: Allowed, *, now: datetime) -> Offer | None:
    """Return the time to offer by text now, or None.

    None of those they were offered before, none that is too near, and nothing to somebody who
    has let several lapse. What we took back they may never have heard of: it counts for nothing.
    """
    before = [offer for offer in of_entry(entry.id) if offer.state is not OfferState.WITHDRAWN]
    silent = 0
    for offer in reversed(before):
        if offer.state is not OfferState.EXPIRED:
            break
        silent += 1
    if silent >= MOST_UNANSWERED:
        return None
    known = {(offer.starts_at, offer.site_id) for offer in before}
    sites = clinic_supply.current().sites
    for start in _fitting(entry, allowed, now=now):
        site = sites[start.site_id]
        until = _until(start.starts_at, site, now=now)
        if until is not None and (start.starts_at, start.site_id) not in known:
            return start
    return None


def make(
    entry_id: int, site_id: int, starts_at: datetime, *, by_text: bool, actor: str, now: datetime
) -> WaitlistOffer:
    """Keep a time for somebody and have them told; `by_text` or by whoever makes the offer.

    Raises:
        OfferOver: the wish was closed, or has an offer already.
        NotToBeTexted: no text may go to them now.
        NotOffered, SlotTaken: the time is not there (any more).
    """
    entry = service.lock(entry_id)
    if entry.closed_at is not None:
        raise OfferOver("This is no longer on the waitlist.")
    if open_of(entry.id) is not None:
        raise OfferOver("They have an offer already. It must be answered first.")
    site = clinic_supply.current().sites[site_id]
    until = _until(starts_at, site, now=now)
    if by_text:
        if until is None:
            raise NotToBeTexted("It is too soon for a text. Please call them.")
        notices.insist(entry.patient, site, now=now)
    offer = WaitlistOffer(
        public_id=public_id(),
        entry_id=entry.id,
        site_id=site_id,
        starts_at=starts_at,
        is_by_text=by_text,
        offered_at=now,
        offered_by=actor,
        expires_at=until or now + WHILE_CALLING,
        state=OfferState.OPEN,
    )
    booking.hold(
        entry.service_code,
        site_id,
        starts_at,
        holder=_holder(offer),
        now=now,
        audience=Audience.DESK,
        kind=HoldKind.OFFER,
        until=offer.expires_at,
        longer_minutes=entry.longer_minutes,
    )
    db.session.add(offer)
    db.session.flush()
    db.session.refresh(offer, ["entry", "site"])
    _note(offer, "offered", actor=actor, now=now, starts_at=starts_at.isoformat())
    if by_text:
        outbox.put([notices.word(offer, now=now)], now=now)
    return offer


def take(offer_id: int) -> WaitlistOffer:
    """Return an open offer with its wish locked, for whoever books it now.

    One that lapsed a moment ago, and that nobody has closed, may still be had: if its time is
    gone, the booking says so.

    Raises:
        OfferOver: it was answered, closed or taken back.
    """
    found = db.session.get(WaitlistOffer, offer_id)
    if found is None:
        raise OfferOver(OVER)
    service.lock(found.entry_id)
    db.session.refresh(found)
    if found.state is not OfferState.OPEN or found.entry.closed_at is not None:
        raise OfferOver(OVER)
    return found


def free_for(offer: WaitlistOffer) -> None:
    """Give the kept time back, under the lock of whoever books it in the same transaction."""
    hold = _hold(offer)
    if hold is not None:
        booking.release_hold(hold)


def accept(offer: WaitlistOffer, appointment: Appointment, *, actor: str, now: datetime) -> None:
    """Note that an offer became an appointment; the wish has come true."""
    offer.appointment_id = appointment.id
    _end(offer, OfferState.ACCEPTED, actor=actor, now=now)
    service.close(offer.entry, "came sooner", actor=actor, now=now)


def decline(offer_id: int, *, actor: str, now: datetime) -> WaitlistOffer:
    """Note that they do not want this time; they stay on the list.

    Raises:
        OfferOver: it was answered, closed or taken back.
    """
    offer = take(offer_id)
    free_for(offer)
    _end(offer, OfferState.DECLINED, actor=actor, now=now)
    return offer


def remove(entry_id: int, outcome: str, *, actor: str, now: datetime) -> WaitlistEntry:
    """Take a wish off the list, with the offer it may have.

    Raises:
        OfferOver: somebody did that already.
    """
    entry = service.lock(entry_id)
    if entry.closed_at is not None:
        raise OfferOver("This was taken off the list already.")
    offer = open_of(entry.id)
    if offer is not None:
        free_for(offer)
        _end(offer, OfferState.WITHDRAWN, actor=actor, now=now)
    service.close(entry, outcome, actor=actor, now=now)
    return entry


def lapsed(*, now: datetime) -> list[int]:
    """Return the open offers whose time to answer is over."""
    return list(
        db.session.scalars(
            select(WaitlistOffer.id)
            .where(WaitlistOffer.state == OfferState.OPEN, WaitlistOffer.expires_at <= now)
            .order_by(WaitlistOffer.id)
        )
    )


def lapse(offer_id: int, *, actor: str, now: datetime) -> bool:
    """Close an offer nobody answered in time; False when it was answered meanwhile.

    One whose text never went out was not left unanswered: it is taken back.
    """
    try:
        offer = take(offer_id)
    except OfferOver:
        return False
    if offer.expires_at > now:
        return False
    free_for(offer)
    unheard = offer.is_by_text and not messages.has_gone(offer.topic)
    state = OfferState.WITHDRAWN if unheard else OfferState.EXPIRED
    _end(offer, state, actor=actor, now=now)
    return True


def open_of(entry_id: int) -> WaitlistOffer | None:
    """Return the offer a wish has now, or None."""
    return db.session.scalar(
        select(WaitlistOffer).where(
            WaitlistOffer.entry_id == entry_id, WaitlistOffer.state == OfferState.OPEN
        )
    )


def of_entry(entry_id: int) -> list[WaitlistOffer]:
    """Return every offer a wish has had, the oldest first."""
    return list(
        db.session.scalars(
            select(WaitlistOffer)
            .where(WaitlistOffer.entry_id == entry_id)
            .order_by(WaitlistOffer.id)
        ).unique()
    )


def _fitting(entry: WaitlistEntry, allowed: Allowed, *, now: datetime) -> Iterator[Offer]:
    patient = entry.patient
    if patient.is_deceased or patient.standing is Standing.MERGED:
        return
    own = book.by_topic(entry.topic or "")
    fit = service.fit_of(entry)
    sites = clinic_supply.current().sites
    until = min(fit.until, now + LOOK)
    if own is not None:
        until = min(until, own.starts_at - rules.SOONER_BY)
    since = max(fit.since, now)
    if until <= since:
        return
    found = book_offers.find(
        entry.service_code,
        site_ids=[i for i in sites if not fit.site_ids or i in fit.site_ids],
        since=since,
        until=until,
        now=now,
        audience=Audience.DESK,
        parts=fit.parts,
        patient_lane=clinic_queries.lane_of(patient.resource_id),
        but_appointment=own.id if own else None,
        longer_minutes=entry.longer_minutes,
    )
    theirs = [o for o in found if fit.takes(o.starts_at, o.site_id, sites[o.site_id].zone)]
    yield from allowed(entry, [o for o in theirs if o.starts_at > now])


def _until(starts_at: datetime, site: SiteSupply, *, now: datetime) -> datetime | None:
    return rules.offer_until(
        starts_at,
        site.zone,
        usual_minutes=site.settings.offer_hold_minutes,
        same_day_minutes=site.settings.offer_hold_same_day_minutes,
        now=now,
    )


def _end(offer: WaitlistOffer, state: OfferState, *, actor: str, now: datetime) -> None:
    offer.state, offer.answered_at, offer.answered_by = state, now, actor
    db.session.flush()
    outbox.withdraw(offer.topic, now=now)
    _note(offer, state.value, actor=actor, now=now)


def _note(offer: WaitlistOffer, deed: str, *, actor: str, now: datetime, **detail: str) -> None:
    audit.record(
        f"waitlist.{deed}",
        f"waitlist:{offer.entry_id}",
        actor=actor,
        now=now,
        patient_id=offer.entry.patient_id,
        **detail,
    )


def _holder(offer: WaitlistOffer) -> str:
    return f"waitlist:{offer.public_id}"


def _hold(offer: WaitlistOffer) -> Hold | None:
    return db.session.scalar(
        select(Hold).where(Hold.kind == HoldKind.OFFER, Hold.holder == _holder(offer))
    )
