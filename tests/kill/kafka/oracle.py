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
    ends = window_ends(batches, identity.zero_time_ms, found.append)
    wanted = windows(batches, lines, ends)
    given = _counts(read_topic(servers, target), found.append)
    check_totals(given, sent, found.append)
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


def window_ends(batches: list[PlannedRanges], zero_ms: int, complain: Complain) -> range:
    """Give the ends of all windows that were due from the first batch to the last; each has a batch of its own."""
    slide_ms = round(SLIDE_S * 1000)
    first_ms = batches[0].time_ms
    ends = range(first_ms + (zero_ms - first_ms) % slide_ms, batches[-1].time_ms + 1, slide_ms)
    if unplanned := sorted(set(ends) - {batch.time_ms for batch in batches}):
        complain(f"windows that were due and never planned: {unplanned}")
    return ends


def windows(batches: list[PlannedRanges], lines: list[Seen], ends: range) -> dict[int, dict[str, int]]:
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
    for end_ms in ends:
        counts: Counter[str] = Counter()
        for batch, counted in zip(batches, words, strict=True):
            if end_ms - round(WINDOW_S * 1000) < batch.time_ms <= end_ms:
                counts.update(counted)
        if counts:
            windows[end_ms] = dict(counts)
    return windows


def check_totals(given: dict[int, dict[str, int]], sent: list[str], complain: Complain) -> None:
    """Every word is in as many windows as one is long in slides, wherever batches were cut: so in an undisturbed run.

    This holds because the last windows of a run are empty.
    """
    each = round(WINDOW_S / SLIDE_S)
    undisturbed = Counter(word for line in sent for word in line.split())
    totals: Counter[str] = Counter()
    for counts in given.values():
        totals.update(counts)
    for word in sorted({*totals, *undisturbed}):
        if totals[word] != each * undisturbed[word]:
            complain(f"total of {word}: {totals[word]}, and of an undisturbed run {each * undisturbed[word]}")


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
