"""What mail servers say of a mail that did not arrive (RFC 3464): which one, and why. Pure."""

import email
import re
from dataclasses import dataclass
from email import policy
from email.message import Message

#: Our own Message-IDs: <public id of the message@our domain>.
_OURS = re.compile(r"<(?P<public_id>[A-Za-z0-9_-]{8,64})@[^<>@\s]+>")
_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True)
class Bounce:
    """A mail of ours that its reader's server gave back."""

    public_id: str
    message_id: str  # as it was sent, with its brackets
    code: str | None  # "5.1.1"


def read(raw: bytes) -> Bounce | None:
    """Return which mail came back for good; None for anything else, a delay for instance.

    The report is believed only about a mail whose own name it carries, in the copy of its head
    that a report must bring along.
    """
    letter = email.message_from_bytes(raw, policy=policy.default)
    if letter.get_content_type() != "multipart/report":
        return None
    failed, code, original = False, None, None
    for part in letter.walk():
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            groups = part.get_payload()
            for group in groups if isinstance(groups, list) else []:
                if not isinstance(group, Message):
                    continue
                if str(group.get("Action", "")).strip().lower() == "failed":
                    failed = True
                    found = _CODE.search(str(group.get("Status", "")))
                    code = found[0] if found else code
        elif kind in ("message/rfc822", "text/rfc822-headers"):
            original = original or _name_of(part)
    if not failed or original is None:
        return None
    ours = _OURS.fullmatch(original)
    return Bounce(ours["public_id"], original, code) if ours else None


def _name_of(part: Message) -> str | None:
    """Return the Message-ID of the mail that a report gives back, or only of its head."""
    if part.get_content_type() == "message/rfc822":
        inside = part.get_payload()
        inner = inside[0] if isinstance(inside, list) and inside else None
    else:
        text = part.get_payload(decode=True)
        inner = email.message_from_bytes(text) if isinstance(text, bytes) else None
    name = inner.get("Message-ID") if isinstance(inner, Message) else None
    return str(name).strip() if name else None
