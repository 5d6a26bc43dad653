"""Staff: taking them on, letting them in and out."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from scheduler.accounts import passwords, queries, rules
from scheduler.accounts.errors import PersonTaken, SignInRefused, TooManyTries, UsernameTaken
from scheduler.accounts.models import Role, SignInAttempt, Staff, StaffSession
from scheduler.audit import service as audit
from scheduler.clinic.marks import insist_unchanged, mark
from scheduler.clinic.models import Resource
from scheduler.core import tokens
from scheduler.core.db import db
from scheduler.core.errors import Invalid

USERNAME_LENGTH = 80


def add_staff(
    *,
    username: str,
    name: str,
    title: str,
    role: Role,
    home_site_id: int,
    password: str,
    actor: str,
    now: datetime,
    resource_id: int | None = None,
) -> Staff:
    """Take somebody on who may sign in.

    Args:
        resource_id: Their time, when they give any to patients.

    Raises:
        Invalid: the user name is no word, the name is empty, or the password is too easily found.
        UsernameTaken: somebody has that user name.
    """
    username = username.strip().lower()
    if (
        len(username) > USERNAME_LENGTH
        or username.split() != [username]
        or not username.isprintable()
    ):
        raise Invalid("A user name is one word of at most 80 characters.", field="username")
    if not name.strip() or not name.strip().isprintable():
        raise Invalid("Say how colleagues read the name.", field="name")
    if queries.find_staff(username) is not None:
        raise UsernameTaken(f"Somebody already signs in as {username}.", field="username")
    rules.check_password(password, username=username)
    person = Staff(
        username=username,
        name=name.strip(),
        title=title.strip(),
        role=role,
        home_site_id=home_site_id,
        resource_id=resource_id,
        password_hash=passwords.hashed(password),
        created_at=now,
    )
    db.session.add(person)
    db.session.flush()
    audit.record("staff.added", f"staff:{person.id}", actor=actor, now=now, role=role.value)
    return person


def mark_of_account(resource_id: int) -> str:
    """Return the print of who signs in as a person: what a page read, and a save compares."""
    known = queries.account_of(resource_id)
    return mark(more=known.id if known else None)


def choose_account(
    person: Resource, staff: Staff | None, *, seen: str | None, actor: str, now: datetime
) -> None:
    """Say which sign-in is a person who gives time to patients; None: nobody signs in as them.

    The skills of the person are then those of whoever signs in so.

    Raises:
        PersonTaken: the sign-in is another person already.
        ChangedMeanwhile: somebody else chose since the page was read.
    """
    subject = f"resource:{person.id}"
    insist_unchanged(subject, mark_of_account(person.id), seen)
    before = queries.account_of(person.id)
    if staff is before:
        return
    if staff is not None and staff.resource_id is not None:
        raise PersonTaken(
            f"{staff.username} is somebody else here already. Take that back first.",
            field="account",
        )
    if before is not None:
        before.resource_id = None
        before.version += 1
        db.session.flush()
    if staff is not None:
        staff.version += 1
        _give(staff, person)
    audit.record(
        "person.account-chosen",
        subject,
        actor=actor,
        now=now,
        before=f"staff:{before.id}" if before else None,
        after=f"staff:{staff.id}" if staff else None,
    )


def _give(staff: Staff, person: Resource) -> None:
    """Link the two; the database has the last word when two do it at once."""
    try:
        with db.session.begin_nested():
            staff.resource_id = person.id
            db.session.flush()
    except IntegrityError as clash:
        raise PersonTaken(
            f"Somebody already signs in as {person.name}.", field="account"
        ) from clash


def set_password(person: Staff, password: str, *, actor: str, now: datetime) -> None:
    """Give somebody a new password and sign them out everywhere.

    Raises:
        Invalid: it is too easily found.
    """
    rules.check_password(password, username=person.username)
    person.password_hash = passwords.hashed(password)
    person.version += 1
    _end_sessions(person, now=now)
    audit.record("staff.password-set", f"staff:{person.id}", actor=actor, now=now)


def disable(person: Staff, *, actor: str, now: datetime) -> None:
    """Stop somebody from signing in, and sign them out everywhere."""
    person.is_active = False
    person.version += 1
    _end_sessions(person, now=now)
    audit.record("staff.disabled", f"staff:{person.id}", actor=actor, now=now)


def enable(person: Staff, *, actor: str, now: datetime) -> None:
    """Let somebody sign in again."""
    person.is_active = True
    person.version += 1
    db.session.flush()
    audit.record("staff.enabled", f"staff:{person.id}", actor=actor, now=now)


def verify_password(person: Staff, password: str) -> bool:
    """Say whether `password` is theirs: for acts that ask for it again. Writes nothing."""
    return person.is_active and passwords.fits(person.password_hash, password)


def plain_username(typed: str) -> str:
    """Return a typed user name as it is counted and looked up."""
    return typed.strip().lower()[:USERNAME_LENGTH]


def refuse_when_locked(username: str, *, origin: str, now: datetime, noted: int = 0) -> None:
    """Stop when too many tries failed, whether or not the account exists.

    Asked before a try is noted, so that trying on does not lengthen the wait, and once more
    with `noted=1` after: however many try at the same moment, no more than the limit pass.

    Raises:
        TooManyTries: no password is looked at.
    """
    account, address = queries.failures(plain_username(username), origin, now=now)
    if (
        account - noted >= rules.FAILURES_PER_ACCOUNT
        or address - noted >= rules.FAILURES_PER_ADDRESS
    ):
        raise TooManyTries(
            "There were too many tries. Please wait an hour, or ask an administrator for help."
        )


def note_try(username: str, *, origin: str, now: datetime) -> int:
    """Write down that a password is about to be tried; return the note's number.

    To be committed before the password is looked at. It counts as a failure until
    `open_session` says otherwise.
    """
    attempt = SignInAttempt(
        username=plain_username(username), at=now, succeeded=False, origin=origin
    )
    db.session.add(attempt)
    db.session.flush()
    return attempt.id


def open_session(username: str, attempt_id: int, *, origin: str, now: datetime) -> str:
    """Open a session for somebody whose password was found to fit; return its secret."""
    person = queries.find_staff(plain_username(username))
    if person is None or not person.is_active:
        raise no_such_pair()
    db.session.execute(
        update(SignInAttempt).where(SignInAttempt.id == attempt_id).values(succeeded=True)
    )
    token = tokens.mint()
    session = StaffSession(
        token_hash=tokens.digest(token, "staff-session"),
        staff_id=person.id,
        started_at=now,
        last_used_at=now,
        origin=origin,
    )
    db.session.add(session)
    db.session.flush()
    actor = f"staff:{person.id}"
    audit.record("staff.signed-in", actor, actor=actor, now=now, session=session.id)
    return token


def no_such_pair() -> SignInRefused:
    """Return the one answer to a wrong name, a wrong password and a closed account."""
    return SignInRefused("That name and password do not fit together. Please try again.")


def note_failure(username: str, *, now: datetime) -> None:
    """Write a failed try into the record. What was typed is not kept there."""
    person = queries.find_staff(plain_username(username))
    subject = f"staff:{person.id}" if person else "staff:unknown"
    audit.record("staff.sign-in-failed", subject, actor="visitor", now=now)


def renew_hash(username: str, password: str) -> None:
    """Store the password again when the way of hashing has become stronger since."""
    person = queries.find_staff(plain_username(username))
    if person is not None and passwords.is_outdated(person.password_hash):
        person.password_hash = passwords.hashed(password)
        db.session.flush()


def keep_alive(session_id: int, *, now: datetime) -> None:
    """Note that a session was used by a person (never by a page refreshing itself)."""
    db.session.execute(
        update(StaffSession)
        .where(StaffSession.id == session_id, StaffSession.ended_at.is_(None))
        .values(last_used_at=now)
    )


def end_session(session_id: int, *, actor: str, now: datetime) -> None:
    """Sign one browser out, here and not only in its cookie."""
    db.session.execute(
        update(StaffSession)
        .where(StaffSession.id == session_id, StaffSession.ended_at.is_(None))
        .values(ended_at=now)
    )
    audit.record("staff.signed-out", actor, actor=actor, now=now, session=session_id)


def end_lapsed(token: str, *, now: datetime) -> None:
    """Close for good a session that ran out: a clock that is put back must not open it again."""
    db.session.execute(
        update(StaffSession)
        .where(
            StaffSession.token_hash == tokens.digest(token, "staff-session"),
            StaffSession.ended_at.is_(None),
        )
        .values(ended_at=now)
    )


def _end_sessions(person: Staff, *, now: datetime) -> None:
    db.session.execute(
        update(StaffSession)
        .where(StaffSession.staff_id == person.id, StaffSession.ended_at.is_(None))
        .values(ended_at=now)
    )
    db.session.flush()
