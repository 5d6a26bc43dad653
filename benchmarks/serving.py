"""The production server, as docs/operating.md starts it, on a database of the benchmark's."""

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from flask import Flask

from scheduler.app import create_app
from scheduler.core.db import db
from tests.journeys.world import free_port, web_command
from tests.support import databases, postgres

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 30
KINDS = ("SQLite", "PostgreSQL")
#: The server tests use forgets what it committed when the power goes; a clinic's does not.
DURABLE = ("fsync = on", "full_page_writes = on", "synchronous_commit = on")


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Lend a fresh, migrated database of one kind that flushes each commit to the disk."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory(prefix="emerge-bench-") as folder:
            url = f"sqlite:///{folder}/bench.db"
            databases.migrate(url)
            yield url
        return
    server = postgres.server()
    _make_durable(server.admin_url)
    with server.database() as url:
        databases.migrate(url)
        yield url


def _make_durable(admin_url: str) -> None:
    with psycopg.connect(postgres.dsn(admin_url), autocommit=True) as connection:
        for setting in DURABLE:
            connection.execute(f"ALTER SYSTEM SET {setting}")  # type: ignore[arg-type]
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def room(url: str) -> Iterator[Flask]:
    """The app in this process, with a context open; its connections are closed afterwards."""
    app = create_app(databases.config(url))
    with app.app_context():
        yield app
    dispose(app)


def dispose(app: Flask) -> None:
    """Close an app's connections."""
    with app.app_context():
        db.engine.dispose()


@contextmanager
def server(
    url: str, *, spans: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Serve a database until the block ends, with `settings` more; yield the port."""
    port = free_port()
    environment = os.environ | {
        "EMERGE_ENV": "test",
        "DATABASE_URL": url,
        "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
        "EMERGE_KEYS": databases.KEYS,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TRUSTED_PROXIES": "1",  # a proxy stands before every clinic's server
        "BENCH_SPANS": str(spans or ""),
        **(settings or {}),
    }
    command = web_command(port, app="benchmarks.wsgi:app")
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def processor_seconds() -> float:
    """Return how long the processes of the server have kept a processor busy, its database's not.

    What else the machine does meanwhile makes answers slow, but hardly changes this.
    """
    served = [p for p in psutil.Process().children(recursive=True) if "gunicorn" in p.cmdline()]
    return sum(sum(p.cpu_times()[:2]) for p in served)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the server ended by itself; its words are above")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not answer in {PATIENCE_S} s")
