"""`flask protocols ...`: prove a decision table before a clinician activates it."""

from pathlib import Path

import click
from flask.cli import AppGroup

from scheduler.plans import protocol
from scheduler.plans.protocol import Unreadable

group = AppGroup("protocols", help="Decision tables from which plans are proposed.")


@group.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check_command(file: Path) -> None:
    """Prove that every combination of inputs in FILE meets exactly one row.

    Ends with status 1 when the file is not fit to be used, and says why in words.
    """
    try:
        table = protocol.read(file.read_text(encoding="utf-8"))
    except (Unreadable, UnicodeDecodeError) as reason:
        click.echo(str(reason), err=True)
        raise SystemExit(1) from None
    found = protocol.problems(table)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        click.echo(f"{file.name} is not fit to be used: {len(found)} to put right.", err=True)
        raise SystemExit(1)
    click.echo(
        f"{file.name} is fit: {len(table.combinations())} combinations, each in one of "
        f"{len(table.rows)} rows."
    )
