"""Make the checkout ready to run or to be tested, and do nothing when it already is.

    python -m tools.prepare run     environment, runtime packages, front-end files, translations
    python -m tools.prepare test    the same, and the packages for tests and checks

Runs on any Python 3.11+ before anything is installed, so it uses the standard library only.
What has been installed is remembered by the hash of the file that asked for it.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import assets

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "installed.json"
RUNTIME = ("requirements.txt",)
TESTS = ("requirements.txt", "requirements-dev.txt")


class CannotPrepare(SystemExit):
    """Something the checkout needs could not be had; the text says what, and what to do."""


def main(arguments: list[str]) -> None:
    """Prepare for what is asked: `run` or `test`."""
    if arguments not in (["run"], ["test"]):
        raise CannotPrepare("usage: python -m tools.prepare run|test")
    with _one_at_a_time():
        install(RUNTIME if arguments == ["run"] else TESTS)
        assets.bring(PYTHON)
        compile_translations()


def install(files: tuple[str, ...]) -> None:
    """Bring `.venv` to what the pinned and hashed `files` say."""
    installed = _installed()
    if not PYTHON.exists() or not _works():
        _say(f"Making a Python environment in .venv ({sys.version.split()[0]})")
        _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
        installed = {}
    wanted = {name: _hash(ROOT / name) for name in files}
    if all(installed.get(name) == digest for name, digest in wanted.items()):
        return
    _say(f"Installing {' and '.join(files)} (a minute or so, once)")
    started = time.monotonic()
    asked = [part for name in files for part in ("-r", str(ROOT / name))]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([str(PYTHON), "-m", "pip", "install", *quiet, "--require-hashes", *asked])
    STAMP.write_text(json.dumps(installed | wanted, indent=2) + "\n")
    _say(f"Installed in {time.monotonic() - started:.0f} s")


def compile_translations() -> None:
    """Compile each `.po` file that is newer than what was made of it."""
    stale = [
        po
        for po in sorted((ROOT / "translations").glob("*/LC_MESSAGES/*.po"))
        if not po.with_suffix(".mo").exists()
        or po.with_suffix(".mo").stat().st_mtime <= po.stat().st_mtime
    ]
    for po in stale:
        made = po.with_suffix(".mo")
        command = ["compile", "--statistics", "-l", po.parent.parent.name]
        pybabel = str(ENVIRONMENT / "bin" / "pybabel")
        _run([pybabel, "--quiet", *command, "-i", str(po), "-o", str(made)])
        os.utime(made)


def _installed() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _works() -> bool:
    """Say whether the environment's Python starts; it does not after a system upgrade or a move.

    pip is looked for too: a creation that was interrupted leaves an environment without it.
    """
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve() and STAMP.exists():
        return True
    probe = subprocess.run([str(PYTHON), "-I", "-c", "import pip"], capture_output=True)
    return probe.returncode == 0


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let two `make`s in one checkout wait for one another instead of installing at once."""
    folder = ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hash(path: Path) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return hashlib.sha256(version.encode() + path.read_bytes()).hexdigest()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT)
    if done.returncode:
        raise CannotPrepare(
            f"This step failed (its own words are above): {Path(command[0]).name} "
            f"{' '.join(command[1:4])} ...\nIt is safe to run the same command again."
        )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
