"""Writing Kafka, to a broker of this machine, records of 100 bytes.

1. What a transaction adds to a batch: batches of one record written one after another, at least once and exactly once,
   and beside them transactions of one record by a bare client (confluent-kafka): what the broker takes.
2. Records a second exactly once, with a checkpoint, a batch every 500 ms: pairs of text made by tasks, in one topic of
   four partitions; said is how long a batch took from its time to its end. It keeps up as long as that is below 500 ms.

CPU seconds are those of the stream's process, without the broker.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, percentile, report
from benchmarks.own_broker import own_broker
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka.kafka_sink import KafkaSink

PARTITIONS = 4


def commits_ms(servers: str, topic: str, batches: int, *, exactly_once: bool) -> list[float]:
    """Write batches of one record; give how long each took."""
    sink = KafkaSink(servers, topic, exactly_once=exactly_once)
    sink.open(SinkLineage(topic, f"once-{exactly_once}", 1))
    record: Partition[Any] = Partition([("key", "v" * 97)])
    spent = []
    for number in range(batches):
        batch = Batch(1_000 * (number + 1))
        receipts = [sink.stage(batch, 0, record)]
        began = time.perf_counter()
        sink.commit(batch, receipts)
        spent.append((time.perf_counter() - began) * 1000)
    return spent[batches // 5 :]


def bare_transactions_ms(servers: str, topic: str, batches: int) -> list[float]:
    """Write transactions of one record with a bare client; give how long each took."""
    from confluent_kafka import Producer

    options: dict[str, Any] = {"bootstrap.servers": servers, "transactional.id": topic, "linger.ms": 0}
    producer = Producer(options)
    producer.init_transactions(30)
    spent = []
    for _ in range(batches):
        began = time.perf_counter()
        producer.begin_transaction()
        producer.produce(topic, "v" * 97, "key")
        producer.commit_transaction(30)
        spent.append((time.perf_counter() - began) * 1000)
    return spent[batches // 5 :]


class Pairs(ReplayableSource[tuple[str, str]]):
    """Gives each batch the same pairs of 100 bytes, made anew by its tasks."""

    name = "pairs"

    def __init__(self, records: int) -> None:
        self.records = records

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        each = self.records // PARTITIONS
        return Plan([Split(part, each, f"{each} pairs") for part in range(PARTITIONS)], batch_ms)

    def read(self, split: Split) -> Partition[tuple[str, str]]:
        return Partition([(f"key{number % 1_000:05}", "v" * 92) for number in range(self.records // PARTITIONS)])


class Delays(ms.StreamingListener):
    """Keeps how long batches took, from their times to their ends, and their records."""

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self.records = 0

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        self.delays_ms.append(event.ended_ms - event.batch_time_ms)
        self.records += sum(count or 0 for count in event.records.values())


def sustained(servers: str, topic: str, rate: int, seconds: float, folder: Path) -> dict[str, object]:
    """Write at a rate, exactly once, a batch every 500 ms."""
    delays = Delays()
    ssc = ms.StreamingContext(0.5, name="sustained", checkpoint=folder / "checkpoint", rate_controller="none")
    ssc.add_listener(delays)
    ssc.stream(Pairs(rate // 2), name="pairs").save_to_kafka(servers, topic, name="out")
    ssc.start()
    began = time.process_time()
    ssc.await_termination(seconds)
    ssc.stop()
    counted = delays.delays_ms[2:]
    return {
        f"2. {rate:,} records/s exactly once, 500 ms: batch p50, ms": median(counted),
        "   p99, ms (keeps up below 500)": percentile(counted, 0.99),
        "   records written a second": delays.records / seconds,
        "   CPU seconds a million records": (time.process_time() - began) / delays.records * 1e6,
    }


def main() -> None:
    """Measure both."""
    rows: dict[str, object] = {}
    seconds = option("seconds", 10.0)
    with own_broker() as tool, tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[str, str, int], list[float]]] = {
            "bare transaction": bare_transactions_ms,
            "at least once": partial(commits_ms, exactly_once=False),
            "exactly once": partial(commits_ms, exactly_once=True),
        }
        batches = int(option("batches", 300))
        for what, way in ways.items():
            began = time.process_time()
            spent = way(tool.servers, tool.topic(), batches)
            rows[f"1. batch of one record, {what}: p50, ms"] = median(spent)
            rows[f"   {what}: p99, ms"] = percentile(spent, 0.99)
            rows[f"   {what}: CPU ms a batch"] = (time.process_time() - began) * 1000 / batches
        rate = int(option("sustained", 300_000))
        rows |= sustained(tool.servers, tool.topic(PARTITIONS), rate, seconds, Path(folder))
    report("kafka_write", rows)


if __name__ == "__main__":
    main()
