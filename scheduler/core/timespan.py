"""Half-open spans of time, and the way between a wall clock and an instant."""

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, order=True, slots=True)
class TimeSpan:
    """From `start` up to, not including, `end`; both aware."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a span needs aware moments")
        if self.end <= self.start:
            raise ValueError("a span ends after it starts")

    def overlaps(self, other: "TimeSpan") -> bool:
        """Say whether the two share a moment; spans that only touch do not."""
        return self.start < other.end and other.start < self.end


def instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a wall time; of a repeated hour the first.

    A wall time that the clock skips (spring) is read with the offset before the change, so it
    lands after the gap: 02:30 becomes 03:30 (PEP 495, fold=0).
    """
    return datetime.combine(day, wall, tzinfo=zone).astimezone(UTC)


def exists(day: date, wall: time, zone: ZoneInfo) -> bool:
    """Say whether the clock on the wall ever shows this time on this day (not in a spring gap)."""
    local = instant(day, wall, zone).astimezone(zone)
    return local.time() == wall and local.date() == day


def wall_text(moment: datetime, zone: ZoneInfo) -> str:
    """Return the wall time of `moment` as ISO text without offset: "2026-03-03T10:45"."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def day_span(day: date, zone: ZoneInfo) -> TimeSpan:
    """Return the calendar day of `zone` as a UTC span: 23, 24 or 25 hours."""
    return TimeSpan(instant(day, time(0), zone), instant(day + timedelta(days=1), time(0), zone))


class PartOfDay(enum.StrEnum):
    """A part of the day by the clock on the wall: until noon, from noon, and from five on."""

    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"

    @classmethod
    def of(cls, wall: time) -> "PartOfDay":
        """Return the part that a wall time lies in."""
        return next(part for part in reversed(cls) if wall >= _BEGINS[part])

    def on(self, day: date, zone: ZoneInfo) -> TimeSpan:
        """Return this part of a calendar day of `zone` as a UTC span."""
        later = next((part for part in PartOfDay if _BEGINS[part] > _BEGINS[self]), None)
        end = day_span(day, zone).end if later is None else instant(day, _BEGINS[later], zone)
        return TimeSpan(instant(day, _BEGINS[self], zone), end)


_BEGINS = {
    PartOfDay.MORNING: time(0),
    PartOfDay.AFTERNOON: time(12),
    PartOfDay.EVENING: time(17),
}
