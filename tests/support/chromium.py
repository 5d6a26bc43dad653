"""A Chromium to test with: found, or installed where that may be done.

python -m tests.support.chromium    print where it is, installing one if need be
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
# For `chromium.launch(executable_path=..., args=LAUNCH_ARGS)`: quiet, and able to run as root.
LAUNCH_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What the browser's processes share lies in memory where there is enough of it, else in files.
SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 2 * 2**30
if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < ENOUGH_SHARED_MEMORY:
    LAUNCH_ARGS.append("--disable-dev-shm-usage")
# Each way to install one: the program it needs, and its commands.
PACKAGED = (
    ("apt-get", (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends"])),
    ("dnf", (["install", "-y", "-q"],)),
)


class NoBrowser(Exception):
    """No Chromium could be found or installed, so the browser tests cannot run."""


def find() -> Path | None:
    """Return the browser named by the variable CHROMIUM, or one of the machine, that starts."""
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        if path is None or not _starts(Path(path)):
            raise NoBrowser(f"CHROMIUM is set to {named}, which does not start.")
        return Path(path)
    return next((path for path in _candidates() if path.is_file() and _starts(path)), None)


@cache
def ensure() -> Path:
    """Return a browser that starts, installing one if there is none.

    Tries the system's packages where this user may install them, then the browser tool's own.

    Raises:
        NoBrowser: with the one line that says what to do.
    """
    found = find()
    if found is None:
        sys.stderr.write("No Chromium found: installing one (once)\n")
        found = _by_system_packages() or _by_the_browser_tool()
    if found is None:
        raise NoBrowser(
            "The browser tests need Chromium, and none could be found or installed. "
            "Install chromium or google-chrome, or set CHROMIUM to where one is."
        )
    return found


def axe_source() -> str:
    """Return the script of the accessibility checker, to be evaluated in a page."""
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def _candidates() -> Iterator[Path]:
    for name in NAMES:
        found = shutil.which(name)
        if found:
            yield Path(found)
    yield from APPLICATIONS
    own = _of_the_browser_tool()
    if own:
        yield own


def _starts(path: Path) -> bool:
    """Say whether it is a browser and not, as on some systems, advice to install one."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and "Chrom" in asked.stdout


def _by_system_packages() -> Path | None:
    for program, commands in PACKAGED:
        path = shutil.which(program)
        prefix = _as_root()
        if path is None or prefix is None:
            continue
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in commands:
            package = ["chromium"] if "install" in command else []
            subprocess.run([*prefix, path, *command, *package], env=quiet)
        return find()
    return None


def _by_the_browser_tool() -> Path | None:
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])
    return find()


def _of_the_browser_tool() -> Path | None:
    """Return where the browser tool keeps, or would keep, a Chromium of its own."""
    asked = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "--dry-run", "chromium"],
        capture_output=True,
        text=True,
    )
    lines = [
        line.split(":", 1)[1].strip() for line in asked.stdout.splitlines() if "ocation:" in line
    ]
    for folder in lines:
        for pattern in ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*"):
            for path in sorted(Path(folder).glob(pattern)):
                return path
    return None


def _as_root() -> list[str] | None:
    """Return what to put before a command that needs root, or None where that is not allowed."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{ensure()}\n")
    except NoBrowser as missing:
        raise SystemExit(str(missing)) from missing
