"""Pictures of the documents are made small without changing what one sees."""

import struct
import zlib

import pytest

from tests.support import png

WIDE, HIGH = 4, 5


def picture(colours: list[bytes]) -> bytes:
    """Return a PNG as a browser may write it: each row under another of the five filters."""
    rows, above = b"", bytes(WIDE * 3)
    for row in range(HIGH):
        line = b"".join(colours[row * WIDE : (row + 1) * WIDE])
        left = bytes(3) + line[:-3]
        corner = bytes(3) + above[:-3]
        guesses = [
            (0, a, b, (a + b) // 2, png._paeth(a, b, c))[row]
            for a, b, c in zip(left, above, corner, strict=True)
        ]
        rows += bytes([row, *((v - g) & 255 for v, g in zip(line, guesses, strict=True))])
        above = line
    head = struct.pack(">IIBBBBB", WIDE, HIGH, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return png.SIGNATURE + b"".join(png._chunk(name, body) for name, body in chunks)


def shown(small: bytes) -> list[bytes]:
    """Return the colours of a picture with a palette, pixel by pixel."""
    chunks = dict(png._chunks(small))
    palette, rows = chunks[b"PLTE"], zlib.decompress(chunks[b"IDAT"])
    numbers = [n for row in range(HIGH) for n in rows[row * (WIDE + 1) + 1 :][:WIDE]]
    return [palette[n * 3 : n * 3 + 3] for n in numbers]


def test_a_picture_of_few_colours_looks_the_same_with_a_palette() -> None:
    colours = [bytes((n * 11 % 256, n * 7 % 256, 255 - n)) for n in range(WIDE * HIGH)]
    assert shown(png.with_palette(picture(colours))) == colours


def test_a_colour_too_many_becomes_its_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_MOST_COLOURS", 2)
    white, dark, off_white = b"\xff\xff\xff", b"\x11\x22\x33", b"\xfe\xff\xff"
    colours = [white] * 12 + [dark] * 7 + [off_white]
    assert shown(png.with_palette(picture(colours))) == [white] * 12 + [dark] * 7 + [white]


def test_what_is_no_png_is_refused() -> None:
    with pytest.raises(ValueError, match="no PNG"):
        png.with_palette(b"GIF89a")
