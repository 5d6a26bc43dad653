"""Booking over HTTP: how many a second, and where the time goes."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

from benchmarks import load, rush, search, serving, spans, workload
from benchmarks.load import Answer, Browser
from benchmarks.page import Section
from benchmarks.workload import Workload
from scheduler.core.db import transaction

SITE = "woburn"
COUNT = 100
WARM = 10
DESK = "the desk, one form"
HOLD = "a visitor chooses a time"
BOOK = "a visitor sends their details"
PATHS = {DESK: "/desk/book", HOLD: "/book/time", BOOK: "/book/details"}
WORDS = f"""
{COUNT} free times, one after the other, over a connection that is kept, on the same clinic. The
desk books a known patient with a named person in one form. A visitor sends two: the time, which
is then held for them, and who they are; bookings a second count both. The pages that carry the
forms are not counted. The split is taken in a second run, with every function of the product
watched, which slows it: *form* is the request, the session, the form's checks and the page;
*rules* who may, what is free and which lane; *claims*, *audit* and *messages* what is written
for each, with its statements; *commit* the database's own.
"""
HEAD = ("database", "request", "per second", "p50 ms", "p95 ms", *spans.PARTS)


def run() -> Section:
    """Book on both databases."""
    section = Section("Booking over HTTP", WORDS, HEAD)
    for kind in serving.KINDS:
        with serving.database(kind) as url, tempfile.TemporaryDirectory() as folder:
            with serving.room(url):
                built = workload.build(today=datetime.now(workload.ZONE).date())
                with transaction():  # people who are nowhere else
                    idle = [workload.reference(n) for n in workload.add_patients(2 * COUNT)]
            people = iter(idle)
            half = len(built.days) // 2  # a visitor takes whoever is free: on days of their own
            free = (_free(built, built.days[:half]), _free(built, built.days[half:]))
            with serving.server(url) as port:
                answers = _book_all(port, people, free, COUNT)
            file = Path(folder) / "spans"
            with serving.server(url, spans=file) as port:
                _book_all(port, people, free, COUNT // 3)
            for what, path in PATHS.items():
                _say(section, kind, what, answers[what], spans.read(file, path=path)[WARM:])
            both = [
                a.seconds + b.seconds for a, b in zip(answers[HOLD], answers[BOOK], strict=True)
            ]
            rate = load.summary(both, sum(both))
            section.say(
                kind,
                "a visitor's booking, both forms",
                *(f"{rate.per_second:.0f}", f"{rate.p50_ms:.1f}", f"{rate.p95_ms:.1f}"),
                *("" for _ in spans.PARTS),
            )
    return section


def _free(built: Workload, days: list[date]) -> Iterator[tuple[int, datetime]]:
    """Yield what is free on these days, of each person and day in turn one start."""
    for nth in range(workload.SLOTS - workload.BOOKED):
        for (person, day), starts in built.free.items():
            if day in days:
                yield person, starts[nth]


Free = tuple[Iterator[tuple[int, datetime]], Iterator[tuple[int, datetime]]]


def _book_all(port: int, people: Iterator[str], free: Free, count: int) -> dict[str, list[Answer]]:
    """Book `count` times by the desk and as many as visitors; the first few do not count."""
    desk = search.sign_in(port)
    answers: dict[str, list[Answer]] = {what: [] for what in PATHS}
    for number in range(count + WARM):
        person, start = next(free[0])
        answers[DESK].append(_by_the_desk(desk, next(people), person, start, number))
        _, start = next(free[1])
        held, booked = _by_a_visitor(port, start, number)
        answers[HOLD].append(held)
        answers[BOOK].append(booked)
    return {what: each[WARM:] for what, each in answers.items()}


def _by_the_desk(desk: Browser, patient: str, person: int, start: datetime, number: int) -> Answer:
    day = start.astimezone(workload.ZONE).date()
    page = desk.get(f"/desk/book?patient={patient}&service=call&site=woburn&day={day}")
    form = load.typed(page.text) | {
        "patient": patient,
        "service": "call",
        "site": SITE,
        "person": str(person),
        "day": day.isoformat(),
        "start": f"{start.isoformat()}|{SITE}",
        "once": f"once-{desk.port}-{number}",
        "notify": "y",
    }
    return _sent(lambda: desk.post("/desk/book", form))


def _by_a_visitor(port: int, start: datetime, number: int) -> tuple[Answer, Answer]:
    visitor = Browser(port)
    day = start.astimezone(workload.ZONE).date()
    page = visitor.get(f"/book/time?site=woburn&day={day}")
    chosen = {"csrf_token": load.typed(page.text)["csrf_token"], "site": "woburn"}
    chosen |= {"day": day.isoformat(), "start": start.isoformat()}
    held = _sent(lambda: visitor.post("/book/time", chosen))
    page = visitor.get(held.location)
    form = rush.details(page.text, start, port * 1000 + number)
    form |= {name: load.typed(page.text)[name] for name in ("hold", "token", "start")}
    booked = _sent(lambda: visitor.post("/book/details", form))
    visitor.close()
    return held, booked


def _sent(send: Callable[[], Answer]) -> Answer:
    answer = send()
    if answer.status != 303:
        raise load.BadAnswer(f"{answer.status}: {answer.text[:2000]}")
    return answer


def _say(
    section: Section, kind: str, what: str, answers: list[Answer], split: list[dict[str, float]]
) -> None:
    taken = [answer.seconds for answer in answers]
    rate = load.summary(taken, sum(taken))
    medians = {part: statistics.median(each[part] for each in split) for part in spans.PARTS}
    whole = sum(medians.values())
    section.say(
        kind,
        what,
        f"{rate.per_second:.0f}",
        f"{rate.p50_ms:.1f}",
        f"{rate.p95_ms:.1f}",
        *(f"{ms:.1f} ({ms / whole:.0%})" for ms in medians.values()),
    )
