"""Moments as a patient's page needs them, beyond what every page has (web/display.py)."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton, get_timezone_name

from scheduler.web.display import clock_time, long_day, written_in
from scheduler.web.i18n import gettext


def weekday(day: date) -> str:
    """Return "Tue"."""
    return format_date(day, "EEE", locale=written_in()).rstrip(".").capitalize()


def month_day(day: date) -> str:
    """Return "Mar 3"."""
    return str(format_skeleton("MMMd", day, locale=written_in())).rstrip(".")


def in_long(moment: datetime, zone: ZoneInfo) -> str:
    """Return "Tuesday, March 3, 10:45 AM"."""
    return f"{long_day(moment, zone)}, {clock_time(moment, zone)}"


def zone_words(zone: ZoneInfo) -> str:
    """Return what the clock is called: "Eastern time"."""
    if zone.key == "America/New_York":
        return gettext("Eastern time")
    return get_timezone_name(zone, locale=written_in())


def moment_value(moment: datetime) -> str:
    """Return how a form carries a moment: "2026-03-03T15:45+00:00"."""
    return moment.astimezone(UTC).isoformat(timespec="minutes")
