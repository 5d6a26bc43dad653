"""What somebody on the waitlist is told: that a time is free, until when, and where to say yes."""

from datetime import datetime, timedelta

from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.messaging import consent, rules
from scheduler.messaging import queries as messages
from scheduler.messaging.day import has_room, lives_by, night_is_over
from scheduler.messaging.outbox import Word
from scheduler.messaging.rules import Drop, MessageView, Send, Verdict
from scheduler.messaging.states import Channel
from scheduler.patients.links import mint_link
from scheduler.patients.models import Patient
from scheduler.waitlist import service
from scheduler.waitlist.errors import NotToBeTexted
from scheduler.waitlist.models import OfferState, WaitlistOffer

TEMPLATES = rules.OFFERS
#: A late tap finds a page that says how it stands, not a dead link.
LINK_LIVES_ON = timedelta(hours=24)


def insist(patient: Patient, site: SiteSupply, *, now: datetime) -> None:
    """Refuse an offer by text to somebody who must not be texted now.

    Raises:
        NotToBeTexted: they have not agreed, it is night, or they have had enough texts.
    """
    why = why_not(patient, site, now=now)
    if why is not None:
        raise NotToBeTexted(why)


def why_not(patient: Patient, site: SiteSupply, *, now: datetime) -> str | None:
    """Return why no offer may be texted to somebody now; None when one may."""
    if not consent.may_text(patient, now=now):
        return "They are not texted. Please call them."
    if messages.texts_fail(patient.id):
        return "The last text did not reach them. Please call them."
    zone = lives_by(patient, site.zone.key)
    if night_is_over(patient, zone, now=now) > now:
        return "It is too late or too early for a text."
    if not has_room(patient, zone, now=now):
        return "They have had all the texts of the day or the week. Please call them."
    return None


def word(offer: WaitlistOffer, *, now: datetime) -> Word:
    """Return what is to be said about an offer; of no use once it has lapsed."""
    is_call = offer.entry.service_code in (ServiceCode.CALL, ServiceCode.CHAT)
    return Word(
        template="call-offer" if is_call else "visit-offer",
        channel=Channel.SMS,
        patient=offer.entry.patient,
        facts={"zone": offer.site.zone_name},
        topic=offer.topic,
        dedupe_key=f"offer:{offer.id}",
        send_after=now,
        expires_at=offer.expires_at,
    )


def judge(message: MessageView, *, public_url: str, now: datetime) -> Verdict:
    """Say whether an offer still stands, in the claiming transaction."""
    offer = service.offer_of(message.topic)
    if offer is None or offer.state is not OfferState.OPEN or offer.expires_at <= now:
        return Drop("the offer no longer stands")
    token = mint_link(
        offer.entry.patient, offer.topic, expires_at=offer.expires_at + LINK_LIVES_ON, now=now
    )
    return Send(
        facts={
            "starts_at": offer.starts_at.isoformat(),
            "until": offer.expires_at.isoformat(),
            "zone": offer.site.zone_name,
            "site": offer.site.name,
            "phone": offer.site.phone,
        },
        links={"link": f"{public_url}/my/{token}"},
    )
