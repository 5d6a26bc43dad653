"""What time it is. Only doors may import this; everybody else is told `now`."""

from datetime import UTC, datetime

from sqlalchemy import text

from scheduler.core.db import db


def now() -> datetime:
    """Return this machine's moment, aware, in UTC."""
    return datetime.now(UTC)


def database_now() -> datetime:
    """Return the moment by which leases are judged: the database's, so that all workers agree.

    SQLite has no clock of its own: there the machine's is the database's. Opens and closes its
    own connection, so that no transaction is left behind.
    """
    if db.engine.dialect.name == "sqlite":
        return now()
    with db.engine.connect() as connection:
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)
