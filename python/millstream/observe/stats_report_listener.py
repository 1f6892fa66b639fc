"""A listener that reports how the last batches went, in a few lines of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.observe.events import BatchCompleted, StreamingStarted
from millstream.observe.listener import StreamingListener

SHARES = {"min": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "max": 1.0}
"""The shares of the batches that are below the figures of a report, by the heading of their column."""


class StatsReportListener(StreamingListener):
    """Reports every few batches how long they took and waited, and how many records a second came in.

    Each report is about the batches since the one before: the least, a quarter of the way up, the middle, three
    quarters of the way up, and the most of each figure. Delays are milliseconds. A batch that stands for merged batch
    times has the records of all of them, and its rate is over all of that time.

    Args:
        batches: how many batches make a report, at least 1.
        report: gets each report, a text of several lines; None prints it.

    Raises:
        ConfigurationError: `batches` is not a whole number of at least 1.
        ArgumentTypeError: `report` cannot be called.

    Source:
        Spark's StatsReportListener, whose delays count from the submission of a batch; here they count from its batch
        time, so that the total delay is what a reader of the output waits.

    Example:
        >>> listener = StatsReportListener(batches=2)
        >>> listener.on_event(StreamingStarted(0, interval_ms=1_000))
        >>> for time_ms, records, ended_ms in ((1_000, 50, 1_003), (2_000, 100, 2_004)):
        ...     listener.on_event(
        ...         BatchCompleted(time_ms, {"lines": records}, {}, time_ms, time_ms + 2, ended_ms, 1, outputs=())
        ...     )
        2 batches up to 2000, 150 records
                                   min       p25       p50       p75       max
        processing time ms       1.000     1.000     1.000     2.000     2.000
        scheduling delay ms      2.000     2.000     2.000     2.000     2.000
        total delay ms           3.000     3.000     3.000     4.000     4.000
        records/s               50.000    50.000    50.000   100.000   100.000
    """

    def __init__(self, batches: int = 10, report: Callable[[str], None] | None = None) -> None:
        if not isinstance(batches, int) or isinstance(batches, bool) or batches < 1:
            raise ConfigurationError(
                "batches must be a whole number of at least 1.",
                detail=f"batches={shown(batches)}.",
                hint="Give the number of batches that make a report, such as 10.",
            )
        if report is not None and not callable(report):
            raise ArgumentTypeError(
                "report needs a function.",
                detail=f"It was given {shown(report)}.",
                hint="Give a function of one text, such as logging.getLogger(__name__).info, or leave it out.",
            )
        self.batches = batches
        self._report = report
        self._interval_ms = 0
        self._last_ms = 0
        self._done: list[tuple[BatchCompleted, float]] = []

    def on_streaming_started(self, event: StreamingStarted) -> None:
        """Note the interval."""
        self._interval_ms = event.interval_ms

    def on_batch_completed(self, event: BatchCompleted) -> None:
        """Count the batch, and report when there are enough."""
        span_ms = event.batch_time_ms - self._last_ms if self._last_ms else self._interval_ms
        self._last_ms = event.batch_time_ms
        # Why NaN: added to a stream that runs, it was not told the interval, and has only one batch time yet.
        self._done.append((event, event.records_total * 1000.0 / span_ms if span_ms else math.nan))
        if len(self._done) >= self.batches:
            done, self._done = self._done, []
            text = _report_of(done)
            if self._report is None:
                print(text)
            else:
                self._report(text)


def _report_of(done: Sequence[tuple[BatchCompleted, float]]) -> str:
    events = [event for event, _ in done]
    records = sum(event.records_total for event in events)
    figures = {
        "processing time ms": [event.processing_ms for event in events],
        "scheduling delay ms": [event.scheduling_delay_ms for event in events],
        "total delay ms": [event.total_delay_ms for event in events],
        "records/s": [rate for _, rate in done if not math.isnan(rate)],
    }
    batches = f"{len(events)} {'batch' if len(events) == 1 else 'batches'}"
    lines = [
        f"{batches} up to {events[-1].batch_time_ms}, {records} records",
        f"{'':<20}" + "".join(f"{heading:>10}" for heading in SHARES),
        *(f"{name:<20}{_distribution(values)}" for name, values in figures.items() if values),
    ]
    return "\n".join(lines)


def _distribution(values: Sequence[float]) -> str:
    """Write the value at each share: the first of which no smaller share of all values is at or below it."""
    ordered = sorted(values)
    chosen = (ordered[max(0, math.ceil(len(ordered) * share) - 1)] for share in SHARES.values())
    return "".join(f" {value:>9,.3f}" for value in chosen)
