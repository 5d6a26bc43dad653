"""Words made comparable: how names, numbers and codes are searched."""

import re
import unicodedata


def plain(text: str) -> str:
    """Return `text` without accents, in lower case, with single spaces."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(bare.casefold().split())


def digits(text: str) -> str:
    """Return only the digits of `text`."""
    return "".join(c for c in text if c.isdigit())


_NO_WRITING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def writing(text: str) -> str:
    """Return `text` without what is no writing: control signs and signs that turn the direction.

    Line ends stay, as one sign each; space around it goes.
    """
    return _NO_WRITING.sub("", text.replace("\r\n", "\n").replace("\t", " ")).strip()


def one_line(text: str) -> str:
    """Return `text` as writing on one line, with single spaces."""
    return " ".join(writing(text).split())
