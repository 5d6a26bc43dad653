"""A person's day: how many texts they have had, and whether there is room for one more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.clinic import settings
from scheduler.clinic.models import Site
from scheduler.clinic.settings import Settings
from scheduler.core.db import db
from scheduler.core.timespan import instant
from scheduler.messaging import rules, texts
from scheduler.messaging.models import InboundText, Message
from scheduler.messaging.rules import Purpose
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import Patient

#: Where a text stands that its reader has had, or may have.
_TOLD = (State.CLAIMED, State.SENDING, State.AMBIGUOUS, State.SENT, State.DELIVERED)


@dataclass(frozen=True)
class Day:
    """A person's day: what they have been told, and how much more they may be."""

    now: datetime
    zone: ZoneInfo
    chosen: Settings
    told: Sequence[datetime]  # the texts that count, of the last seven days

    @classmethod
    def of(cls, message: Message, patient: Patient, now: datetime) -> "Day":
        """Read the day of the person a message is for; what the message itself was is left out."""
        return cls(
            now=now,
            zone=zone_of(message, patient),
            chosen=settings_of(patient),
            told=_told(patient.id, now=now, but=message.id),
        )

    @property
    def ends(self) -> datetime:
        """The next midnight on their wall."""
        return instant(self._tomorrow, time(), self.zone)

    @property
    def night_begins(self) -> datetime:
        """When they may be texted no more today."""
        today = self.now.astimezone(self.zone).date()
        return instant(today, self.chosen.quiet_from, self.zone)

    @property
    def next_begins(self) -> datetime:
        """When they may be texted tomorrow."""
        return instant(self._tomorrow, self.chosen.quiet_until, self.zone)

    @property
    def _tomorrow(self) -> date:
        return self.now.astimezone(self.zone).date() + timedelta(days=1)

    def frees_at(self) -> datetime | None:
        """When the caps leave room for one more text; None: now."""
        return rules.frees_at(
            self.told,
            now=self.now,
            zone=self.zone,
            a_day=self.chosen.texts_a_day,
            a_week=self.chosen.texts_a_week,
            begins=self.chosen.quiet_until,
        )

    def what_keeps(self, until: datetime) -> str:
        """Name the cap that keeps a text until the moment `frees_at` gave, in words for staff."""
        if until == self.next_begins:
            return f"the limit of {_texts(self.chosen.texts_a_day)} a day"
        return f"the limit of {_texts(self.chosen.texts_a_week)} in seven days"

    def leaves_room(self, purpose: Purpose, patient_id: int) -> bool:
        """Say whether a text now leaves the more urgent ones of the coming week their place.

        What goes alone takes the place of today's as well; all else is said together with them.
        """
        planned = db.session.scalars(
            select(Message.send_after).where(
                Message.patient_id == patient_id,
                Message.channel == Channel.SMS,
                Message.state == State.QUEUED,
                Message.is_reply.is_(False),
                Message.template.in_(rules.more_urgent_than(purpose)),
                Message.send_after >= (self.now if purpose is Purpose.ALONE else self.ends),
                Message.send_after < self.now + rules.WEEK,
            )
        )
        days = {moment.astimezone(self.zone).date(): moment for moment in planned}
        today = self.now.astimezone(self.zone).date()
        if today in days and self._had_on(today) + 1 >= self.chosen.texts_a_day:
            return False
        return rules.leaves_room(
            self.told, list(days.values()), now=self.now, a_week=self.chosen.texts_a_week
        )

    def _had_on(self, day: date) -> int:
        return sum(moment.astimezone(self.zone).date() == day for moment in self.told)


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count} texts"


def has_room(patient: Patient, zone: ZoneInfo, *, now: datetime) -> bool:
    """Say whether a text of its own could go to a patient now: caps, and what is due to them."""
    day = Day(now, zone, settings_of(patient), _told(patient.id, now=now))
    return day.frees_at() is None and day.leaves_room(Purpose.ALONE, patient.id)


def _told(patient_id: int, *, now: datetime, but: int | None = None) -> list[datetime]:
    """Return when a patient had the texts that count, of the last seven days."""
    told = select(Message.counted_at).where(
        Message.patient_id == patient_id,
        Message.id != (but or 0),
        Message.counted_at > now - rules.WEEK,
        Message.state.in_(_TOLD),
    )
    return [moment for moment in db.session.scalars(told) if moment is not None]


def settings_of(patient: Patient) -> Settings:
    """Return the numbers of a patient's home site."""
    return settings.of_site(patient.home_site_id) if patient.home_site_id else Settings()


def night_is_over(patient: Patient, zone: ZoneInfo, *, now: datetime) -> datetime:
    """Return when a patient who lives by `zone` may be texted: `now`, or the next morning."""
    chosen = settings_of(patient)
    return rules.next_daytime(now, zone, begins=chosen.quiet_until, ends=chosen.quiet_from)


def answered_at(number: str, patient: Patient | None, *, now: datetime) -> datetime:
    """Return when a number may be answered: at once if it just wrote, else not at night."""
    wrote = select(InboundText.id).where(
        InboundText.number == number, InboundText.received_at > now - rules.JUST_NOW
    )
    if db.session.scalar(wrote.limit(1)) is not None:
        return now
    if patient is None:
        return rules.next_daytime(now, ZoneInfo(texts.DEFAULT_ZONE))
    return night_is_over(patient, lives_by(patient), now=now)


def zone_of(message: Message, patient: Patient) -> ZoneInfo:
    """Return the zone a patient lives by: their own, else that of what it is about."""
    return lives_by(patient, message.facts.get("zone"))


def lives_by(patient: Patient, about: str | None = None) -> ZoneInfo:
    """Return the zone a patient lives by: their own, else the one given, else their site's."""
    name = patient.zone_name or about
    if not name and patient.home_site_id is not None:
        name = db.session.scalar(select(Site.zone_name).where(Site.id == patient.home_site_id))
    return ZoneInfo(name or texts.DEFAULT_ZONE)
