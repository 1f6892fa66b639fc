"""What is said of a stream when it has ended."""

from __future__ import annotations

from millstream.cli.batch_figures import BatchFigures
from millstream.cli.delay_histogram import DelayHistogram


def summary(figures: BatchFigures, *, records: str = "records", more: str = "") -> str:
    """Sum up a stream that has ended.

    Args:
        figures: heard all of its batches.
        records: what the records are called.
        more: said after their number.
    """
    now = figures.now()
    if not now.batches:
        return "no batch was done"
    rate = now.records * 1000.0 / now.span_ms if now.span_ms else 0.0
    lines = [
        f"{now.batches:,} {'batch' if now.batches == 1 else 'batches'}, "
        f"{now.records:,} {records} ({rate:,.0f} {records}/s){more}",
        f"  scheduling delay  {_spread(figures.scheduling)}",
        f"  processing time   {_spread(figures.processing)}",
        f"  total delay       {_spread(figures.total)}",
    ]
    if now.restored:
        lines.append(f"  {now.restored}")
    if now.failed_attempts:
        lines.append(f"  {now.failed_attempts:,} attempts at batches failed")
    if now.merged:
        lines.append(f"  {now.merged:,} overdue batch times were merged into later ones")
    return "\n".join(lines)


def _spread(delays: DelayHistogram) -> str:
    return f"p50 {_ms(delays.quantile(0.5)):>9}  p99 {_ms(delays.quantile(0.99)):>9}"


def _ms(delay_ms: float) -> str:
    return f"{delay_ms:.2f} ms" if delay_ms < 10 else f"{delay_ms:,.0f} ms"
