"""Was a request signed by the provider? Pure."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

SIGNATURE = "X-Twilio-Signature"
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"


def sign(url: str, fields: Sequence[tuple[str, str]], key: str, *, algorithm: str = "sha1") -> str:
    """Return the signature of a form posted to `url`: an HMAC over the address and its fields."""
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(key.encode(), text.encode(), algorithm).digest()).decode()


def is_signed(
    url: str,
    fields: Sequence[tuple[str, str]],
    *,
    signature: str | None,
    settings: str | None,
    auth_token: str,
    shared_key: str,
) -> bool:
    """Say whether a form posted to our `url` carries the provider's signature.

    `settings` is the header that names another algorithm: then SHA-256 under the shared key, and
    nothing else, is believed. A field sent twice is refused, for the signature would not show it;
    so is everything while no key is configured.
    """
    if not signature or len({name for name, _ in fields}) != len(fields):
        return False
    named = {
        part.partition("=")[0].strip(): part.partition("=")[2].strip()
        for part in (settings or "").split(",")
    }
    wanted = named.get("algorithm", "HMAC_SHA1").upper()
    keys = {"HMAC_SHA1": (auth_token, "sha1"), "HMAC_SHA256": (shared_key, "sha256")}
    key, algorithm = keys.get(wanted, ("", "sha1"))
    if not key:
        return False
    given = hashlib.sha256(signature.encode()).digest()
    return any(
        hmac.compare_digest(
            given, hashlib.sha256(sign(form, fields, key, algorithm=algorithm).encode()).digest()
        )
        for form in _spellings(url)
    )


def _spellings(url: str) -> list[str]:
    """The provider signs an address now with its default port, now without."""
    parts = urlsplit(url)
    if parts.port is not None:
        return [url]
    port = 443 if parts.scheme == "https" else 80
    return [url, parts._replace(netloc=f"{parts.netloc}:{port}").geturl()]
