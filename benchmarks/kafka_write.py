"""Writing Kafka, to a broker of this machine, records of 100 bytes.

1. What a transaction adds to a batch: batches of one record written one after another, at least once and exactly once.
2. Records a second exactly once, with a checkpoint, a batch every 500 ms: pairs of text made by tasks, in one topic of
   four partitions; said is how long a batch took from its time to its end. It keeps up as long as that is below 500 ms.
3. From Kafka to Kafka at 100,000 records a second, a batch every 5 ms, at least once: a process of its own writes
   records that carry the time at which they were due, however late it is; said is the time from then until a reader has
   them.

CPU seconds are those of the stream's process, without the broker.
"""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.kafka.broker import KafkaCluster, missing
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from benchmarks.figures import median, option, percentile, report
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka.kafka_sink import KafkaSink

PARTITIONS = 4
TICK_S = 0.005
"""Both the interval of the third part, and how often its records are sent."""

WARM_UP_S = 3.0
"""Records that are due before do not count: connections are made, code is compiled."""


def cpu_s() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


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
    began = cpu_s()
    ssc.await_termination(seconds)
    ssc.stop()
    counted = delays.delays_ms[2:]
    return {
        f"2. {rate:,} records/s exactly once, 500 ms: batch p50, ms": median(counted),
        "   p99, ms (keeps up below 500)": percentile(counted, 0.99),
        "   records written a second": delays.records / seconds,
        "   CPU seconds a million records": (cpu_s() - began) / delays.records * 1e6,
    }


def send(servers: str, topic: str, rate: int, seconds: float) -> None:
    """Write records with the times at which they were due, as `kafka_write --send` runs it."""
    import pyarrow as pa

    from millstream._core import KafkaProducer

    producer = KafkaProducer({"bootstrap.servers": servers, "linger.ms": "0", "partitioner": "random"})
    each = round(rate * TICK_S)
    keys, rest = pa.nulls(each, pa.large_binary()), b"x" * 92
    begin = time.time() + 0.2
    for tick in range(round(seconds / TICK_S)):
        due = begin + tick * TICK_S
        time.sleep(max(0.0, due - time.time()))
        values = pa.array([struct.pack("<d", due) + rest] * each, pa.large_binary())
        parts = pa.array([number % PARTITIONS for number in range(each)], pa.int32())
        producer.send(topic, pa.table({"key": keys, "value": values, "partition": parts}), 10.0)
    producer.flush(10.0)


def hear(servers: str, topic: str, seconds: float) -> None:
    """Read what the stream writes; print p50 and p99 of how late records are, milliseconds, and how many there were."""
    from confluent_kafka import Consumer, TopicPartition

    options: dict[str, Any] = {"bootstrap.servers": servers, "group.id": "benchmark", "fetch.queue.backoff.ms": 2}
    consumer = Consumer(options)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    heard: list[tuple[float, float]] = []
    until = time.time() + seconds
    while time.time() < until:
        messages = consumer.consume(1_000, 0.001)
        now = time.time()
        for message in messages:
            value: Any = message.value()
            due = struct.unpack_from("<d", value)[0]
            heard.append((due, (now - due) * 1000))
    consumer.close()
    first = heard[0][0] + WARM_UP_S
    late = [late_ms for due, late_ms in heard if due >= first]
    print(median(late), percentile(late, 0.99), len(heard))


def through(servers: str, source: str, target: str, rate: int, seconds: float) -> dict[str, object]:
    """Read and write at a rate, a batch every 5 ms."""
    ssc = ms.StreamingContext(TICK_S, name="through", rate_controller="none")
    ssc.kafka_stream(servers, topics=[source], start="earliest").save_to_kafka(servers, target, exactly_once=False)
    ssc.start()
    command = [sys.executable, "-m", "benchmarks.kafka_write", f"--servers={servers}", f"--rate={rate}"]
    began = cpu_s()
    reader = subprocess.Popen(
        [*command, f"--hear={target}", f"--seconds={seconds + 4.0}"], stdout=subprocess.PIPE, text=True
    )
    with subprocess.Popen([*command, f"--send={source}", f"--seconds={seconds}"]) as sender, reader:
        sender.wait()
        said, _ = reader.communicate()
    ssc.stop()
    p50, p99, count = map(float, said.split())
    return {
        f"3. Kafka to Kafka, {rate:,} records/s, 5 ms: p50 from due, ms (7)": p50,
        "   p99, ms (20)": p99,
        "   records": round(count),
        "   CPU seconds a second": (cpu_s() - began) / seconds,
    }


@contextmanager
def broker() -> Iterator[KafkaTool]:
    """Start a broker."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = KafkaCluster(Path(directory) / "cluster")
        try:
            cluster.start()
            yield KafkaTool(cluster)
        finally:
            cluster.stop()


def main() -> None:
    """Measure all three."""
    if (reason := missing()) is not None:
        print(f"No Kafka broker: {reason}.")
        return
    rows: dict[str, object] = {}
    seconds = option("seconds", 10.0)
    with broker() as tool, tempfile.TemporaryDirectory() as folder:
        for exactly_once in (False, True):
            spent = commits_ms(tool.servers, tool.topic(), int(option("batches", 300)), exactly_once=exactly_once)
            what = "exactly once" if exactly_once else "at least once"
            rows[f"1. batch of one record, {what}: p50, ms"] = median(spent)
            rows[f"   {what}: p99, ms"] = percentile(spent, 0.99)
        rate = int(option("sustained", 300_000))
        rows |= sustained(tool.servers, tool.topic(PARTITIONS), rate, seconds, Path(folder))
        rate = int(option("rate", 100_000))
        rows |= through(tool.servers, tool.topic(PARTITIONS), tool.topic(PARTITIONS), rate, seconds)
    report("kafka_write", rows)


def _argument(name: str) -> str:
    found = [argument.split("=", 1)[1] for argument in sys.argv[1:] if argument.startswith(f"--{name}=")]
    return found[0] if found else ""


if __name__ == "__main__":
    if to := _argument("send"):
        send(_argument("servers"), to, int(option("rate", 100_000)), option("seconds", 10.0))
    elif source := _argument("hear"):
        hear(_argument("servers"), source, option("seconds", 10.0))
    else:
        main()
