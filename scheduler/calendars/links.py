"""Addresses by which calendars on the web take one appointment, without a file in between.

What stands in them is what stands in the calendar file. They are followed by the patient's own
press and never by us.
"""

from datetime import UTC, datetime
from urllib.parse import urlencode

from scheduler.calendars.documents import CalendarVisit, description_of, title_of


def google(visit: CalendarVisit) -> str:
    """Return the address of Google's form for a new entry, filled in."""
    asked = {
        "action": "TEMPLATE",
        "text": title_of(visit),
        "dates": f"{_compact(visit.starts_at)}/{_compact(visit.ends_at)}",
        "details": description_of(visit),
    }
    return "https://calendar.google.com/calendar/render?" + urlencode(asked | _place(visit))


def outlook(visit: CalendarVisit) -> str:
    """Return the address of Outlook's form for a new entry, filled in."""
    asked = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title_of(visit),
        "startdt": _spelled(visit.starts_at),
        "enddt": _spelled(visit.ends_at),
        "body": description_of(visit),
    }
    return "https://outlook.live.com/calendar/0/action/compose?" + urlencode(asked | _place(visit))


def _place(visit: CalendarVisit) -> dict[str, str]:
    return {"location": visit.place} if visit.place and not visit.is_call else {}


def _compact(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _spelled(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
