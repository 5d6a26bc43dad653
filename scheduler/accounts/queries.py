"""Reading staff and their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select

from scheduler.accounts import rules
from scheduler.accounts.models import Role, SignInAttempt, Staff, StaffSession
from scheduler.core import tokens
from scheduler.core.db import db
from scheduler.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Somebody who is signed in, as plain values that outlive a transaction."""

    session_id: int
    last_used_at: datetime
    staff_id: int
    name: str
    title: str
    role: Role
    home_site_id: int
    resource_id: int | None


#: Asked in every request of the staff's, so it is put together once.
_OPEN = (
    select(
        StaffSession.started_at,
        StaffSession.id.label("session_id"),
        StaffSession.last_used_at,
        Staff.id.label("staff_id"),
        Staff.name,
        Staff.title,
        Staff.role,
        Staff.home_site_id,
        Staff.resource_id,
    )
    .join(Staff, Staff.id == StaffSession.staff_id)
    .where(
        StaffSession.token_hash == bindparam("token_hash"),
        StaffSession.ended_at.is_(None),
        Staff.is_active,
    )
)


def find_session(token: str, *, now: datetime) -> OpenSession | None:
    """Return whose session `token` opens, unless it has ended or the account was disabled."""
    hashed = tokens.digest(token, "staff-session")
    row = db.session.execute(_OPEN, {"token_hash": hashed}).first()
    if row is None:
        return None
    if rules.is_over(row.started_at, row.last_used_at, now=now):
        return None
    return OpenSession(
        session_id=row.session_id,
        last_used_at=row.last_used_at,
        staff_id=row.staff_id,
        name=row.name,
        title=row.title,
        role=row.role,
        home_site_id=row.home_site_id,
        resource_id=row.resource_id,
    )


def has_lapsed(token: str, *, now: datetime) -> bool:
    """Say whether a session ran out without having been ended yet."""
    row = db.session.execute(_OPEN, {"token_hash": tokens.digest(token, "staff-session")}).first()
    return row is not None and rules.is_over(row.started_at, row.last_used_at, now=now)


def owner_of(token: str) -> int | None:
    """Return the number of whoever had the session `token` opens, be it over or not."""
    return db.session.scalar(
        select(StaffSession.staff_id).where(
            StaffSession.token_hash == tokens.digest(token, "staff-session")
        )
    )


def find_staff(username: str) -> Staff | None:
    """Return who signs in as `username`, in whatever case it was typed."""
    return db.session.scalar(select(Staff).where(Staff.username == username.strip().lower()))


def staff(staff_id: int) -> Staff:
    """Return one member of staff.

    Raises:
        NotFound: there is none with that number.
    """
    person = db.session.get(Staff, staff_id)
    if person is None:
        raise NotFound("There is no such member of staff.")
    return person


def everybody() -> Sequence[Staff]:
    """Return all staff, the active first, then by name."""
    return db.session.scalars(
        select(Staff).order_by(Staff.is_active.desc(), Staff.name, Staff.id)
    ).all()


def account_of(resource_id: int) -> Staff | None:
    """Return who signs in as a person who gives time, or None."""
    return db.session.scalar(select(Staff).where(Staff.resource_id == resource_id))


def without_a_person() -> Sequence[Staff]:
    """Return who may sign in and is nobody's yet of those who give time, by name."""
    return db.session.scalars(
        select(Staff)
        .where(Staff.is_active, Staff.resource_id.is_(None))
        .order_by(Staff.name, Staff.id)
    ).all()


def actor_names(actors: set[str]) -> dict[str, str]:
    """Return the name of each `staff:3` among `actors`; others are left out."""
    ids = {int(a.removeprefix("staff:")) for a in actors if a.startswith("staff:")}
    if not ids:
        return {}
    rows = db.session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(ids)))
    return {f"staff:{staff_id}": name for staff_id, name in rows}


def failures(username: str, origin: str, *, now: datetime) -> tuple[int, int]:
    """Return how many tries failed within the hour: for this account, and from this address.

    An address from which this account was opened in the last 30 days is only judged by its own
    failures, so that nobody can keep a colleague out by failing in their name from elsewhere.
    """
    failed = (SignInAttempt.succeeded.is_(False), SignInAttempt.at > now - rules.COUNTED_FOR)
    by_account = select(func.count()).where(SignInAttempt.username == username, *failed)
    if _is_known(username, origin, now=now):
        by_account = by_account.where(SignInAttempt.origin == origin)
    by_address = select(func.count()).where(SignInAttempt.origin == origin, *failed)
    return db.session.scalars(by_account).one(), db.session.scalars(by_address).one()


def _is_known(username: str, origin: str, *, now: datetime) -> bool:
    found = db.session.scalar(
        select(SignInAttempt.id)
        .where(
            SignInAttempt.username == username,
            SignInAttempt.origin == origin,
            SignInAttempt.succeeded.is_(True),
            SignInAttempt.at > now - rules.KNOWN_FOR,
        )
        .limit(1)
    )
    return found is not None
