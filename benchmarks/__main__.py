"""`make bench`: measure, and write docs/benchmarks.md.

make bench                        everything, about ten minutes; writes the page
make bench ARGS="search rush"     parts of it, printed only
"""

import sys
import time

from benchmarks import bookings, growth, inbound, inprocess, page, rush, search, texts

PARTS = {
    "search": search.run,
    "rush": rush.run,
    "bookings": bookings.run,
    "inprocess": inprocess.run,
    "growth": growth.run,
    "texts": texts.run,
    "inbound": inbound.run,
}


def main(asked: list[str]) -> int:
    """Measure what is asked for, or everything."""
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        print(f"There is no {unknown[0]}; there is {', '.join(PARTS)}.")
        return 2
    sections = []
    for name in asked or PARTS:
        began = time.monotonic()
        sections.append(PARTS[name]())
        print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
        if not asked:  # after each part, so that what was found is not lost with what was not
            page.write(sections, missing=list(PARTS)[len(sections) :])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
