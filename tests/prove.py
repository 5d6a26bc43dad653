"""`make prove`: the promises at full size, written as a table to docs/proofs.md.

Each harness is a set of tests. Here they run at the figures of the promises (`EMERGE_PROVE=1`
makes a harness take its full size) with their negative controls; a control that does not go red
is itself a failing test. What a harness prints stands below its row.

A row says at which commit it was run. `make prove ARGS="test_rush"` runs one harness again and
writes its row alone.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "proofs.md"


@dataclass(frozen=True)
class Harness:
    """A promise and the tests that could break it."""

    promise: str
    target: str
    control: str
    alone: bool = False  # so many processes that nothing may run beside them


HARNESSES = (
    Harness(
        "The database itself refuses overlapping claims: 13 Allen relations by raw SQL",
        "tests/booking/test_law.py",
        "the law dropped: the same SQL overlaps",
    ),
    Harness(
        "32 processes want one slot: one booking, no deadlock; two sign, two book, one dies",
        "tests/races/test_one_slot.py tests/races/test_plans.py tests/races/test_supply.py"
        " tests/races/test_one_offer.py"
        " tests/races/test_course_pages.py",
        "lock and constraint off: many bookings; lock alone off: still no overlap",
        alone=True,
    ),
    Harness(
        "A crowd over HTTP, 48 clients × 60 slots × 3 seeds: nobody booked twice, success = row",
        "tests/races/test_rush.py",
        "no lock, no law and a look of two seconds ago: booked twice",
        alone=True,
    ),
    Harness(
        "24 desks fill a day of 8 chairs and 3 nurses with visits of 1-6 hours: never too much",
        "tests/races/test_capacity.py",
        "lock and law off and a look too early: more starts than a quarter-hour takes",
        alone=True,
    ),
    Harness(
        "One form books once: 20 times at once, cut off, its server killed or started again",
        "tests/races/test_one_submit.py",
        "a server that forgets its forms books twice",
        alone=True,
    ),
    Harness(
        "Every way into a state or a time, twice at one instant: one winner, never a 500",
        "tests/races/test_pairs.py",
        "lock and law off: both win",
        alone=True,
    ),
    Harness(
        "Holds over HTTP with no worker: late forms, 1,000 of one browser, a third of a day",
        "tests/races/test_holds.py",
        "without the share a day is locked",
        alone=True,
    ),
    Harness(
        "A move killed after each of its statements: the old place or the new",
        "tests/races/test_move.py",
        "a move in two transactions loses the appointment",
        alone=True,
    ),
    Harness(
        "Ten minutes of kills, crashes, pauses and full disks: what was acknowledged is kept",
        "tests/races/test_history.py tests/core/test_db.py",
        "five doctored histories are noticed",
        alone=True,
    ),
    Harness(
        "The clock jumps an hour and a day to and fro: nothing lost, doubled or signed in again",
        "tests/races/test_clock_jumps.py tests/web/desk/test_sign_in.py",
        "a session whose end is not written down opens again",
        alone=True,
    ),
    Harness(
        "Sixty odd dates: leap days, turns of the year, 53-week years, two-digit years, Easter",
        "tests/core/test_odd_dates.py tests/web/portal/test_dates.py",
        "days that a year has not are refused",
    ),
    Harness(
        "STOP means stop: 12 spellings, every text, waiting, claimed and to come (R-20)",
        "tests/messaging/test_stop_is_kept.py",
        "START brings texts back, and the same text goes",
    ),
    Harness(
        "A text reveals little and costs little: every text, 3 languages, 500 sets of facts (R-21)",
        "tests/messaging/test_texts.py",
        "words that tell why somebody comes are found",
    ),
    Harness(
        "Each (state, event) pair does what the table says",
        "tests/booking/test_verbs.py",
        "pairs outside the table must be refused",
    ),
    Harness(
        "Any sequence of deeds: the book agrees with a model that counts (200 days of 50 deeds)",
        "tests/booking/test_machine.py",
        "a book that forgets to give time back is noticed",
    ),
    Harness(
        "Every day a series could begin on: as many visits have a place as by trying everything",
        "tests/plans/test_openings.py",
        "a pace that cannot be is refused",
    ),
    Harness(
        "A worker killed at any step loses and doubles nothing",
        "tests/jobs/test_crashes.py tests/jobs/test_deliver.py tests/jobs/test_worker.py",
        "mark after the call doubles; mark before it loses",
    ),
    Harness(
        "Nothing gets stuck unseen: each state that waits is on the desk's list in time (R-19)",
        "tests/web/desk/test_stuck.py",
        "a list that looks only at what went out misses four states of five",
    ),
    Harness(
        "Somebody notices when the worker dies or sleeps; poison holds up nobody (R-22)",
        "tests/jobs/test_worker.py tests/web/hooks/test_health.py tests/web/desk/test_alarms.py"
        " tests/messaging/test_outbox.py",
        "without setting aside poison stops all; one sign of life long ago is taken for life",
    ),
    Harness(
        "8 workers, 2,000 texts × 3 seeds: each once; one asleep past its lease sends nothing old",
        "tests/jobs/test_many_workers.py",
        "workers that look without taking send twice",
        alone=True,
    ),
    Harness(
        "A reminder raced 500 times against its cancellation; one text a day; three in a week",
        "tests/jobs/test_too_late.py tests/messaging/test_texts_of_a_day.py"
        " tests/booking/test_notices.py",
        "without taking back, the reminder follows the cancellation",
    ),
    Harness(
        "Whatever the provider answers, 200 texts × 3 seeds: out once; 120 orders of reports",
        "tests/jobs/test_evidence.py tests/jobs/test_pace.py",
        "two like texts without an answer: the list cannot say which, counted apart",
    ),
    Harness(
        "Texts: consent, stop words, forged and replayed webhooks, words and segments",
        "tests/messaging tests/web/hooks tests/web/desk/test_inbox.py"
        " tests/web/desk/test_texts.py tests/web/desk/test_confidence.py"
        " tests/web/desk/test_unreached.py",
        "forged twins of valid requests must be refused",
    ),
    Harness(
        "Free time: 10,000 random clinics against an oracle that counts; changes of the clock",
        "tests/availability",
        "without laying others anew some that fit are refused; adding wall hours is wrong",
    ),
    Harness(
        "Whatever supply is taken: each appointment has its place or is on the list (60 weeks)",
        "tests/clinic",
        "a judge blind to chairs, people or hours is noticed",
    ),
    Harness(
        "The course: protocol tables, series optimiser against brute force, all or none",
        "tests/plans tests/treatment",
        "incomplete tables must be refused; killed half-way leaves none",
    ),
    Harness(
        "A call from the first tap to the last text, through real processes and a real browser",
        "tests/journeys tests/cli/test_demo_story.py",
        "before the inbound address is proved no text leaves",
    ),
)


@dataclass(frozen=True)
class Row:
    """What came of a harness, as it stands on the page."""

    cells: str
    lines: tuple[str, ...]
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def main() -> None:
    """Run every harness, or those whose target has a word given; write the table as it comes."""
    words = sys.argv[1:]
    rows = read(PAGE.read_text()) if PAGE.exists() else {}
    ran: list[Row] = []
    for harness in HARNESSES:
        if not words or any(word in harness.target for word in words):
            rows[harness.promise] = run(harness)
            ran.append(rows[harness.promise])
            PAGE.write_text(page(rows))
            print(f"written: {PAGE.relative_to(ROOT)}", flush=True)
    failed, passed = sum(r.failed for r in ran), sum(r.passed for r in ran)
    print(f"{passed} passed, {failed} failed, {sum(r.skipped for r in ran)} skipped")
    raise SystemExit(1 if failed or not passed else 0)


def run(harness: Harness) -> Row:
    """Run one harness in a pytest of its own."""
    print(f"== {harness.promise}", flush=True)
    began = time.monotonic()
    cores = "0" if harness.alone else str(min(4, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *harness.target.split(),
                *("-n", cores, "--dist", "worksteal"),
                *("--junitxml", str(report), "-o", "junit_logging=system-out"),
                *("-o", "junit_log_passing_tests=true"),
            ],
            cwd=ROOT,
            env=os.environ | {"EMERGE_PROVE": "1"},
            check=False,
        )
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  our own file
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        lines: list[str] = []
        for suite in suites:
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
            for output in suite.iter("system-out"):
                lines += [t for t in (output.text or "").splitlines() if re.match(r"[\w ,+]+: ", t)]
    bad = counts["failures"] + counts["errors"]
    passed = counts["tests"] - bad - counts["skipped"]
    seconds = time.monotonic() - began
    today = datetime.now(UTC).date()
    figures = (passed, bad, counts["skipped"], f"{seconds:.0f}", commit(), today)
    cells = " | ".join(map(str, figures))
    return Row(cells, tuple(dict.fromkeys(lines))[:40], passed, bad, counts["skipped"])


def commit() -> str:
    """Return the short name of what is checked out, with a plus if other files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", ".", f":!{PAGE.relative_to(ROOT)}")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def page(rows: Mapping[str, Row]) -> str:
    """Return the page; what was not run is said to be."""
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
    head = [
        "# Proofs",
        "",
        "Written by `make prove`: each promise, the tests that could break it, and the negative",
        "control that shows they can. Every harness runs on SQLite and on PostgreSQL, at the",
        f"figures of the promise. {where}.",
        "",
        "| promise | passed | failed | skipped | seconds | commit | day | negative control |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    table, said = [], ["", "## What the harnesses printed"]
    for harness in HARNESSES:
        row = rows.get(harness.promise)
        cells = row.cells if row else "not run | | | | |"
        table.append(f"| {harness.promise} | {cells} | {harness.control} |")
        if row and row.lines:
            said += ["", f"### {harness.promise}", "", *(f"- {line}" for line in row.lines)]
    return "\n".join([*head, *table, *said]) + "\n"


def read(text: str) -> dict[str, Row]:
    """Return the rows of a page written before, by promise."""
    table, _, said = text.partition("## What the harnesses printed")
    lines: dict[str, list[str]] = {}
    for part in said.split("### ")[1:]:
        promise, *rest = part.splitlines()
        lines[promise] = [line[2:] for line in rest if line.startswith("- ")]
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 8 and cells[1].isdigit():
            promise = cells[0]
            rows[promise] = Row(" | ".join(cells[1:7]), tuple(lines.get(promise, ())))
    return rows


if __name__ == "__main__":
    main()
