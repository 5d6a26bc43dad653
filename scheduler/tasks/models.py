"""What a person must close."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from scheduler.core.db import Model
from scheduler.core.sealed import Sealed


class Task(Model):
    """Something only a person can close. One open task a kind and topic."""

    __tablename__ = "task"
    __table_args__ = (
        Index(
            "uq_task_open_kind_topic",
            "kind",
            "topic",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)  # "change-asked", "unclear-text", "not-sent"
    topic: Mapped[str]  # "appointment:42", "message:7"
    patient_id: Mapped[int | None] = mapped_column(index=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"), index=True)
    note: Mapped[str | None] = mapped_column(Sealed)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    assignee: Mapped[str | None]  # "staff:3"
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    outcome: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
