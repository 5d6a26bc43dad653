"""How the processes of the web server share what comes."""

import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.journeys.world import PATIENCE_S, answers, free_port, until
from tests.support import programs

FAIR = "scheduler.web.server.FairWorker"


@contextmanager
def one_of_two_busy(folder: Path, worker_class: str) -> Iterator[tuple[int, psutil.Process, int]]:
    """Serve with two processes of one thread and keep one busy; the port, that one, the other."""
    gate = folder / "gate"
    os.mkfifo(gate)
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "tests.support.waiting:app", "-k", worker_class),
        *("-w", "2", "--threads", "1", "--no-control-socket", "-b", f"127.0.0.1:{port}"),
        *("--log-level", "warning"),
    ]
    server = programs.start(command, os.environ | {"GATE": str(gate)}, folder / "web.log")
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}"), "the server")
        two = until(lambda: _children(server.pid, 2), "both processes")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as line:
            line.sendall(b"GET /wait HTTP/1.0\r\nHost: x\r\n\r\n")
            with line.makefile("rb") as answer:
                while answer.readline().strip():
                    pass  # the head
                pid = int(answer.readline())
                busy = next(p for p in two if p.pid == pid)
                idle = next(p for p in two if p.pid != pid)
                try:
                    yield port, busy, idle.pid
                finally:
                    idle.send_signal(signal.SIGCONT)
                    gate.write_text("on")
                    answer.read()
    finally:
        server.terminate()
        server.wait(timeout=60)


def _children(pid: int, count: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children()
    return found if len(found) == count else []


def test_nobody_waits_behind_a_slow_page_while_another_process_is_idle(tmp_path: Path) -> None:
    with one_of_two_busy(tmp_path, FAIR) as (port, _, idle):
        for _again in range(20):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as answer:
                assert int(answer.read()) == idle


def test_control_gunicorns_own_lets_a_connection_wait_behind_it(tmp_path: Path) -> None:
    with one_of_two_busy(tmp_path, "gthread") as (port, busy, idle):
        os.kill(idle, signal.SIGSTOP)  # so that only the busy one can take it
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            ours = line.getsockname()[1]
            until(
                lambda: any(c.raddr and c.raddr.port == ours for c in busy.net_connections()),
                "the busy process to take one connection more",
            )
