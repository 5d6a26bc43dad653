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


def document(visit: CalendarVisit, *, method: Method = "REQUEST", now: datetime) -> bytes:
    """Return a calendar document with one entry.

    REQUEST invites or updates, CANCEL takes it back (both need `attendee`), PUBLISH is a file to
    open. `now` is the stamp by which two documents of one sequence are told apart.

    Raises:
        ValueError: an invitation without anybody invited, a moment without zone, or an end that
            is not after the start.
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
    written: bytes = calendar.to_ical()
    return written


def feed(visits: Sequence[CalendarVisit], *, uid: str, now: datetime) -> bytes:
    """Return a calendar to subscribe to, with every visit given; asked for again each hour.

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
        calendar.add_component(_entry(visit, "PUBLISH", now))
    text: bytes = calendar.to_ical()
    return text


def _entry(visit: CalendarVisit, method: Method, now: datetime) -> Event:
    entry = Event()
    entry.add("uid", f"{visit.uid}@{visit.host}")
    entry.add("dtstamp", _utc(now))
    entry.add("sequence", visit.sequence)
    entry.add("dtstart", _utc(visit.starts_at))
    entry.add("dtend", _utc(visit.ends_at))
    title = f"Call from {CLINIC}" if visit.is_call else f"Appointment · {CLINIC}"
    entry.add("summary", title)
    is_off = method == "CANCEL" or visit.is_off
    entry.add("status", "CANCELLED" if is_off else "CONFIRMED")
    entry.add("transp", "OPAQUE")
    entry.add("class", "PRIVATE")
    if visit.place and not visit.is_call:
        entry.add("location", visit.place)
    entry.add("description", f"Questions? Call {shown(visit.phone)}.")
    organizer = vCalAddress(f"mailto:{visit.organizer}")
    organizer.params["cn"] = vText(CLINIC)
    entry["organizer"] = organizer
    if method != "PUBLISH":
        attendee = vCalAddress(f"mailto:{visit.attendee}")
        attendee.params["role"] = vText("REQ-PARTICIPANT")
        attendee.params["partstat"] = vText("NEEDS-ACTION")
        attendee.params["rsvp"] = vText("FALSE")
        entry.add("attendee", attendee)
    if not is_off:
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
