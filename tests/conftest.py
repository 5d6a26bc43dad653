"""What every test may ask for. The clock stands at one Monday and never moves by itself."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, ParamSpec, TypeVar, cast

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from jinja2.bccache import Bucket, FileSystemBytecodeCache
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy.orm import Session

from scheduler.accounts import passwords
from scheduler.accounts import queries as accounts
from scheduler.accounts.models import Role
from scheduler.app import create_app
from scheduler.clinic import supply
from scheduler.clinic.supply import Supply
from scheduler.core import clock as house_clock
from scheduler.core.db import db, transaction
from scheduler.core.sealed import keyring
from tests import make
from tests.support import chromium, databases, postgres, worlds

# Statements and rows come and go by the hundred thousand, and hardly any are rings: looking for
# rings as often as Python does by itself takes a tenth of the suite's time.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # Monday, 10:00 AM in Woburn

Keep = Callable[[], AbstractContextManager[Session]]
P = ParamSpec("P")
T = TypeVar("T")


#: Where workers of a run, and the runs after it, find each other's compiled templates.
TEMPLATES = Path(__file__).parent.parent / ".cache" / "templates"
TEMPLATES.mkdir(parents=True, exist_ok=True)


class Compiled(FileSystemBytecodeCache):
    """Templates compiled once a run, not once an app: half of a page test's time.

    What one worker compiled lies in a file for the others, and in memory for its own apps.
    """

    kept: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take it from memory, or from the file."""
        if bucket.key not in self.kept:
            super().load_bytecode(bucket)
            if bucket.code is None:
                return
            self.kept[bucket.key] = bucket.bytecode_to_string()
        bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it in both."""
        self.kept[bucket.key] = bucket.bytecode_to_string()
        super().dump_bytecode(bucket)


class StoppedClock:
    """The time it is in a test."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def set(self, moment: datetime) -> None:
        """Put the hands somewhere."""
        self.moment = moment

    def advance(self, **by: float) -> datetime:
        """Move on by `minutes=`, `hours=`, `days=` and return the new moment."""
        self.moment += timedelta(**by)
        return self.moment


#: Where tests take long. They begin first, so that none is left running alone at the end.
LONG = ("journeys", "browser", "races", "jobs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first in the share that each worker begins with; all else keeps its place.

    Each worker begins with one stretch of the list and helps the others when it is through.
    """

    def place(item: pytest.Item) -> int:
        return next((n for n, folder in enumerate(LONG) if folder in item.path.parts), len(LONG))

    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = sorted((item for item in items if place(item) < len(LONG)), key=place)
    rest = [item for item in items if place(item) == len(LONG)]
    share = -(-len(items) // workers)
    dealt: list[pytest.Item] = []
    for number in range(workers):
        dealt += long[number::workers]
        room = share * (number + 1) - len(dealt) if number + 1 < workers else len(rest)
        dealt += rest[:room]
        del rest[:room]
    items[:] = dealt


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> databases.SqliteTemplate:
    """A migrated SQLite file to copy from."""
    return databases.SqliteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_template() -> databases.PostgresTemplate:
    """A migrated PostgreSQL database to clone from, on the run's one server."""
    return databases.PostgresTemplate(postgres.server().admin_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh, migrated, empty database; every test runs on both kinds."""
    kind = "sqlite_template" if request.param == "sqlite" else "postgres_template"
    with request.getfixturevalue(kind).fresh() as url:
        yield url


@pytest.fixture
def now() -> datetime:
    """The Monday the tests live on."""
    return NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """The clock every door reads, stopped; `.set()` and `.advance()` move it."""
    stopped = StoppedClock(NOW)
    monkeypatch.setattr(house_clock, "now", stopped)
    monkeypatch.setattr(house_clock, "database_now", stopped)
    return stopped


@pytest.fixture(autouse=True)
def quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with little effort, but where the hashing itself is tested: a sign-in a test adds up."""
    if "accounts" not in request.path.parts:
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        monkeypatch.setattr(passwords, "_hasher", quick)


@pytest.fixture
def settings() -> dict[str, object]:
    """What is different about this installation; a test module may override it."""
    return {}


def built(url: str, settings: dict[str, object]) -> Flask:
    """An app of the test's own."""
    app = create_app(databases.config(url, **settings))
    app.testing = True
    app.jinja_env.bytecode_cache = Compiled(str(TEMPLATES))
    return app


@pytest.fixture(scope="session")
def apps() -> Iterator[dict[str, Flask]]:
    """The apps of this run by address and settings; one with its statements compiled is dear."""
    kept: dict[str, Flask] = {}
    yield kept
    for app in kept.values():
        dispose(app)


def dispose(app: Flask) -> None:
    """Close an app's connections."""
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(
    apps: dict[str, Flask], database_url: str, clock: StoppedClock, settings: dict[str, object]
) -> Iterator[Flask]:
    """The app on a fresh database, with no context open: requests make their own."""
    name = f"{database_url} {sorted(settings.items())}"
    app = apps[name] = apps.get(name) or built(database_url, settings)
    keyring.configure(databases.KEYS)
    supply._kept.clear()  # its version begins anew with the database
    config, extensions = dict(app.config), dict(app.extensions)
    yield app
    app.config.update(config)
    app.extensions.clear()  # what a test counted in the app is not the next one's
    app.extensions.update(extensions)
    if database_url.startswith("sqlite"):  # the file goes; a server's connection is kept, warm
        dispose(app)


class Once:
    """A preparation done once a process and laid out again after.

    `once(course.clinic, chairs=4)` calls it in a transaction the first time, and remembers the
    rows and what it returned; later it lays out the rows. A second call goes on from the first:
    the world is known by all that was prepared, in order. What it is given and returns must be
    plain values, for objects of a session do not outlive it. It must come before anything else
    writes.
    """

    known: ClassVar[dict[tuple[object, ...], tuple[worlds.World, Supply, object]]] = {}

    def __init__(self, app: Flask, url: str) -> None:
        self.app = app
        self.url = url
        self.so_far: tuple[object, ...] = (url.split(":")[0],)
        self.last: worlds.World | None = None
        self.is_over = False  # somebody wrote past us

    def __call__(self, prepare: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Prepare, or lay out what was prepared; return what it returned."""
        assert not self.is_over, "a world is prepared before anything else is written"
        moment = house_clock.now()
        step = (prepare.__module__, prepare.__qualname__, given, tuple(named.items()), moment)
        self.so_far += step
        if self.so_far not in self.known:
            with self.app.app_context(), transaction():
                returned = prepare(*given, **named)
            with self.app.app_context():
                of_then = supply.current()
            self.known[self.so_far] = (worlds.save(self.url), of_then, returned)
        else:
            if self.url.startswith("sqlite"):
                dispose(self.app)
            worlds.lay_out(self.url, self.known[self.so_far][0], over=self.last)
            with self.app.app_context():
                supply._kept[db.engine] = self.known[self.so_far][1]
        self.last, _, kept = self.known[self.so_far]
        return cast(T, kept)


@pytest.fixture
def once(app: Flask, database_url: str) -> Once:
    """A way to prepare: `where = once(course.clinic)`."""
    return Once(app, database_url)


@pytest.fixture
def room(app: Flask) -> Iterator[Flask]:
    """The app with a context open, for tests that call services directly and send no request."""
    with app.app_context():
        yield app


@pytest.fixture
def keep(app: Flask, once: Once) -> Keep:
    """A way to write between requests: `with keep(): make_patient()`."""

    @contextmanager
    def opened() -> Iterator[Session]:
        once.is_over = True
        with app.app_context(), transaction() as session:
            yield session

    return opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the run: two drivers in one process would clash."""
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=str(chromium.ensure()), args=chromium.LAUNCH_ARGS
        )
        yield opened
        opened.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """An operator's terminal."""
    return app.test_cli_runner()


SignIn = Callable[..., FlaskClient]


@pytest.fixture
def signed_in(app: Flask, keep: Keep) -> SignIn:
    """A way to a browser that is signed in: `signed_in(Role.NURSE)`; the clinic must be there."""

    def enter(role: Role = Role.FRONT_DESK, username: str | None = None) -> FlaskClient:
        username = username or f"some-{role.value}"
        with keep():
            if accounts.find_staff(username) is None:
                make.staff(username, role=role)
        client = app.test_client()
        answer = client.post(
            "/desk/sign-in",
            data={
                "username": username,
                "password": make.PASSWORD,
                "csrf_token": make.form_token(client, "/desk/sign-in"),
            },
        )
        assert answer.status_code == 303, answer.text
        return client

    return enter
