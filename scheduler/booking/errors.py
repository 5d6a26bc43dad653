"""What the book refuses, and in which words."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from scheduler.core.errors import Refusal, Stale

if TYPE_CHECKING:
    from scheduler.booking.offers import Offer


class NotOffered(Refusal):
    """The start is outside what can be booked: shut, too soon, too far, nobody on shift."""

    code = "not-offered"


class SlotTaken(Refusal):
    """Somebody was first. `alternatives()` are the nearest starts that are still free.

    They are looked for only when asked, after the transaction has let go of its lock: a rush of
    losers must not keep the next winner waiting.
    """

    code = "slot-taken"

    def __init__(self, message: str, alternatives: "Callable[[], list[Offer]]" = list) -> None:
        super().__init__(message)
        self.alternatives = alternatives


class AtRatio(SlotTaken):
    """Everything is free, but each nurse who is there watches as many as usual already."""

    code = "at-ratio"


class SoftRule(Refusal):
    """It breaks a rule that may be set aside with a reason: notice, or horizon."""

    code = "soft-rule"


class PatientBusy(Refusal):
    """This person has another appointment then: nobody is in two places."""

    code = "patient-busy"


class TooManyHolds(Refusal):
    """One browser may keep two times at once."""

    code = "too-many-holds"
    status = 429


class HoldGone(Refusal):
    """There is no such hold, or it belongs to another browser."""

    code = "hold-gone"


class WrongState(Refusal):
    """The state table has no such step from here."""

    code = "wrong-state"


class Overtaken(Stale):
    """Somebody changed the appointment since this page was read; the text says who and what."""


class NoAuthority(Refusal):
    """No clearance, plan or override entitles this infusion to be booked."""

    code = "no-authority"


class TooClose(Refusal):
    """Two infusions of one patient would be nearer to each other than is safe without a reason."""

    code = "too-close"


class FormUsed(Refusal):
    """This form was already used with other words in it."""

    code = "form-used"
