"""Windows of the demonstration as lines of text, for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from millstream.cli.batch_figures import BatchFigure
from millstream.cli.batches_view import clock_time
from millstream.demo.top_words import WindowWords


@dataclass(slots=True)
class WindowLine:
    """What is said of one window: its words, and the figures since the window before.

    Attributes:
        words: the window.
        figure: the batch that gave it.
        records: lines that came in since the window before.
        words_in: words that came in since the window before.
        span_ms: time since the window before.
    """

    words: WindowWords
    figure: BatchFigure
    records: int
    words_in: int
    span_ms: int

    @property
    def rate_records_per_s(self) -> float:
        """Lines a second since the window before."""
        return self.records * 1000.0 / self.span_ms

    def text(self) -> str:
        """Write the line for people."""
        figure = self.figure
        top = "  ".join(f"{word} {count:,}" for word, count in self.words.top)
        return (
            f"{clock_time(figure.batch_time_ms)}  {self.records:,} lines  {self.rate_records_per_s:,.0f} lines/s  "
            f"scheduling {figure.scheduling_delay_ms:.1f} ms  processing {figure.processing_ms:.1f} ms  |  {top}"
        )

    def json(self) -> str:
        """Write the line for scripts, an object of JSON; times in milliseconds, the batch time also as ISO 8601."""
        figure = self.figure
        time = datetime.fromtimestamp(figure.batch_time_ms / 1000, UTC)
        return json.dumps(
            {
                "batch_time": time.isoformat(timespec="milliseconds"),
                "batch_time_ms": figure.batch_time_ms,
                "records": self.records,
                "words": self.words_in,
                "distinct_words": self.words.distinct,
                "top": [{"word": word, "count": count} for word, count in self.words.top],
                "rate_records_per_s": round(self.rate_records_per_s, 1),
                "scheduling_delay_ms": round(figure.scheduling_delay_ms, 3),
                "processing_ms": round(figure.processing_ms, 3),
                "total_delay_ms": round(figure.total_delay_ms, 3),
            },
            ensure_ascii=False,
        )


class WindowLines:
    """Brings the figures of batches and the words of windows together, by batch time."""

    def __init__(self) -> None:
        self.newest: WindowWords | None = None
        self.words_total = 0
        self._windows: dict[int, WindowWords] = {}
        self._words: dict[int, int] = {}
        self._records = self._words_in = self._span_ms = 0

    def add_words(self, batch_time_ms: int, count: int) -> None:
        """Take the number of words of a batch; called on the driver's thread, before the batch is done."""
        self._words[batch_time_ms] = count

    def add_window(self, window: WindowWords) -> None:
        """Take a window; called on the driver's thread, before its batch is done."""
        self._windows[window.batch_time_ms] = window
        self.newest = window

    def lines(self, figures: Iterable[BatchFigure]) -> list[WindowLine]:
        """Give a line for each window among batches that are done.

        Args:
            figures: the batches since the last call, oldest first.
        """
        lines = []
        for figure in figures:
            count = self._words.pop(figure.batch_time_ms, 0)
            self.words_total += count
            self._words_in += count
            self._records += figure.records
            self._span_ms += figure.span_ms
            window = self._windows.pop(figure.batch_time_ms, None)
            if window is not None:
                lines.append(WindowLine(window, figure, self._records, self._words_in, self._span_ms))
                self._records = self._words_in = self._span_ms = 0
        return lines
