"""The migrations make, on both databases, exactly what the models say, and can be undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import Flask

from config import Config
from scheduler.app import create_app
from scheduler.cli import schema
from scheduler.core.db import db
from scheduler.core.sealed import new_key
from tests.support import postgres

DATABASES = ["sqlite", "postgresql"]


@contextmanager
def app_on(url: str) -> Iterator[Flask]:
    app = create_app(
        Config(
            environment="test",
            database_url=url,
            secret_key="only-for-tests-" * 4,
            keys=new_key("test"),
            public_url="http://localhost",
        )
    )
    with app.app_context():
        yield app
        db.engine.dispose()


@contextmanager
def empty(kind: str, folder: Path) -> Iterator[sa.Engine]:
    """Lend an engine, set up as in the product, on a database with nothing in it."""
    if kind == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        with app_on(f"sqlite:///{folder / 'emerge.db'}"):
            yield db.engine
    else:
        with postgres.server().database() as url, app_on(url):
            yield db.engine


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(kind: str, tmp_path: Path) -> Iterator[sa.Engine]:
    with empty(kind, tmp_path / "migrated") as engine:
        yield engine


def revisions() -> list[str]:
    """Return every revision, the first one first."""
    script = ScriptDirectory(str(schema.MIGRATIONS))
    return [step.revision for step in script.walk_revisions()][::-1]


def checks_of(engine: sa.Engine) -> dict[str, dict[str, str]]:
    """Return each table's CHECK constraints by name; Alembic compares neither them nor enums."""
    look = sa.inspect(engine)
    return {
        table: {str(c["name"]): str(c["sqltext"]) for c in look.get_check_constraints(table)}
        for table in look.get_table_names()
        if table != "alembic_version"
    }


def leftovers(engine: sa.Engine) -> list[str]:
    """Return what is in the database by name: tables, triggers, sequences, functions."""
    if engine.dialect.name == "sqlite":
        question = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    else:
        question = (
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'public' UNION ALL SELECT proname FROM pg_proc"
            " JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public'"
        )
    with engine.connect() as connection:
        names = connection.exec_driver_sql(question).scalars()
        return sorted(name for name in names if not name.startswith("alembic_version"))


def test_revisions_form_one_numbered_line() -> None:
    script = ScriptDirectory(str(schema.MIGRATIONS))

    assert len(script.get_heads()) == 1
    assert revisions() == [f"{number:04}" for number in range(1, len(revisions()) + 1)]


def test_models_and_migrations_agree(engine: sa.Engine) -> None:
    schema.upgrade(engine)

    assert schema.is_current(engine)
    schema.differences(engine)


def test_checks_and_enums_agree(engine: sa.Engine, kind: str, tmp_path: Path) -> None:
    schema.upgrade(engine)
    migrated = checks_of(engine)

    with empty(kind, tmp_path / "modelled") as modelled:
        db.metadata.create_all(modelled)
        expected = checks_of(modelled)

    for table, wanted in expected.items():
        assert wanted.items() <= migrated[table].items()


def test_every_step_can_be_undone_and_done_again(engine: sa.Engine) -> None:
    for revision in revisions():
        schema.upgrade(engine, revision)
    for revision in [*revisions()[-2::-1], "base"]:
        schema.downgrade(engine, revision)

    assert leftovers(engine) == []
    schema.upgrade(engine)
    schema.differences(engine)


def test_a_column_only_the_database_has_is_noticed(engine: sa.Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE site ADD COLUMN planted TEXT")

    with pytest.raises(CommandError, match="planted"):
        schema.differences(engine)
