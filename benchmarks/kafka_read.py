"""Reading Kafka: records of 100 bytes from a broker of this machine, into columns and into Python records.

Beside it, in processes of their own that read the same topic: confluent-kafka's `consume(10000)`, tuned (with its
default of `fetch.queue.backoff.ms` it idles most of the time), and a loop in Rust on the bare client library that drops
what it is given (it needs cargo; left out where there is none). All have the same queues of the client library, and are
measured in CPU seconds of the reading process, over several rounds in turn; what counts are the ratios of the medians.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import argument, median, option, report
from benchmarks.own_broker import own_broker

PARTITIONS = 4
QUEUES = {
    "fetch.queue.backoff.ms": 2,
    "fetch.wait.max.ms": 100,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16_384,
}
"""As the stream has them, and the bare loop."""

RANGE = 50_000
"""Offsets of one split."""


def read_columns(servers: str, topic: str, records: int, *, rows: bool) -> int:
    """Read all by ranges, as tasks do."""
    from millstream.model.ports.replayable_source import Split
    from millstream.sources.kafka.kafka_source import KafkaSource

    source = KafkaSource(servers, topics=[topic], start="earliest")
    each = records // PARTITIONS
    count = 0
    for start in range(0, each, RANGE):
        for partition in range(PARTITIONS):
            until = min(each, start + RANGE)
            data = {
                "topic": topic,
                "partition": partition,
                "from": start,
                "until": until,
                "isolation": source.isolation,
            }
            part = source.read(Split(data))
            if rows:
                for record in part.rows():
                    count += record.value is not None
            else:
                count += len(part)
    return count


def read_confluent(servers: str, topic: str, records: int) -> int:
    """Read all by the peer, and look at every value."""
    from confluent_kafka import Consumer, TopicPartition

    options: dict[str, Any] = {"bootstrap.servers": servers, "group.id": "peer", "enable.auto.commit": False}
    consumer = Consumer(options | QUEUES)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    count = 0
    while count < records:
        for message in consumer.consume(10_000, timeout=1.0):
            count += message.value() is not None
    consumer.close()
    return count


def reader(kind: str, servers: str, topic: str, records: int) -> None:
    """Be the process that reads."""
    import confluent_kafka  # noqa: F401 - imports are not what is measured
    import pyarrow

    import millstream.sources.kafka.kafka_source  # noqa: F401

    pyarrow.array([1])  # Imports pandas, where it is installed.
    began, before = time.perf_counter(), time.process_time()
    if kind == "confluent":
        count = read_confluent(servers, topic, records)
    else:
        count = read_columns(servers, topic, records, rows=kind == "rows")
    print(count, time.perf_counter() - began, time.process_time() - before)


def measured(command: list[str], records: int) -> tuple[float, float]:
    """Run a process that reads; give million records a second, and a CPU second."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    count, wall, cpu = int(said[0]), float(said[1]), float(said[2])
    assert count >= records, f"{count} of {records} were read"
    return count / wall / 1e6, count / cpu / 1e6


def bare() -> Path | None:
    """Build the bare loop; None without cargo."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    built = subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--package", "millstream-core", "--example", "bare_kafka"],
        capture_output=True,
        check=False,
    )
    return target / "release" / "examples" / "bare_kafka" if built.returncode == 0 else None


def main(records: int, rounds: int) -> None:
    """Fill a topic, and have it read in turn."""
    commands: dict[str, list[str]] = {}
    with own_broker() as tool:
        topic = tool.topic(PARTITIONS)
        for partition in range(PARTITIONS):
            values: Any = (os.urandom(48) + b"x" * 52 for _ in range(records // PARTITIONS))
            tool.produce(topic, values, partition)
        for kind in ("confluent", "columns", "rows"):
            options = [f"--read={kind}", f"--servers={tool.servers}", f"--topic={topic}", f"--records={records}"]
            commands[kind] = [sys.executable, "-m", "benchmarks.kafka_read", *options]
        if (program := bare()) is not None:
            commands["bare"] = [str(program), tool.servers, topic, str(PARTITIONS), str(records)]
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                figures[name].append(measured(command, records))
    report("kafka_read", _ratios(figures))


def _ratios(figures: dict[str, list[tuple[float, float]]]) -> dict[str, object]:
    rows: dict[str, object] = {}
    for name, seen in figures.items():
        rows[f"{name}, million records a CPU second"] = median([cpu for _, cpu in seen])
        rows[f"{name}, million records a second"] = median([rate for rate, _ in seen])
    per_cpu = {name: median([cpu for _, cpu in seen]) for name, seen in figures.items()}
    rows["columns / confluent-kafka, a CPU second (at least 2)"] = per_cpu["columns"] / per_cpu["confluent"]
    if "bare" in per_cpu:
        rows["columns / bare loop, a CPU second (at least 0.75)"] = per_cpu["columns"] / per_cpu["bare"]
    rows["Python records / confluent-kafka (at least 1)"] = per_cpu["rows"] / per_cpu["confluent"]
    return rows


if __name__ == "__main__":
    RECORDS = int(option("records", 2_000_000))
    if kind := argument("read"):
        reader(kind, argument("servers"), argument("topic"), RECORDS)
    else:
        main(RECORDS, int(option("rounds", 3)))
