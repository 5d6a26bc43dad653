"""What mail and calendar programs need of a document and the library does not check.

RFC 5546 3.2 (which properties go with which method), RFC 5545 3.1 (lines) and the house's own
rule: moments in UTC, so that no zone travels along.
"""

import re

from icalendar import Calendar, Component

NEEDED = ("UID", "DTSTAMP", "DTSTART", "DTEND", "SEQUENCE", "SUMMARY", "ORGANIZER", "STATUS")
METHODS = ("REQUEST", "CANCEL", "PUBLISH")
LONGEST_LINE = 75
_MOMENT = re.compile(r"(DTSTAMP|DTSTART|DTEND):\d{8}T\d{6}Z")


def faults(raw: bytes) -> list[str]:
    """Return everything that is wrong with a document, in words; nothing when it is fit."""
    wrong = []
    lines = raw.split(b"\r\n")
    if any(len(line) > LONGEST_LINE for line in lines):
        wrong.append("a line is longer than 75 octets")
    if b"\n" in raw.replace(b"\r\n", b""):
        wrong.append("a line ends wrongly")
    calendar = Calendar.from_ical(raw)
    method = str(calendar.get("METHOD"))
    if method not in METHODS:
        wrong.append("the method is none of ours")
    entries = calendar.walk("VEVENT")
    if method != "PUBLISH" and len(entries) != 1:
        wrong.append("an invitation is about one appointment")
    if len({str(e.get("UID")) for e in entries}) != len(entries):
        wrong.append("two entries have one name")
    if calendar.walk("VTIMEZONE"):
        wrong.append("a zone travels along")
    moments = [line for line in lines if _MOMENT.fullmatch(line.decode(errors="replace"))]
    if len(moments) != 3 * len(entries):
        wrong.append("a moment is not in UTC")
    for entry in entries:
        wrong += _entry_faults(entry, method)
    return list(dict.fromkeys(wrong))


def _entry_faults(entry: Component, method: str) -> list[str]:
    wrong = [f"{name} is missing" for name in NEEDED if name not in entry]
    if wrong:
        return wrong
    if not str(entry["ORGANIZER"]).startswith("mailto:"):
        wrong.append("the organizer cannot be written to")
    if (method == "PUBLISH") == ("ATTENDEE" in entry):
        wrong.append("somebody is invited by a published file, or nobody by an invitation")
    is_off = str(entry["STATUS"]) == "CANCELLED"
    if method != "PUBLISH" and is_off != (method == "CANCEL"):
        wrong.append("the status does not go with the method")
    if is_off and entry.walk("VALARM"):
        wrong.append("what is called off rings")
    return wrong
