"""The demonstration by way of Kafka: what it shows and writes is what went through the topic, also over a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.kafka.kafka_reader import read_topic
from tests.integration.line_server import Program
from tests.servers.kafka.kafka_tool import KafkaTool

from millstream.demo.kafka_topics import COUNTS_TOPIC, LINES_TOPIC

DEMO = ["-c", "import sys; from millstream.cli import main; sys.exit(main())", "demo", "--json"]


def windows_until(records: int, *arguments: str) -> list[dict[str, Any]]:
    """Interrupt the demonstration once it has shown windows of so many records."""
    with Program([*DEMO, "--interval", "0.25", "--window", "100", "--rate", "2000", *arguments]) as program:
        program.read_until(lambda line: sum(json.loads(line)["records"] for line in program.seen) > records)
        program.interrupt()
        status, complaint = program.end()
    assert status == 0, complaint
    return [json.loads(line) for line in program.seen]


def test_counts_go_on_over_a_restart_and_are_written_once(kafka: KafkaTool, tmp_path: Path) -> None:
    life = ("--kafka", kafka.servers, "--checkpoint", str(tmp_path / "checkpoint"))
    windows = windows_until(500, *life) + windows_until(500, *life)
    seen = sum(window["records"] for window in windows)
    words: Counter[bytes] = Counter()
    for record in read_topic(kafka.servers, LINES_TOPIC)[:seen]:
        words.update((record.value or b"").decode("utf-8", "replace").encode().split())
    written = [(record.key, json.loads(record.value or b"")) for record in read_topic(kafka.servers, COUNTS_TOPIC)]
    last = max(count["window_end"] for _, count in written)
    newest = [(key, count["count"]) for key, count in written if count["window_end"] == last]
    assert len(newest) == len(dict(newest)), "a word is there twice"
    assert dict(newest) == words


def test_brokers_that_are_not_there(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, *DEMO, "--kafka", "localhost:1"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 1
    assert "No broker of Kafka answered" in ended.stderr
    assert "localhost:1" in ended.stderr
    assert "Traceback" not in ended.stderr
