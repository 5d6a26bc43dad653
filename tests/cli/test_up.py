"""`flask up` starts web and worker together, says where they are, and stops both."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config import ROOT
from tests.journeys.world import answers, free_port, until
from tests.support import databases


def start(database_url: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it as `make run` does, on a database that has everything but people."""
    environment = os.environ | {
        "EMERGE_ENV": "test",
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
        "EMERGE_KEYS": databases.KEYS,
        "PORT": str(port),
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "up"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def test_both_come_up_and_one_signal_stops_both(database_url: str, tmp_path: Path) -> None:
    """A Ctrl-C on one kind of database, and what an operator's system sends on the other."""
    signum = signal.SIGINT if database_url.startswith("sqlite") else signal.SIGTERM
    port, log = free_port(), tmp_path / "log"
    process = start(database_url, port, log)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}"), "the pages")
        until(lambda: "Ctrl-C stops it" in log.read_text(), "the greeting")
        process.send_signal(signum)
        assert process.wait(timeout=40) == 0
    finally:
        process.kill()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "Stopping" in log.read_text()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_port_in_use_is_said_and_another_proposed(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        log = tmp_path / "log"

        assert start(database_url, port, log).wait(timeout=40) == 1

    assert f"Port {port} is in use. Try another: PORT={port + 1} make run" in log.read_text()
