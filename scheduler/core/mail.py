"""Mail addresses."""

import re

LONGEST = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:[A-Za-z]{{2,}}|xn--[A-Za-z0-9-]+)")


def is_address(text: str) -> bool:
    """Say whether `text` is one mail address, and nothing that a mail program reads as two.

    The plain form of RFC 5321, in ASCII: what every mail server takes. Whether anybody reads
    what is sent there is another question.
    """
    return len(text) <= LONGEST and _ADDRESS.fullmatch(text) is not None
