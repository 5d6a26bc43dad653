"""Keys for what is stored sealed."""

import click
from flask.cli import AppGroup

from scheduler.core import clock
from scheduler.core.sealed import new_key

group = AppGroup("keys", help="Keys for what is stored sealed.")


@group.command("new")
@click.argument("name", required=False)
def new(name: str | None) -> None:
    """Print a fresh key for EMERGE_KEYS, called NAME (else after today). It is kept nowhere."""
    name = name or f"k{clock.now():%Y%m%d}"
    if not name.isalnum():
        raise click.ClickException("A key's name is letters and digits.")
    click.echo(new_key(name))
