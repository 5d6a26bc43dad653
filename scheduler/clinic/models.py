"""Where and by whom time can be given: the supply. Knows no appointment."""

import enum
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from scheduler.core.db import Model, word


class Site(Model):
    """Woburn or Danvers: a place with a clock on the wall."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)  # "woburn"
    name: Mapped[str]
    zone_name: Mapped[str]  # IANA, e.g. "America/New_York"
    address: Mapped[str]
    phone: Mapped[str]  # E.164, the number people call

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the clock on the wall."""
        return ZoneInfo(self.zone_name)


class ResourceKind(enum.StrEnum):
    """What sort of thing can be busy."""

    CHAIR = "chair"
    PERSON = "person"  # a member of staff
    STARTS = "starts"  # how many IVs a site may start in one quarter-hour
    PATIENT = "patient"  # nobody is in two places


class Resource(Model):
    """Something that can be busy. Its row is the lock that writers of its claims take."""

    __tablename__ = "resource"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[ResourceKind] = mapped_column(word(ResourceKind))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"), index=True)
    name: Mapped[str]  # "Chair 1"; for a patient the empty text: names live with the patient
    position: Mapped[int] = mapped_column(default=0)
    retired_at: Mapped[datetime | None]

    lanes: Mapped[list["Lane"]] = relationship(order_by="Lane.number", lazy="selectin")


class Lane(Model):
    """One unit of a resource. Lanes of one resource are interchangeable."""

    __tablename__ = "lane"
    __table_args__ = (UniqueConstraint("resource_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"))
    number: Mapped[int]
    retired_at: Mapped[datetime | None]  # the past keeps its lane, so a lane is never deleted


class ResourceSkill(Model):
    """What a member of staff may do: "calls", "chats", "nurse", "approve-plans"."""

    __tablename__ = "resource_skill"

    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), primary_key=True)
    skill: Mapped[str] = mapped_column(primary_key=True)


class OpeningHours(Model):
    """When a site is open on one weekday, on its own wall clock, while valid."""

    __tablename__ = "opening_hours"
    __table_args__ = (
        CheckConstraint("closes > opens", name="closes_after_opening"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    weekday: Mapped[int]  # Monday is 0
    opens: Mapped[time]
    closes: Mapped[time]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]  # the last day it holds


class Closure(Model):
    """Time a site, or one of its chairs, is shut although the hours say open."""

    __tablename__ = "closure"
    __table_args__ = (CheckConstraint("ends_at > starts_at", name="ends_after_start"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str]


class Shift(Model):
    """When a member of staff works at a site, weekly, on the site's wall clock, while valid."""

    __tablename__ = "shift"
    __table_args__ = (
        CheckConstraint("until > since", name="until_after_since"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    weekday: Mapped[int]
    since: Mapped[time]
    until: Mapped[time]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]


class TimeOff(Model):
    """Time a member of staff is away although a shift says otherwise."""

    __tablename__ = "time_off"
    __table_args__ = (CheckConstraint("ends_at > starts_at", name="ends_after_start"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str]


class ServiceCode(enum.StrEnum):
    """The four things that can be booked."""

    CALL = "call"  # the complimentary consultation call
    FIRST_INFUSION = "first-infusion"
    INFUSION = "infusion"
    CHAT = "chat"  # the follow-up chat after a first infusion


class Service(Model):
    """What can be booked, and the rules that are the clinic's choice."""

    __tablename__ = "service"

    code: Mapped[ServiceCode] = mapped_column(word(ServiceCode), primary_key=True)
    name: Mapped[str]  # for staff; what a patient reads comes from the message and page texts
    visit_minutes: Mapped[int]  # the patient's whole stay
    notice_minutes: Mapped[int]
    horizon_days: Mapped[int]
    is_online: Mapped[bool]
    needs_authority: Mapped[bool]

    needs: Mapped[list["ServiceNeed"]] = relationship(order_by="ServiceNeed.id", lazy="selectin")


class NeedKind(enum.StrEnum):
    """What part of the supply a service takes."""

    CHAIR = "chair"
    PERSON = "person"
    STARTS = "starts"


class ServiceNeed(Model):
    """One thing a service takes, from minute to minute after the patient's arrival."""

    __tablename__ = "service_need"
    __table_args__ = (
        CheckConstraint("until_minute > from_minute", name="until_after_from"),
        UniqueConstraint("service_code", "kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    service_code: Mapped[ServiceCode] = mapped_column(
        word(ServiceCode), ForeignKey("service.code"), index=True
    )
    kind: Mapped[NeedKind] = mapped_column(word(NeedKind))
    from_minute: Mapped[int]
    until_minute: Mapped[int]
    skill: Mapped[str | None]  # for a person: who may do it
    all_lanes: Mapped[bool]  # a call takes the whole person, an infusion one of a nurse's lanes


class Setting(Model):
    """A site's own answer where it differs from the default in settings.py."""

    __tablename__ = "setting"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]  # {"value": ...}: JSON wants one shape


class HolidayAnswer(Model):
    """What a site decided about one public holiday. No row: nobody has decided yet."""

    __tablename__ = "holiday_answer"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_closed: Mapped[bool]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]


class SupplyVersion(Model):
    """One row whose number rises with every change of supply: the key of the supply cache."""

    __tablename__ = "supply_version"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]
