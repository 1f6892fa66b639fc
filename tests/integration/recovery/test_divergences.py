"""A batch that runs again and comes out differently: `on_input_changed` and `on_divergence` decide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import DataError
from millstream.testing import ManualClock
from millstream.testing.conformance.memory_sink import MemorySink


class Crash(BaseException):
    """What ends a run in the middle of a commit."""


class Ones(ms.ReplayableSource[int]):
    """Gives every batch some ones; how many is no part of its splits, as with a table that somebody edits."""

    name = "ones"

    def __init__(self, count: int) -> None:
        self.count = count

    def open(self, position: Any) -> None: ...

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> ms.Plan:
        return ms.Plan([ms.Split(batch_ms, None, f"ones of {batch_ms}")], batch_ms)

    def read(self, split: ms.Split) -> ms.Partition[int]:
        return ms.Partition([1] * self.count)


class CutSink(MemorySink):
    """Has its process end before or after a commit."""

    cut: str | None = None

    def commit(self, batch: ms.Batch, receipts: Sequence[Any]) -> None:
        if self.cut == "before":
            raise Crash
        super().commit(batch, receipts)
        if self.cut == "after":
            raise Crash


class Diverged(ms.StreamingListener):
    """Notes of each difference the batch and whether it was accepted."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def on_batch_diverged(self, event: ms.BatchDiverged) -> None:
        self.seen.append((event.batch_time_ms, event.accepted))


class Program:
    """A running total of ones, each times a factor: runs of it on one checkpoint, one clock and one sink."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(10.0)
        self.diverged = Diverged()
        MemorySink.clear(str(path))

    def start(self, count: int, factor: int, **options: Any) -> ms.StreamingContext:
        environment = ms.Environment(self.clock)
        ssc = ms.StreamingContext(1.0, name="totals", environment=environment, checkpoint=self.path, **options)
        ssc.add_listener(self.diverged)
        ones = ssc.stream(Ones(count), name="ones").map(lambda one: ("total", one * factor))
        totals = ones.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="totals")
        self.sink = CutSink(str(self.path))
        totals.write_to(self.sink, name="out")
        ssc.start()
        return ssc

    def end_in_commit(self, cut: str, *, done: int = 0, **options: Any) -> None:
        """Run until the commit of the batch at 11 s, or a later one, with two ones in each batch."""
        ssc = self.start(2, 1, **options)
        self.clock.advance(float(done))
        self.sink.cut = cut
        self.clock.advance(1.0)
        with pytest.raises(Crash):
            ssc.await_termination(0)

    @property
    def written(self) -> dict[int, list[Any]]:
        return MemorySink(str(self.path)).batches()


def test_other_records_that_are_accepted_are_what_the_batch_has(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.end_in_commit("before")
    ssc = program.start(3, 1, on_input_changed="accept")
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert program.diverged.seen == [(11_000, True)]
    assert program.written == {11_000: [("total", 3)], 12_000: [("total", 6)]}


def test_another_state_that_is_accepted_goes_on_and_what_is_committed_stays(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.end_in_commit("after")
    ssc = program.start(2, 10, on_divergence="accept")
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert program.diverged.seen == [(11_000, True)]
    assert program.written == {11_000: [("total", 2)], 12_000: [("total", 40)]}


@pytest.mark.parametrize(
    ("cut", "count", "factor", "policy", "other"),
    [("before", 3, 1, "on_input_changed", "on_divergence"), ("after", 2, 10, "on_divergence", "on_input_changed")],
)
def test_what_is_not_accepted_stops_the_stream_with_the_batch_named(
    tmp_path: Path, cut: str, count: int, factor: int, policy: str, other: str
) -> None:
    program = Program(tmp_path)
    program.end_in_commit(cut)
    written = program.written
    ssc = program.start(count, factor, **{policy: "fail", other: "accept"})
    program.clock.advance(1.0)
    with pytest.raises(DataError, match=rf'The batch 11000 (.|\n)*{policy}="accept"'):
        ssc.await_termination(0)
    assert program.diverged.seen == [(11_000, False)]
    assert program.written == written
    # Nothing of it is kept: the program as it was goes on as if nothing had been tried.
    ssc = program.start(2, 1)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert len(program.diverged.seen) == 1
    assert list(program.written.values())[:2] == [[("total", 2)], [("total", 4)]]


def test_the_policy_decides_too_about_batches_that_run_again_for_their_state_alone(tmp_path: Path) -> None:
    program = Program(tmp_path)
    options: dict[str, Any] = {"state_log": False, "checkpoint_interval": 3_600.0}
    program.end_in_commit("before", done=1, **options)
    with pytest.raises(DataError, match=r'The batch 11000 (.|\n)*on_input_changed="accept"'):
        program.start(3, 1, **options)
    ssc = program.start(3, 1, on_input_changed="accept", **options)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert program.diverged.seen == [(11_000, False), (11_000, True), (12_000, True)]
    assert program.written == {11_000: [("total", 2)], 12_000: [("total", 6)], 13_000: [("total", 9)]}
