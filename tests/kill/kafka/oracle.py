"""What the topic of counts has to hold, in plain Python over the journalled batches."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from millstream.environment.local_storage import LocalStorage
from millstream.recovery.identity import read_identity
from tests.integration.kafka.kafka_reader import Seen, read_topic
from tests.kill.journalled_plans import Complain, journalled_plans
from tests.kill.kafka.program import SLIDE_S, WINDOW_S


@dataclass(frozen=True)
class PlannedRanges:
    """A batch as the journal has it: its time, and the offsets of each Kafka partition, from and until."""

    time_ms: int
    ranges: dict[int, tuple[int, int]]


def journalled(folder: Path, complain: Complain) -> list[PlannedRanges]:
    """Read all batches that were ever planned, in order of time."""
    plans, _ = journalled_plans(folder, complain)
    return [
        PlannedRanges(
            planned.time_ms,
            {
                split.data["partition"]: (split.data["from"], split.data["until"])
                for plan in planned.inputs
                for split in plan.splits
            },
        )
        for planned in plans
    ]


def divergences(folder: Path, servers: str, source: str, target: str, sent: list[str]) -> list[str]:
    """Say where the topic of counts is not what it has to be.

    Args:
        folder: of the run.
        servers: the brokers.
        source: the topic of lines.
        target: the topic of counts.
        sent: all lines that were acknowledged to their sender.
    """
    found: list[str] = []
    batches = journalled(folder, found.append)
    lines = read_topic(servers, source)
    if sorted((seen.value or b"").decode() for seen in lines) != sorted(sent):
        found.append("the topic of lines does not hold what was sent")
    _check_ranges(batches, lines, found.append)
    identity = read_identity(LocalStorage(folder / "checkpoint"))
    assert identity is not None
    wanted = _windows(batches, lines, identity.zero_time_ms)
    given = _counts(read_topic(servers, target), found.append)
    different = [time_ms for time_ms in sorted({*wanted, *given}) if given.get(time_ms) != wanted.get(time_ms)]
    return found + [f"window {time_ms}: {given.get(time_ms)}, wanted {wanted.get(time_ms)}" for time_ms in different]


def _check_ranges(batches: list[PlannedRanges], lines: list[Seen], complain: Complain) -> None:
    """Every line is in exactly one batch."""
    for partition in sorted({seen.partition for seen in lines}):
        ranges = [batch.ranges[partition] for batch in batches if partition in batch.ranges]
        at = 0
        for start, until in ranges:
            if start != at:
                complain(f"partition {partition}: a range begins at {start} behind {at}")
            at = until
        last = max(seen.offset for seen in lines if seen.partition == partition)
        if at <= last:
            complain(f"partition {partition}: lines up to offset {last}, and batches only before {at}")


def _windows(batches: list[PlannedRanges], lines: list[Seen], zero_ms: int) -> dict[int, dict[str, int]]:
    """The program in plain Python: counts by the end of the window."""
    words = [
        Counter(
            word
            for seen in lines
            if seen.partition in batch.ranges
            and batch.ranges[seen.partition][0] <= seen.offset < batch.ranges[seen.partition][1]
            for word in (seen.value or b"").decode().split()
        )
        for batch in batches
    ]
    windows: dict[int, dict[str, int]] = {}
    for index, batch in enumerate(batches):
        if (batch.time_ms - zero_ms) % round(SLIDE_S * 1000):
            continue
        counts: Counter[str] = Counter()
        for earlier in range(index, -1, -1):
            if batches[earlier].time_ms <= batch.time_ms - round(WINDOW_S * 1000):
                break
            counts.update(words[earlier])
        if counts:
            windows[batch.time_ms] = dict(counts)
    return windows


def _counts(seen: list[Seen], complain: Complain) -> dict[int, dict[str, int]]:
    """What a reader of committed records sees, by the end of the window."""
    windows: dict[int, dict[str, int]] = {}
    for record in seen:
        said = json.loads(record.value or b"")
        end_ms = round(datetime.datetime.fromisoformat(said["window_end"]).timestamp() * 1000)
        word = (record.key or b"").decode()
        counts = windows.setdefault(end_ms, {})
        if word in counts:
            complain(f"window {end_ms} has {word} twice")
        counts[word] = said["count"]
    times = [round(datetime.datetime.fromisoformat(json.loads(r.value or b"")["window_end"]).timestamp()) for r in seen]
    by_partition: dict[int, int] = {}
    for record, time_s in zip(seen, times, strict=True):
        if time_s < by_partition.get(record.partition, 0):
            complain(f"partition {record.partition}: windows out of order at offset {record.offset}")
        by_partition[record.partition] = time_s
    return windows
