"""The database: types, connections as they must be, and the one place that commits.

Cures, each for something that was met: explicit `registry` (Flask-SQLAlchemy copies the class
body after a registry was made from `type_annotation_map`), a shim so that typed code sees
`Model`, our own BEGIN on SQLite (the driver's own loses savepoints, and a deferred transaction
that turns to writing fails with "database is locked"), foreign keys on each connection.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session, make_transient_to_detached, registry
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 15_000
IDLE_IN_TRANSACTION_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
BUSY_TIMEOUT_MS = 15_000


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in, an aware UTC moment out, on both databases.

    SQLite keeps text and drops the offset, so there the UTC wall form is stored: text that sorts
    as time does.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive moment was about to be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Give it back aware."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class epoch_seconds(FunctionElement[int]):  # noqa: N801  it is written like an SQL function
    """Whole seconds since 1970 of a moment, counted by the database: no dates are made of rows."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(epoch_seconds, "sqlite")
def _seconds_of_text(element: Any, compiler: Any, **how: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **how)}) AS INTEGER)"


@compiles(epoch_seconds, "postgresql")
def _seconds_of_moment(element: Any, compiler: Any, **how: Any) -> str:
    return f"CAST(extract(epoch FROM {compiler.process(element.clauses, **how)}) AS BIGINT)"


NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """What every table's class descends from."""

    registry = registry(
        metadata=sa.MetaData(naming_convention=NAMES),
        type_annotation_map={
            datetime: UtcDateTime(),
            date: sa.Date(),
            time: sa.Time(),
            dict[str, Any]: sa.JSON(),
            list[str]: sa.JSON(),
        },
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)

if TYPE_CHECKING:

    class Model(Base):
        """A table, as the type checker sees it."""

        __abstract__ = True
else:
    Model = db.Model


def word(enum: type, length: int = 24) -> sa.Enum:
    """Return the column type of a `StrEnum`: its values as text, held to them by a CHECK."""
    return sa.Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda members: [m.value for m in members],
        name=enum.__name__.lower(),
    )


class NestedTransaction(RuntimeError):
    """Two doors opened a transaction in one another; that would commit half of something."""


class WriteOutsideTransaction(RuntimeError):
    """Something was changed without `with transaction()`; it would be lost, or half kept."""


@contextmanager
def transaction() -> Iterator[Session]:
    """Open the one writing transaction of this act: all of it is kept, or none.

    What was only read before is let go of first, so that on SQLite the write lock is taken at
    the start (BEGIN IMMEDIATE) and two writers wait for one another instead of failing.

    Raises:
        NestedTransaction: one is open already.
    """
    session = db.session()
    if session.info.get("writing"):
        raise NestedTransaction("a transaction is already open")
    session.rollback()
    session.info["writing"] = True
    session.info["notes"] = {}
    try:
        session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info["writing"] = False
        session.info["notes"] = {}


def is_writing() -> bool:
    """Say whether `transaction()` is open."""
    return bool(db.session.info.get("writing"))


def notes() -> dict[str, Any]:
    """Return a scratch pad that lives exactly as long as the open transaction."""
    pad: dict[str, Any] = db.session.info.setdefault("notes", {})
    return pad


def table_of(model: "type[Base]") -> sa.Table:
    """Return the bare table of a model, for statements run so often that objects cost too much."""
    table = model.__table__
    assert isinstance(table, sa.Table)
    return table


def insert_rows(
    model: "type[Base]", rows: Sequence[Mapping[str, Any]], *, unless_known: str | None = None
) -> None:
    """Insert plain rows past the session: for what this transaction will not look at again.

    One statement for all of them, and no object is kept of any.

    Args:
        unless_known: A unique column; a row whose value is there already is left out.

    Raises:
        WriteOutsideTransaction: no transaction is open.
    """
    if not rows:
        return
    _insist_on_transaction(db.session())
    db.session.flush()  # what the rows may point at
    table = table_of(model)
    if unless_known is None:
        db.session.execute(sa.insert(table), rows)
        return
    insert = sqlite.insert if db.session.get_bind().dialect.name == "sqlite" else postgresql.insert
    db.session.execute(insert(table).on_conflict_do_nothing(index_elements=[unless_known]), rows)


def insert_object(row: "Base") -> None:
    """Insert one new object by one plain statement, and have the session know it from then on.

    For what is written many times an hour: the session's own way takes three times as long.
    Columns that were not set are empty, or what the table gives them, read when asked for.

    Raises:
        WriteOutsideTransaction: no transaction is open.
    """
    _insist_on_transaction(db.session())
    db.session.flush()  # what the row may point at
    table = table_of(type(row))
    known = sa.inspect(row).dict
    values = {name: value for name, value in known.items() if name in table.c}
    made = db.session.scalar(sa.insert(table).returning(table.c.id), values)
    set_committed_value(row, "id", made)
    for column in table.c:
        if column.key not in known and column.default is None and column.server_default is None:
            set_committed_value(row, column.key, None)
    make_transient_to_detached(row)
    db.session.add(row)


def queue_up(*names: str) -> None:
    """Have transactions that give the same name wait here for one another, until they end.

    For what is counted before it is written. SQLite: the write lock does it already; PostgreSQL:
    advisory locks of this transaction, taken in one order whatever order they were named in.
    """
    if db.session.get_bind().dialect.name != "postgresql":
        return
    keys = {int(hashlib.sha256(name.encode()).hexdigest()[:15], 16) for name in names}
    for key in sorted(keys):
        db.session.execute(sa.text("SELECT pg_advisory_xact_lock(:k)"), {"k": key})


def let_go() -> None:
    """End the reading transaction, so that nothing is held while something slow is done."""
    db.session.rollback()


def close_quietly(_: BaseException | None = None) -> None:
    """Give the session's connection back at the end of a request, broken or not.

    What was answered stands: a connection that the database dropped meanwhile cannot be rolled
    back any more, and must not turn a page that is ready into a bare error.
    """
    try:
        db.session.remove()
    except sa.exc.DBAPIError as error:
        log.error("connection lost at the end of a request: %s", type(error).__name__)
        db.session.registry().invalidate()
        db.session.registry.clear()


@event.listens_for(Session, "before_flush")
def _only_inside_a_transaction(session: Session, *_: object) -> None:
    _insist_on_transaction(session)


def _insist_on_transaction(session: Session) -> None:
    if not session.info.get("writing") and not session.info.get("free_hand"):
        raise WriteOutsideTransaction("open `with transaction():` at the door first")


def prepare(engine: Engine) -> None:
    """Set up every connection this engine will open, and who begins its transactions."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    else:
        event.listen(engine, "connect", _postgresql_connect)


def _sqlite_connect(raw: Any, record: ConnectionPoolEntry) -> None:
    raw.isolation_level = None  # the driver never begins by itself
    for pragma in (
        "journal_mode=WAL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "synchronous=FULL",
        "recursive_triggers=ON",  # else REPLACE deletes rows past the triggers that forbid it
    ):
        raw.execute("PRAGMA " + pragma)


def _sqlite_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql("BEGIN " + mode)


def _postgresql_connect(raw: Any, record: ConnectionPoolEntry) -> None:
    with raw.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
        cursor.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        cursor.execute("SET timezone = 'UTC'")
    raw.commit()


def violated(error: sa.exc.IntegrityError, name: str) -> bool:
    """Say whether an IntegrityError is the refusal of the constraint or trigger called `name`."""
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == name)
    return name in str(error.orig)
