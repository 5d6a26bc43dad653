"""Wishes to come sooner, and the times that were offered because of them."""

import enum
from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import Model, word
from scheduler.patients.models import Patient


class WaitlistEntry(Model):
    """Who would take which time, for what, where, and within which window.

    Sites, days and parts of the day are plain lists; an empty one means any. `needed_by` is the
    end of the clinical window, where there is one: who has the least time left comes first.
    """

    __tablename__ = "waitlist_entry"
    __table_args__ = (CheckConstraint("until > since", name="until_after_since"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    service_code: Mapped[ServiceCode] = mapped_column(word(ServiceCode), ForeignKey("service.code"))
    site_ids: Mapped[list[int]] = mapped_column(JSON)
    weekdays: Mapped[list[int]] = mapped_column(JSON)  # Monday is 0
    parts: Mapped[list[str]]  # of the day, as core.timespan.PartOfDay spells them
    longer_minutes: Mapped[int] = mapped_column(default=0)  # than the service usually takes
    topic: Mapped[str | None]  # what it is for: "appointment:42" it would replace, "visit:7"
    since: Mapped[datetime]
    until: Mapped[datetime]
    needed_by: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]

    patient: Mapped[Patient] = relationship(lazy="joined")


class OfferState(enum.StrEnum):
    """What became of an offer."""

    OPEN = "open"  # the time is kept for them
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # taken back by us: the wish was closed, or the time is gone


class WaitlistOffer(Model):
    """One time, kept for one person until they answer or it lapses.

    The claims belong to a hold whose holder is this row's topic. A wish has one open offer at
    most; that two people never win one time is the law of the book (`ex_claim_no_overlap`).
    """

    __tablename__ = "waitlist_offer"
    __table_args__ = (
        CheckConstraint("expires_at > offered_at", name="lasts"),
        CheckConstraint(
            "(state = 'open') = (answered_at IS NULL)", name="answered_when_no_longer_open"
        ),
        Index(
            "uq_waitlist_offer_open_entry",
            "entry_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("waitlist_entry.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    starts_at: Mapped[datetime]
    is_by_text: Mapped[bool]  # else somebody tells them
    offered_at: Mapped[datetime]
    offered_by: Mapped[str]
    expires_at: Mapped[datetime]
    state: Mapped[OfferState] = mapped_column(word(OfferState), default=OfferState.OPEN)
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    appointment_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id"))

    entry: Mapped[WaitlistEntry] = relationship(lazy="joined")
    site: Mapped[Site] = relationship(lazy="joined")

    @property
    def topic(self) -> str:
        """How other rooms name this row without knowing it."""
        return f"offer:{self.id}"
