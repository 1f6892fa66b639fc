"""Batches as an SVG: streams below each other, their batches from left to right, and the records in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

WIDTH, EDGE, GAP = 720, 14, 10
LABEL, CHIP, CHAR = 26, 22, 7.4
COLOURS = 5
STYLE = """
    :root { color-scheme: light dark }
    .card { fill: #f7f8fa; stroke: #d5d9e0 } .box { fill: #fff; stroke: #aeb5c0 }
    text { font: 12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #24292f }
    .time { fill: #59626f; font-family: system-ui, 'DejaVu Sans', sans-serif } .code { font-weight: 600 }
    .reach { stroke: #7c8694; stroke-width: 2; fill: none } .line { stroke: #aeb5c0; stroke-dasharray: 2 4 }
    .c0 { fill: #dde3ea } .c1 { fill: #bfe3f2 } .c2 { fill: #ffdcae } .c3 { fill: #cdebc1 } .c4 { fill: #f3cbdc }
    @media (prefers-color-scheme: dark) {
      .card { fill: #22262e; stroke: #3d444f } .box { fill: #2d323c; stroke: #59626f }
      text { fill: #e6e9ee } .time { fill: #a9b2bf }
      .c0 { fill: #454d5a } .c1 { fill: #1f5c78 } .c2 { fill: #7a4d12 } .c3 { fill: #35622a } .c4 { fill: #7a2f50 }
    }
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a picture.

    Attributes:
        label: what it is, as code.
        batches: the records of each batch; None where the stream has no batch.
        reach: for batches that look further back: how many batches each looks at, itself included.
    """

    label: str
    batches: Sequence[Sequence[Any] | None]
    reach: Mapping[int, int] = field(default_factory=dict)


def draw(title: str, streams: Sequence[Stream], *, times: Sequence[str] = ()) -> str:
    """Draw streams below each other.

    Args:
        title: what is read out instead of the picture.
        streams: from top to bottom, with equally many batches.
        times: what stands above the batches; empty: `batch at 1 s` and so on.

    Example:
        >>> draw("two batches", [Stream("numbers", [[1, 2], [3]])]).count('class="box"')
        2
    """
    count = len(streams[0].batches)
    cell = (WIDTH - 2 * EDGE - (count - 1) * GAP) / count
    body, y = [], EDGE + 6.0
    colours = _colours(streams)
    for column in range(count):
        said = times[column] if times else f"batch at {column + 1} s"
        body.append(
            f'<text class="time" x="{_x(column, cell) + cell / 2:.1f}" y="{y + 6}" text-anchor="middle">{said}</text>'
        )
    y += 12
    for stream in streams:
        body.append(f'<text class="code" x="{EDGE}" y="{y + 17:.1f}">{escape(stream.label)}</text>')
        y += LABEL
        for column, length in stream.reach.items():
            y = _add_reach(body, column, length, cell, y)
        lines = [list(_lines(batch or [], cell)) for batch in stream.batches]
        height = max(1, *map(len, lines)) * CHIP + 8
        for column, batch in enumerate(stream.batches):
            if batch is not None:
                x = _x(column, cell)
                body.append(f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{height}" rx="5"/>')
                body += _chips(lines[column], x, y, colours)
        y += height + 4
    height_all = y + EDGE - 4
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height_all:.0f}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height_all - 1:.0f}" rx="8"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _x(column: int, cell: float) -> float:
    return EDGE + column * (cell + GAP)


def _add_reach(body: list[str], column: int, length: int, cell: float, y: float) -> float:
    """Draw the line over the batches that one batch looks at, ending in that batch."""
    first = max(0, column - length + 1)
    left, right = _x(first, cell) + 4, _x(column, cell) + cell - 4
    body.append(f'<path class="reach" d="M{left:.1f},{y + 1} V{y + 5} H{right:.1f} V{y + 1}"/>')
    return y + 9


def shown(record: Any) -> str:
    """Write a record as briefly as can be read.

    Example:
        >>> shown(("a", (1, None))), shown("to be"), shown([1, 2])
        ('a, (1, None)', 'to be', '[1, 2]')
    """
    if isinstance(record, tuple):
        return ", ".join(repr(part).replace("'", "") for part in record)
    return repr(record).replace("'", "")


def _lines(batch: Sequence[Any], cell: float) -> Iterator[list[Any]]:
    """Spread records over lines that fit into a box."""
    line: list[Any] = []
    used = 0.0
    for record in batch:
        width = _width(record) + 4
        if line and used + width > cell - 8:
            yield line
            line, used = [], 0.0
        line.append(record)
        used += width
    if line:
        yield line


def _width(record: Any) -> float:
    return CHAR * len(shown(record)) + 10


def _chips(lines: Sequence[Sequence[Any]], left: float, top: float, colours: Mapping[str, int]) -> Iterator[str]:
    for row, line in enumerate(lines):
        x, y = left + 6, top + 6 + row * CHIP
        for record in line:
            width, colour = _width(record), colours[_key(record)]
            yield f'<rect class="c{colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{CHIP - 4}" rx="4"/>'
            yield f'<text x="{x + 5:.1f}" y="{y + 13:.1f}">{escape(shown(record))}</text>'
            x += width + 4


def _key(record: Any) -> str:
    """What gives a record its colour: its key, where it has one."""
    return repr(record[0]) if isinstance(record, tuple) else ""


def _colours(streams: Sequence[Stream]) -> dict[str, int]:
    keys = {"": 0}
    for stream in streams:
        for batch in stream.batches:
            for record in batch or ():
                keys.setdefault(_key(record), 1 + (len(keys) - 1) % (COLOURS - 1))
    return keys
