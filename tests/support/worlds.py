"""A database as a test's preparation leaves it, kept in memory and laid out again for the next.

Preparing a clinic or a whole course through the services takes half a second; laying it out
again takes hundredths. What is laid out is what the services wrote: every row, every sequence.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa

from tests.support import postgres

_TABLES = (
    "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'alembic_version'"
)


@dataclass(frozen=True)
class World:
    """Everything in a database: a whole SQLite file, or the rows and sequences of PostgreSQL."""

    file: bytes = b""
    rows: tuple[tuple[str, bytes], ...] = ()
    sequences: tuple[tuple[str, int], ...] = ()


def save(url: str) -> World:
    """Return what the database at `url` holds; nobody may be writing."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        file = Path(str(address.database))
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return World(file=file.read_bytes())
    with postgres.warm(address) as server:
        tables = [name for (name,) in server.execute(_TABLES).fetchall()]
        copied = [(name, _copied(server, name)) for name in tables]
        sequences = server.execute(
            "SELECT sequencename::text, last_value FROM pg_sequences"
            " WHERE schemaname = 'public' AND last_value IS NOT NULL"
        ).fetchall()
    return World(
        rows=tuple((name, data) for name, data in copied if len(data) > _NO_ROWS),
        sequences=tuple(sequences),
    )


def lay_out(url: str, world: World, over: World | None) -> None:
    """Make the database at `url` hold `world`.

    Args:
        over: what was laid out or saved last and has not been written over since; None when the
            database is new.
    """
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        file = Path(str(address.database))
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        file.write_bytes(world.file)
        return
    with postgres.warm(address) as server:
        # Triggers and keys rest meanwhile: each row has met them once.
        server.execute("SET LOCAL session_replication_role = replica")
        for name in {"supply_version", *(name for name, _ in (over.rows if over else ()))}:
            server.execute(psycopg.sql.SQL("DELETE FROM {}").format(psycopg.sql.Identifier(name)))
        for name, data in world.rows:
            into = psycopg.sql.SQL("COPY {} FROM STDIN (FORMAT binary)")
            with server.cursor().copy(into.format(psycopg.sql.Identifier(name))) as copy:
                copy.write(data)
        for name, value in world.sequences:
            server.execute("SELECT setval(%s::regclass, %s)", (f'"{name}"', value))


#: A binary copy of an empty table: its head and its end.
_NO_ROWS = 21


def _copied(server: psycopg.Connection[tuple[object, ...]], table: str) -> bytes:
    out = psycopg.sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(psycopg.sql.Identifier(table))
    with server.cursor().copy(out) as copy:
        return b"".join(bytes(part) for part in copy)
