"""Text that is stored sealed: AES-256-GCM, key from outside the database, never searched."""

import base64
import hashlib
import hmac
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class KeyMissing(Exception):
    """A sealed value was met whose key this process does not hold."""


class KeyRing:
    """Keys by short name; the first seals, all open. Rotating is putting a new one in front."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}
        self._first = ""

    def configure(self, spec: str) -> None:
        """Take keys written as `name:base64,name:base64` (32 bytes each), newest first.

        Raises:
            ValueError: the text is not of that form, or a key is not 32 bytes.
        """
        keys: dict[str, bytes] = {}
        for part in spec.split(","):
            name, _, encoded = part.strip().partition(":")
            key = base64.b64decode(encoded, validate=True)
            if not name or len(key) != 32:
                raise ValueError("a key is written name:base64 of 32 bytes")
            keys[name] = key
        self._keys = keys
        self._first = next(iter(keys))

    def seal(self, text: str) -> str:
        """Return `text` sealed under the newest key."""
        nonce = os.urandom(12)
        box = AESGCM(self._key(self._first)).encrypt(nonce, text.encode(), self._first.encode())
        return f"{self._first}.{base64.b64encode(nonce + box).decode()}"

    def open(self, sealed: str) -> str:
        """Return the text inside.

        Raises:
            KeyMissing: the key it was sealed with is not on this ring, or the box was changed.
        """
        name, _, encoded = sealed.partition(".")
        raw = base64.b64decode(encoded)
        try:
            return AESGCM(self._key(name)).decrypt(raw[:12], raw[12:], name.encode()).decode()
        except InvalidTag:
            raise KeyMissing(f"the value sealed with key {name!r} does not open") from None

    def fingerprint(self, text: str) -> str:
        """Return a keyed hash: says "the same text" without saying which text."""
        key = hashlib.sha256(b"fingerprint\0" + self._key(self._oldest())).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def _oldest(self) -> str:
        return next(reversed(self._keys)) if self._keys else ""

    def _key(self, name: str) -> bytes:
        try:
            return self._keys[name]
        except KeyError:
            raise KeyMissing(f"no key named {name!r}: set EMERGE_KEYS") from None


def new_key(name: str) -> str:
    """Return a fresh key in the form `KeyRing.configure` reads."""
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


keyring = KeyRing()


class Sealed(TypeDecorator[str]):
    """A column whose text is sealed on the way in and opened on the way out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seal."""
        return None if value is None else keyring.seal(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Open."""
        return None if value is None else keyring.open(value)
