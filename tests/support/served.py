"""The web server as in production (gunicorn, threads, several workers) on a test's database.

`experiment` names what one test changes inside the server's processes (`tests.support.wrapped`);
the product itself has no such switch.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.journeys.world import answers, free_port, until, web_command
from tests.support import databases, programs
from tests.support.programs import Program

PATIENCE_S = 120.0


@dataclass
class Served:
    """A running server that can be hurt."""

    url: str
    folder: Path
    workers: int = 2
    experiment: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Program | None = None

    @property
    def base(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of this installation, for its server and for its worker."""
        return (
            os.environ
            | {
                "EMERGE_ENV": "test",
                "DATABASE_URL": self.url,
                "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
                "EMERGE_KEYS": databases.KEYS,
                "PUBLIC_URL": self.base,
                "PORT": str(self.port),
                "TRUSTED_PROXIES": "1",
                "EXPERIMENT": self.experiment,
                "EXPERIMENT_FOLDER": str(self.folder),
            }
            | self.settings
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        app = "tests.support.wrapped:app" if self.experiment else "wsgi:app"
        command = web_command(self.port, workers=self.workers, app=app)
        self.process = programs.start(command, self.environment, self.folder / "web.log")
        until(lambda: answers(self.base), "the web server", within=PATIENCE_S)

    def stop(self) -> None:
        """Stop it, kindly at first."""
        if self.process is None:
            return
        for one in self.hands():
            self._signal(one, signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            for one in self.hands():
                self._signal(one, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Stop it and start it again at the same address."""
        self.stop()
        self.start()

    def hands(self) -> list[psutil.Process]:
        """Return gunicorn's worker processes."""
        if self.process is None:
            return []
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def kill(self, one: psutil.Process) -> None:
        """Kill a worker process; gunicorn starts another."""
        self._signal(one, signal.SIGKILL)

    def pause(self, one: psutil.Process, seconds: float) -> None:
        """Stop a worker process in its tracks for a while."""
        self._signal(one, signal.SIGSTOP)
        time.sleep(seconds)
        self._signal(one, signal.SIGCONT)

    @property
    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "web.log").read_text(errors="replace")

    @staticmethod
    def _signal(one: psutil.Process, what: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(what)


@contextmanager
def working(served: Served) -> Iterator[Program]:
    """Run a worker beside a served app, with the same experiment in it."""
    app = "tests.support.wrapped" if served.experiment else "wsgi"
    command = [sys.executable, "-m", "flask", "--app", app, "worker"]
    worker = programs.start(command, served.environment, served.folder / "worker.log")
    try:
        yield worker
    finally:
        worker.terminate()
        try:
            worker.wait(timeout=60)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@contextmanager
def serving(
    url: str,
    folder: Path,
    *,
    workers: int = 2,
    experiment: str = "",
    settings: dict[str, str] | None = None,
) -> Iterator[Served]:
    """Serve the app on a database for as long as the block lasts."""
    served = Served(url, folder, workers, experiment, settings or {})
    served.start()
    try:
        yield served
    finally:
        served.stop()
