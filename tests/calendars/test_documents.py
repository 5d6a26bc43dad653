"""Calendar entries, judged by what RFC 5545 and 5546 ask and by what they may not say."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from icalendar import Calendar

from scheduler.calendars.documents import CalendarVisit, Method, document
from scheduler.calendars.lint import faults
from scheduler.messaging import lint

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
STARTS = datetime(2026, 3, 3, 15, 45, tzinfo=UTC)


def visit(**changes: Any) -> CalendarVisit:
    """A visit to Woburn."""
    values: dict[str, Any] = {
        "uid": "pZ3xQ_-9",
        "starts_at": STARTS,
        "ends_at": STARTS + timedelta(minutes=85),
        "sequence": 2,
        "is_call": False,
        "place": "1 Main Street, Woburn, MA 01801",
        "phone": "+17815550100",
        "attendee": "ana@example.org",
        "organizer": "appointments@example.org",
        "host": "example.org",
    }
    return CalendarVisit(**(values | changes))


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "PUBLISH"])
@pytest.mark.parametrize("is_call", [True, False])
def test_every_kind_of_entry_can_be_read(method: Method, is_call: bool) -> None:
    raw = document(visit(is_call=is_call), method=method, now=NOW)

    assert faults(raw) == []


def test_an_entry_keeps_its_name_and_counts_its_changes() -> None:
    first = Calendar.from_ical(document(visit(sequence=0), now=NOW))
    moved = Calendar.from_ical(document(visit(sequence=1, starts_at=STARTS), now=NOW))

    [a], [b] = first.walk("VEVENT"), moved.walk("VEVENT")
    assert a["UID"] == b["UID"]
    assert (a["SEQUENCE"], b["SEQUENCE"]) == (0, 1)


def test_the_same_facts_make_the_same_document() -> None:
    assert document(visit(), now=NOW) == document(visit(), now=NOW)


def test_moments_are_utc_whatever_zone_they_come_in() -> None:
    east = timezone(timedelta(hours=-5))
    elsewhere = visit(starts_at=STARTS.astimezone(east))

    assert document(elsewhere, now=NOW) == document(visit(), now=NOW)


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "PUBLISH"])
def test_an_entry_says_no_more_than_that_there_is_an_appointment(method: Method) -> None:
    raw = document(visit(), method=method, now=NOW)

    assert lint.telling(raw.decode().replace("\r\n ", "")) == []
    assert "SUMMARY:Appointment · Emerge Wellness" in raw.decode()


def test_a_call_names_no_place() -> None:
    raw = document(visit(is_call=True), now=NOW).decode()

    assert "SUMMARY:Call from Emerge Wellness" in raw
    assert "LOCATION" not in raw


def test_an_alarm_goes_off_before_and_none_for_what_is_called_off() -> None:
    asked = Calendar.from_ical(document(visit(), now=NOW))
    off = Calendar.from_ical(document(visit(), method="CANCEL", now=NOW))

    [alarm] = asked.walk("VALARM")
    assert alarm.decoded("TRIGGER") == timedelta(hours=-2)
    assert off.walk("VALARM") == []


def test_words_typed_by_somebody_cannot_break_out_of_their_line() -> None:
    raw = document(visit(place="x\r\nATTENDEE:mailto:eve@example.org"), now=NOW)

    [entry] = Calendar.from_ical(raw).walk("VEVENT")
    assert str(entry["ATTENDEE"]) == "mailto:ana@example.org"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"attendee": None}, id="nobody is invited"),
        pytest.param({"ends_at": STARTS}, id="it ends as it starts"),
        pytest.param({"starts_at": datetime(2026, 3, 3, 15, 45)}, id="no zone"),  # noqa: DTZ001
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        document(visit(**changes), now=NOW)
