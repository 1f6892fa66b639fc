"""The live view of the demonstration: top words with bars, beside the batch figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from millstream.cli.batch_figures import BatchFigures, FiguresNow
from millstream.cli.figures_table import LABELS_WIDTH, figures_table, states
from millstream.cli.sparkline import bar
from millstream.cli.terminal import draws_unicode
from millstream.demo.top_words import WindowWords

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

SIDE_BY_SIDE_MIN = 100
"""Characters from which the two halves stand side by side."""

BAR_MIN = 5
"""Shorter bars say nothing."""

STACKED_LINES = 13
"""Lines that the view takes beside its words, one half above the other."""

SIDE_BY_SIDE_LINES = 6
"""The same for one beside the other."""


class DemoView:
    """Draws the demonstration.

    Args:
        title: what runs.
        window: length of the window, seconds.
        figures: hears the stream's events.
        words: gives the newest window.

    Attributes:
        title: the line at the top.
        status: a line at the bottom.
    """

    def __init__(
        self, title: str, window: float, figures: BatchFigures, words: Callable[[], WindowWords | None]
    ) -> None:
        self.title = title
        self._window = window
        self._figures = figures
        self._words = words
        self.status = "Ctrl-C stops."

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the view as it is now."""
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        now, words, width = self._figures.now(), self._words(), options.max_width
        unicode = draws_unicode(console)
        dot = "·" if unicode else "-"
        side_by_side = width >= SIDE_BY_SIDE_MIN
        lines = console.size.height - (SIDE_BY_SIDE_LINES if side_by_side else STACKED_LINES)
        right = LABELS_WIDTH + 22 if side_by_side else width
        left = width - right if side_by_side else width
        top = self._top_table(words, left - 4, max(lines, 3), unicode=unicode)
        counted = Panel(top, title=f"Top words of the last {self._window:g} s", title_align="left")
        measured = Panel(
            self._measured(now, right - 4, unicode=unicode),
            title=f"Batches {dot} {now.batches:,} done",
            title_align="left",
        )
        yield Text(self.title.replace("·", dot), style="bold", no_wrap=True, overflow="ellipsis")
        if side_by_side:
            halves = Table.grid()
            halves.add_column(width=left)
            halves.add_column(width=right)
            halves.add_row(counted, measured)
            yield halves
        else:
            yield counted
            yield measured
        if not now.stopped:
            yield Text(self.status, style="dim", no_wrap=True, overflow="ellipsis")

    def _top_table(self, words: WindowWords | None, width: int, lines: int, *, unicode: bool) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        if words is None or not words.top:
            return Text("waiting for the first window", style="dim")
        shown = words.top[:lines]
        most = max(count for _, count in shown)
        word_width = min(max(len(word) for word, _ in shown), max(width // 3, 6))
        count_width = len(f"{most:,}")
        bar_width = width - word_width - count_width - 2
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis", width=word_width)
        table.add_column(justify="right", style="bold", no_wrap=True)
        table.add_column(style="magenta", no_wrap=True)
        for word, count in shown:
            drawn = bar(count / most, bar_width, unicode=unicode) if bar_width >= BAR_MIN else ""
            table.add_row(Text(word), f"{count:,}", drawn)
        return Group(table, Text(f"{words.distinct:,} different words in all", style="dim"))

    def _measured(self, now: FiguresNow, width: int, *, unicode: bool) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(
            figures_table(now, width, unicode=unicode),
            Text(f"{now.records:,} lines so far", style="dim"),
            *(Text.from_markup(said) for said in states(now)),
        )
