"""Words made comparable: how names, numbers and codes are searched; and how a clock is read."""

import re
import unicodedata
from datetime import time


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


def clock_words(wall: time, language: str) -> str:
    """Return a time on the wall as its readers write it: "3:45 PM", "3:45 p.m.", "15:45".

    One way for each language, on pages and in texts: what CLDR gives for the United States, and
    for Brazil.
    """
    if language.startswith("pt"):
        return f"{wall:%H:%M}"
    halves = ("a.m.", "p.m.") if language.startswith("es") else ("AM", "PM")
    return f"{(wall.hour - 1) % 12 + 1}:{wall.minute:02} {halves[wall.hour >= 12]}"
