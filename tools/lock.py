"""Pin and hash the requirement files again: `make requirements`, or `... UPGRADE=1` for newer ones.

pip-tools lives in an environment of its own, so that neither the product nor its tests carry it.
The files name no host and no path: only versions and the hashes of every file of a version, so
that they install on any system and any supported Python.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".cache" / "lock-tools"
PIP_TOOLS = "pip-tools==7.6.2"
FILES = ("requirements", "requirements-dev", "requirements-node")
HEADER = "# Made from {name}.in by `make requirements`. Do not edit.\n"


def main(arguments: list[str]) -> None:
    """Compile each file; `--upgrade` takes the newest versions the `.in` files allow."""
    compiler = TOOLS / "bin" / "pip-compile"
    if not compiler.exists():
        venv.create(TOOLS, with_pip=True, clear=True)
        _run([str(TOOLS / "bin" / "pip"), "install", "--quiet", PIP_TOOLS])
    for name in FILES:
        made = ROOT / f"{name}.txt"
        options = [
            "--quiet",
            "--generate-hashes",
            "--strip-extras",
            "--no-header",
            "--no-emit-index-url",
            "--no-emit-trusted-host",
            "--no-emit-find-links",
            *arguments,
        ]
        _run([str(compiler), *options, "--output-file", made.name, f"{name}.in"])
        made.write_text(HEADER.format(name=name) + made.read_text())


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit("The requirements were not locked; the reason is above.")


if __name__ == "__main__":
    main(sys.argv[1:])
