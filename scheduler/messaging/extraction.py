"""Tells Babel where message texts are: each file under templates/messages/ is one, whole.

pybabel extract -F translations/texts.cfg -o translations/texts.pot .
pybabel update -D texts -i translations/texts.pot -d translations
"""

from collections.abc import Collection, Iterator, Mapping
from typing import IO, Any


def whole_file(
    file: IO[bytes],
    keywords: Collection[str],
    comment_tags: Collection[str],
    options: Mapping[str, Any],
) -> Iterator[tuple[int, str, str, list[str]]]:
    """Yield the one message of a file, as Babel's extractors do."""
    yield 1, "gettext", file.read().decode("utf-8").rstrip("\n"), []
