"""The live view of any stream: its figures and its last batches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.cli.batch_figures import BatchFigures
from millstream.cli.figures_table import figures_table, states
from millstream.cli.terminal import draws_unicode

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

ROWS_BESIDE_BATCHES = 12
"""Lines of the view that are no batches."""

BATCHES_MIN, BATCHES_MAX = 3, 15


class BatchesView:
    """Draws one stream.

    Args:
        name: the stream's name.
        figures: hears its events.
    """

    def __init__(self, name: str, figures: BatchFigures) -> None:
        self._name = name
        self._figures = figures

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the view as it is now."""
        from rich.console import Group
        from rich.markup import escape
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        now = self._figures.now()
        unicode = draws_unicode(console)
        dot = "·" if unicode else "-"
        batches = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
        batches.add_column("Batch time (UTC)", no_wrap=True)
        for heading in ("Records", "Scheduling delay", "Processing time", "Total delay", "Attempts"):
            batches.add_column(heading, justify="right", no_wrap=True)
        rows = min(max(console.size.height - ROWS_BESIDE_BATCHES, BATCHES_MIN), BATCHES_MAX)
        for batch in reversed(now.recent[-rows:]):
            batches.add_row(
                clock_time(batch.batch_time_ms),
                f"{batch.records:,}",
                f"{batch.scheduling_delay_ms:,.1f} ms",
                f"{batch.processing_ms:,.1f} ms",
                f"{batch.total_delay_ms:,.1f} ms",
                str(batch.attempts),
            )
        name = escape(self._name)
        state = "stopped" if now.stopped else f"a batch every {now.interval_ms / 1000:g} s"
        yield Panel(
            Group(
                figures_table(now, options.max_width - 4, unicode=unicode),
                "",
                batches,
                *(Text.from_markup(said) for said in states(now)),
            ),
            title=f"[bold]{name}[/] {dot} {now.batches:,} batches {dot} {now.records:,} records {dot} {state}",
            title_align="left",
        )


def clock_time(time_ms: int) -> str:
    """Write a batch time as the time of day, to the millisecond where it needs it.

    Example:
        >>> clock_time(45_296_000), clock_time(45_296_250)
        ('12:34:56', '12:34:56.250')
    """
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.strftime("%H:%M:%S") + (f".{time_ms % 1000:03d}" if time_ms % 1000 else "")
