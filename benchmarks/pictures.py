"""Line charts as SVG, without a library: small files that a browser shows in light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 150, 60, 34, 34
STYLE = """
    text { font: 12px sans-serif; fill: #555 } .title { font-size: 14px; font-weight: 600 }
    .frame { fill: none; stroke: #999; stroke-width: .5 }
    path { fill: none; stroke-width: 1.6; stroke-linejoin: round }
    .offered { stroke: #999; stroke-dasharray: 4 3 } .peer { stroke: #d1603d } .ours { stroke: #2274a5 }
    text.offered, text.peer, text.ours { stroke: none } text.peer { fill: #d1603d } text.ours { fill: #2274a5 }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        label: what it shows.
        kind: its colour.
        points: pairs of seconds and values, in order.
    """

    label: str
    kind: Literal["offered", "peer", "ours"]
    points: Sequence[tuple[float, float]]


def picture(title: str, charts: Mapping[str, Sequence[Line]]) -> str:
    """Draw charts below each other over the same seconds; each has its title and begins at zero.

    Example:
        >>> drawing = picture("speed", {"records a second": [Line("ours", "ours", [(0.0, 1.0), (1.0, 3.0)])]})
        >>> drawing.startswith("<svg") and drawing.count("<path")
        1
    """
    seconds = max(at for lines in charts.values() for line in lines for at, _ in line.points)
    height = TOP + len(charts) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
    ]
    for number, (name, lines) in enumerate(charts.items()):
        parts.append(_chart(name, lines, seconds, TOP + number * (HEIGHT + GAP)))
    return "\n".join([*parts, "</svg>", ""])


def _chart(name: str, lines: Sequence[Line], seconds: float, top: int) -> str:
    most = _rounded(max(value for line in lines for _, value in line.points))
    bottom = top + HEIGHT
    parts = [
        f'<rect class="frame" x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text x="{LEFT}" y="{top - 5}">{escape(name)}</text>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.10g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{LEFT + WIDTH}" y="{bottom + 14}" text-anchor="end">{seconds:.0f} s</text>',
    ]
    for place, line in enumerate(lines):
        label_x = LEFT + WIDTH - 110 * (len(lines) - place)
        parts.append(f'<text class="{line.kind}" x="{label_x}" y="{top - 5}">{escape(line.label)}</text>')
        path = " ".join(
            f"{LEFT + at / seconds * WIDTH:.1f},{bottom - min(value, most) / most * HEIGHT:.1f}"
            for at, value in line.points
        )
        parts.append(f'<path class="{line.kind}" d="M{path}"/>')
    return "\n".join(parts)


def _rounded(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if value <= step * power)
