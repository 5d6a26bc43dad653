"""What the waitlist refuses, and in which words."""

from scheduler.core.errors import Refusal


class OfferOver(Refusal):
    """The offer was answered, has lapsed, or was taken back."""

    code = "offer-over"


class NotToBeTexted(Refusal):
    """No text may go to this person now: consent, the night, or enough texts already."""

    code = "not-to-be-texted"
