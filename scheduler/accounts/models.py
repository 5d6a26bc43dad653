"""Staff who sign in."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.core.db import Model, word


class Role(enum.StrEnum):
    """What a member of staff is; what that allows stands in rules.py."""

    FRONT_DESK = "front-desk"
    NURSE = "nurse"
    CLINICIAN = "clinician"
    ADMIN = "admin"


class Staff(Model):
    """Somebody who signs in. `resource_id` is their time, when they give any to patients."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)  # lower case
    name: Mapped[str]
    title: Mapped[str]  # "RN", "MD", "Front desk"
    role: Mapped[Role] = mapped_column(word(Role))
    home_site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"), unique=True)
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class StaffSession(Model):
    """One signed-in browser. The cookie holds the secret, this row its hash."""

    __tablename__ = "staff_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    started_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    origin: Mapped[str]


class SignInAttempt(Model):
    """One try to sign in, for the lockout's count and the record."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(index=True)  # as typed, lower case, cut to 80
    at: Mapped[datetime] = mapped_column(index=True)
    succeeded: Mapped[bool]
    origin: Mapped[str]


class FeedKey(Model):
    """The secret address of a calendar that a member of staff subscribes to; only its hash."""

    __tablename__ = "feed_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))  # None: their own
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    staff: Mapped[Staff] = relationship(lazy="joined")
