"""`flask patients ...`: bring people in."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
from flask.cli import AppGroup

from scheduler.audit import service as audit
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.interop import fhir_patients
from scheduler.interop.fhir_patients import Person, Unreadable

BATCH = 200
ACTOR = "operator"

group = AppGroup("patients", help="People we treat.")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_command(file: Path) -> None:
    """Import FILE: FHIR R4 Patient resources, one a line (NDJSON).

    People are known again by their medical record number, so importing twice changes nothing.
    Nobody imported is texted until consent is recorded. Ends with status 1 only when every line
    was rejected.
    """
    counts: Counter[str] = Counter()
    rejected: list[tuple[int, str]] = []
    with file.open("rb") as source, _progress(file) as bar:
        lines = enumerate(source, start=1)
        while batch := list(islice(lines, BATCH)):
            _keep(batch, counts, rejected)
            bar.update(sum(len(line) for _, line in batch))
    for number, reason in rejected:
        click.echo(f"line {number}: rejected: {reason}", err=True)
    counts["rejected"] = len(rejected)
    total = sum(counts.values())
    summary = ", ".join(
        f"{counts[word]} {word}" for word in ("created", "updated", "unchanged", "rejected")
    )
    with transaction():
        audit.record(
            "patients.imported", "import", actor=ACTOR, now=clock.now(), lines=total, **counts
        )
    click.echo(f"{total} lines: {summary}")
    if total and counts["rejected"] == total:
        raise SystemExit(1)


def _keep(
    batch: list[tuple[int, bytes]], counts: Counter[str], rejected: list[tuple[int, str]]
) -> None:
    people = list(_readable(batch, rejected))
    with transaction():
        for person in people:
            counts[fhir_patients.keep(person, actor=ACTOR, now=clock.now()).value] += 1


def _readable(batch: list[tuple[int, bytes]], rejected: list[tuple[int, str]]) -> Iterator[Person]:
    """Yield what can be read; blank lines are no lines."""
    for number, line in batch:
        if not line.strip():
            continue
        try:
            yield fhir_patients.read(line.strip())
        except Unreadable as reason:
            rejected.append((number, str(reason)))


def _progress(file: Path) -> "click._termui_impl.ProgressBar[int]":
    return click.progressbar(length=max(file.stat().st_size, 1), label="Importing")
