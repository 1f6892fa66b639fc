"""Killing a stream from Kafka to Kafka at 100,000 records a second: how long until it has caught up.

A process of its own writes records of 100 bytes that carry their number and the time at which they were due. A program
with a checkpoint and the defaults of the engine, batches of 200 ms, takes them through a Python function and writes
them exactly once. It is killed with SIGKILL and started again some seconds later, while the records go on coming.

Said is, in seconds after the kill, when the successor wrote its first record (so long the stream was down), and when
what it wrote was no later than before the kill. At the end a reader of committed records looks for what was lost or
doubled.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.servers.kafka.broker import KafkaCluster, missing
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from benchmarks.figures import argument, median, option, percentile, report, tree_cpu_s
from benchmarks.kafka_to_kafka import BROKER, PARTITIONS, wait_for_records

INTERVAL_S = 0.2
TICK_S = 0.01
"""How often records are sent."""

WARM_UP_S = 3.0
"""Records that are due before do not count as what is usual."""

BIN_S = 0.1
"""What was written within so long counts together."""

RECORD = struct.Struct("<dq")


def send(servers: str, topic: str, rate: int, seconds: float) -> None:
    """Write records with the times at which they were due and their numbers."""
    import pyarrow as pa

    from millstream._core import KafkaProducer

    each = round(rate * TICK_S)
    producer = KafkaProducer({"bootstrap.servers": servers, "enable.idempotence": "true", "linger.ms": "2"})
    keys, rest = pa.nulls(each, pa.large_binary()), b"x" * (100 - RECORD.size)
    parts = pa.array([number % PARTITIONS for number in range(each)], pa.int32())
    print("begun", flush=True)
    begin = time.time()
    for tick in range(round(seconds / TICK_S)):
        due = begin + tick * TICK_S
        time.sleep(max(0.0, due - time.time()))
        numbers = range(tick * each, (tick + 1) * each)
        values = pa.array([RECORD.pack(due, number) + rest for number in numbers], pa.large_binary())
        producer.send(topic, pa.table({"key": keys, "value": values, "partition": parts}), 60.0)
    delivered, left, failure = producer.flush(60.0)
    if left or failure is not None:
        sys.exit(f"Only {delivered} records could be sent: {failure}")


def run_program(servers: str, source: str, target: str, checkpoint: str) -> None:
    """Be the program that is killed."""
    ssc = ms.StreamingContext(INTERVAL_S, name="killed", checkpoint=checkpoint)
    records = ssc.kafka_stream(servers, topics=[source], start="earliest")
    records.map(lambda record: (record.key, record.value)).save_to_kafka(servers, target, name="out")
    ssc.start()
    print("started", flush=True)
    sys.stdin.read()
    ssc.stop(graceful=False)


def written(servers: str, topic: str, count: int, timeout_s: float) -> Iterable[tuple[float, float, int]]:
    """Give of each committed record when it was due and when it was written, and its number."""
    from confluent_kafka import Consumer, TopicPartition

    options: dict[str, Any] = {
        "bootstrap.servers": servers,
        "group.id": "benchmark",
        "isolation.level": "read_committed",
        "fetch.queue.backoff.ms": 2,
    }
    consumer = Consumer(options)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    until, found = time.monotonic() + timeout_s, 0
    while time.monotonic() < until:
        # Why on after the last one: what was doubled may come behind it.
        messages = consumer.consume(10_000, 0.5)
        if not messages and found >= count:
            break
        found += len(messages)
        for message in messages:
            value: Any = message.value()
            yield RECORD.unpack_from(value)[0], message.timestamp()[1] / 1000, RECORD.unpack_from(value)[1]
    consumer.close()


def figures(records: Iterable[tuple[float, float, int]], count: int, killed: float) -> dict[str, object]:
    """Say from what was written how long the stream was down, when it had caught up, and what is missing."""
    seen = bytearray(count)
    usual: list[float] = []
    bins: dict[int, list[float]] = {}
    first, first_after = float("inf"), float("inf")
    for due, wrote, number in records:
        seen[number] = min(255, seen[number] + 1)
        first = min(first, due)
        if wrote < killed:
            if due >= first + WARM_UP_S:
                usual.append(wrote - due)
        else:
            first_after = min(first_after, wrote)
            bins.setdefault(int((wrote - killed) / BIN_S), []).append(wrote - due)
    if not usual or not bins:
        when = "before the kill" if not usual else "after it"
        sys.exit(f"Of {count - seen.count(0)} records that were written, none counts {when}: the machine is too busy.")
    late = max(percentile(usual, 0.99), 1.5 * INTERVAL_S)
    caught_up = next((number * BIN_S for number in sorted(bins) if median(bins[number]) <= late), float("nan"))
    down = first_after - killed
    return {
        "late before the kill: p50, ms": median(usual) * 1000,
        "   p99, ms": percentile(usual, 0.99) * 1000,
        "down, s": down,
        "caught up, s after the kill": caught_up,
        "   times the downtime (at most 3)": caught_up / down,
        "records": count,
        "lost": seen.count(0),
        "doubled": count - seen.count(0) - seen.count(1),
    }


def main(rate: int, seconds: float, pause: float) -> None:
    """Send records, and kill what hands them on."""
    if (reason := missing()) is not None:
        print(f"No Kafka broker: {reason}.")
        return
    with tempfile.TemporaryDirectory() as directory:
        cluster = KafkaCluster(Path(directory) / "cluster", java_options=BROKER)
        try:
            cluster.start()
            tool = KafkaTool(cluster)
            source, target = tool.topic(PARTITIONS), tool.topic(PARTITIONS)
            command = [sys.executable, "-m", "benchmarks.kafka_kill", f"--servers={tool.servers}", f"--rate={rate}"]
            program = [*command, f"--program={source},{target},{directory}/checkpoint"]
            # What an installed program has too, wherever Python may not write its bytecode here.
            kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{directory}/bytecode"}
            streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | kept}
            before = subprocess.Popen(program, **streams)
            assert before.stdout is not None
            before.stdout.readline()
            # The successor goes on among records that come.
            total_s = seconds + 6.0 * pause
            sends = [*command, f"--send={source}", f"--seconds={total_s}"]
            with subprocess.Popen(sends, stdout=subprocess.PIPE) as sender:
                assert sender.stdout is not None
                sender.stdout.readline()
                wait_for_records(tool, target)
                time.sleep(seconds)
                killed = time.time()
                before.kill()
                before.wait()
                time.sleep(pause)
                began = time.monotonic()
                after = subprocess.Popen(program, **streams)
                try:
                    sender.wait()
                    used = tree_cpu_s(after.pid) / (time.monotonic() - began)
                    count = round(rate * TICK_S) * round(total_s / TICK_S)
                    rows = figures(written(tool.servers, target, count, total_s + 60.0), count, killed)
                    rows["CPU seconds a second of the successor, catching up included"] = used
                finally:
                    after.kill()
                    after.wait()
        finally:
            cluster.stop()
    report("kafka_kill", rows)


if __name__ == "__main__":
    RATE = int(option("rate", 100_000))
    if to := argument("send"):
        send(argument("servers"), to, RATE, option("seconds", 10.0))
    elif what := argument("program"):
        run_program(argument("servers"), *what.split(","))
    else:
        main(RATE, option("seconds", 10.0), option("pause", 5.0))
