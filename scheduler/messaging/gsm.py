"""What a text costs: its alphabet and its parts. Pure."""

import unicodedata
from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")  # two places each
MOST_PARTS = 2

_PRINTERS = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "-",
        "…": "...",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "\u200b": "",
        "\ufeff": "",
    }
)


@dataclass(frozen=True)
class Cost:
    """How a text travels: in the short alphabet (GSM-7) or the long one (UCS-2), in parts."""

    is_short_alphabet: bool
    parts: int


def cost(text: str) -> Cost:
    """Return what `text` costs: 160 or 153 places a part, 70 or 67 in the long alphabet."""
    if all(c in _BASIC or c in _EXTENDED for c in text):
        places = sum(2 if c in _EXTENDED else 1 for c in text)
        return Cost(True, 1 if places <= 160 else -(-places // 153))
    places = len(text.encode("utf-16-be")) // 2
    return Cost(False, 1 if places <= 70 else -(-places // 67))


def fit(text: str) -> str:
    """Return `text` as it should travel.

    Printers' quotes, dashes and spaces become the plain ones. Accents stay while the text fits
    two parts; in a longer one the letters that the short alphabet lacks lose theirs, as people
    write them on phones.
    """
    text = text.translate(_PRINTERS)
    if cost(text).parts <= MOST_PARTS:
        return text
    return "".join(c if c in _BASIC or c in _EXTENDED else _bare(c) for c in text)


def _bare(letter: str) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    return bare if all(c in _BASIC or c in _EXTENDED for c in bare) else letter


def long_letters(text: str) -> str:
    """Return the letters of `text` that the short alphabet lacks, each once: they cost parts."""
    return " ".join(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENDED))
