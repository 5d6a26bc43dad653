"""Words made comparable: how names, numbers and codes are searched."""

import unicodedata


def plain(text: str) -> str:
    """Return `text` without accents, in lower case, with single spaces."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(bare.casefold().split())


def digits(text: str) -> str:
    """Return only the digits of `text`."""
    return "".join(c for c in text if c.isdigit())
