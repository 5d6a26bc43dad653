"""Five hundred appointments, read by two libraries that know nothing of one another."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from ical.calendar_stream import IcsCalendarStream
from icalendar import Calendar

from scheduler.calendars import links, lint
from scheduler.calendars.documents import CalendarVisit, Method, document, feed
from scheduler.core.timespan import instant
from scheduler.messaging.lint import telling

SEED = 20260308
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ZONES = ("America/New_York", "America/Phoenix", "America/Los_Angeles", "Pacific/Honolulu")
#: Around both changes of the clock, and the turn of the year.
DAYS = (date(2026, 3, 8), date(2026, 11, 1), date(2026, 12, 31))
#: One entry of a feed, as somebody reads it.
Entry = tuple[str, datetime, datetime, int, str, str, str]


def appointments() -> Iterator[CalendarVisit]:
    """Five hundred, most of them on days when the clock changes or next to one."""
    chance = random.Random(SEED)
    for number in range(500):
        day = chance.choice(DAYS) + timedelta(days=chance.randrange(-1, 2))
        wall = time(chance.randrange(24), chance.randrange(0, 60, 5))
        starts_at = instant(day, wall, ZoneInfo(chance.choice(ZONES)))
        yield CalendarVisit(
            uid=f"visit-{number}",
            starts_at=starts_at,
            ends_at=starts_at + timedelta(minutes=chance.choice((15, 85, 240))),
            sequence=chance.randrange(9),
            is_call=chance.random() < 0.3,
            place=chance.choice(("1 Main Street, Woburn, MA", "Zażółć 𝒢ardens; 2, Danvers", None)),
            phone="+17815550100",
            organizer="appointments@example.org",
            host="example.org",
            attendee="ana@example.org",
            is_off=chance.random() < 0.2,
            changed_at=NOW - timedelta(minutes=number),
        )


def by_the_first(raw: bytes) -> list[Entry]:
    """Read with the library that wrote it."""
    return [
        (
            str(e["UID"]),
            e.decoded("DTSTART"),
            e.decoded("DTEND"),
            int(e["SEQUENCE"]),
            str(e["STATUS"]),
            str(e["SUMMARY"]),
            str(e.get("LOCATION", "")),
        )
        for e in Calendar.from_ical(raw).walk("VEVENT")
    ]


def by_the_second(raw: bytes) -> list[Entry]:
    """Read with the other."""
    calendar = IcsCalendarStream.calendar_from_ics(raw.decode())
    return [
        (
            str(e.uid),
            e.dtstart.astimezone(UTC),  # type: ignore[union-attr]
            e.end.astimezone(UTC),  # type: ignore[union-attr]
            e.sequence or 0,
            str(e.status.value if e.status else ""),
            e.summary or "",
            e.location or "",
        )
        for e in calendar.events
    ]


def meant(visit: CalendarVisit, *, is_off: bool) -> Entry:
    """What somebody who reads it must come to."""
    return (
        f"{visit.uid}@{visit.host}",
        visit.starts_at,
        visit.ends_at,
        visit.sequence,
        "CANCELLED" if is_off else "CONFIRMED",
        "Call from Emerge Wellness" if visit.is_call else "Appointment · Emerge Wellness",
        "" if visit.is_call else visit.place or "",
    )


def test_a_feed_of_five_hundred_means_the_same_to_both() -> None:
    visits = list(appointments())
    raw = feed(visits, uid="ana", now=NOW)

    wanted = [meant(v, is_off=v.is_off) for v in visits]
    assert by_the_first(raw) == wanted
    assert by_the_second(raw) == wanted
    assert raw == feed(visits, uid="ana", now=NOW + timedelta(days=1))  # nothing new: the same
    print(f"seed {SEED}: {len(visits)} appointments, two readers, 0 differences")


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_a_mail_about_each_means_the_same_to_both(method: Method) -> None:
    for visit in list(appointments())[::10]:
        raw = document(replace(visit, is_off=False), method=method, now=NOW)

        assert by_the_first(raw) == by_the_second(raw) == [meant(visit, is_off=method == "CANCEL")]


@pytest.mark.parametrize(
    ("since", "instead", "fault"),
    [
        pytest.param(b"SEQUENCE:3\r\n", b"", "SEQUENCE is missing", id="no sequence"),
        pytest.param(b"Z\r\nDTEND", b"\r\nDTEND", "a moment is not in UTC", id="floating"),
        pytest.param(b"METHOD:REQUEST", b"METHOD:REPLY", "the method is none of ours", id="reply"),
        pytest.param(
            b"METHOD:REQUEST", b"METHOD:CANCEL", "the status does not go with the method", id="off"
        ),
        pytest.param(
            b"METHOD:REQUEST",
            b"METHOD:PUBLISH",
            "somebody is invited by a published file, or nobody by an invitation",
            id="published to somebody",
        ),
        pytest.param(b"\r\n", b"\n", "a line ends wrongly", id="lines"),
        pytest.param(
            b"mailto:appointments", b"appointments", "the organizer cannot be written to", id="org"
        ),
    ],
)
def test_the_lint_names_what_the_library_lets_pass(
    since: bytes, instead: bytes, fault: str
) -> None:
    visit = CalendarVisit(
        uid="a",
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=1),
        sequence=3,
        is_call=False,
        place="1 Main Street",
        phone="+17815550100",
        organizer="appointments@example.org",
        host="example.org",
        attendee="ana@example.org",
    )
    raw = document(visit, method="REQUEST", now=NOW)
    assert lint.faults(raw) == []

    assert since in raw
    assert fault in lint.faults(raw.replace(since, instead))


def test_the_links_for_calendars_on_the_web_say_what_the_file_says() -> None:
    for visit in list(appointments())[:40]:
        for address in (links.google(visit), links.outlook(visit)):
            asked = parse_qs(urlsplit(address).query)
            title = asked.get("text") or asked["subject"]
            assert title == [meant(visit, is_off=False)[5]]
            assert ("location" in asked) == bool(visit.place and not visit.is_call)
            assert telling(" ".join(asked.get("details", []) + asked.get("body", []))) == []
        since, until = parse_qs(urlsplit(links.google(visit)).query)["dates"][0].split("/")
        assert datetime.strptime(since, "%Y%m%dT%H%M%S%z") == visit.starts_at
        assert datetime.strptime(until, "%Y%m%dT%H%M%S%z") == visit.ends_at
        spelled = parse_qs(urlsplit(links.outlook(visit)).query)["startdt"][0]
        assert datetime.fromisoformat(spelled) == visit.starts_at
