"""docs/benchmarks.md: what was measured, beside what it must reach."""

import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from tests.support import postgres

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "pictures"
QUIET = 0.7
LOAD = os.getloadavg()


@dataclass(frozen=True)
class Verdict:
    """One figure that must reach something."""

    database: str
    what: str
    figure: str
    target: str
    reached: bool


@dataclass
class Section:
    """What one part of a run found."""

    title: str
    words: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)  # words, file name

    def say(self, *row: str) -> None:
        """Add a row and print it."""
        self.rows.append(row)
        print(" | ".join(row), flush=True)

    def judge(self, database: str, what: str, figure: str, target: str, reached: bool) -> None:
        """Add a verdict and print it."""
        verdict = Verdict(database, what, figure, target, reached)
        self.verdicts.append(verdict)
        print(f"{'reached' if reached else 'MISSED'}: {database}, {what}: {figure} ({target})")


def write(sections: list[Section], *, missing: Sequence[str] = ()) -> None:
    """Write the page; `missing` names the parts of the run that have not ended."""
    verdicts = [v for section in sections for v in section.verdicts]
    missed = sum(not v.reached for v in verdicts)
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, all of it in one run; `make bench ARGS=growth` measures a part",
        "and writes nothing. Speed differs from machine to machine and from minute to minute, so",
        "what is judged is mostly a ratio to a floor: both measured in turns, the median of them.",
        "",
        _machine(),
        "",
        *(
            [f"**Not in this run, which was stopped: {', '.join(missing)}.**", ""]
            if missing
            else []
        ),
        f"## Reached: {len(verdicts) - missed} of {len(verdicts)}",
        "",
        *_table(
            ("database", "what", "measured", "must reach", "reached"),
            [
                (v.database, v.what, v.figure, v.target, "yes" if v.reached else "**no**")
                for v in verdicts
            ],
        ),
    ]
    for section in sections:
        lines += [f"## {section.title}", "", section.words.strip(), ""]
        lines += _table(section.head, section.rows)
        for words, name in section.pictures:
            lines += [f"![{words}]({PICTURES.name}/{name})", ""]
    FILE.write_text("\n".join(lines))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    ruled = [head, tuple("---" for _ in head), *rows]
    return [*("| " + " | ".join(row) + " |" for row in ruled), ""]


def _machine() -> str:
    packages = ("Flask", "SQLAlchemy", "gunicorn", "psycopg", "Jinja2")
    load = LOAD[0], os.getloadavg()[0]
    quiet = "the machine was quiet" if load[0] <= QUIET else "other work shared the cores"
    day = datetime.now(ZoneInfo("America/New_York"))
    return (
        f"{day:%B} {day.day}, {day.year}. {_processor()}, {os.cpu_count()} cores shared with the "
        f"load and the database; load average {load[0]:.1f} when the run began and {load[1]:.1f} "
        f"at its end: {quiet}. {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in packages)
        + f", SQLite {sqlite3.sqlite_version}, PostgreSQL {_postgresql()}. "
        "Commits are flushed to the disk on both databases."
    )


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or "unknown processor"


def _postgresql() -> str:
    with psycopg.connect(postgres.dsn(postgres.server().admin_url)) as connection:
        return str(connection.info.parameter_status("server_version")).split()[0]
