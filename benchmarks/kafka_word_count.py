"""Word count over a Kafka topic in plain lambdas, on two cores, beside Structured Streaming with a Python UDF.

Both read the same topic, in batches of as many records; what is compared is how long a batch takes. Structured
Streaming lives in an environment of its own, benchmarks/.pyspark/kafka, which the first run makes from the package
registries (its newest version whose connector for Kafka is there). Needs Java 17 or later and Maven.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, report, tree_cpu_s
from benchmarks.own_broker import own_broker
from benchmarks.text import lines_of_standard_library
from millstream.testing import ManualClock

HERE = Path(__file__).parent
PEER = HERE / "peers" / "spark_kafka"
ENVIRONMENT = HERE / ".pyspark" / "kafka"
JARS = HERE / ".pyspark" / "kafka-jars"
PYSPARK = "pyspark==4.2.0"
PARTITIONS = 4


def prepare() -> None:
    """Make Spark's environment when it is missing."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        sys.exit(
            "kafka_word_count needs Java 17 and Maven (Debian, Ubuntu: apt install openjdk-17-jre-headless maven)."
        )
    if not (ENVIRONMENT / "bin" / "python").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", PYSPARK], check=True)
    if not JARS.is_dir():
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
        subprocess.run(["mvn", "--quiet", "--batch-mode", "--file", str(PEER / "pom.xml"), *copy], check=True)


def theirs(servers: str, topic: str, records: int, batches: int) -> dict[str, Any]:
    """Run the peer and give its figures."""
    arguments = [servers, topic, str(records), str(batches), str(JARS)]
    command = [str(ENVIRONMENT / "bin" / "python"), str(PEER / "word_count.py"), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def plain(records: ms.DStream[Any]) -> ms.DStream[tuple[str, int]]:
    """The program as one writes it."""
    lines = records.map(lambda record: record.value.decode())
    return lines.flat_map(lambda line: line.split()).map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b)


def without_source(records: ms.DStream[Any]) -> ms.DStream[tuple[str, int]]:
    """The same in functions that have no source, so that Python has to call each for each record."""
    value: Any = eval("lambda record: record.value.decode()")
    split: Any = eval("lambda line: line.split()")
    one: Any = eval("lambda word: (word, 1)")
    return records.map(value).flat_map(split).map(one).reduce_by_key(add)


def ours(
    program: Callable[[ms.DStream[Any]], ms.DStream[tuple[str, int]]],
    servers: str,
    topic: str,
    records: int,
    batches: int,
    backend: str,
) -> dict[str, Any]:
    """Give the median time of a batch and its CPU seconds, without the first two, and how many words there were."""
    clock, times, cpu_s = ManualClock(), [], 0.0
    with ms.Context(backend, workers=2 if backend == "processes" else None) as context:
        ssc = ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock), rate_controller="none")
        source = ssc.kafka_stream(servers, topics=[topic], start="earliest", max_records_per_batch=records)
        seen: list[list[Any]] = []
        program(source).collect_to(seen)
        ssc.start()
        for number in range(batches + 2):
            if number == 2:
                cpu_s = -tree_cpu_s(os.getpid())
            began = time.perf_counter()
            clock.advance(1.0)
            times.append((time.perf_counter() - began) * 1000.0)
        cpu_s += tree_cpu_s(os.getpid())
        ssc.stop(graceful=False)
    return {"median_ms": median(times[2:]), "words": len(seen[-1]), "cpu_s": cpu_s / batches}


def main(records: int, batches: int) -> None:
    """Fill a topic, and have its words counted in turn."""
    prepare()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))
    rows: dict[str, object] = {}
    with own_broker() as tool:
        topic = tool.topic(PARTITIONS)
        lines = lines_of_standard_library(records)
        for _ in range(batches + 2):
            for partition in range(PARTITIONS):
                tool.produce(topic, lines[partition::PARTITIONS], partition)
        for name, program in (("plain lambdas", plain), ("functions without source", without_source)):
            for backend in ("threads", "processes"):
                # Why before each: what else the machine does changes in minutes.
                peer = theirs(tool.servers, topic, records, batches)
                own = ours(program, tool.servers, topic, records, batches, backend)
                assert own["words"] == peer["words"], f"{own['words']} words here, {peer['words']} there"
                for who, found in (("", own), (": Structured Streaming with a Python UDF", peer)):
                    rows[f"{name}, {backend}{who}, ms a batch"] = found["median_ms"]
                    rows[f"{name}, {backend}{who}, CPU s a batch"] = found["cpu_s"]
                times = peer["median_ms"] / own["median_ms"]
                rows[f"{name}, {backend}, times as fast (plain lambdas at least 3)"] = times
    report("kafka_word_count", rows)


if __name__ == "__main__":
    main(int(option("records", 200_000)), int(option("batches", 5)))
