"""`flask up`: everything a clinic, or somebody looking around, needs to start; Ctrl-C stops it."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from types import FrameType

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from gunicorn.app.base import BaseApplication
from sqlalchemy.exc import OperationalError

from config import Config
from scheduler.cli import demo, demo_clinic, schema
from scheduler.core.db import db
from scheduler.jobs.runner import Worker

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
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    sys.exit(_serve(app, config, host, port))


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


class _Web(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in front of the app that is already built."""

    def __init__(self, app: Flask, options: dict[str, object]) -> None:
        self.app = app
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the options as they are: no command line, no file."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the app."""
        return self.app


def _serve(app: Flask, config: Config, host: str, port: int) -> int:
    """Run both until one ends or somebody says stop; return the exit status.

    Both are forked from here, so the app is built once and everything is up in no time. No
    connection is open at that moment.
    """
    options: dict[str, object] = {
        "bind": f"{host}:{port}",
        "worker_class": "scheduler.web.server.FairWorker",
        "workers": 2,
        "threads": 4,
        "graceful_timeout": PATIENCE_S,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    processes = [
        _forked(lambda: _Web(app, options).run()),
        _forked(lambda: Worker(app, config).run()),
    ]
    stop = threading.Event()

    def asked(_: int, __: FrameType | None) -> None:
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, asked)
    if _answers(host, port, processes, stop):
        _greet(config, host, port)
    while not stop.wait(0.3):
        ended = next((p for p in processes if not p.is_alive()), None)
        if ended is not None:
            click.echo("One of the two programs ended by itself; stopping the other.", err=True)
            _stop(processes)
            return 1
    click.echo("\nStopping ...")
    _stop(processes)
    return 0


def _forked(run: Callable[[], object]) -> ForkProcess:
    """Start a process in a group of its own, so that one Ctrl-C reaches it once, from here."""

    def alone() -> None:
        os.setsid()
        run()

    process = multiprocessing.get_context("fork").Process(target=alone)
    process.start()
    return process


def _stop(processes: list[ForkProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
    deadline = time.monotonic() + PATIENCE_S + 2
    for process in processes:
        process.join(timeout=max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()


def _answers(
    host: str,
    port: int,
    processes: list[ForkProcess],
    stop: threading.Event,
) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/health"  # noqa: S104
    while time.monotonic() < deadline and not stop.is_set():
        if not all(p.is_alive() for p in processes):
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
        click.secho(f"    {demo_clinic.PASSWORD}", bold=True)
        for username, words in demo_clinic.SIGN_INS:
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
