"""Who may do what, and how often a password may be tried."""

import enum
from datetime import datetime, timedelta

from scheduler.accounts.models import Role
from scheduler.core.errors import Invalid

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200  # more only costs time to hash
FAILURES_PER_ACCOUNT = 10
FAILURES_PER_ADDRESS = 30  # a clinic's whole staff may share one
COUNTED_FOR = timedelta(hours=1)
KNOWN_FOR = timedelta(days=30)


class Act(enum.StrEnum):
    """Something that needs a right. The table of the design, "Who may do what"."""

    SEE_DESK = "see-desk"  # times, contacts, readiness
    BOOK = "book"  # book, move, cancel, check in, schedule an approved plan
    BEND_TIMES = "bend-times"  # book sooner or later than usual, with a reason
    BEND_RATIO = "bend-ratio"  # have a nurse watch one more than usual, with a reason
    ANSWER = "answer"  # texts, tasks, linking enquirers
    SEE_CLINICAL = "see-clinical"  # scores, notes, screening
    RECORD_SESSION = "record-session"  # and sign safe-to-go, with the skill
    SIGN_CLEARANCE = "sign-clearance"
    APPROVE_PLAN = "approve-plan"
    ACTIVATE_PROTOCOL = "activate-protocol"
    OVERRIDE_SAFETY = "override-safety"
    CHANGE_SUPPLY = "change-supply"  # sites, chairs, hours, shifts, closures
    CHANGE_STAFF = "change-staff"
    CHANGE_TEXTS = "change-texts"
    DRAFT_PROTOCOL = "draft-protocol"
    READ_AUDIT = "read-audit"


_DESK = frozenset({Act.SEE_DESK, Act.BOOK, Act.BEND_TIMES, Act.ANSWER})
_NURSE = _DESK | {Act.SEE_CLINICAL, Act.RECORD_SESSION, Act.BEND_RATIO}
ALLOWED: dict[Role, frozenset[Act]] = {
    Role.FRONT_DESK: _DESK,
    Role.NURSE: _NURSE,
    Role.CLINICIAN: _NURSE
    | {Act.SIGN_CLEARANCE, Act.APPROVE_PLAN, Act.ACTIVATE_PROTOCOL, Act.OVERRIDE_SAFETY},
    Role.ADMIN: frozenset(
        {
            Act.SEE_DESK,
            Act.CHANGE_SUPPLY,
            Act.CHANGE_STAFF,
            Act.CHANGE_TEXTS,
            Act.DRAFT_PROTOCOL,
            Act.READ_AUDIT,
        }
    ),
}


def may(role: Role, act: Act) -> bool:
    """Say whether the table gives `role` the right to `act`."""
    return act in ALLOWED[role]


def is_over(started_at: datetime, last_used_at: datetime, *, now: datetime) -> bool:
    """Say whether a session has ended by itself: unused for 15 minutes, or 12 hours old."""
    return now - last_used_at >= IDLE or now - started_at >= ABSOLUTE


def check_password(password: str, *, username: str) -> None:
    """Refuse a new password that is too easily found.

    Raises:
        Invalid: shorter than 12 characters, longer than 200, or of too few different ones.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(
            f"Use at least {SHORTEST_PASSWORD} characters. A few words together work well.",
            field="password",
        )
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(f"Use at most {LONGEST_PASSWORD} characters.", field="password")
    if len(set(password)) < 5 or username.casefold() in password.casefold():
        raise Invalid(
            "Choose a password that is harder to guess: not your user name, and not the same few "
            "characters.",
            field="password",
        )
