"""A patient's course: protocols, assessments, plans in versions, visits with windows."""

import enum
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.accounts.models import Staff
from scheduler.booking.models import Appointment
from scheduler.clinic.models import Site
from scheduler.core.db import Model, word
from scheduler.core.sealed import Sealed
from scheduler.patients.models import Pain, Patient


class ProtocolState(enum.StrEnum):
    """Where a version of a protocol stands."""

    DRAFT = "draft"  # imported, not yet used
    ACTIVE = "active"  # plans are proposed from it; one at a time
    RETIRED = "retired"  # was active; old plans keep it


class ProtocolVersion(Model):
    """One version of a decision table, as its file was imported. Its text never changes."""

    __tablename__ = "protocol_version"
    __table_args__ = (
        UniqueConstraint("code", "number"),
        Index(
            "uq_protocol_version_active",
            "state",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]  # "nerve-pain"
    number: Mapped[int]
    title: Mapped[str]
    document: Mapped[str] = mapped_column(Text)  # TOML
    state: Mapped[ProtocolState] = mapped_column(word(ProtocolState))
    imported_by: Mapped[str]
    imported_at: Mapped[datetime]
    activated_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    activated_at: Mapped[datetime | None]


class FollowUp(Model):
    """The chat that is owed after a first infusion: booked with it, or due."""

    __tablename__ = "follow_up"
    __table_args__ = (CheckConstraint("due_until > due_from", name="until_after_from"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    infusion_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"), unique=True)
    chat_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"), unique=True)
    due_from: Mapped[datetime]
    due_until: Mapped[datetime]
    reason: Mapped[str | None]  # why no chat is booked: logistics, nothing clinical
    closed_at: Mapped[datetime | None]  # held, or the infusion never took place
    outcome: Mapped[str | None]  # "held", "cancelled", "no-show"

    infusion: Mapped[Appointment] = relationship(foreign_keys=[infusion_id], lazy="joined")
    chat: Mapped[Appointment | None] = relationship(foreign_keys=[chat_id], lazy="joined")
    patient: Mapped[Patient] = relationship(lazy="joined")


class Impression(enum.StrEnum):
    """How the patient says they are (patient's global impression of change)."""

    VERY_MUCH_BETTER = "very-much-better"
    MUCH_BETTER = "much-better"
    A_LITTLE_BETTER = "a-little-better"
    NO_CHANGE = "no-change"
    A_LITTLE_WORSE = "a-little-worse"
    MUCH_WORSE = "much-worse"
    VERY_MUCH_WORSE = "very-much-worse"


class Assessment(Model):
    """What was found in a follow-up chat. Corrected by a newer row of the same infusion."""

    __tablename__ = "assessment"
    __table_args__ = (
        CheckConstraint("baseline BETWEEN 0 AND 10", name="baseline_0_to_10"),
        CheckConstraint("score BETWEEN 0 AND 10", name="score_0_to_10"),
        CheckConstraint("worst_severity BETWEEN 0 AND 3", name="severity_0_to_3"),
        CheckConstraint("relief_days >= 0", name="relief_not_negative"),
        CheckConstraint("phq9 BETWEEN 0 AND 27", name="phq9_0_to_27"),
        CheckConstraint("phq9_item9 BETWEEN 0 AND 3", name="phq9_item9_0_to_3"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    infusion_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"), index=True)
    chat_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"))
    baseline: Mapped[int]  # pain before the infusion, 0 to 10
    score: Mapped[int]  # pain since
    relief_days: Mapped[int]  # how long relief has lasted so far
    relief_holds: Mapped[bool]  # and whether it still does
    condition: Mapped[Pain] = mapped_column(word(Pain))
    worst_severity: Mapped[int]  # of the session's side effects; 0 is none
    impression: Mapped[Impression] = mapped_column(word(Impression))
    goals: Mapped[str | None] = mapped_column(Sealed)
    note: Mapped[str | None] = mapped_column(Sealed)
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]
    # PEG: pain, enjoyment of life, general activity, 0 to 10 each; the score is their mean.
    peg_before: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    peg_since: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    phq9: Mapped[int | None]  # the sum of the nine, when they were asked
    phq9_item9: Mapped[int | None]  # thoughts of being better off dead; above 0 blocks a draft


class PlanState(enum.StrEnum):
    """Where a plan stands."""

    DRAFT = "draft"  # proposed; nothing follows from it
    APPROVED = "approved"  # a clinician signed it as proposed
    CHANGED = "changed"  # a clinician signed it with changes
    DECLINED = "declined"  # a clinician said no
    ACTIVE = "active"  # visits are being scheduled and held
    COMPLETED = "completed"  # it ran its course, or was a plan to stop or refer and is signed
    CEASED = "ceased"  # ended before


#: States in which the plan is the patient's course, or may become it.
OPEN = (PlanState.DRAFT, PlanState.APPROVED, PlanState.CHANGED, PlanState.ACTIVE)
#: States in which its newest signed version entitles infusions.
SIGNED = (PlanState.APPROVED, PlanState.CHANGED, PlanState.ACTIVE)


class Plan(Model):
    """One patient's course of treatment; what it says stands in its versions."""

    __tablename__ = "plan"
    __table_args__ = (
        Index(
            "uq_plan_open_patient",
            "patient_id",
            unique=True,
            sqlite_where=text("state IN ('draft', 'approved', 'changed', 'active')"),
            postgresql_where=text("state IN ('draft', 'approved', 'changed', 'active')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))  # where they would rather go
    assessment_id: Mapped[int] = mapped_column(ForeignKey("assessment.id"))
    protocol_id: Mapped[int] = mapped_column(ForeignKey("protocol_version.id"))
    state: Mapped[PlanState] = mapped_column(word(PlanState))
    review_on: Mapped[date | None]  # when it is looked at again
    version: Mapped[int] = mapped_column(default=1)  # changes a person could overwrite
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]
    change: Mapped[str]  # "proposed", "approved"

    patient: Mapped[Patient] = relationship(lazy="joined")
    site: Mapped[Site] = relationship(lazy="joined")
    assessment: Mapped[Assessment] = relationship(lazy="joined")
    protocol: Mapped[ProtocolVersion] = relationship(lazy="joined")
    versions: Mapped[list["PlanVersion"]] = relationship(
        order_by="PlanVersion.number", back_populates="plan"
    )
    visits: Mapped[list["PlannedVisit"]] = relationship(
        order_by="PlannedVisit.number", back_populates="plan"
    )

    @property
    def topic(self) -> str:
        """How other rooms name this row without knowing it."""
        return f"plan:{self.id}"

    @property
    def current(self) -> "PlanVersion":
        """The newest version, signed or not."""
        return self.versions[-1]


class PlanVersion(Model):
    """What a plan says from a moment on, and why. Append only; a change is a newer version."""

    __tablename__ = "plan_version"
    __table_args__ = (UniqueConstraint("plan_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    number: Mapped[int]
    proposal: Mapped[dict[str, Any]]  # rules.Proposal as plain values
    reason: Mapped[str | None] = mapped_column(Sealed)  # why it differs from the one before
    made_by: Mapped[str]
    made_at: Mapped[datetime]

    plan: Mapped[Plan] = relationship(back_populates="versions")
    signature: Mapped["PlanSignature | None"] = relationship(back_populates="plan_version")
    change: Mapped["PlanChange | None"] = relationship(back_populates="plan_version")


class ChangeAct(enum.StrEnum):
    """What may be done to a plan that runs."""

    DEFER = "defer"  # a visit later, those after it moving along
    CARRY = "carry-forward"  # each visit takes the next one's date; one is added at the end
    OMIT = "omit"  # one visit less
    RESPACE = "re-space"  # other days between, from a visit on
    RELOCATE = "other-site"  # the visits ahead at another site
    CEASE = "cease"  # no more visits
    GO_ON = "go-on"  # after a review: the next part of the plan
    COMPLETE = "complete"  # after a review: it has run its course


class PlanChange(Model):
    """What a version of a running plan did to its visits. Append only, one a version."""

    __tablename__ = "plan_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"), unique=True)
    act: Mapped[ChangeAct] = mapped_column(word(ChangeAct))
    visits: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # see changes.as_recorded()

    plan_version: Mapped[PlanVersion] = relationship(back_populates="change")


class PlanWishes(Model):
    """What suits the patient of a plan: days, part of the day, site. The newest stands."""

    __tablename__ = "plan_wishes"

    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), primary_key=True)
    wishes: Mapped[dict[str, Any]] = mapped_column(JSON)  # preferences.Preferences as plain values
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]


class ReliefReport(Model):
    """How long relief lasted after an infusion, as the patient says. Append only; newest counts."""

    __tablename__ = "relief_report"
    __table_args__ = (
        CheckConstraint("days BETWEEN 0 AND 366", name="days_of_a_year"),
        Index("ix_relief_report_patient_id_appointment_id", "patient_id", "appointment_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id"))
    days: Mapped[int]
    holds: Mapped[bool]  # and it still does
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class PegReport(Model):
    """PEG asked again during a course: pain, enjoyment of life, general activity. Append only."""

    __tablename__ = "peg_report"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    scores: Mapped[list[int]] = mapped_column(JSON)  # 0 to 10 each; the score is their mean
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class Verdict(enum.StrEnum):
    """What a clinician signs under a version of a plan."""

    APPROVED = "approved"
    CHANGED = "changed"
    DECLINED = "declined"


class PlanSignature(Model):
    """A clinician's word on a version: one, and never taken back (append only)."""

    __tablename__ = "plan_signature"
    __table_args__ = (
        CheckConstraint("verdict = 'approved' OR reason IS NOT NULL", name="says_why"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"), unique=True)
    verdict: Mapped[Verdict] = mapped_column(word(Verdict))
    reason: Mapped[str | None] = mapped_column(Sealed)
    signed_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    signed_at: Mapped[datetime]

    plan_version: Mapped[PlanVersion] = relationship(back_populates="signature")
    signed_by: Mapped[Staff] = relationship(lazy="joined")


class VisitState(enum.StrEnum):
    """Where a planned visit stands."""

    TO_PLACE = "to-place"  # no appointment answers it
    BOOKED = "booked"
    HELD = "held"  # it took place
    OMITTED = "omitted"  # dropped, with a reason


class PlannedVisit(Model):
    """Visit k of n. The window is the truth, the appointment its current answer.

    `starts_at` follows the appointment by foreign key, so that the window holds whoever moves it:
    outside of the window only with a reason.
    """

    __tablename__ = "planned_visit"
    __table_args__ = (
        UniqueConstraint("plan_id", "number"),
        UniqueConstraint("appointment_id"),
        ForeignKeyConstraint(
            ["appointment_id", "starts_at"],
            ["appointment.id", "appointment.starts_at"],
            name="fk_planned_visit_appointment",
            onupdate="CASCADE",
        ),
        CheckConstraint("earliest <= ideal AND ideal < latest", name="window_in_order"),
        CheckConstraint(
            "(appointment_id IS NULL) = (starts_at IS NULL)", name="start_of_an_appointment"
        ),
        CheckConstraint(
            "starts_at IS NULL OR (starts_at >= earliest AND starts_at < latest)"
            " OR outside_reason IS NOT NULL",
            name="inside_its_window",
        ),
        CheckConstraint(
            "(state IN ('booked', 'held')) = (appointment_id IS NOT NULL)",
            name="booked_has_an_appointment",
        ),
        CheckConstraint("state <> 'omitted' OR reason IS NOT NULL", name="omitted_has_a_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), index=True)
    number: Mapped[int]  # 1, 2, ...
    phase: Mapped[int]  # index into the proposal's phases
    state: Mapped[VisitState] = mapped_column(word(VisitState))
    earliest: Mapped[datetime]  # the start of the first day
    ideal: Mapped[datetime]
    latest: Mapped[datetime]  # the end of the last day; not itself in the window
    min_days: Mapped[int]  # after the visit before
    max_days: Mapped[int]
    appointment_id: Mapped[int | None] = mapped_column()
    starts_at: Mapped[datetime | None]
    former_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"))  # answered it last
    outside_reason: Mapped[str | None]  # why it may lie outside its window
    reason: Mapped[str | None]  # why it is not placed, or was dropped

    plan: Mapped[Plan] = relationship(back_populates="visits")
    appointment: Mapped[Appointment | None] = relationship(
        foreign_keys=[appointment_id],
        primaryjoin="PlannedVisit.appointment_id == Appointment.id",
        lazy="joined",
        viewonly=True,
    )

    @property
    def last_moment(self) -> datetime:
        """The end of its last day, as a moment that still lies in it."""
        return self.latest - timedelta(minutes=1)

    @property
    def is_outside(self) -> bool:
        """Say whether its date lies outside of its window."""
        return self.starts_at is not None and not self.earliest <= self.starts_at < self.latest

    @property
    def target_days(self) -> int:
        """Return how many days after the visit before would be best."""
        phases = self.plan.current.proposal["phases"]
        return int(phases[self.phase]["target_days"])
