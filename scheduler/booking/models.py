"""The appointment book. `Claim` is the law: two claims of one lane never overlap."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.clinic.models import Lane, ServiceCode, Site
from scheduler.core.db import Model, word
from scheduler.patients.models import Patient

#: The longest a claim may be. The overlap search on SQLite looks back exactly this far.
LONGEST_CLAIM_HOURS = 12


class Status(enum.StrEnum):
    """FHIR AppointmentStatus, as far as a booking lives it."""

    BOOKED = "booked"  # the time is theirs
    ARRIVED = "arrived"  # here, or on the line
    FULFILLED = "fulfilled"  # done
    CANCELLED = "cancelled"  # called off, by either side
    NOSHOW = "noshow"  # they did not come
    IN_ERROR = "entered-in-error"  # it should never have been written


#: States in which the appointment owns its time.
LIVE = (Status.BOOKED, Status.ARRIVED, Status.FULFILLED)


class Authority(enum.StrEnum):
    """What entitles an infusion to be booked."""

    CLEARANCE = "clearance"  # a clinician's signed clearance, for the first
    PLAN = "plan"  # an approved plan version
    OVERRIDE = "override"  # a clinician's decision, with a reason


class Appointment(Model):
    """One visit or call: who, what, where, when, and what the patient was last told."""

    __tablename__ = "appointment"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint(
            "service_code NOT IN ('first-infusion', 'infusion') OR authority IS NOT NULL",
            name="no_infusion_without_authority",
        ),
        CheckConstraint(
            "authority IS NULL OR authority_ref IS NOT NULL", name="authority_names_its_source"
        ),
        CheckConstraint(
            "authority <> 'override' OR authority_reason IS NOT NULL", name="override_has_a_reason"
        ),
        Index("ix_appointment_site_id_starts_at", "site_id", "starts_at"),
        Index("uq_appointment_id_starts_at", "id", "starts_at", unique=True),  # plans refer to it
        Index("ix_appointment_patient_id_starts_at", "patient_id", "starts_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    service_code: Mapped[ServiceCode] = mapped_column(word(ServiceCode), ForeignKey("service.code"))
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    starts_at: Mapped[datetime]  # when the patient must be there, or is called
    ends_at: Mapped[datetime]  # when they are done
    longer_minutes: Mapped[int] = mapped_column(default=0)  # than the service usually takes
    wall_start: Mapped[str]  # the site's wall clock at booking: "2026-03-03T10:45"
    zone_name: Mapped[str]
    status: Mapped[Status] = mapped_column(word(Status), default=Status.BOOKED)
    confirmed_at: Mapped[datetime | None]
    arrived_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # fulfilled, cancelled or marked as no-show
    authority: Mapped[Authority | None] = mapped_column(word(Authority))
    authority_ref: Mapped[str | None]  # "clearance:12", "plan-version:3", "staff:4"
    authority_reason: Mapped[str | None]
    spacing_reason: Mapped[str | None]  # why it may be closer than usual to another infusion
    is_online: Mapped[bool] = mapped_column(default=False)  # booked by the patient
    note: Mapped[str | None]  # for the desk: logistics, nothing clinical
    version: Mapped[int] = mapped_column(default=1)  # changes a person could overwrite
    sequence: Mapped[int] = mapped_column(default=0)  # changes the patient must be told
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]  # actor of the last change, for "who changed what"
    change: Mapped[str]  # what that change was: "booked", "moved"
    told: Mapped[dict[str, Any] | None]  # what the patient was last told, see rules.told()
    untold_from: Mapped[datetime | None] = mapped_column(index=True)  # call them, if not texted

    site: Mapped[Site] = relationship(lazy="joined")
    patient: Mapped[Patient] = relationship(lazy="joined")
    claims: Mapped[list["Claim"]] = relationship(back_populates="appointment")

    @property
    def topic(self) -> str:
        """How other rooms name this row without knowing it."""
        return f"appointment:{self.id}"

    @property
    def is_live(self) -> bool:
        """Say whether the appointment still owns its time."""
        return self.status in LIVE


class HoldKind(enum.StrEnum):
    """Why time is kept without being booked."""

    FORM = "form"  # a visitor is typing
    UNDO = "undo"  # a patient called off and may think again
    PENCIL = "pencil"  # a likely course, before the chat
    OFFER = "offer"  # offered to somebody on the waitlist


class Hold(Model):
    """Claims with an expiry. An expired hold owns nothing that somebody else wants."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[HoldKind] = mapped_column(word(HoldKind))
    holder: Mapped[str] = mapped_column(index=True)  # hash of the browser's secret, or a topic
    service_code: Mapped[ServiceCode] = mapped_column(word(ServiceCode), ForeignKey("service.code"))
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    starts_at: Mapped[datetime]
    first_held_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))

    site: Mapped[Site] = relationship(lazy="joined")
    claims: Mapped[list["Claim"]] = relationship(back_populates="hold", passive_deletes=True)


class Claim(Model):
    """One lane, from, until (UTC, half-open), owned by an appointment or a hold.

    Two claims of one lane never overlap: on PostgreSQL the exclusion constraint
    `ex_claim_no_overlap` refuses, on SQLite the triggers of the same name. Only live rows exist:
    releasing is DELETE.
    """

    __tablename__ = "claim"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("(appointment_id IS NULL) <> (hold_id IS NULL)", name="one_owner"),
        Index("ix_claim_lane_id_starts_at", "lane_id", "starts_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    lane_id: Mapped[int] = mapped_column(ForeignKey("lane.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    hold_id: Mapped[int | None] = mapped_column(
        ForeignKey("hold.id", ondelete="CASCADE"), index=True
    )
    is_pinned: Mapped[bool] = mapped_column(default=False)  # this very chair was asked for

    lane: Mapped[Lane] = relationship(lazy="joined")
    appointment: Mapped[Appointment | None] = relationship(back_populates="claims")
    hold: Mapped[Hold | None] = relationship(back_populates="claims")


class FormToken(Model):
    """A form that was used: the same one again gets the same answer, not a second booking."""

    __tablename__ = "form_token"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str]
    body_hash: Mapped[str]
    result: Mapped[str]  # "appointment:42"
    created_at: Mapped[datetime] = mapped_column(index=True)
