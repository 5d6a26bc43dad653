"""Curves as SVG, drawn by hand: they follow the reader's light or dark page."""

from collections.abc import Mapping, Sequence
from math import log10

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 52
STYLES = ("a", "b")
CSS = """
text { font: 13px system-ui, sans-serif; fill: #3d4a4d }
.title { font-weight: 600; font-size: 15px }
.rule { stroke: #d5dcdc } .a { stroke: #14666f } .b { stroke: #b4582a; stroke-dasharray: 7 4 }
.a, .b { stroke-width: 2.5; fill: none } circle.a { fill: #14666f } circle.b { fill: #b4582a }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d3d4 } .rule { stroke: #3d4a4d }
  .a { stroke: #6fc3cc } circle.a { fill: #6fc3cc }
  .b { stroke: #e79a70 } circle.b { fill: #e79a70 }
}
""".strip()


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return milliseconds over claims in the past, one line a database; claims by tens."""
    points = [point for line in lines.values() for point in line]
    low, high = log10(min(x for x, _ in points)), log10(max(x for x, _ in points))
    top = _round_up(max(y for _, y in points) * 1.15)

    def across(x: float) -> float:
        return LEFT + (log10(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{CSS}</style>",
        f'<text class="title" x="{LEFT}" y="22">{title}: milliseconds</text>',
    ]
    for n in range(5):
        y = top * n / 4
        height = f'y1="{up(y):.1f}" y2="{up(y):.1f}"'
        parts += [
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" {height}/>',
            f'<text x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y:g}</text>',
        ]
    for x in sorted({x for x, _ in points}):
        anchor = "end" if across(x) > WIDTH - RIGHT - 40 else "middle"
        parts.append(
            f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="{anchor}">'
            f"{x:,.0f}</text>"
        )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">claims in the past</text>')
    for number, (name, line) in enumerate(lines.items()):
        style = STYLES[number % len(STYLES)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="{style}" points="{path}"/>')
        parts += [
            f'<circle class="{style}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>'
            for x, y in line
        ]
        place, row = WIDTH - RIGHT - 120 * (len(lines) - number), HEIGHT - 10
        parts += [
            f'<line class="{style}" x1="{place}" x2="{place + 24}" y1="{row - 4}" y2="{row - 4}"/>',
            f'<text x="{place + 30}" y="{row}">{name}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _round_up(value: float) -> float:
    """Return the next number whose quarters are easy to read."""
    scale = 10.0 ** int(log10(value) // 1)
    return next(n * scale for n in (1, 2, 4, 6, 8, 10, 20) if n * scale >= value)
