"""Word count over lines that are an Arrow column, in the core, against the hand-written loop over the same lines.

The loop is given the lines as a list, made beforehand; one figure counts the making of that list too, as a program that
reads Arrow needs it. The stage gives the whole dict. Three ways in turn, several times; CPU seconds are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import add
from typing import Any

import pyarrow as pa

import millstream as ms
from benchmarks.figures import median, option, report
from benchmarks.text import lines_of_standard_library
from benchmarks.word_count import cpu_s, hand_written
from millstream.execution.fusion import CompiledStage, compile_stage
from millstream.model.label import Label
from millstream.model.partition import Columns
from millstream.rdd.operations import Collect, Combine, Count, End, FlatMap, Map
from millstream.testing import ManualClock

SPLIT = FlatMap(lambda line: line.split(), Label("flat_map"))
PAIR = Map(lambda word: (word, 1), Label("map"))
ADD = Combine(None, add, Label("reduce_by_key"))
BATCHES = 4
ONE_LINE = "so much depends upon a red wheel barrow glazed with rain water"


def listed(lines: list[str]) -> list[str]:
    """List the words in Python."""
    words = []
    for line in lines:
        for word in line.split():
            words.append(word)  # noqa: PERF402
    return words


def numbered(lines: list[str]) -> int:
    """Count the words in Python, without a list of them."""
    words = 0
    for line in lines:
        words += len(line.split())
    return words


def streamed(table: pa.Table) -> int:
    """Run the program over some batches, from the Arrow table to the pairs that an output operation is given."""
    clock, seen = ManualClock(), []
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock), process_tuning=False)
    lines = ssc.queue_stream([ssc.context.from_arrow(table)] * BATCHES)
    pairs = lines.flat_map(lambda line: line.split()).map(lambda word: (word, 1)).reduce_by_key(add)
    pairs.foreach_rdd(lambda rdd: seen.append(rdd.count()))
    ssc.start()
    for _ in range(BATCHES):
        clock.advance(1.0)
    ssc.stop(graceful=False)
    return sum(seen)


def ratio(rounds: int, loop: Callable[[], object], way: Callable[[], object]) -> float:
    """Say how many times the CPU seconds of one way another one takes, both in turn."""
    return median([cpu_s(loop) / cpu_s(way) for _ in range(rounds)])


def a_call_us(way: Callable[[], object], calls: int = 20_000) -> float:
    """Time one of many calls, microseconds; the best of five series."""
    series = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(calls):
            way()
        series.append((time.process_time() - began) / calls * 1e6)
    return min(series)


def partition(lines: list[str], rounds: int) -> dict[str, Any]:
    """Measure one partition of so many lines."""
    table = pa.table({"value": pa.array(lines, pa.string())})
    columns = Columns(table, scalar=True)

    def stage(end: End, *operations: Any) -> Callable[[], Any]:
        compiled: CompiledStage = compile_stage((SPLIT, *operations), end)
        return lambda: compiled.run_partition(columns, 0, None)

    counts = stage(ADD, PAIR)
    assert list(counts().items()) == list(hand_written([lines]).items())
    assert stage(Collect())() == listed(lines)
    assert stage(Count())() == numbered(lines)
    fused = compile_stage((SPLIT, PAIR), ADD)
    what = f"{len(lines) // 1000} k lines"
    return {
        f"{what}: words": numbered(lines),
        f"{what}: different words": len(counts()),
        f"{what}: word count, times the loop": ratio(rounds, lambda: hand_written([lines]), counts),
        f"{what}: the same, loop makes its lines of Arrow": ratio(
            rounds, lambda: hand_written([columns.rows()]), counts
        ),
        f"{what}: times the generated loop over rows": ratio(
            rounds, lambda: fused.run(columns.rows(), 0, None), counts
        ),
        f"{what}: batches of a stream, times the loop": ratio(
            rounds, lambda: hand_written([lines] * BATCHES), lambda: streamed(table)
        ),
        f"{what}: number of words, times its loop": ratio(rounds, lambda: numbered(lines), stage(Count())),
        f"{what}: list of words, times its loop": ratio(rounds, lambda: listed(lines), stage(Collect())),
    }


def one_line() -> dict[str, Any]:
    """Measure a batch of one line, as a socket gives it, through the core and through the generated loop."""
    columns = Columns(pa.table({"value": [ONE_LINE]}), scalar=True)
    stage = compile_stage((SPLIT, PAIR), ADD)
    return {
        "one line: in the core, us": a_call_us(lambda: stage.run_partition(columns, 0, None)),
        "one line: generated loop over rows, us": a_call_us(lambda: stage.run(columns.rows(), 0, None)),
    }


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 7))
    lines = lines_of_standard_library(int(option("lines", 250_000)))
    report("word_count_columns", {**partition(lines, rounds), **partition(lines * 4, rounds), **one_line()})


if __name__ == "__main__":
    main()
