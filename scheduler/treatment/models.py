"""What happened: outcomes of calls, clearances, and the record of the chair.

Screening answers, clearances, answers before a visit and session events are append only
(triggers hold it): what was wrong is put right by a newer row.
"""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
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


class Answer(enum.StrEnum):
    """What is known of a contraindication."""

    YES = "yes"  # it is there
    NO = "no"
    UNKNOWN = "unknown"  # asked, and not known yet


class ScreeningEntry(Model):
    """One thing found out before a first infusion; the newest of an item counts.

    `item` is a contraindication of `vocabulary.CONTRAINDICATIONS` with an answer, or the blood
    pressure with its two numbers, or the consent with the version that was signed.
    """

    __tablename__ = "screening_entry"
    __table_args__ = (
        CheckConstraint(
            "(answer IS NOT NULL AND systolic IS NULL AND diastolic IS NULL"
            " AND consent_version IS NULL)"
            " OR (answer IS NULL AND systolic IS NOT NULL AND diastolic IS NOT NULL"
            " AND consent_version IS NULL)"
            " OR (answer IS NULL AND systolic IS NULL AND diastolic IS NULL"
            " AND consent_version IS NOT NULL)",
            name="one_thing",
        ),
        CheckConstraint(
            "systolic IS NULL OR (systolic BETWEEN 40 AND 300 AND diastolic BETWEEN 20 AND 200"
            " AND systolic > diastolic)",
            name="pressure_of_a_living_person",
        ),
        Index("ix_screening_entry_patient_id_item", "patient_id", "item"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    item: Mapped[str]
    answer: Mapped[Answer | None] = mapped_column(word(Answer))
    systolic: Mapped[int | None]  # mmHg
    diastolic: Mapped[int | None]
    consent_version: Mapped[str | None]
    note: Mapped[str | None] = mapped_column(Sealed)
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class Decision(enum.StrEnum):
    """What a clinician signs on a screening."""

    CLEARED = "cleared"
    NOT_CLEARED = "not-cleared"


class Clearance(Model):
    """A clinician's signature under a screening; the newest of a patient counts.

    `based_on` maps each item to the entry that was signed: when a newer entry says otherwise,
    the signature no longer holds.
    """

    __tablename__ = "clearance"
    __table_args__ = (
        CheckConstraint("decision = 'cleared' OR reason IS NOT NULL", name="refusal_has_a_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    decision: Mapped[Decision] = mapped_column(word(Decision))
    based_on: Mapped[dict[str, Any]]
    reason: Mapped[str | None] = mapped_column(Sealed)
    signed_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    signed_at: Mapped[datetime]


class ReadinessAnswer(Model):
    """What was answered before one visit at one time; the newest for the visit's time counts.

    An answer for a time the visit no longer has says nothing: food, drink and who takes them home
    all hang on the hour.
    """

    __tablename__ = "readiness_answer"
    __table_args__ = (
        CheckConstraint("NOT has_escort OR escort_name IS NOT NULL", name="escort_has_a_name"),
        Index("ix_readiness_answer_appointment_id_id", "appointment_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"))
    starts_at: Mapped[datetime]  # the time of the visit it was answered for
    has_escort: Mapped[bool]
    escort_name: Mapped[str | None] = mapped_column(Sealed)
    escort_phone: Mapped[str | None] = mapped_column(Sealed)
    keeps_times: Mapped[bool]  # the times to eat and drink
    knows_medicines: Mapped[bool]
    is_ill: Mapped[bool]
    illness: Mapped[str | None] = mapped_column(Sealed)
    agrees: Mapped[bool]  # the consent still stands
    consent_version: Mapped[str | None]  # which one was named to them
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class EventKind(enum.StrEnum):
    """What can be written into the record of the chair."""

    READINESS = "readiness"  # one item asked before the start: {"item", "is_met"}
    COMFORT = "comfort"  # what they would like: {"mask": true, "playlist": "..."}
    SCORE = "score"  # pain 0 to 10: {"score", "when": "baseline" | "during" | "after"}
    VITALS = "vitals"  # {"systolic", "diastolic", "pulse", "breaths", "oxygen", "awake"}
    START = "start"  # the drip runs: the clock starts
    #: A dose or rate as staff set it, never proposed: {"amount", "unit", "change"}; or a medicine
    #: given against a side effect: {"change": "rescue", "medicine", "amount", "for"}.
    DOSE = "dose"
    SIDE_EFFECT = "side-effect"  # {"effect", "severity", "action"}
    END = "end"  # the drip stops: {"reason": "complete" | ...}
    #: One item of the score: {"item", "points"}; before there were points, {"item", "is_met"}.
    DISCHARGE = "discharge"
    SAFE = "safe"  # signed: safe to go home {"escort", "unmet": [...]}
    HANDOUT = "hand-out"  # given: {"how": "printed" | "link"}
    GONE = "gone"  # left the building
    NOTE = "note"


#: What happens once in a session: a second one is an amendment of the first.
ONCE = ("start", "end", "safe", "gone")


class SessionEvent(Model):
    """One line of the record of an infusion. Amended by another line, never changed.

    An amendment names the line it stands for, carries its reason, and either replaces it or
    strikes it out; of several, the newest counts.
    """

    __tablename__ = "session_event"
    __table_args__ = (
        CheckConstraint("amends_id IS NULL OR reason IS NOT NULL", name="amendment_has_a_reason"),
        CheckConstraint("NOT is_struck OR amends_id IS NOT NULL", name="only_amendments_strike"),
        CheckConstraint("kind <> 'safe' OR signed_by_id IS NOT NULL", name="safe_is_signed"),
        Index(
            "uq_session_event_once",
            "appointment_id",
            "kind",
            unique=True,
            sqlite_where=text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
            postgresql_where=text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
        ),
        Index("ix_session_event_appointment_id_id", "appointment_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"))
    kind: Mapped[EventKind] = mapped_column(word(EventKind))
    at: Mapped[datetime]  # when it happened
    data: Mapped[dict[str, Any]]  # codes and numbers
    note: Mapped[str | None] = mapped_column(Sealed)
    amends_id: Mapped[int | None] = mapped_column(ForeignKey("session_event.id"))
    is_struck: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None] = mapped_column(Sealed)  # of an amendment, or of an override
    signed_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]
