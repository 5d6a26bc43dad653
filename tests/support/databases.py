"""A migrated, empty database of either kind, cheap enough to have one a test."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from config import Config
from scheduler.app import create_app
from scheduler.cli import schema
from scheduler.core.db import db
from scheduler.core.sealed import new_key
from tests.support import postgres

KEYS = new_key("test")
#: Where SQLite files of tests lie: in memory when the system offers that, for each commit flushes.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def config(url: str, **changes: object) -> Config:
    """Return the settings of a test installation on `url`."""
    settings: dict[str, object] = {
        "environment": "test",
        "database_url": url,
        "secret_key": "a-secret-for-tests-only-0123456789abcdef",
        "keys": KEYS,
        "public_url": "http://localhost",
    }
    return Config(**(settings | changes))  # type: ignore[arg-type]


def migrate(url: str) -> None:
    """Bring an empty database to head."""
    app = create_app(config(url))
    with app.app_context():
        schema.upgrade(db.engine)
        db.engine.dispose()


class SqliteTemplate:
    """One migrated file, copied for each test to one place: its address stays the same."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "template.db"
        self.copies = Path(tempfile.mkdtemp(prefix="emerge-", dir=MEMORY))
        atexit.register(shutil.rmtree, self.copies, ignore_errors=True)
        migrate(f"sqlite:///{self.file}")
        engine = sa.create_engine(f"sqlite:///{self.file}")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a copy."""
        copy = self.copies / "emerge.db"
        shutil.copy(self.file, copy)
        yield f"sqlite:///{copy}"
        for left in self.copies.iterdir():  # the database, its log and what a test put beside it
            shutil.rmtree(left) if left.is_dir() else left.unlink()


class PostgresTemplate:
    """One migrated database a process, emptied after each test.

    Emptying takes a twentieth of what cloning does. A test that changed the database's shape (the
    negative controls drop constraints) leaves a database that is thrown away instead, and so does
    every hundredth, for what was deleted still takes room.
    """

    def __init__(self, server_url: str) -> None:
        self.server = sa.make_url(server_url)
        self.admin = sa.create_engine(
            self.server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        self.name = f"template_{os.getpid()}"
        self.count = self.used = 0
        self.kept: str | None = None
        self._admin(f'CREATE DATABASE "{self.name}"')
        migrate(self._url(self.name))
        with postgres.warm(self._url(self.name)) as connection:
            self.shape = _shape(connection)
        postgres.hang_up(self._url(self.name))  # a database somebody is in cannot be cloned

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a migrated, empty database."""
        name = self.kept or self._clone()
        self.kept = None
        try:
            yield self._url(name)
        finally:
            if self._empty(name):
                self.kept = name
            else:
                postgres.hang_up(self._url(name))
                self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _clone(self) -> str:
        self.count += 1
        name = f"test_{os.getpid()}_{self.count}"
        self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        return name

    def _empty(self, name: str) -> bool:
        """Empty a database; False when it cannot be used again."""
        self.used += 1
        if self.used % 100 == 0:
            return False
        try:
            with postgres.warm(self._url(name)) as connection:
                if _shape(connection) != self.shape:
                    return False
                connection.execute("SET LOCAL lock_timeout = 500")
                connection.execute(_EMPTY)
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, name: str) -> str:
        return self.server.set(database=name).render_as_string(hide_password=False)

    def _admin(self, statement: str) -> None:
        with self.admin.connect() as connection:
            connection.execute(sa.text(statement))


#: Triggers rest meanwhile (what is kept for ever could not be deleted), and keys with them.
_EMPTY = b"""
SET LOCAL session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'alembic_version'
  LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
  FOR name IN SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'S'
  LOOP PERFORM setval(format('%I', name), 1, false); END LOOP;
END $$;
INSERT INTO supply_version (id, version) VALUES (1, 1)
"""


def _shape(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[int, ...]:
    found = connection.execute(
        "SELECT (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger),"
        " (SELECT count(*) FROM pg_attribute)"
    ).fetchone()
    return found or ()
