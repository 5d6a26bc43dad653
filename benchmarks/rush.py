"""Thirty-two people send the same time at one instant, over HTTP, with the forms of the pages."""

import re
from collections import Counter
from datetime import datetime

import sqlalchemy as sa

from benchmarks import load, serving, workload
from benchmarks.load import Answer, Browser
from benchmarks.page import Section
from scheduler.booking.models import Appointment
from scheduler.core.db import db

CROWD = 32
SLOTS = 20
SLOWEST_S = 0.5
OVERLAPS = sa.text(
    "SELECT count(*) FROM claim a JOIN claim b ON a.lane_id = b.lane_id "
    "AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at"
)
WORDS = f"""
A clinic with one caller. {CROWD} visitors have filled in the same form for the same time, each
in a browser with its own cookies and address; all requests are sent but for their last byte,
and the last bytes follow in one loop. {SLOTS} times, one after the other; one before them is not
timed, for in it both processes read their templates. A loser's page must offer other times.
Counted in the database.
"""
HEAD = (
    "database",
    "times",
    "booked",
    "told it is taken",
    "of these with other times",
    "anything else",
    "claims that overlap",
    "median slowest answer ms",
    "slowest answer ms",
)


def run() -> Section:
    """Hold the rush on both databases."""
    section = Section(f"A rush: {CROWD} for one time", WORDS, HEAD)
    for kind in serving.KINDS:
        with serving.database(kind) as url:
            with serving.room(url):
                built = workload.build(today=datetime.now(workload.ZONE).date(), people=1, booked=0)
            with serving.server(url) as port:
                crowd = [Browser(port, f"198.18.{place}.1") for place in range(CROWD)]
                starts = [start for free in built.free.values() for start in free][: SLOTS + 1]
                rounds = [_round(port, crowd, start, number) for number, start in enumerate(starts)]
            with serving.room(url):
                _tell(section, kind, rounds[1:], starts[1:])
    return section


def _round(port: int, crowd: list[Browser], start: datetime, number: int) -> list[Answer]:
    """Fill in the form in every browser, then send them all."""
    forms = []
    for place, browser in enumerate(crowd):
        page = browser.get(f"/book/time?site=woburn&day={start:%Y-%m-%d}")
        forms.append(
            browser.raw("POST", "/book/details", details(page.text, start, number * CROWD + place))
        )
        browser.close()
    return load.at_once(port, forms)


def details(page: str, start: datetime, number: int) -> dict[str, str]:
    """Return a visitor's form, filled in; `page` is one of ours, for its token."""
    return {
        "csrf_token": load.typed(page)["csrf_token"],
        "token": f"form-{number}-{start.timestamp():.0f}",
        "hold": "",
        "site": "woburn",
        "day": start.astimezone(workload.ZONE).date().isoformat(),
        "start": start.isoformat(),
        "given_name": "Guest",
        "family_name": f"Number {number}",
        "mobile": f"(781) 555-{number % 10_000:04}",
        "email": f"guest{number}@example.org",
        "language": "en",
        "pain": "crps",
        "consent": "y",
    }


def _tell(section: Section, kind: str, rounds: list[list[Answer]], starts: list[datetime]) -> None:
    answers = [answer for crowd in rounds for answer in crowd]
    told = Counter(answer.status for answer in answers)
    losers = [answer for answer in answers if answer.status == 409]
    helped = sum(bool(load.offered(answer.text)) for answer in losers)
    asked = sa.select(Appointment.starts_at).where(Appointment.starts_at.in_(starts))
    booked = db.session.scalars(asked).all()
    twice = len(booked) - len(set(booked))
    overlaps = db.session.scalar(OVERLAPS) or 0
    others = len(answers) - told[303] - told[409]
    slowest = max(answer.seconds for answer in answers)
    each = sorted(max(answer.seconds for answer in crowd) for crowd in rounds)
    section.say(
        kind,
        str(len(rounds)),
        str(len(booked)),
        str(len(losers)),
        str(helped),
        _others(told),
        str(overlaps),
        f"{each[len(each) // 2] * 1000:.0f}",
        f"{slowest * 1000:.0f}",
    )
    section.judge(
        kind,
        f"rush, {CROWD} for one time, {len(rounds)} times",
        f"{twice + overlaps} double bookings, {others} failed requests",
        "0 double bookings, 0 deadlocks",
        twice == overlaps == others == 0 and len(booked) == len(rounds),
    )
    section.judge(
        kind,
        "rush, losers",
        f"{helped} of {len(losers)} get other times",
        "all of them",
        helped == len(losers) > 0,
    )
    section.judge(
        kind,
        "rush, slowest answer",
        f"{slowest * 1000:.0f} ms",
        f"less than {SLOWEST_S * 1000:.0f} ms",
        slowest < SLOWEST_S,
    )


def _others(told: Counter[int]) -> str:
    rest = {status: n for status, n in told.items() if status not in (303, 409)}
    return re.sub(r"[{}]", "", str(rest)) if rest else "0"
