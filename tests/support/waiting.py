"""A page that says which process answers, and one that does not end before it may.

gunicorn tests.support.waiting:app, with a named pipe in GATE: "/wait" ends when that is written to.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Answer with the number of the process; then, if asked to, wait."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield f"{os.getpid()}\n".encode()
    if environ["PATH_INFO"] == "/wait":
        Path(os.environ["GATE"]).read_bytes()
