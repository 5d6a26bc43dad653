"""What came of a call. The record of the chair joins it here."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from scheduler.core.db import Model, word
from scheduler.core.sealed import Sealed


class Outcome(enum.StrEnum):
    """What a consultation call came to."""

    CANDIDATE = "candidate"
    NOT_CANDIDATE = "not-a-candidate"
    NEEDS_RECORDS = "needs-records"
    UNDECIDED = "undecided"


class CallOutcome(Model):
    """The outcome of one call; corrected by a new row, the newest counts."""

    __tablename__ = "call_outcome"

    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"), index=True)
    outcome: Mapped[Outcome] = mapped_column(word(Outcome))
    note: Mapped[str | None] = mapped_column(Sealed)
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]
