"""Run the whole suite and close with one line that counts it.

One worker more than there are cores takes tests as it comes free, the long ones first: those
wait for servers and browsers most of their time. What is marked `prove` is left to
`make prove`. Arguments (`make test ARGS="-k words"`) go to pytest.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from tests.support import chromium

ROOT = Path(__file__).resolve().parent.parent
MOST_WORKERS = 4


def main(arguments: list[str]) -> int:
    """Run it; return 0 only if something ran and nothing failed."""
    try:
        browser = chromium.ensure()
    except chromium.NoBrowser as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    environment = os.environ | {"CHROMIUM": str(browser), "PYTHONUNBUFFERED": "1"}
    workers = str(min(MOST_WORKERS, (os.cpu_count() or 1) + 1))
    returned, counts = _pytest(
        ["-n", workers, "--dist", "worksteal", "-m", "not prove", *arguments],
        environment,
    )
    ran = counts["passed"] + counts["failed"]
    if not ran:
        sys.stderr.write("No test ran.\n")
    sys.stdout.write(
        f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped\n"
    )
    return 0 if returned == 0 and ran and not counts["failed"] else 1


def _pytest(arguments: list[str], environment: dict[str, str]) -> tuple[int, Counter[str]]:
    """Run pytest; return its exit code and what it counted. An error is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        returned = subprocess.run(command, cwd=ROOT, env=environment).returncode
        return returned, count(report.read_text() if report.exists() else "")


def count(report: str) -> Counter[str]:
    """Return passed, failed (errors among them) and skipped of a JUnit report."""
    if not report:
        return Counter(failed=1)
    counts: Counter[str] = Counter()
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        marks = {child.tag for child in case}
        if marks & {"failure", "error"}:
            counts["failed"] += 1
        elif "skipped" in marks:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
