"""The style sheet that puts things in their place on the board: a class a row, a length, a part.

Style attributes are forbidden to our pages, so places are classes. Run this module to write the
sheet anew; a test compares.
"""

from pathlib import Path

from scheduler.reports.board import MOST_BESIDE, ROWS_AN_HOUR

FILE = Path(__file__).resolve().parents[1] / "static" / "css" / "grid.css"
ROWS = 24 * ROWS_AN_HOUR
LONGEST = 12 * ROWS_AN_HOUR
PARTS = 12  # divisible by 1 to 4


def sheet() -> str:
    """Return the whole sheet."""
    rules = ["/* Written by scheduler/web/desk/grid.py. */"]
    rules += [f".r{n}{{grid-row-start:{n + 1}}}" for n in range(ROWS)]
    rules += [f".d{n}{{grid-row-end:span {n}}}" for n in range(1, LONGEST + 1)]
    rules += [
        f".k{part}-{of}{{grid-column:{PARTS // of * (part - 1) + 1}/span {PARTS // of}}}"
        for of in range(1, MOST_BESIDE + 1)
        for part in range(1, of + 1)
    ]
    rules += [f".h{n}{{--rows:{n * ROWS_AN_HOUR}}}" for n in range(1, 25)]
    return "\n".join(rules) + "\n"


if __name__ == "__main__":
    FILE.write_text(sheet())
