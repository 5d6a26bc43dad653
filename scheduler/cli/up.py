"""`flask up`: everything a clinic, or somebody looking around, needs to start; Ctrl-C stops it."""

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import FrameType

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError

from config import Config
from scheduler.cli import demo, schema
from scheduler.core.db import db

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30


@click.command("up")
@with_appcontext
def up_command() -> None:
    """Migrate, fill a demo on first start, then run the web server and the worker together."""
    config: Config = current_app.extensions["emerge_config"]
    host, port = config.host, config.port
    if not _is_free(host, port):
        raise click.ClickException(f"Port {port} is in use. Try another: PORT={port + 1} make run")
    if not _has_shape():
        click.echo("Preparing the database ...")
        schema.upgrade(db.engine)
    if config.is_demo:
        demo.fill_if_empty()
    db.engine.dispose()
    sys.exit(_serve(config, host, port))


def _has_shape() -> bool:
    """Say whether the database is there as the code expects it.

    Raises:
        click.ClickException: it cannot be reached; in one line, for whoever set it up.
    """
    try:
        return schema.is_current(db.engine)
    except OperationalError as trouble:
        reason = str(trouble.orig).strip().splitlines()[0]
        raise click.ClickException(f"The database cannot be opened: {reason}") from None


def _serve(config: Config, host: str, port: int) -> int:
    """Run both until one ends or somebody says stop; return the exit status."""
    web = [sys.executable, "-m", "gunicorn", "wsgi:app", "-k", "gthread", "-w", "2"]
    web += ["--threads", "4", "--no-control-socket", "-b", f"{host}:{port}"]
    web += ["--graceful-timeout", str(PATIENCE_S), "--log-level", "warning"]
    worker = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    # Each in its own process group, so that one Ctrl-C reaches them once, from here.
    processes = [
        subprocess.Popen(command, cwd=ROOT, start_new_session=True)  # noqa: S603  our own words
        for command in (web, worker)
    ]
    stop = threading.Event()

    def asked(_: int, __: FrameType | None) -> None:
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, asked)
    if _answers(host, port, processes, stop):
        _greet(config, host, port)
    while not stop.wait(0.3):
        ended = next((p for p in processes if p.poll() is not None), None)
        if ended is not None:
            click.echo("One of the two programs ended by itself; stopping the other.", err=True)
            _stop(processes)
            return 1
    click.echo("\nStopping ...")
    _stop(processes)
    return 0


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + PATIENCE_S + 2
    for process in processes:
        try:
            process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(
    host: str,
    port: int,
    processes: list[subprocess.Popen[bytes]],
    stop: threading.Event,
) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/health"  # noqa: S104
    while time.monotonic() < deadline and not stop.is_set():
        if any(p.poll() is not None for p in processes):
            return False
        try:
            with urllib.request.urlopen(address, timeout=2):
                return True
        except OSError:
            stop.wait(0.1)
    return False


def _greet(config: Config, host: str, port: int) -> None:
    shown = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host  # noqa: S104
    base = f"http://{shown}:{port}"
    click.echo()
    click.secho("  Emerge Scheduler is up.", bold=True)
    click.echo(f"  Patients:  {base}/        booking at {base}/book")
    click.echo(f"  Staff:     {base}/desk")
    if config.is_demo:
        click.echo()
        click.echo("  Demo sign-ins (everybody here is invented), password for all:")
        click.secho(f"    {demo.PASSWORD}", bold=True)
        for username, words in demo.SIGN_INS:
            click.echo(f"    {username:<8} {words}")
        click.echo(f"  Texts go to the simulated phone: {base}/desk/phone")
    click.echo("\n  Ctrl-C stops it.\n")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
