"""Histories as small as a word."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
LEVELS_ASCII = "_.-=+*#@"

EIGHTHS = " ▏▎▍▌▋▊▉█"


def sparkline(values: Sequence[float], width: int, *, unicode: bool = True) -> str:
    """Draw the last values as a line of blocks, from zero to the largest.

    Args:
        values: at least 0, oldest first.
        width: how many values to draw.
        unicode: False draws with ASCII characters.

    Example:
        >>> sparkline([0, 1, 2, 4], 8)
        '▁▂▄█'
    """
    shown = values[-width:] if width > 0 else ()
    levels = LEVELS if unicode else LEVELS_ASCII
    most = max(shown, default=0.0)
    steps = len(levels) - 1
    return "".join(levels[int(value * steps / most) if most > 0 else 0] for value in shown)


def bar(share: float, width: int, *, unicode: bool = True) -> str:
    """Draw a bar.

    Args:
        share: 0 to 1, of the width.
        width: characters of a whole bar.
        unicode: False draws with ASCII characters; otherwise eighths of a character are drawn.

    Example:
        >>> bar(0.5, 5), bar(0.5, 4, unicode=False)
        ('██▌', '##')
    """
    if not unicode:
        return "#" * round(share * width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return "█" * whole + (EIGHTHS[eighths] if eighths else "")
