"""The record of deeds."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from scheduler.core.db import Model


class AuditEntry(Model):
    """One deed or one look. Never changed, but for its seal; never deleted (triggers hold it)."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_subject_at", "subject", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]  # "staff:3", "patient:7", "visitor", "worker", "operator", "twilio"
    action: Mapped[str]  # "appointment.moved", "patient.viewed"
    subject: Mapped[str]  # "patient:7", "appointment:42"
    patient_id: Mapped[int | None] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]  # codes and ids only: no names, no words of a patient
    origin: Mapped[str]  # the address the request came from, or the process
    request_id: Mapped[str]
    sealed_with: Mapped[str | None]  # hash chain: sha256(previous seal + this row)
