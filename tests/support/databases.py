"""A migrated, empty database of either kind, cheap enough to have one a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from config import Config
from scheduler.app import create_app
from scheduler.cli import schema
from scheduler.core.db import db
from scheduler.core.sealed import new_key

KEYS = new_key("test")


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
    """One migrated file, copied for each test."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "template.db"
        migrate(f"sqlite:///{self.file}")
        engine = sa.create_engine(f"sqlite:///{self.file}")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a copy."""
        folder = Path(tempfile.mkdtemp(prefix="emerge-"))
        shutil.copy(self.file, folder / "emerge.db")
        yield f"sqlite:///{folder / 'emerge.db'}"
        shutil.rmtree(folder, ignore_errors=True)


class PostgresTemplate:
    """One migrated template database, cloned for each test."""

    def __init__(self, server_url: str) -> None:
        self.server = sa.make_url(server_url)
        self.name = f"template_{os.getpid()}"
        self.count = 0
        self._admin(f'CREATE DATABASE "{self.name}"')
        migrate(self._url(self.name))

    def _url(self, name: str) -> str:
        return self.server.set(database=name).render_as_string(hide_password=False)

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(self.server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a clone."""
        self.count += 1
        name = f"test_{os.getpid()}_{self.count}"
        self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        try:
            yield self._url(name)
        finally:
            self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
