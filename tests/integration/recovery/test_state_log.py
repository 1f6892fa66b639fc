"""Programs without a state log: a start runs the batches since the newest checkpoint again, for their state alone."""

from __future__ import annotations

import json
from collections import Counter
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage
from millstream.errors import DataError
from millstream.recovery.decisions import CheckpointWritten, StateDelta
from millstream.recovery.log_journal import LogJournal
from millstream.testing import ManualClock


class Crash(BaseException):
    """What ends a run in the middle of a batch."""


class Heard(ms.StreamingListener):
    """Counts the batches that listeners are told of."""

    def __init__(self) -> None:
        self.batches: Counter[int] = Counter()

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        self.batches[event.batch_time_ms] += 1


class Program:
    """Totals by key over what is pushed and what is in files, with an accumulator, one run after another."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.options = folder, options
        (folder / "in").mkdir()
        self.clock = ManualClock(10.0)
        self.seen: list[tuple[int, list[Any]]] = []
        self.counted: list[int] = []
        self.crash_at_ms: int | None = None
        self.heard = Heard()

    def start(self, **options: Any) -> tuple[ms.StreamingContext, Any]:
        settings: dict[str, Any] = {"checkpoint_interval": 3_600.0, "state_log": False, **self.options, **options}
        ssc = ms.StreamingContext(
            1.0, name="totals", environment=ms.Environment(self.clock), checkpoint=self.folder / "c", **settings
        )
        numbers = ssc.memory_stream(name="numbers")
        lines = ssc.file_stream(self.folder / "in", "jsonl", new_files_only=False, name="lines")
        self.accumulator = accumulator = ssc.context.accumulator(0)

        def counted(n: int) -> tuple[int, int]:
            accumulator.add(1)
            return n % 3, n

        pairs = numbers.union(lines.map(lambda row: row[0])).map(counted)
        totals = pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="totals")
        totals.foreach_rdd(self._look)
        pairs.reduce_by_key_and_window(add, sub, window=3.0, slide=1.0, name="recent").foreach_rdd(self._look)
        ssc.add_listener(self.heard)
        ssc.start()
        return ssc, numbers

    def put(self, name: str, *numbers: int) -> None:
        (self.folder / "in" / name).write_text("".join(f"{json.dumps([n])}\n" for n in numbers))

    def _look(self, rdd: Any, batch: ms.Batch) -> None:
        self.seen.append((batch.time_ms, sorted(rdd.collect())))
        if batch.time_ms == self.crash_at_ms:
            self.crash_at_ms = None
            raise Crash

    def crash(self, ssc: ms.StreamingContext, numbers: Any) -> None:
        """End a run in the middle of its next batch."""
        self.crash_at_ms = int(self.clock.wall_ms()) + 1_000
        numbers.push(100)
        self.clock.advance(1.0)
        with pytest.raises(Crash):
            ssc.await_termination(0)

    def decisions(self) -> list[Any]:
        return list(LogJournal(SegmentLog(LocalStorage(self.folder / "c"), "journal", read_only=True)).decisions())


def run(program: Program, ssc: ms.StreamingContext, numbers: Any, *batches: int) -> None:
    for n in batches:
        program.put(f"{n}.jsonl", n, n + 1)
        numbers.push(n)
        program.clock.advance(1.0)


def make(tmp_path: Path, name: str, **options: Any) -> Program:
    (tmp_path / name).mkdir()
    return Program(tmp_path / name, **options)


def test_a_start_has_the_state_of_batches_that_wrote_none(tmp_path: Path, backend_name: str) -> None:
    outputs = []
    for state_log in (True, False):
        program = make(tmp_path, str(state_log), backend=backend_name, workers=2 if backend_name != "threads" else None)
        ssc, numbers = program.start(state_log=state_log)
        run(program, ssc, numbers, 1, 2, 3)
        program.crash(ssc, numbers)
        ssc, numbers = program.start(state_log=state_log)
        run(program, ssc, numbers, 4, 5)
        ssc.stop(graceful=False)
        outputs.append(program.seen)
        assert any(isinstance(decision, StateDelta) for decision in program.decisions()) == state_log
    assert outputs[0] == outputs[1]


def test_what_runs_again_is_seen_by_nobody(tmp_path: Path) -> None:
    program = make(tmp_path, "p")
    ssc, numbers = program.start()
    run(program, ssc, numbers, 1, 2, 3)
    program.crash(ssc, numbers)
    seen = Counter(time_ms for time_ms, _ in program.seen)
    ssc, numbers = program.start()
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    # The batch that was left undone is the only one that outputs had before; each batch has two of them.
    undone_ms = max(seen)
    again = Counter(time_ms for time_ms, _ in program.seen)
    assert {time_ms: again[time_ms] - count for time_ms, count in seen.items() if again[time_ms] != count} == {
        undone_ms: 2
    }
    assert set(program.heard.batches.values()) == {1}
    # The accumulator of the second run has the one record of the batch that was left undone.
    assert program.accumulator.value == 1


def test_batches_are_run_again_only_once(tmp_path: Path) -> None:
    program = make(tmp_path, "p")
    ssc, numbers = program.start()
    run(program, ssc, numbers, 1, 2)
    program.crash(ssc, numbers)
    program.start()[0].stop(graceful=False)
    written = [decision for decision in program.decisions() if isinstance(decision, CheckpointWritten)]
    assert [checkpoint.time_ms for checkpoint in written] == [12_000, 13_000]
    assert written[0].files


def test_a_program_goes_over_to_a_state_log_and_back(tmp_path: Path) -> None:
    program = make(tmp_path, "p")
    steps = iter(range(8))
    for state_log in (True, False, True, False):
        ssc, numbers = program.start(state_log=state_log)
        run(program, ssc, numbers, next(steps), next(steps))
        program.crash(ssc, numbers)
    ssc, _ = program.start(state_log=True)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert program.seen[-2][1] == _sums(range(8), 4)


def _sums(steps: range, crashes: int) -> list[tuple[int, int]]:
    sums: Counter[int] = Counter({1: 100 * crashes})
    for n in steps:
        for value in (n, n, n + 1):
            sums[value % 3] += value
    return sorted(sums.items())


def test_a_file_of_another_size_is_refused_by_its_source_whatever_the_policy(tmp_path: Path) -> None:
    program = make(tmp_path, "p", on_input_changed="accept")
    ssc, numbers = program.start()
    run(program, ssc, numbers, 1, 2)
    program.crash(ssc, numbers)
    program.put("2.jsonl", 7, 8, 9, 10)
    with pytest.raises(DataError, match="A file has changed since its batch was planned"):
        program.start()


def test_a_last_checkpoint_leaves_nothing_to_run_again(tmp_path: Path) -> None:
    program = make(tmp_path, "p")
    ssc, numbers = program.start()
    run(program, ssc, numbers, 1, 2)
    ssc.stop(graceful=False)
    for file in (program.folder / "in").iterdir():
        file.unlink()
    ssc, numbers = program.start()
    numbers.push(3)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    # 1, 1, 2 and 2, 2, 3 before, and 3 now.
    assert program.seen[-2][1] == [(0, 6), (1, 2), (2, 6)]
