"""The product's programs as processes that start warm.

A web server or a worker that begins from nothing spends two seconds of a core on reading its
libraries, each of its processes again. Here they are forks of one process that has read them;
what they then do (`python -m gunicorn …`, `python -m flask … worker`) is what is typed in
production, with the environment it is given and nothing of the test's.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import flask.cli  # noqa: F401  read before the fork, as the others here
import gunicorn.app.wsgiapp  # noqa: F401

import scheduler.app
import scheduler.web.server  # noqa: F401
from config import ROOT
from tests import races


class Program:
    """A running program."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._process.exitcode


def start(command: Sequence[str], environment: Mapping[str, str], log: Path | None) -> Program:
    """Start `python -m module …` as typed, its output added to `log` (or to ours)."""
    python, dash_m, module, *arguments = command
    assert (python, dash_m) == (sys.executable, "-m"), command
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(races.PRELOADED)
    process = context.Process(target=_live, args=(module, arguments, dict(environment), log))
    process.start()
    return Program(process)


def _live(module: str, arguments: list[str], environment: dict[str, str], log: Path | None) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    if log is not None:
        with log.open("ab") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
