"""The simulated phone: a demo's network. It stands for the outside world, so it writes by itself.

Its reference is made from the message, so handing the same one over twice is one text, and it
can always say whether it has one.
"""

from datetime import datetime

from sqlalchemy import select

from scheduler.core.db import db, let_go, transaction
from scheduler.core.errors import NotFound
from scheduler.core.tokens import public_id
from scheduler.messaging.composing import Outgoing, body_print
from scheduler.messaging.models import SimulatedText
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import Outcome, Refused, Taken, Trace

SWITCHED_OFF = "0198"
LANDLINE = "0199"


class SimulatedPhones:
    """Every phone of the demo, on one page."""

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Show the text on the page; it is delivered at once.

        Two numbers behave as real ones sometimes do: ...0198 is switched off, ...0199 is a
        landline.
        """
        reference = f"SIM{outgoing.public_id}"
        if outgoing.recipient.endswith(LANDLINE):
            return Refused(Trouble.BAD_NUMBER, "30006", "this number takes no texts")
        if outgoing.recipient.endswith(SWITCHED_OFF):
            return Taken(reference, "undelivered")
        with transaction():
            if _by_reference(reference) is None:
                db.session.add(
                    SimulatedText(
                        number=outgoing.recipient,
                        is_inbound=False,
                        body=outgoing.body,
                        at=now,
                        provider_ref=reference,
                    )
                )
        return Taken(reference, "delivered")

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Say whether the page has it."""
        text = _by_reference(f"SIM{sought.public_id}")
        found = (
            []
            if text is None
            else [
                Trace(text.provider_ref, "delivered", text.at, body_print(text.number, text.body))
            ]
        )
        let_go()
        return found


class KeptMail:
    """A demo's mail: it is kept with its message, where the desk can read it, and goes nowhere."""

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Keep it."""
        return Taken(f"KEPT{outgoing.public_id}", "delivered")

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """It was handed over the moment it was claimed."""
        return [Trace(f"KEPT{sought.public_id}", "delivered", sought.sending_at, sought.body_print)]


class Nobody:
    """No way to send on this channel is set up; messages are kept back as not wanted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Refuse."""
        return Refused(Trouble.UNWANTED, None, self.reason)

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Nothing was ever handed over."""
        return []


def texted_by_patient(number: str, body: str, *, now: datetime) -> str:
    """Show a text typed on the simulated phone as sent by its owner; return its reference.

    In the caller's transaction: the text and what follows from it stand or fall together.
    """
    reference = f"SIMIN{public_id()}"
    db.session.add(
        SimulatedText(number=number, is_inbound=True, body=body, at=now, provider_ref=reference)
    )
    db.session.flush()
    return reference


def shown_texts(*, limit: int = 200) -> list[SimulatedText]:
    """Return what the simulated phones show, newest first."""
    return list(
        db.session.scalars(select(SimulatedText).order_by(SimulatedText.id.desc()).limit(limit))
    )


def shown_text(text_id: int) -> SimulatedText:
    """Return one text of a simulated phone.

    Raises:
        NotFound: there is none of this number.
    """
    text = db.session.get(SimulatedText, text_id)
    if text is None:
        raise NotFound("This text does not exist.")
    return text


def _by_reference(reference: str) -> SimulatedText | None:
    return db.session.scalar(select(SimulatedText).where(SimulatedText.provider_ref == reference))
