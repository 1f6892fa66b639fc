"""The report of delays, with plain events."""

from __future__ import annotations

import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.testing import ManualClock


def batch(time_ms: int, records: int, waited_ms: float, took_ms: float) -> ms.BatchCompleted:
    started_ms = time_ms + waited_ms
    return ms.BatchCompleted(time_ms, {"in": records}, {}, time_ms, started_ms, started_ms + took_ms, 1, ())


def figures(report: str) -> dict[str, list[float]]:
    rows = {}
    for line in report.splitlines()[2:]:
        rows[line[:20].strip()] = [float(word.replace(",", "")) for word in line[20:].split()]
    return rows


def test_distributions_are_of_the_batches_since_the_last_report() -> None:
    reports: list[str] = []
    listener = ms.StatsReportListener(batches=5, report=reports.append)
    listener.on_event(ms.StreamingStarted(0.0, 1_000))
    for number in range(1, 13):
        listener.on_event(batch(number * 1_000, number * 100, waited_ms=10.0 * number, took_ms=float(number)))
    assert len(reports) == 2
    assert reports[0].startswith("5 batches up to 5000, 1500 records\n")
    assert figures(reports[0]) == {
        "processing time ms": [1, 2, 3, 4, 5],
        "scheduling delay ms": [10, 20, 30, 40, 50],
        "total delay ms": [11, 22, 33, 44, 55],
        "records/s": [100, 200, 300, 400, 500],
    }
    assert figures(reports[1])["processing time ms"] == [6, 7, 8, 9, 10]


def test_rates_count_merged_batch_times_and_large_figures_keep_apart() -> None:
    reports: list[str] = []
    listener = ms.StatsReportListener(batches=1, report=reports.append)
    listener.on_event(ms.StreamingStarted(0.0, 1_000))
    listener.on_event(batch(1_000, 10, 0.0, 1.0))
    listener.on_event(batch(5_000, 40_000_000, 3_000_000.0, 1_000_000_000.0))
    assert reports[0].startswith("1 batch up to 1000, 10 records\n")
    assert figures(reports[1])["records/s"] == [10_000_000] * 5
    assert figures(reports[1])["processing time ms"] == [1_000_000_000] * 5


def test_one_that_comes_late_has_no_rate_for_the_first_batch() -> None:
    reports: list[str] = []
    listener = ms.StatsReportListener(batches=1, report=reports.append)
    listener.on_event(batch(7_000, 10, 0.0, 1.0))
    listener.on_event(batch(8_000, 10, 0.0, 1.0))
    assert "records/s" not in figures(reports[0])
    assert figures(reports[1])["records/s"] == [10] * 5


def test_a_stream_prints_it(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        ssc.queue_stream([[1, 2], [3, 4]]).foreach_rdd(lambda rdd: None)
        ssc.add_listener(ms.StatsReportListener(batches=2))
        ssc.start()
        clock.advance(2.0)
    assert capsys.readouterr().out.startswith("2 batches up to 2000, 4 records\n")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.mark.parametrize("batches", [0, -1, 1.5, True, "10"])
def test_a_number_of_batches_that_cannot_be_is_refused(batches: int) -> None:
    with pytest.raises(ConfigurationError, match="batches must be a whole number"):
        ms.StatsReportListener(batches)


def test_a_report_that_is_no_function_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="report needs a function"):
        ms.StatsReportListener(report="stdout")  # type: ignore[arg-type]
