"""Make a screenshot small: a PNG of eight-bit colours becomes one of at most 256 in a palette."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # PNG colour types: RGB, RGB with alpha
_MOST_COLOURS = 256


def with_palette(png: bytes) -> bytes:
    """Return the same picture with a palette.

    The colours it has most of stay exactly as they were, so that large plain areas do; the rest,
    which are the edges of letters, become the nearest of those.

    Raises:
        ValueError: it is no PNG of eight-bit RGB, with alpha or without, as browsers write it.
    """
    width, height, pixels = _pixels(png)
    counted = [colour for colour, _ in Counter(pixels).most_common()]
    palette = counted[:_MOST_COLOURS]
    index_of = {colour: index for index, colour in enumerate(palette)}
    for colour in counted[_MOST_COLOURS:]:
        index_of[colour] = index_of[min(palette, key=partial(_distance, colour))]
    rows = bytearray()
    for row in range(height):
        rows.append(0)  # no filter: neighbours' numbers in a palette say nothing
        rows += bytes(index_of[colour] for colour in pixels[row * width : (row + 1) * width])
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(bytes(rows), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and each pixel as three bytes."""
    if not png.startswith(SIGNATURE):
        raise ValueError("this is no PNG")
    chunks = list(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError("this PNG is not as browsers write it")
    each = _CHANNELS[kind]
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    above = bytes(width * each)
    pixels: list[bytes] = []
    for row in range(height):
        begins = row * (width * each + 1)
        line = raw[begins + 1 : begins + 1 + width * each]
        above = _unfiltered(raw[begins], line, above, each)
        pixels += [above[at : at + 3] for at in range(0, len(above), each)]
    return width, height, pixels


def _unfiltered(kind: int, line: bytes, above: bytes, each: int) -> bytes:
    """Return one row as it was before it was filtered (PNG, section 9)."""
    row = bytearray(line)
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(row, above, strict=True))
    for at, value in enumerate(row if kind else b""):
        left = row[at - each] if at >= each else 0
        up = above[at]
        corner = above[at - each] if at >= each else 0
        guess = (left, up, (left + up) // 2, _paeth(left, up, corner))[kind - 1]
        row[at] = (value + guess) & 255
    return bytes(row)


def _paeth(left: int, up: int, corner: int) -> int:
    near = left + up - corner
    return min((left, up, corner), key=lambda value: abs(near - value))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
