"""How Alembic runs: always on a connection it is given, for SQLite and PostgreSQL alike."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from scheduler.core.db import db

REMEMBERED = ("audit_entry", "claim")


def render_item(kind: str, obj: Any, _: Any) -> str | bool:
    """Write our column types as what the database sees, so that migrations import no model."""
    if kind == "type" and isinstance(obj, sa.types.TypeDecorator):
        return "sa." + repr(obj.impl_instance)
    return False


def include_object(obj: Any, name: str | None, kind: str, reflected: bool, _: Any) -> bool:
    """Leave out what no model declares on purpose: the exclusion constraints' own indexes."""
    return not (kind == "index" and reflected and str(name).startswith("ex_"))


def run(connection: sa.Connection) -> None:
    """Run the migrations in one transaction."""
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        include_object=include_object,
        render_as_batch=False,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        if sqlite:
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration would leave orphans: {broken[:5]}")


run(context.config.attributes["connection"])
