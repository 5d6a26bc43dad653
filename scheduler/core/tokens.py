"""Secrets that travel in links and cookies: minted at random, kept only as a hash."""

import hashlib
import secrets


def mint() -> str:
    """Return a new secret of 192 random bits, safe in a URL (32 characters)."""
    return secrets.token_urlsafe(24)


def digest(token: str, purpose: str) -> str:
    """Return what is stored for a token: a hash bound to its purpose, so no key fits two locks.

    A plain SHA-256 is enough because the token itself has 192 bits of randomness.
    """
    return hashlib.sha256(f"{purpose}\0{token}".encode()).hexdigest()


def public_id() -> str:
    """Return an opaque reference for a row, for addresses that only staff may open (96 bits)."""
    return secrets.token_urlsafe(12)
