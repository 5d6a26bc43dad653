"""Signing: the password is asked again, and whoever signs may be somebody else than who types."""

from dataclasses import dataclass

from flask import request

from scheduler.accounts import queries as accounts
from scheduler.accounts import service as door
from scheduler.accounts.models import Staff
from scheduler.accounts.rules import LONGEST_PASSWORD, Act
from scheduler.booking import soft
from scheduler.booking.soft import Excuse
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid
from scheduler.treatment.chair import Override
from scheduler.web import login

#: Letters of a reason. What is longer is refused, never cut.
LONGEST_REASON = 500


@dataclass(frozen=True)
class Word:
    """Somebody's word, their password having been asked: who, and why."""

    staff_id: int
    reason: str = ""

    @property
    def staff(self) -> Staff:
        """Who gave it, read in the transaction that uses it."""
        return accounts.staff(self.staff_id)

    def as_override(self) -> Override:
        """Return it as the word that something may be done although a rule says no."""
        return Override(self.staff, self.reason)


def signed() -> Word:
    """Return the word of who is signed in, whose password came with the form.

    Raises:
        Invalid: it is not their password.
        TooManyTries: too many tries failed.
    """
    return Word(_verified(_my_name(), "password"))


def override() -> Word | None:
    """Return a clinician's word typed into the form's "although" part; None when it is empty.

    Raises:
        Invalid: a part of it is missing or too long, or name and password do not fit together.
        TooManyTries: too many tries failed.
    """
    reason = words_of("why")
    password = request.form.get("clinician_password", "")
    if not reason and not password:
        return None
    if not reason:
        raise Invalid("Please say why it may be done.", field="why")
    username = request.form.get("clinician", "").strip() or _my_name()
    return Word(_verified(username, "clinician_password"), reason)


def words_of(name: str, most: int = LONGEST_REASON) -> str:
    """Return what was typed into a field, whole.

    Raises:
        Invalid: it is too long to be kept; nothing of it is cut off unseen.
    """
    words = request.form.get(name, "").strip()
    if len(words) > most:
        raise Invalid(f"Use at most {most} letters. These are {len(words)}.", field=name)
    return words


def excuse(name: str = "excuse") -> Excuse | None:
    """Return why the form says a rule may be set aside, and which rules this person may; or None.

    Args:
        name: The field; a page of several visits has one for each.

    Raises:
        Invalid: it is too long to be kept.
    """
    reason = " ".join(request.form.get(name, "").split())
    if not reason:
        return None
    if len(reason) > soft.MOST_WORDS:
        raise Invalid(f"Use at most {soft.MOST_WORDS} letters.", field=name)
    rules = {rule for rule, act in _MAY_SET_ASIDE.items() if login.me().may(act)}
    return Excuse(reason, frozenset(rules))


_MAY_SET_ASIDE = {
    soft.Rule.NOTICE: Act.BEND_TIMES,
    soft.Rule.HORIZON: Act.BEND_TIMES,
    soft.Rule.RATIO: Act.BEND_RATIO,
}


def _my_name() -> str:
    return accounts.staff(login.me().id).username


def _verified(username: str, field: str) -> int:
    """Return whose password the form holds; no transaction is open while it is hashed."""
    now, origin = clock.now(), request.remote_addr or "-"
    password = request.form.get(field, "")
    if not password:
        raise Invalid("Enter the password: it is your signature.", field=field)
    let_go()
    door.refuse_when_locked(username, origin=origin, now=now)
    person = accounts.find_staff(door.plain_username(username))
    if person is not None:
        person_id = person.id
        if len(password) <= LONGEST_PASSWORD and door.verify_password(person, password):
            let_go()
            return person_id
    let_go()
    with transaction():
        door.note_try(username, origin=origin, now=now)
        door.note_failure(username, now=now)
    raise Invalid("That password does not fit. Nothing was signed.", field=field)
