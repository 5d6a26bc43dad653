"""Finding a free time over HTTP, against a page of the same server that reads one row."""

import random
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime

from benchmarks import load, serving, workload
from benchmarks.load import Browser, Rate
from benchmarks.page import Section
from benchmarks.workload import Workload

ROUNDS = 7
SECONDS = 0.7
CLIENTS = (1, 8)
CHECKED = 12
FLOOR = "one row"
DAY = "one person, one day"
WEEKS = "anyone, 14 days"
#: What must be reached, in parts of the floor's requests a second.
TARGETS = {DAY: 0.30, WEEKS: 0.20}
WORDS = f"""
One site, {workload.PEOPLE} people, Monday to Friday 9 to 5, one service of {workload.MINUTES}
minutes, {workload.DAYS} working days, half of the slots booked, {workload.PATIENTS} patients.
The production server (gunicorn, 2 processes of 4 threads); the load comes from one process on
the same cores, over connections that are kept. *{FLOOR}* is the floor: a page with one row read
through the ORM, in a template of four lines. *{DAY}* and *{WEEKS}* are what the desk's booking
page fetches when a day, a person or "Two weeks" is chosen: who is signed in, the rules, and a
list of times to choose from (the first is asked for each person and day in turn; the second
lists every free start). *a patient's page* is the whole page of times a visitor gets, with the
counts of every day that can be booked. Each figure is the median of {ROUNDS} turns of {SECONDS}
s, all kinds in each turn; the share is the median of the shares of each turn.
"""
HEAD = (
    *("database", "clients", "request", "per second", "p50 ms", "p95 ms"),
    *("server CPU ms", "share of the floor"),
)


class Wrong(AssertionError):
    """The server offers other times than are free; its speed would mean nothing."""


def run() -> Section:
    """Measure both databases."""
    section = Section("Finding a time over HTTP", WORDS, HEAD)
    for kind in serving.KINDS:
        with serving.database(kind) as url:
            with serving.room(url):
                built = workload.build(today=datetime.now(workload.ZONE).date())
            with serving.server(url) as port:
                desk = sign_in(port)
                check(desk, built)
                for clients in CLIENTS:
                    _measure(section, kind, port, requests(desk, built), clients)
    return section


def sign_in(port: int) -> Browser:
    """Return the desk's browser, signed in by the form."""
    desk = Browser(port)
    form = load.typed(desk.get("/desk/sign-in").text)
    answer = desk.post(
        "/desk/sign-in", form | {"username": workload.USERNAME, "password": workload.PASSWORD}
    )
    if answer.status != 303:
        raise load.BadAnswer(f"signing in: {answer.status}")
    return desk


def one_day(person: int, day: object) -> str:
    """Return the address of one person's free times on one day."""
    return f"/desk/book/times?service=call&site=woburn&person={person}&day={day}&show=day"


def two_weeks(day: object) -> str:
    """Return the address of everybody's free times over 14 days."""
    return f"/desk/book/times?service=call&site=woburn&person=&day={day}&show=weeks"


def check(desk: Browser, built: Workload) -> None:
    """Compare what is offered with what the seed left free.

    Raises:
        Wrong: they differ.
    """
    chance = random.Random(workload.SEED)
    for person, day in chance.sample(sorted(built.free), CHECKED):
        got = load.offered(desk.get(one_day(person, day)).text)
        free = [f"{s.isoformat()}|{built.site_code}" for s in built.free[person, day]]
        if got != free:
            raise Wrong(f"person {person}, {day}: {got} instead of {free}")
    first = built.days[0]
    expected = {
        s for (_, day), starts in built.free.items() if (day - first).days < 14 for s in starts
    }
    if len(load.offered(desk.get(two_weeks(first)).text)) != len(expected):
        raise Wrong("two weeks")


def requests(desk: Browser, built: Workload) -> dict[str, list[bytes]]:
    """Return what is asked for, by kind, in the order it is asked."""
    days = sorted(built.free)
    random.Random(workload.SEED).shuffle(days)
    firsts = built.days[: workload.DAYS - 10]
    visitor = Browser(desk.port)
    return {
        FLOOR: [desk.raw("GET", f"/floor/{number}") for number, _ in built.patients],
        DAY: [desk.raw("GET", one_day(person, day)) for person, day in days],
        WEEKS: [desk.raw("GET", two_weeks(day)) for day in firsts],
        "a patient's page": [
            visitor.raw("GET", f"/book/time?site=woburn&day={day}") for day in firsts
        ],
    }


def _measure(
    section: Section, kind: str, port: int, asked: Mapping[str, Sequence[bytes]], clients: int
) -> None:
    for wanted in asked.values():  # warm
        load.rate(port, wanted, clients=8, seconds=SECONDS)
    found: dict[str, list[Rate]] = {name: [] for name in asked}
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, wanted in asked.items():
            before = serving.processor_seconds()
            rate = load.rate(port, wanted, clients=clients, seconds=SECONDS)
            found[name].append(rate)
            spent[name].append((serving.processor_seconds() - before) * 1000 / rate.count)
    for name, rates in found.items():
        share = statistics.median(
            ours.per_second / floor.per_second
            for ours, floor in zip(rates, found[FLOOR], strict=True)
        )
        section.say(
            kind,
            str(clients),
            name,
            f"{statistics.median(r.per_second for r in rates):,.0f}",
            f"{statistics.median(r.p50_ms for r in rates):.1f}",
            f"{statistics.median(r.p95_ms for r in rates):.1f}",
            f"{statistics.median(spent[name]):.2f}",
            f"{share:.0%}",
        )
        if name in TARGETS:
            section.judge(
                kind,
                f"{name} over HTTP, {clients} client{'s' * (clients > 1)}",
                f"{share:.0%} of the floor",
                f"at least {TARGETS[name]:.0%}",
                share >= TARGETS[name],
            )
