"""What happens when, as an SVG: rows of bars over an axis of time, in the colours of the other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from docs.pictures.drawing import CHAR, EDGE, STYLE, WIDTH

BAR, PITCH = 20, 24


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that takes time, or, where it ends as it begins, happens.

    Attributes:
        begin: when, in units of the axis.
        end: until when.
        text: what stands in it.
        colour: 0 to 4.
        lane: the line of the row in which it is drawn.
    """

    begin: float
    end: float
    text: str
    colour: int = 0
    lane: int = 0


def draw_times(title: str, axis: Sequence[str], rows: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Draw rows of bars below each other.

    Args:
        title: what is read out instead of the picture.
        axis: what stands at the times 0, 1, 2, ...
        rows: a label, and the bars of each row.

    Example:
        >>> draw_times("a call", ["0 ms", "20 ms"], [("map", [Bar(0, 1, "a")])]).count('class="c0"')
        1
    """
    unit = (WIDTH - 2 * EDGE - 50) / (len(axis) - 1)
    body = [
        f'<text class="time" x="{EDGE + number * unit:.1f}" y="{EDGE + 10}">{escape(text)}</text>'
        for number, text in enumerate(axis)
    ]
    y = EDGE + 22.0
    top = y
    for label, bars in rows:
        body.append(f'<text class="code" x="{EDGE + 6}" y="{y + 17:.1f}">{escape(label)}</text>')
        y += 25
        for bar in bars:
            x, at = EDGE + bar.begin * unit, y + bar.lane * PITCH
            width = max((bar.end - bar.begin) * unit - 3, CHAR * len(bar.text) + 10)
            body.append(
                f'<rect class="c{bar.colour}" x="{x:.1f}" y="{at:.1f}" width="{width:.1f}" height="{BAR}" rx="4"/>'
            )
            body.append(f'<text x="{x + 5:.1f}" y="{at + 14:.1f}">{escape(bar.text)}</text>')
        y += PITCH * (1 + max(bar.lane for bar in bars)) + 4
    lines = [f'<path class="line" d="M{EDGE + number * unit:.1f},{top} V{y}"/>' for number in range(len(axis))]
    height = y + EDGE - 6
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8"/>',
            *lines,
            *body,
            "</svg>",
            "",
        ]
    )
