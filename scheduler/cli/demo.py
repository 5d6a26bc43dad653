"""The demo clinic: invented people living seven real weeks around today.

Nothing is written that the product could not have written: the demo turns a clock from three
weeks ago to now, and books, texts, answers and closes through the same verbs as everybody else.
It is the same every time for the same day.
"""

import sys
from datetime import datetime

import click
import sqlalchemy as sa
from flask import current_app
from flask.cli import with_appcontext

from config import Config
from scheduler.cli import schema
from scheduler.cli.demo_clinic import BEFORE, PAST_DAYS, SIGN_INS, build, own_words
from scheduler.cli.demo_story import Story
from scheduler.clinic import queries as sites
from scheduler.core import clock
from scheduler.core.db import db, transaction


def fill_if_empty() -> None:
    """Fill the demo on its first start; later starts change nothing."""
    if sites.sites():
        return
    click.echo("Inventing two clinics, ten staff and sixty people (once, under a minute) ...")
    fill(now=clock.now())


def fill(*, now: datetime) -> None:
    """Live the demo's seven weeks up to `now`."""
    with transaction():
        built = build(now=now)
    with transaction():
        own_words(built, now=now - BEFORE)
    story = Story(built, now)
    with click.progressbar(length=PAST_DAYS + 8, label="Living three weeks") as bar:
        for days in story.tell():
            bar.update(days)


@click.command("reset-demo")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def reset_command(yes: bool) -> None:
    """Throw the demo's data away and invent it anew. Refuses anything but a demo."""
    config: Config = current_app.extensions["emerge_config"]
    if not config.is_demo:
        raise click.ClickException("This is no demo: EMERGE_ENV is not demo. Nothing was touched.")
    if _holds_a_clinic():
        raise click.ClickException(
            "This database holds a clinic's own staff, so it is no demo whatever EMERGE_ENV says. "
            "Nothing was touched."
        )
    if not yes and sys.stdin.isatty():
        click.confirm("Throw away everything in the demo database?", abort=True)
    schema.downgrade(db.engine, "base")
    schema.upgrade(db.engine)
    fill(now=clock.now())
    click.echo("The demo is new again.")


def _holds_a_clinic() -> bool:
    """Say whether there are staff, and not the demo's: a setting alone must not empty a clinic.

    Asked of the database itself, which may have an older shape than the models.
    """
    if not sa.inspect(db.engine).has_table("staff"):
        return False
    with db.engine.connect() as connection:
        usernames = set(connection.scalars(sa.text("SELECT username FROM staff")))
    return bool(usernames) and not {username for username, _ in SIGN_INS} <= usernames
