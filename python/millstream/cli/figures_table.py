"""The batch figures as a small table: now, and a while back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from millstream.cli.batch_figures import BatchFigure, FiguresNow
from millstream.cli.sparkline import sparkline

if TYPE_CHECKING:
    from rich.table import Table

LABELS_WIDTH = 38
"""What a row needs beside its sparkline."""

ROWS: tuple[tuple[str, str, Callable[[BatchFigure], str], Callable[[BatchFigure], float]], ...] = (
    ("Input rate", "records/s", lambda batch: f"{batch.rate_records_per_s:,.0f}", lambda b: b.rate_records_per_s),
    ("Scheduling delay", "ms", lambda batch: f"{batch.scheduling_delay_ms:,.1f}", lambda b: b.scheduling_delay_ms),
    ("Processing time", "ms", lambda batch: f"{batch.processing_ms:,.1f}", lambda b: b.processing_ms),
    ("Total delay", "ms", lambda batch: f"{batch.total_delay_ms:,.1f}", lambda b: b.total_delay_ms),
)


def figures_table(figures: FiguresNow, width: int, *, unicode: bool) -> Table:
    """Make the table.

    Args:
        figures: what it shows.
        width: characters that it may take; histories shrink, and go where there is no room.
        unicode: False draws with ASCII characters.
    """
    from rich.table import Table

    history = min(len(figures.recent) or 1, width - LABELS_WIDTH)
    table = Table.grid(padding=(0, 1))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True, min_width=7)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="green", no_wrap=True)
    last = figures.recent[-1] if figures.recent else None
    for name, unit, shown, value in ROWS:
        line = sparkline([value(batch) for batch in figures.recent], history, unicode=unicode)
        table.add_row(name, "-" if last is None else shown(last), unit, line)
    return table


def states(figures: FiguresNow) -> list[str]:
    """List, as text in rich's markup, what is not as it should be."""
    from rich.markup import escape

    said = []
    if figures.error:
        said.append(f"[bold red]failed:[/] {escape(figures.error.partition(chr(10))[0])}")
    if figures.held:
        said.append("[yellow]inputs are slowed, because batches wait[/]")
    if figures.failed_attempts:
        said.append(f"[yellow]{figures.failed_attempts} attempts at batches failed[/]")
    if figures.merged:
        said.append(f"[yellow]{figures.merged} overdue batch times were merged into later ones[/]")
    if figures.notice:
        said.append(f"[yellow]{escape(figures.notice)}[/]")
    return said
