"""From Kafka to Kafka at 100,000 records of 100 bytes a second: how long a record takes from when it was due.

A process of its own writes records that carry the time at which they were due, however late it is; another one reads
what comes out. Between them, in turn on topics of their own, in one run on one broker:

- a loop on the bare client library (in Rust; needs cargo) that hands on what comes when it comes: the broker's floor;
- the same loop every 5 ms, which waits until the broker has what it wrote: what batches at least once cost without an
  engine;
- a stream of 5 ms batches, at least once;
- with `--peers`, Structured Streaming with a trigger of 0 s, and Flink with checkpoints every second.

Broker, sender, reader and what is measured share the cores. Said is also the CPU time of each of them: where it comes
near what the machine has, the figures are those of a queue for the processor. The broker has its files in memory where
the system has a place for that, so that the tail is not that of the machine's disk; with `--disk` it has them there.
"""

from __future__ import annotations

import gc
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers.kafka.broker import KafkaCluster, missing
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from benchmarks.figures import argument, median, option, percentile, report, tree_cpu_s
from benchmarks.kafka_word_count import ENVIRONMENT, HERE, JARS, PEER, prepare

FLINK_PEER, FLINK = HERE / "peers" / "flink_kafka", HERE / ".flink"
PARTITIONS = 4
INTERVAL_S = 0.005

RECORD_BYTES = 100

due_of = struct.Struct("<d").unpack_from
"""Reads the time at which a record was due: its first bytes."""

TICK_S = 0.002
"""How often records are sent. No divisor of the interval, so that they come at all times of it."""

WARM_UP_S = 5.0
"""Records that are due before do not count: connections are made, code is compiled."""

BROKER = ("-XX:TieredStopAtLevel=4", "-Xms1g", "-Xmx1g", "-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
"""The virtual machine as Kafka's own scripts start it; that of the tests is made for a fast start."""

WARM_UPS = 2
"""How often all of it is run before: the broker's machine compiles what it runs often, which takes it some 30 s."""

MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory."""

LATE_S = 30.0
"""So long after the last one is due, the reader gives up."""

START_S = 120.0
"""How long what hands records on may take to begin."""


def send(servers: str, topic: str, rate: int, seconds: float) -> None:
    """Write records with the times at which they were due, all of a tick in one partition, one after the other."""
    import numpy as np
    import pyarrow as pa

    from millstream._core import KafkaProducer

    each = round(rate * TICK_S)
    # All of a tick go at once, in one request.
    options = {"bootstrap.servers": servers, "linger.ms": "20", "batch.num.messages": str(each)}
    producer = KafkaProducer(options)
    # The client copies what it is given, so that the same memory serves all ticks.
    records = np.full((each, RECORD_BYTES), ord("x"), np.uint8)
    offsets = pa.py_buffer(np.arange(0, records.size + 1, RECORD_BYTES, dtype=np.int64))
    keys = pa.nulls(each, pa.large_binary())
    parts = [pa.array(np.full(each, number, np.int32)) for number in range(PARTITIONS)]
    gc.disable()  # It would make records late that nobody but the sender is late with.
    begin, before = time.time() + 0.2, tree_cpu_s(os.getpid())
    for tick in range(round(seconds / TICK_S)):
        due = begin + tick * TICK_S
        time.sleep(max(0.0, due - time.time()))
        records[:, :8] = np.frombuffer(struct.pack("<d", due), np.uint8)
        values = pa.LargeBinaryArray.from_buffers(pa.large_binary(), each, [None, offsets, pa.py_buffer(records)])
        table = pa.Table.from_arrays([keys, values, parts[tick % PARTITIONS]], ["key", "value", "partition"])
        producer.send(topic, table, 10.0)
    producer.flush(10.0)
    print(tree_cpu_s(os.getpid()) - before)


def hear(servers: str, topic: str, count: int, seconds: float) -> None:
    """Read what is written; print p50 and p99 of how late records are, milliseconds, how many, and CPU seconds."""
    from confluent_kafka import Consumer, TopicPartition

    options: dict[str, Any] = {"bootstrap.servers": servers, "group.id": "benchmark", "fetch.queue.backoff.ms": 2}
    consumer = Consumer(options)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    # Numbers alone, and no collections of garbage: one over all that was heard would stop the reader for 90 ms.
    gc.disable()
    dues, late_ms = array("d"), array("d")
    until = time.time() + seconds + LATE_S
    while len(dues) < count and time.time() < until:
        # What is there is taken at once; `consume` alone would wait until it has as many as it is asked for.
        if (first := consumer.poll(0.1)) is None:
            continue
        messages = [first, *consumer.consume(10_000, 0)]
        now = time.time()
        for message in messages:
            value: Any = message.value()
            (due,) = due_of(value)
            if due > 0:
                dues.append(due)
                late_ms.append((now - due) * 1000)
    consumer.close()
    counted_from = min(dues, default=0.0) + WARM_UP_S
    late = [waited for due, waited in zip(dues, late_ms, strict=True) if due >= counted_from] or [float("nan")]
    print(median(late), percentile(late, 0.99), len(dues), tree_cpu_s(os.getpid()))


class Run:
    """One broker, and the records that go through it."""

    def __init__(self, cluster: KafkaCluster, rate: int, seconds: float) -> None:
        self.tool = KafkaTool(cluster)
        self.broker = cluster.pids[0]
        self.rate = rate
        self.seconds = seconds

    def through(self, name: str, forward: Callable[[str, str, str], Any]) -> dict[str, object]:
        """Send records, and hear of them what comes out of `forward`, which gives the id of its process."""
        servers, source, target = self.tool.servers, self.tool.topic(PARTITIONS), self.tool.topic(PARTITIONS)
        command = [sys.executable, "-m", "benchmarks.kafka_to_kafka", f"--servers={servers}", f"--rate={self.rate}"]
        told: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
        with forward(servers, source, target) as pid:
            self._begin(source, target)
            before, broker = tree_cpu_s(pid), tree_cpu_s(self.broker)
            hears = subprocess.Popen([*command, f"--hear={target}", f"--seconds={self.seconds}"], **told)
            sends = subprocess.Popen([*command, f"--send={source}", f"--seconds={self.seconds}"], **told)
            with sends, hears:
                sent, _ = sends.communicate()
                heard, _ = hears.communicate()
            used, broker = tree_cpu_s(pid) - before, tree_cpu_s(self.broker) - broker
        p50, p99, count, reader = map(float, heard.split())
        each = {"its own": used, "broker": broker, "sender": float(sent), "reader": reader}
        shares = ", ".join(f"{who} {spent / self.seconds:.2f}" for who, spent in each.items())
        return {
            f"{name}: p50 from due, ms": p50,
            f"{name}: p99, ms": p99,
            f"{name}: records": round(count),
            f"{name}: CPU seconds a second": shares,
        }

    def _begin(self, source: str, target: str) -> None:
        """Send records that do not count, and wait until one is through."""
        for partition in range(PARTITIONS):
            self.tool.produce(source, [struct.pack("<d", 0.0) + b"x" * 92], partition)
        wait_for_records(self.tool, target)


def wait_for_records(tool: KafkaTool, topic: str) -> None:
    """Wait until a topic has a record."""
    from confluent_kafka import KafkaException

    until = time.monotonic() + START_S
    while time.monotonic() < until:
        # The topic may be new to the broker.
        with suppress(KafkaException):
            if any(tool.end(topic, partition) for partition in range(PARTITIONS)):
                return
        time.sleep(0.1)
    sys.exit(f"Nothing came through within {START_S:g} s.")


@contextmanager
def forwarded(
    command: list[str], rest: list[str], said: int | None, servers: str, source: str, target: str
) -> Iterator[int]:
    """Run a program that reads one topic and writes the other; gives its id.

    Args:
        command: runs it, until its standard input ends.
        rest: what it is told behind servers and topics.
        said: where what it tells of itself goes; None: where ours goes.
        servers: of both topics.
        source: the topic to read.
        target: the topic to write.
    """
    with subprocess.Popen([*command, servers, source, target, *rest], stdin=subprocess.PIPE, stderr=said) as process:
        try:
            yield process.pid
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def run_stream(servers: str, source: str, target: str) -> None:
    """Be the process that runs our stream."""
    ssc = ms.StreamingContext(INTERVAL_S, name="through", rate_controller="none")
    ssc.kafka_stream(servers, topics=[source], start="earliest").save_to_kafka(servers, target, exactly_once=False)
    ssc.start()
    sys.stdin.read()
    ssc.stop(graceful=False)


def structured_streaming() -> list[str]:
    """Make Spark's environment where it is missing; give the command of the peer."""
    prepare()
    return [str(ENVIRONMENT / "bin" / "python"), str(PEER / "kafka_to_kafka.py")]


def flink() -> list[str] | None:
    """Fetch Flink and build its program where they are missing; give the command of the peer, None without a JDK."""
    libraries, classes = FLINK / "libs", FLINK / "classes"
    if shutil.which("javac") is None or shutil.which("mvn") is None:
        return None
    if not libraries.is_dir():
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
        subprocess.run(["mvn", "--quiet", "--batch-mode", "--file", str(FLINK_PEER / "pom.xml"), *copy], check=True)
    source = str(FLINK_PEER / "KafkaToKafka.java")
    subprocess.run(["javac", "-cp", f"{libraries}/*", "-d", str(classes), source], check=True)
    return ["java", "-Xmx1g", "-cp", f"{classes}:{libraries}/*", "KafkaToKafka"]


def bare() -> Path | None:
    """Build the bare loop; None without cargo."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    name = "bare_kafka_to_kafka"
    built = subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--package", "millstream-core", "--example", name], check=False
    )
    return target / "release" / "examples" / name if built.returncode == 0 else None


def main() -> None:
    """Measure all in turn."""
    if (reason := missing()) is not None:
        print(f"No Kafka broker: {reason}.")
        return
    kinds: dict[str, Callable[[str, str, str], Any]] = {}
    if (program := bare()) is not None:
        for name, interval_ms in (("bare loop, as it comes", "0"), ("bare loop, each 5 ms", "5")):
            kinds[name] = partial(forwarded, [str(program)], [str(PARTITIONS), interval_ms], None)
    kinds["stream, 5 ms (p50 7, p99 20)"] = partial(
        forwarded, [sys.executable, "-m", "benchmarks.kafka_to_kafka", "--stream"], [], None
    )
    if "--peers" in sys.argv:
        if (command := flink()) is not None:
            kinds["Flink, a checkpoint every second"] = partial(forwarded, command, [], subprocess.DEVNULL)
        kinds["Structured Streaming, trigger of 0 s"] = partial(
            forwarded, structured_streaming(), [str(JARS)], subprocess.DEVNULL
        )
    rows: dict[str, object] = {}
    in_memory = MEMORY.is_dir() and "--disk" not in sys.argv
    with tempfile.TemporaryDirectory(dir=MEMORY if in_memory else None) as directory:
        cluster = KafkaCluster(Path(directory) / "cluster", java_options=BROKER)
        try:
            cluster.start()
            run = Run(cluster, int(option("rate", 100_000)), option("seconds", 15.0))
            for _ in range(WARM_UPS):
                run.through("warm-up", next(iter(kinds.values())))
            for name, forward in kinds.items():
                rows |= run.through(name, forward)
        finally:
            cluster.stop()
    report("kafka_to_kafka", rows)


if __name__ == "__main__":
    SERVERS, RATE, SECONDS = argument("servers"), int(option("rate", 100_000)), option("seconds", 15.0)
    if to := argument("send"):
        send(SERVERS, to, RATE, SECONDS)
    elif of := argument("hear"):
        hear(SERVERS, of, round(RATE * TICK_S) * round(SECONDS / TICK_S), SECONDS)
    elif "--stream" in sys.argv:
        run_stream(*sys.argv[sys.argv.index("--stream") + 1 :])
    else:
        main()
