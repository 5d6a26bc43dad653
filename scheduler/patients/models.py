"""People we treat or may treat."""

import enum
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from scheduler.core.db import Model, word
from scheduler.core.sealed import Sealed


class Standing(enum.StrEnum):
    """How far we know somebody."""

    ENQUIRER = "enquirer"  # made by an online booking, unverified
    PATIENT = "patient"  # known to staff, or imported from a hospital
    MERGED = "merged"  # the same person as `merged_into_id`; kept for its history


class Pain(enum.StrEnum):
    """What hurts, as asked online."""

    DIABETIC = "diabetic-neuropathy"
    CRPS = "crps"
    FIBROMYALGIA = "fibromyalgia"
    HERPETIC = "post-herpetic"
    SCLEROSIS = "multiple-sclerosis"
    COMPRESSION = "nerve-compression"
    INFLAMMATORY = "inflammatory"
    CIRCULATION = "poor-circulation"
    OTHER = "other"
    UNSURE = "not-sure"


class PainSince(enum.StrEnum):
    """How long it has hurt."""

    MONTHS = "under-6-months"
    YEAR = "6-to-12-months"
    YEARS = "1-to-5-years"
    LONG = "over-5-years"


class Patient(Model):
    """A person. Their lane (`resource_id`) keeps them from being in two places."""

    __tablename__ = "patient"
    __table_args__ = (
        CheckConstraint(
            "(standing = 'merged') = (merged_into_id IS NOT NULL)", name="merged_into_somebody"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), unique=True)
    standing: Mapped[Standing] = mapped_column(word(Standing))
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("patient.id"))
    given_name: Mapped[str]
    family_name: Mapped[str]
    preferred_name: Mapped[str | None]
    birth_date: Mapped[date | None]
    sex: Mapped[str | None]  # FHIR administrative-gender: male female other unknown
    mobile: Mapped[str | None] = mapped_column(index=True)  # E.164, could be texted
    private_mobile: Mapped[str | None] = mapped_column(index=True)  # then only there, never mobile
    shares_phone: Mapped[bool] = mapped_column(default=False)  # others read what is texted
    phone_text: Mapped[str | None]  # a phone as it was given, when it is no valid mobile
    email: Mapped[str | None]
    language: Mapped[str]  # "en", "es", "pt_BR"
    zone_name: Mapped[str | None]  # where they live by another clock than their site's: IANA
    address_line: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    postal_code: Mapped[str | None]
    mrn: Mapped[str | None] = mapped_column(unique=True)  # medical record number
    deceased_on: Mapped[date | None]
    is_deceased: Mapped[bool] = mapped_column(default=False)
    home_site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    pain: Mapped[Pain | None] = mapped_column(word(Pain))
    pain_since: Mapped[PainSince | None] = mapped_column(word(PainSince))
    tried: Mapped[str | None] = mapped_column(Sealed)  # what has been tried, in their words
    search: Mapped[str]  # " june okafor 7815550134 ": plain words and digits, each after a space
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    @property
    def shown_name(self) -> str:
        """What staff call them: "June Okafor"."""
        return f"{self.preferred_name or self.given_name} {self.family_name}".strip()

    @property
    def reached_at(self) -> str | None:
        """Where texts go and calls are made, E.164: the number they asked for in confidence."""
        return self.private_mobile or self.mobile

    @property
    def first_initial(self) -> str:
        """All that a link may show of a name: its first letter, whatever sign it begins with."""
        name = self.preferred_name or self.given_name
        return next((sign for sign in name if sign.isalpha()), name[:1]).upper()


class ManageLink(Model):
    """A patient's private way to one appointment. The secret itself is not stored."""

    __tablename__ = "manage_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    topic: Mapped[str] = mapped_column(index=True)  # "appointment:42"
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
