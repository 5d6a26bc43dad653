"""How times, days, names and numbers are shown. Always in a stated zone."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from flask import Flask
from flask_babel import get_locale, ngettext

from scheduler.core.phone import shown
from scheduler.core.words import clock_words

#: What the clocks that sites may live by are called.
ZONES = {
    "America/New_York": "Eastern",
    "America/Chicago": "Central",
    "America/Denver": "Mountain",
    "America/Phoenix": "Arizona",
    "America/Los_Angeles": "Pacific",
    "America/Anchorage": "Alaska",
    "Pacific/Honolulu": "Hawaii",
}


#: Spanish as it is written here: "mar, 3 de mar", as in our texts.
_AS_WRITTEN_HERE = {"en": Locale("en", "US"), "es": Locale("es", "US")}


def written_in() -> Locale:
    """Return how dates and times of this page are written; in English where there is no page."""
    chosen = get_locale() or Locale("en")
    return _AS_WRITTEN_HERE.get(chosen.language, chosen)


def _local_day(value: date | datetime, zone: ZoneInfo | None) -> date:
    if not isinstance(value, datetime):
        return value
    if zone is None:
        raise ValueError("a moment is shown in a stated zone")
    return value.astimezone(zone).date()


def day(value: date | datetime, zone: ZoneInfo | None = None) -> str:
    """Return "Tue, Mar 3"; a moment needs the zone of the clock it is read from."""
    return _day(_local_day(value, zone), written_in())


@lru_cache(maxsize=512)  # a page of times says the same few days over and over
def _day(value: date, locale: Locale) -> str:
    return str(format_skeleton("MMMEd", value, locale=locale))


def long_day(value: date | datetime, zone: ZoneInfo | None = None) -> str:
    """Return "Tuesday, March 3"."""
    # Spelled out: asked for by skeleton, Babel answers with the short form.
    pattern = "EEEE, MMMM d" if written_in().language == "en" else "EEEE, d 'de' MMMM"
    return format_date(_local_day(value, zone), pattern, locale=written_in())


def full_date(value: date | datetime, zone: ZoneInfo | None = None) -> str:
    """Return "Mar 3, 2026", for dates that may lie years away."""
    return str(format_skeleton("yMMMd", _local_day(value, zone), locale=written_in()))


def clock_time(value: datetime, zone: ZoneInfo) -> str:
    """Return "10:45 AM"; "10:45 a.m." and "10:45" to readers of Spanish and Portuguese."""
    return wall_time(value.astimezone(zone).time())


def brief_time(value: datetime, zone: ZoneInfo) -> str:
    """Return "10:45", where morning or afternoon is plain from the place it stands in."""
    return format_datetime(value.astimezone(zone), "h:mm", locale=written_in())


def moment(value: datetime, zone: ZoneInfo) -> str:
    """Return "Tue, Mar 3, 10:45 AM"."""
    return f"{day(value, zone)}, {clock_time(value, zone)}"


def wall_time(value: time) -> str:
    """Return "10:45 AM" of a time on the wall that belongs to no day."""
    return clock_words(value, written_in().language)


def whole_days(since: datetime, until: datetime, zone: ZoneInfo) -> str:
    """Return a span in words: "Thu, Nov 26", "Thu, Nov 26 to Fri, Nov 27", or with its times."""
    first, end = since.astimezone(zone), until.astimezone(zone)
    if first.time() == time(0) and end.time() == time(0):
        last = end.date() - timedelta(days=1)
        return day(first.date()) if last == first.date() else f"{day(first.date())} to {day(last)}"
    if first.date() == end.date():
        return f"{moment(since, zone)} to {clock_time(until, zone)}"
    return f"{moment(since, zone)} to {moment(until, zone)}"


def minutes(value: int | timedelta) -> str:
    """Return "40 minutes"; from two hours on "2 hours", "2.5 hours"."""
    count = int(value.total_seconds() // 60) if isinstance(value, timedelta) else value
    if count >= 120 and count % 30 == 0:
        hours = count / 60
        return ngettext("%(shown)s hour", "%(shown)s hours", 2, shown=f"{hours:g}")
    return ngettext("%(num)d minute", "%(num)d minutes", count)


def phone(value: str | None) -> str:
    """Return "(781) 555-0134", or the empty text."""
    return shown(value) if value else ""


def join(app: Flask) -> None:
    """Give templates the filters."""
    shown_as = (day, long_day, full_date, clock_time, brief_time, moment, minutes, phone)
    for show in (*shown_as, wall_time, whole_days):
        app.add_template_filter(show)
