"""A time offered to somebody on the waitlist: yes or no, on one page, reached by a private link."""

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from scheduler.booking import notices
from scheduler.booking import queries as book
from scheduler.clinic.models import ServiceCode
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.core.errors import Refusal
from scheduler.plans import waiting
from scheduler.waitlist import offers
from scheduler.waitlist.errors import OfferOver
from scheduler.waitlist.models import OfferState, WaitlistOffer
from scheduler.web import visitor

offer_pages = Blueprint("offer", __name__)


@offer_pages.get("/my/offer")
def show() -> ResponseReturnValue:
    """Show the time that is kept for them, or how it ended. Changes nothing."""
    return _page()


@offer_pages.post("/my/offer/take")
def take() -> ResponseReturnValue:
    """Book it. Pressed twice, or by the desk meanwhile, it is booked once."""
    offer: WaitlistOffer = g.offer
    now = clock.now()
    patient_id = offer.entry.patient_id
    try:
        with transaction():
            appointment = waiting.accept_offer(offer.id, actor=f"patient:{patient_id}", now=now)
            token = notices.page_token(appointment, now=now)
    except OfferOver:
        return _page(status=409 if offer.state is not OfferState.ACCEPTED else 200)
    except Refusal:
        # It lapsed and the time is gone, or something else of theirs is in its way by now.
        return _page(is_gone=True, status=409)
    visitor.open_visit(token, is_booker=False, now=now)
    return redirect(url_for("visit.show", moved=1), code=303)


@offer_pages.post("/my/offer/pass")
def decline() -> ResponseReturnValue:
    """Give it back at once, so that somebody else is asked; they stay on the list."""
    offer: WaitlistOffer = g.offer
    try:
        with transaction():
            offers.decline(offer.id, actor=f"patient:{offer.entry.patient_id}", now=clock.now())
    except OfferOver:
        return _page(status=409 if offer.state is not OfferState.DECLINED else 200)
    return redirect(url_for(".show"), code=303)


def _page(*, is_gone: bool = False, status: int = 200) -> ResponseReturnValue:
    offer: WaitlistOffer = g.offer
    now = clock.now()
    own = book.by_topic(offer.entry.topic or "")
    is_open = (
        offer.state is OfferState.OPEN
        and offer.expires_at > now
        and offer.entry.closed_at is None
        and not is_gone
    )
    heading = {
        OfferState.ACCEPTED: _("This time is yours"),
        OfferState.DECLINED: _("Thank you for telling us"),
    }.get(offer.state, _("This time is no longer free"))
    return (
        render_template(
            "portal/offer.html",
            offer=offer,
            zone=offer.site.zone,
            heading=_("A time is free for you") if is_open else heading,
            is_open=is_open,
            state=offer.state.value,
            waits_on=offer.entry.closed_at is None,
            is_call=offer.entry.service_code in (ServiceCode.CALL, ServiceCode.CHAT),
            instead_of=own if own is not None and own.is_live else None,
        ),
        status,
    )
