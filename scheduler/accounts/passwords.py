"""Hashing and checking passwords: argon2id, with the library's own strength."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


def hashed(password: str) -> str:
    """Return what is stored for `password`. Takes about a tenth of a second on purpose."""
    return _hasher.hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Say whether `password` is the one; takes as long when there is nothing to compare with."""
    try:
        _hasher.verify(stored or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Say whether it was hashed with other parameters than are used today."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys() -> str:
    return _hasher.hash("a password nobody has")
