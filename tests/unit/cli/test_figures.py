"""The figures that the command line gathers and shows, with plain events."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from millstream.cli.batch_figures import BatchFigure, BatchFigures
from millstream.cli.batches_view import BatchesView
from millstream.cli.delay_histogram import DelayHistogram
from millstream.cli.demo_view import DemoView
from millstream.cli.summary import summary
from millstream.cli.window_lines import WindowLines
from millstream.demo.top_words import WindowWords
from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchTimesMerged,
    Event,
    InputsHeld,
    ReceiverFailed,
    ReceiverStarted,
    StreamingStarted,
    StreamingStopped,
)


def batch(time_ms: int, records: int, started_ms: float = 2.0, ended_ms: float = 5.0) -> BatchCompleted:
    return BatchCompleted(time_ms, {"in": records}, {}, time_ms, time_ms + started_ms, time_ms + ended_ms, 1, ())


def heard(*events: Event) -> BatchFigures:
    figures = BatchFigures()
    for event in events:
        figures.on_event(event)
    return figures


def shown(view: object, *, width: int = 120, height: int = 30, encoding: str = "utf-8") -> str:
    paper = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=paper, width=width, height=height, force_terminal=True, color_system=None)
    console.print(view)
    paper.seek(0)
    return paper.read()


def test_rates_count_the_time_since_the_batch_before() -> None:
    figures = heard(StreamingStarted(0, 1_000), batch(1_000, 100), batch(2_000, 200), batch(4_000, 200))
    assert [figure.rate_records_per_s for figure in figures.now().recent] == [100, 200, 100]
    assert [figure.total_delay_ms for figure in figures.take_unread()] == [5, 5, 5]
    assert figures.take_unread() == []


def test_a_summary_names_what_went_wrong() -> None:
    figures = heard(
        StreamingStarted(0, 1_000),
        BatchAttemptFailed(1_000, 0, "ValueError: x"),
        BatchTimesMerged(1_000, 2_000, 2, 0),
        batch(3_000, 30),
    )
    text = summary(figures, records="lines", more=", 60 words")
    assert text.startswith("1 batch, 30 lines (30 lines/s), 60 words\n")
    assert "1 attempts at batches failed" in text
    assert "2 overdue batch times were merged" in text


def test_a_stream_without_batches_has_no_figures() -> None:
    assert summary(BatchFigures()) == "no batch was done"
    assert DelayHistogram().quantile(0.99) == 0


@pytest.mark.parametrize("delay_ms", [0.0, 0.0004, 0.3, 17.0, 86_400_000.0])
def test_quantiles_are_off_by_two_percent_at_most(delay_ms: float) -> None:
    delays = DelayHistogram()
    delays.add(delay_ms)
    assert delays.quantile(0.5) == pytest.approx(max(delay_ms, 0.001), rel=0.02)


def test_a_receivers_failure_is_told_until_it_works_again() -> None:
    figures = heard(StreamingStarted(0, 1_000), ReceiverFailed("lines", "No answer.", "No answer.\nDetail: x"))
    assert figures.now().notice == "lines: No answer."
    figures.on_event(ReceiverStarted("lines", "Here again."))
    assert figures.now().notice == ""


def test_what_comes_between_two_windows_is_counted_once() -> None:
    lines = WindowLines()
    for time_ms in (1_000, 2_000, 3_000):
        lines.add_words(time_ms, 7)
    lines.add_window(WindowWords(2_000, (("a", 3),), 2))
    figures = [BatchFigure(time_ms, 10, 1_000, 0.5, 4.0, 1, 2) for time_ms in (1_000, 2_000, 3_000)]
    (line,) = lines.lines(figures)
    assert (line.records, line.words_in, line.rate_records_per_s) == (20, 14, 10)
    assert lines.words_total == 21
    assert json.loads(line.json()) == {
        "batch_time": "1970-01-01T00:00:02.000+00:00",
        "batch_time_ms": 2_000,
        "records": 20,
        "words": 14,
        "distinct_words": 2,
        "top": [{"word": "a", "count": 3}],
        "rate_records_per_s": 10,
        "scheduling_delay_ms": 0.5,
        "processing_ms": 4,
        "total_delay_ms": 4.5,
    }


@pytest.mark.parametrize("width", [10, 20, 40, 80, 99, 100, 200])
@pytest.mark.parametrize("height", [3, 24])
def test_views_keep_to_the_width_of_the_terminal(width: int, height: int) -> None:
    figures = heard(StreamingStarted(0, 500), *(batch(500 * number, number * 1_000) for number in range(1, 200)))
    words = WindowWords(1_000, tuple((f"word{number}" * number, 1_000 - number) for number in range(1, 11)), 12_345)
    for view in (DemoView("demo", 60, figures, lambda: words), BatchesView("main", figures)):
        assert max(map(len, shown(view, width=width, height=height).splitlines())) <= width


def test_views_do_without_unicode() -> None:
    figures = heard(StreamingStarted(0, 500), batch(500, 10), batch(1_000, 20))
    words = WindowWords(1_000, (("a", 4), ("b", 2)), 2)
    text = shown(DemoView("a · b", 60, figures, lambda: words), width=80, encoding="ascii")
    assert "####" in text
    assert "a - b" in text
    assert text.isascii()
    assert shown(BatchesView("main", figures), encoding="ascii").isascii()


def test_views_show_what_is_not_as_it_should_be() -> None:
    figures = heard(
        StreamingStarted(0, 500),
        batch(500, 10),
        InputsHeld(True),
        BatchAttemptFailed(1_000, 0, "ValueError: [x]"),
        ReceiverFailed("lines", "[No] answer."),
        StreamingStopped(1_500, "ValueError: [x]\nmore"),
    )
    text = shown(BatchesView("main", figures))
    assert "failed: ValueError: [x]" in text
    assert "inputs are slowed" in text
    assert "1 attempts at batches failed" in text
    assert "lines: [No] answer." in text
    assert "stopped" in text
