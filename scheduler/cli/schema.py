"""The database's shape: upgrade, check, and where it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask.cli import AppGroup
from sqlalchemy import Connection, Engine

from scheduler.core.db import db

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

group = AppGroup("db", help="The database's shape.")


def alembic_on(connection: Connection | None) -> AlembicConfig:
    """Return Alembic's settings, bound to `connection`."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    settings.attributes["connection"] = connection
    return settings


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to `revision`, in one transaction."""
    with engine.connect() as connection, _unguarded(connection), connection.begin():
        command.upgrade(alembic_on(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to `revision`; for tests and for undoing a release."""
    with engine.connect() as connection, _unguarded(connection), connection.begin():
        command.downgrade(alembic_on(connection), revision)


def differences(engine: Engine) -> None:
    """Compare the models with the database.

    Raises:
        alembic.util.CommandError: they differ.
    """
    with engine.connect() as connection:
        command.check(alembic_on(connection))


def is_current(engine: Engine) -> bool:
    """Say whether every migration has been applied."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
    return set(found) == set(ScriptDirectory(str(MIGRATIONS)).get_heads())


@contextmanager
def _unguarded(connection: Connection) -> Iterator[None]:
    """Let SQLite rebuild a table without emptying the ones that refer to it.

    The guard is up again afterwards: the connection goes back to the pool.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute("PRAGMA foreign_keys=OFF")
    connection.execution_options(sqlite_begin="IMMEDIATE")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


@group.command("upgrade")
def upgrade_command() -> None:
    """Apply every migration that is missing."""
    upgrade(db.engine)
    click.echo("The database is up to date.")


@group.command("check")
def check_command() -> None:
    """Exit with an error when models and database differ."""
    differences(db.engine)


@group.command("revision")
@click.argument("number")
@click.argument("message")
def revision_command(number: str, message: str) -> None:
    """Draft migration NUMBER from the difference between models and database."""
    with db.engine.connect() as connection:
        command.revision(alembic_on(connection), message=message, rev_id=number, autogenerate=True)
