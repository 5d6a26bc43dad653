"""Wishes to come sooner."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.clinic.models import ServiceCode
from scheduler.core.db import Model, word
from scheduler.patients.models import Patient


class WaitlistEntry(Model):
    """Who would take an earlier time, for what, where, and within which window."""

    __tablename__ = "waitlist_entry"
    __table_args__ = (CheckConstraint("until > since", name="until_after_since"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    service_code: Mapped[ServiceCode] = mapped_column(word(ServiceCode), ForeignKey("service.code"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))  # None: either
    topic: Mapped[str | None]  # the appointment it would replace, "appointment:42"
    since: Mapped[datetime]
    until: Mapped[datetime]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]

    patient: Mapped[Patient] = relationship(lazy="joined")
