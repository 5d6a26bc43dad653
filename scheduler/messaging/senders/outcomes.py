"""What a sender answers. One of three, and nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from scheduler.messaging.composing import Outgoing
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import Trouble


@dataclass(frozen=True)
class Taken:
    """The provider has it, under this reference."""

    provider_ref: str
    status: str | None = None  # as the provider spells it


@dataclass(frozen=True)
class Refused:
    """The provider has it not, for certain."""

    kind: Trouble
    code: str | None
    text: str
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class NoAnswer:
    """The call ended and nobody can say: it may be out."""

    text: str


Outcome = Taken | Refused | NoAnswer


@dataclass(frozen=True)
class Trace:
    """A message as the provider remembers it."""

    provider_ref: str
    status: str | None
    made_at: datetime
    body_print: str


class Sender(Protocol):
    """Somebody who carries messages. Called with no transaction open."""

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Hand the message over. Never raises for what the network or the provider does."""

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Return what the provider has for this number around then.

        None when it keeps no list; an unreachable one raises `Unreachable`.
        """


class Unreachable(Exception):
    """The provider could not be asked; nothing follows from that."""
