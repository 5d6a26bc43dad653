"""Calendar entries as patients' programs read them (RFC 5545, 5546). Pure.

Moments are UTC, so no zone definition travels along. The UID is opaque and stays the same for
an appointment's life; with a higher SEQUENCE a program takes the entry for a newer version of
the one it has. Nothing in an entry says more than that somebody has an appointment with us.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from icalendar import Alarm, Calendar, Event, vCalAddress, vText

from scheduler.calendars import lint
from scheduler.core.phone import shown

Method = Literal["REQUEST", "CANCEL", "PUBLISH"]
CLINIC = "Emerge Wellness"
PRODID = "-//Emerge Wellness//Appointments//EN"
_ALARM_BEFORE = timedelta(hours=2)
_CALL_ALARM_BEFORE = timedelta(minutes=15)


@dataclass(frozen=True)
class CalendarVisit:
    """An appointment as a calendar entry needs it."""

    uid: str  # opaque and lasting, e.g. the appointment's public id
    starts_at: datetime
    ends_at: datetime
    sequence: int  # changes the patient must be told
    is_call: bool
    place: str | None  # the site's address; None for a call
    phone: str  # E.164, the site's
    organizer: str  # our mail address
    host: str  # right side of the UID; no clinical word
    attendee: str | None = None  # their e-mail address; a published file has none
    is_off: bool = False  # called off; a feed keeps showing that for some weeks
    changed_at: datetime | None = None  # when it last changed: a feed's stamp
    label: str | None = None  # what staff read in their own calendars; no alarm goes with it


def document(visit: CalendarVisit, *, method: Method = "REQUEST", now: datetime) -> bytes:
    """Return a calendar document with one entry.

    REQUEST invites or updates, CANCEL takes it back (both need `attendee`), PUBLISH is a file to
    open. `now` is the stamp by which two documents of one sequence are told apart.

    Raises:
        ValueError: an invitation without anybody invited, a moment without zone, an end that is
            not after the start, or anything else a mail program could not make sense of.
    """
    if method != "PUBLISH" and not visit.attendee:
        raise ValueError("an invitation needs somebody who is invited")
    if visit.ends_at <= visit.starts_at:
        raise ValueError("an appointment ends after it starts")
    calendar = Calendar()
    calendar.add("prodid", PRODID)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method)
    calendar.add_component(_entry(visit, method, now))
    return _fit(calendar)


def feed(visits: Sequence[CalendarVisit], *, uid: str, now: datetime) -> bytes:
    """Return a calendar to subscribe to, with every visit given; asked for again each hour.

    An entry's stamp is its last change, so that nothing new is the same document, byte for byte.

    Args:
        uid: Opaque and lasting: the same feed keeps it.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODID)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("uid", uid)
    calendar.add("name", CLINIC)
    calendar.add("x-wr-calname", CLINIC)
    # RFC 7986 5.7 wants the type said; programs of one maker read the X- line instead.
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for visit in visits:
        calendar.add_component(_entry(visit, "PUBLISH", visit.changed_at or now))
    return _fit(calendar)


def _fit(calendar: Calendar) -> bytes:
    """Write it, and judge what was written: what is checked is what is sent."""
    written: bytes = calendar.to_ical()
    wrong = lint.faults(written)
    if wrong:
        raise ValueError("; ".join(wrong))
    return written


def title_of(visit: CalendarVisit) -> str:
    """Return what an entry is called: that there is an appointment, and with whom."""
    if visit.label is not None:
        return visit.label
    return f"Call from {CLINIC}" if visit.is_call else f"Appointment · {CLINIC}"


def description_of(visit: CalendarVisit) -> str:
    """Return the one line under the title."""
    return f"Questions? Call {shown(visit.phone)}."


def _entry(visit: CalendarVisit, method: Method, now: datetime) -> Event:
    entry = Event()
    entry.add("uid", f"{visit.uid}@{visit.host}")
    entry.add("dtstamp", _utc(now))
    entry.add("sequence", visit.sequence)
    entry.add("dtstart", _utc(visit.starts_at))
    entry.add("dtend", _utc(visit.ends_at))
    title = title_of(visit)
    entry.add("summary", title)
    is_off = method == "CANCEL" or visit.is_off
    entry.add("status", "CANCELLED" if is_off else "CONFIRMED")
    entry.add("transp", "OPAQUE")
    entry.add("class", "PRIVATE")
    if visit.place and not visit.is_call:
        entry.add("location", visit.place)
    entry.add("description", description_of(visit))
    organizer = vCalAddress(f"mailto:{visit.organizer}")
    organizer.params["cn"] = vText(CLINIC)
    entry["organizer"] = organizer
    if method != "PUBLISH":
        attendee = vCalAddress(f"mailto:{visit.attendee}")
        attendee.params["role"] = vText("REQ-PARTICIPANT")
        attendee.params["partstat"] = vText("NEEDS-ACTION")
        attendee.params["rsvp"] = vText("FALSE")
        entry.add("attendee", attendee)
    if not is_off and visit.label is None:
        entry.add_component(_alarm(visit, title))
    return entry


def _alarm(visit: CalendarVisit, title: str) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", title)
    alarm.add("trigger", -(_CALL_ALARM_BEFORE if visit.is_call else _ALARM_BEFORE))
    return alarm


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a calendar entry needs aware moments")
    return moment.astimezone(UTC).replace(microsecond=0)
