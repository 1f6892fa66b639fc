"""Joins with a static table of 1 M rows: in columns, and in rows against a loop that looks up a dict."""

from __future__ import annotations

import random
import time
from typing import Any

import pyarrow as pa

import millstream as ms
from benchmarks.figures import median, option, report
from millstream.model.partition import Columns
from millstream.rdd.lineage import Held
from millstream.testing import ManualClock

ROWS = 1_000_000


def cpu_s_of_batches(build: Any, batches: list[Any]) -> float:
    """Give the CPU seconds of a batch, the median; the first one, which loads the table, does not count."""
    clock = ManualClock()
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    build(ssc, ssc.queue_stream(list(batches)))
    ssc.start()
    times = []
    for _ in batches:
        began = time.process_time()
        clock.advance(1.0)
        times.append(time.process_time() - began)
    ssc.stop(graceful=False)
    ssc.await_termination(0)
    return median(times[1:])


def columns_per_s(keys: list[Any], table: pa.Table, records: int, chance: random.Random) -> float:
    """Measure `join_table` over records in columns; the result stays columns."""
    count = int(option("batches", 8)) + 1
    parts = [
        Columns(pa.table({"id": [chance.choice(keys) for _ in range(records)], "n": range(records)}), scalar=False)
        for _ in range(count)
    ]
    seen: list[int] = []

    def build(ssc: ms.StreamingContext, stream: ms.DStream[Any]) -> None:
        waiting = iter(parts)
        columns = stream.transform(lambda rdd: rdd.derive(Held([next(waiting)])))
        joined = columns.join_table(ssc.refreshed(lambda: table), on="id")
        joined.foreach_rdd(lambda rdd: seen.append(rdd.to_arrow().num_rows))

    spent = cpu_s_of_batches(build, [[0]] * count)
    assert seen == [records] * count
    return records / spent


def rows_per_s(keys: list[Any], records: int, chance: random.Random) -> tuple[float, float]:
    """Measure `join` over pairs in rows, and the loop that does the same."""
    values = {key: number for number, key in enumerate(keys)}
    count = int(option("batches", 8)) + 1
    batches = [[(chance.choice(keys), number) for number in range(records)] for _ in range(count)]
    spent = cpu_s_of_batches(
        lambda ssc, stream: stream.join(ssc.refreshed(lambda: values)).foreach_rdd(lambda rdd: rdd.collect()), batches
    )
    times = []
    for batch in batches:
        began = time.process_time()
        joined = []
        for key, value in batch:
            if key in values:
                joined.append((key, (value, values[key])))
        times.append(time.process_time() - began)
    return records / spent, records / median(times)


def main() -> None:
    """Run and report."""
    chance, records = random.Random(1), int(option("records", 200_000))
    texts = [f"product-{number:07d}" for number in range(ROWS)]
    table = pa.table({"id": texts, "name": [f"name {number % 1000}" for number in range(ROWS)], "price": range(ROWS)})
    numbered = table.set_column(0, "id", pa.array(range(ROWS)))
    text_columns = columns_per_s(texts, table, records, chance)
    number_columns = columns_per_s(list(range(ROWS)), numbered, records, chance)
    ours, loop = rows_per_s(texts, records, chance)
    report(
        "static_join",
        {
            "rows of the table, records a batch": f"{ROWS}, {records}",
            "columns, keys of text, records/s a core (target >= 2 M)": text_columns,
            "columns, keys of numbers, records/s a core": number_columns,
            "rows, records/s a core": ours,
            "rows, against the loop (target >= 0.5)": ours / loop,
        },
    )


if __name__ == "__main__":
    main()
