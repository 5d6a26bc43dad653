"""The words for what a message is and where it stands. No table, no clock."""

import enum


class Channel(enum.StrEnum):
    """How a message travels."""

    SMS = "sms"
    EMAIL = "email"


class State(enum.StrEnum):
    """The life of a message. What may follow what stands in rules.MAY_BECOME."""

    QUEUED = "queued"  # waiting for `send_after`
    CLAIMED = "claimed"  # a worker holds it until `lease_until`
    SENDING = "sending"  # committed just before the call: from here on it may be out
    AMBIGUOUS = "ambiguous"  # the call ended without an answer; evidence is looked for
    SENT = "sent"  # the provider has it
    DELIVERED = "delivered"  # the phone has it
    UNDELIVERED = "undelivered"  # the provider could not deliver it
    FAILED = "failed"  # it will not be sent again by itself; a task says so
    EXPIRED = "expired"  # its time passed before it could be sent: late is worse than never
    CANCELLED = "cancelled"  # taken back before sending
    MERGED = "merged"  # said in another text of the same day, `said_in_id`
    SUPPRESSED = "suppressed"  # there was no consent, or nobody to reach


class ConsentAct(enum.StrEnum):
    """What somebody said about being texted."""

    GRANTED = "granted"
    REVOKED = "revoked"
