"""What the outputs of the program have to be, in plain Python over the journalled batches."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import millstream as ms
from millstream.blocks.block_log import BLOCK, _stored
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage
from millstream.recovery.identity import read_identity
from millstream.recovery.log_journal import LogJournal
from millstream.sinks.read_committed import committed_batches
from millstream.state.downtime import uptime_ms
from tests.kill.archive import all_records
from tests.kill.journalled_plans import Complain, journalled_plans
from tests.kill.program import IDLE_S, RECENT_S, RECENT_SLIDE_S, SUMS_S, TIMED_OUT

FILE_OUTPUTS = ("raw", "columns", "recent", "sums")

Pair = tuple[str, int]
Rows = dict[int, list[Any]]
"""Rows by batch time, milliseconds."""


@dataclass
class PlannedBatch:
    """A batch as the journal has it.

    Attributes:
        time_ms: its time.
        uptime_ms: its time less what of the downtimes lies before it.
        sent: its records of the sender, in order.
        read: those of files.
        positions: of the sender's blocks in it.
        files: paths of its splits.
    """

    time_ms: int
    uptime_ms: int
    sent: list[Pair] = field(default_factory=list)
    read: list[Pair] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> list[Pair]:
        return [*self.sent, *self.read]


def journalled(folder: Path, complain: Complain) -> list[PlannedBatch]:
    """Read all batches that were ever planned, in order of time."""
    archive, checkpoint = folder / "archive", folder / "checkpoint"
    blocks = {
        record.number: _stored(record) for record in all_records(archive, checkpoint, "wal") if record.kind == BLOCK
    }
    plans, history = journalled_plans(folder, complain)
    batches = []
    for planned in plans:
        batch = PlannedBatch(planned.time_ms, uptime_ms(planned.time_ms, history.downtimes))
        for plan in planned.inputs:
            for number in plan.blocks:
                batch.positions.append(blocks[number].position)
                rows: Any = blocks[number].block().data
                batch.sent += [tuple(row) for row in rows]
            for split in plan.splits:
                batch.files.append(split.data["path"])
                batch.read += [tuple(json.loads(line)) for line in Path(split.data["path"]).read_text().splitlines()]
        batches.append(batch)
    return batches


class Reference:
    """The program in plain Python."""

    def __init__(self, batches: Sequence[PlannedBatch], zero_ms: int) -> None:
        self.raw: Rows = {}
        self.recent: Rows = {}
        self.sums: Rows = {}
        self.steps: Rows = {}
        self.ids: Rows = {}
        self.totals: Counter[str] = Counter()
        self._running: dict[str, tuple[int, int]] = {}
        slide_ms = round(RECENT_SLIDE_S * 1000)
        for index, batch in enumerate(batches):
            time_ms, pairs = batch.time_ms, batch.pairs
            self.raw[time_ms] = [(key, n) for key, n in pairs]
            self.ids[time_ms] = [len(pairs)]
            if (time_ms - zero_ms) % slide_ms == 0:
                counts = Counter(key for key, _ in _window(batches, index, RECENT_S))
                self.recent[time_ms] = sorted(counts.items())
            sums: defaultdict[str, int] = defaultdict(int)
            for key, n in _window(batches, index, SUMS_S):
                sums[key] += n
            self.sums[time_ms] = sorted(sums.items())
            for key, n in pairs:
                self.totals[key] += n
            self.steps[time_ms] = self._stepped(batch)

    def _stepped(self, batch: PlannedBatch) -> list[Any]:
        """Map with state: a running sum for each key, which ends when the key is idle for too long."""
        steps: dict[str, list[Any]] = {}
        for key, n in batch.pairs:
            before, _ = self._running.get(key, (0, 0))
            self._running[key] = (before + n, batch.uptime_ms)
            steps.setdefault(key, []).append((key, n, before + n))
        for key, (total, since_ms) in list(self._running.items()):
            if batch.uptime_ms - since_ms > round(IDLE_S * 1000):
                del self._running[key]
                steps[key] = [(key, TIMED_OUT, total)]
        return [row for key in sorted(steps) for row in steps[key]]


def _window(batches: Sequence[PlannedBatch], index: int, window_s: float) -> Iterable[Pair]:
    after_ms = batches[index].time_ms - round(window_s * 1000)
    while index >= 0 and batches[index].time_ms > after_ms:
        yield from batches[index].pairs
        index -= 1


def divergences(
    folder: Path, sent: Sequence[Sequence[Pair]], files: Sequence[Path], postgres_url: str | None
) -> list[str]:
    """Say where the outputs of a run that has ended are not what they have to be."""
    found: list[str] = []
    batches = journalled(folder, found.append)
    _check_inputs(batches, sent, files, found.append)
    _check_files(folder, found.append)
    identity = read_identity(LocalStorage(folder / "checkpoint"))
    assert identity is not None
    wanted = Reference(batches, identity.zero_time_ms)
    given = outputs(folder, postgres_url)
    for name, rows in given.items():
        expected = getattr(wanted, {"columns": "raw", "steps_postgres": "steps"}.get(name, name))
        found += [f"{name}: {text}" for text in _differences(rows, expected)]
    everything = Counter[str]()
    for key, n in (pair for part in (*sent, *map(file_rows, files)) for pair in part):
        everything[key] += n
    with closing(sqlite3.connect(folder / "totals.db")) as database:
        totals = dict(database.execute("SELECT key, total FROM totals"))
    if totals != dict(everything):
        found.append(f"totals: {totals}, and of an undisturbed run {dict(everything)}")
    return found


def file_rows(path: Path) -> list[Pair]:
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]


def _check_inputs(
    batches: Sequence[PlannedBatch], sent: Sequence[object], files: Sequence[Path], complain: Complain
) -> None:
    """Every record is in exactly one batch, and in the order in which it was sent."""
    positions = [position for batch in batches for position in batch.positions]
    if positions != list(range(1, len(sent) + 1)):
        counts = Counter(positions)
        missing = [position for position in range(1, len(sent) + 1) if position not in counts]
        twice = [position for position, count in counts.items() if count > 1]
        complain(f"sent blocks missing {missing}, twice {twice}, in order: {positions == sorted(positions)}")
    read = Counter(path for batch in batches for path in batch.files)
    if read != Counter(map(str, files)):
        complain(
            f"files read {read - Counter(map(str, files))} too often, {Counter(map(str, files)) - read} not at all"
        )


def _check_files(folder: Path, complain: Complain) -> None:
    """What attempts staged that did not commit is gone, and so are state files that no checkpoint has."""
    for name in FILE_OUTPUTS:
        named = {file.path for manifest in committed_batches(folder / name) for file in manifest.files}
        there = {str(path.relative_to(folder / name)) for path in (folder / name).glob("[0-9]*/*")}
        if named != there:
            complain(f"{name}: files that no manifest names {there - named}, files that are not there {named - there}")
    history = LogJournal(SegmentLog(LocalStorage(folder / "checkpoint"), "journal", read_only=True)).history
    needed = {name for written in history.checkpoints for name in written.files}
    kept = {f"state/{path.name}" for path in (folder / "checkpoint" / "state").iterdir()}
    if kept != needed:
        complain(f"state files that no checkpoint has {kept - needed}, files that are not there {needed - kept}")


def outputs(folder: Path, postgres_url: str | None) -> dict[str, Rows]:
    """Read what every sink has committed."""
    given: dict[str, Rows] = {}
    given["raw"] = _by_time(ms.read_committed(folder / "raw"))
    given["columns"] = _by_time(
        (row["time_ms"], row["key"], row["n"])
        for row in ms.read_committed(folder / "columns").to_pylist()  # type: ignore[union-attr]
    )
    given["recent"] = _by_time(
        ((int(row["time_ms"]), row["key"], int(row["count"])) for row in ms.read_committed(folder / "recent")),
        by_key=True,
    )
    lines = (line.split() for line in ms.read_committed(folder / "sums"))
    given["sums"] = _by_time(((int(time), key, int(n)) for time, key, n in lines), by_key=True)
    with closing(sqlite3.connect(folder / "steps.db")) as database:
        steps = database.execute("SELECT time_ms, key, n, total FROM steps ORDER BY rowid").fetchall()
    given["steps"] = _by_time(steps, by_key=True)
    with closing(sqlite3.connect(folder / "ids.db")) as database:
        given["ids"] = defaultdict(list)
        for time_ms, count in database.execute("SELECT time_ms, count FROM ids"):
            given["ids"][time_ms].append(count)
    if postgres_url is not None:
        import sqlalchemy

        engine = sqlalchemy.create_engine(postgres_url)
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT time_ms, key, n, total FROM steps ORDER BY id"))
            given["steps_postgres"] = _by_time((tuple(row) for row in rows), by_key=True)
        engine.dispose()
    return given


def _by_time(rows: Iterable[Sequence[Any]], *, by_key: bool = False) -> Rows:
    """Group rows by their first value; what keys come first in does not count, the order within a key does."""
    grouped: Rows = {}
    for time_ms, *row in rows:
        grouped.setdefault(time_ms, []).append(tuple(row))
    if by_key:
        for found in grouped.values():
            found.sort(key=lambda row: row[0])
    return grouped


def _differences(given: Rows, wanted: Rows) -> list[str]:
    return [
        f"batch {time_ms}: {given.get(time_ms, [])}, wanted {wanted.get(time_ms, [])}"
        for time_ms in sorted({*given, *wanted})
        if given.get(time_ms, []) != wanted.get(time_ms, [])
    ]
