"""What somebody was sending when their session had ended: kept for them until they are back.

It lies sealed in the sign-in page itself, so that nobody else at that screen can read it and the
server stores nothing; only the same person, signed in again within the hour, gets it back.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import request

from scheduler.core.sealed import KeyMissing, keyring

FIELD = "kept"
LASTS = timedelta(hours=1)
LONGEST = 60_000  # letters; a page of ours sends far less
NEVER_KEPT = ("csrf_token", "password", "current_password", "new_password", FIELD)


@dataclass(frozen=True)
class Kept:
    """A form on its way: where to, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]


def seal_request(staff_id: int, *, now: datetime) -> str | None:
    """Return this request's form, sealed for one member of staff; None when there is too much."""
    fields = [(n, v) for n, v in request.form.items(multi=True) if n not in NEVER_KEPT]
    text = json.dumps(
        {
            "staff": staff_id,
            "at": int(now.timestamp()),
            "path": request.full_path.rstrip("?"),
            "fields": fields,
        }
    )
    return keyring.seal(text) if len(text) <= LONGEST else None


def open_sealed(sealed: str, *, staff_id: int, now: datetime) -> Kept | None:
    """Return what was sealed, to the person it was sealed for; None to everybody else."""
    try:
        known = json.loads(keyring.open(sealed))
        if known["staff"] != staff_id or now.timestamp() - known["at"] > LASTS.total_seconds():
            return None
        return Kept(known["path"], [(str(n), str(v)) for n, v in known["fields"]])
    except (KeyMissing, ValueError, KeyError, TypeError):
        return None
