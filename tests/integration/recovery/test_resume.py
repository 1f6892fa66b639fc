"""A program with a checkpoint goes on where an earlier run of it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.control.batch_work import BatchWork
from millstream.control.durability import Durability
from millstream.control.instructions import PlanBatch
from millstream.errors import (
    ConfigurationError,
    CorruptSegmentError,
    FencedError,
    IncompatibleCheckpointError,
    InvalidError,
    SinkUnavailableError,
    StorageUnavailableError,
)
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.testing import ManualClock

Seen = list[tuple[int, int, list[Any]]]


class Crash(BaseException):
    """What ends a run in the middle of a batch."""


class Program:
    """Numbers that are summed by remainder, one run of it after another on one checkpoint and one clock."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options
        self.clock = ManualClock(10.0)
        self.seen: Seen = []
        self.crash_at_ms: int | None = None

    def start(self, **options: Any) -> tuple[ms.StreamingContext, Any]:
        settings = {"batch_interval": 1.0, "name": "sums", **self.options, **options}
        ssc = ms.StreamingContext(**settings, environment=ms.Environment(self.clock), checkpoint=self.path)
        numbers = ssc.memory_stream(name="numbers")
        totals = numbers.map(lambda n: (n % 3, n)).reduce_by_key_and_window(
            add, sub, window=4.0, slide=1.0, name="totals"
        )
        totals.foreach_rdd(self._look)
        ssc.start()
        return ssc, numbers

    def _look(self, rdd: Any, batch: ms.Batch) -> None:
        self.seen.append((batch.time_ms, batch.attempt, sorted(rdd.collect())))
        if batch.time_ms == self.crash_at_ms:
            self.crash_at_ms = None
            raise Crash


def batches(seen: Seen) -> dict[int, list[Any]]:
    return {time_ms: rows for time_ms, _, rows in seen}


def test_a_run_goes_on_with_the_state_of_the_one_before(tmp_path: Path) -> None:
    undisturbed, stopped = Program(tmp_path / "a"), Program(tmp_path / "b")
    ssc, numbers = undisturbed.start()
    for n in range(8):
        numbers.push(n)
        undisturbed.clock.advance(1.0)
    ssc.stop(graceful=False)
    for part in (range(3), range(3, 8)):
        ssc, numbers = stopped.start()
        for n in part:
            numbers.push(n)
            stopped.clock.advance(1.0)
        ssc.stop(graceful=False)
    assert stopped.seen == undisturbed.seen


def test_a_batch_that_was_cut_short_runs_again_with_the_same_inputs(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash_at_ms = 12_000
    ssc, numbers = program.start()
    numbers.push(1)
    program.clock.advance(1.0)
    numbers.push(2)
    program.clock.advance(1.0)
    with pytest.raises(Crash):
        ssc.await_termination(0)
    program.clock.advance(5.0)
    ssc, numbers = program.start()
    program.clock.advance(0.0)
    assert program.seen[-2:] == [(12_000, 0, [(1, 1), (2, 2)]), (12_000, 1, [(1, 1), (2, 2)])]
    numbers.push(4)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    # The window (14, 18] holds nothing of before.
    assert program.seen[-1] == (18_000, 0, [(1, 4)])


def test_records_that_no_batch_had_are_in_the_first_batch_of_the_next_run(tmp_path: Path) -> None:
    program = Program(tmp_path)
    ssc, numbers = program.start()
    program.clock.advance(1.0)
    program.crash_at_ms = 12_000
    numbers.push(5)
    program.clock.advance(1.0)
    ssc, numbers = program.start()
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert batches(program.seen)[13_000] == [(2, 5)]


def test_a_long_downtime_gives_one_batch_and_not_one_for_every_interval(tmp_path: Path) -> None:
    program = Program(tmp_path)
    for _ in range(2):
        ssc, _numbers = program.start()
        program.clock.advance(1.0)
        ssc.stop(graceful=False)
        program.clock.advance(3_600.0)
    assert len(program.seen) == 2


def test_another_interval_goes_on_from_the_same_zero_time(tmp_path: Path) -> None:
    program = Program(tmp_path)
    ssc, _numbers = program.start()
    program.clock.advance(2.0)
    ssc.stop(graceful=False)
    ssc, _numbers = program.start(batch_interval=0.5)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    assert [time_ms for time_ms, _, _ in program.seen] == [11_000, 12_000, 13_000]


@pytest.mark.parametrize("inverse", [sub, None])
@pytest.mark.parametrize("state_log", [True, False])
def test_a_window_and_state_go_on_over_another_interval(inverse: Any, state_log: bool, tmp_path: Path) -> None:
    """What a window holds is by the times of the batches that had it, however long those were."""
    clock, given = ManualClock(10.0), dict[int, list[int]]()
    recent, totals = dict[int, list[Any]](), dict[int, list[Any]]()

    def start(interval: float) -> tuple[ms.StreamingContext, Any]:
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(
            interval, name="app", environment=environment, checkpoint=tmp_path, state_log=state_log
        )
        numbers = ssc.memory_stream(name="numbers")
        pairs = numbers.map(lambda n: ("n", n))
        window = pairs.reduce_by_key_and_window(add, inverse, window=4.0, slide=2.0, name="recent")
        window.foreach_rdd(lambda rdd, batch: recent.update({batch.time_ms: rdd.collect()}))
        totals_now = pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="totals")
        totals_now.foreach_rdd(lambda rdd, batch: totals.update({batch.time_ms: rdd.collect()}))
        numbers.foreach_rdd(lambda rdd, batch: given.update({batch.time_ms: rdd.collect()}))
        ssc.start()
        return ssc, numbers

    for interval, batches in ((1.0, 3), (0.5, 5), (2.0, 2), (1.0, 3)):
        ssc, numbers = start(interval)
        for _ in range(batches):
            numbers.push(1 << len(given))  # No two sums of them are equal.
            clock.advance(interval)
        ssc.stop(graceful=False)
    in_each_life = [*range(11_000, 13_001, 1_000), *range(13_500, 15_501, 500), 16_000, 18_000, 20_000, 21_000, 22_000]
    assert given == {time_ms: [1 << number] for number, time_ms in enumerate(in_each_life)}
    assert set(recent) == {time_ms for time_ms in given if time_ms % 2_000 == 0}
    for time_ms, rows in recent.items():
        within = [n for then_ms, ns in given.items() if time_ms - 4_000 < then_ms <= time_ms for n in ns]
        assert rows == [("n", sum(within))]
    for time_ms, rows in totals.items():
        assert rows == [("n", sum(n for then_ms, ns in given.items() if then_ms <= time_ms for n in ns))]


def test_two_runs_of_a_program_at_a_time_are_refused(tmp_path: Path) -> None:
    program = Program(tmp_path)
    ssc, _numbers = program.start()
    other = ms.StreamingContext(1.0, name="sums", checkpoint=tmp_path, environment=ms.Environment(program.clock))
    other.memory_stream().print()
    ssc._active.pop("sums")  # As if it ran in another process.
    with pytest.raises(FencedError, match=r"process \d+"):
        other.start()
    ssc.stop()


def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    with pytest.raises(IncompatibleCheckpointError, match=r"'sums'.*'other'"):
        program.start(name="other")
    program.start()[0].stop(graceful=False)


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    identity = tmp_path / "checkpoint.json"
    identity.write_text(identity.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(IncompatibleCheckpointError, match="99"):
        program.start()


@pytest.mark.parametrize(("field", "said"), [("key_groups", "key groups"), ("hash_version", "hash version")])
def test_a_checkpoint_with_keys_in_other_key_groups_is_refused(tmp_path: Path, field: str, said: str) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    identity = tmp_path / "checkpoint.json"
    good = identity.read_text()
    values = json.loads(good)
    own = values[field]
    identity.write_text(json.dumps({**values, field: 99}))
    with pytest.raises(IncompatibleCheckpointError) as caught:
        program.start()
    shown = str(caught.value)
    stored, here = shown.split(";", 1)
    assert re.search(rf"\b(99 {said}|{said} 99)\b", stored)
    assert re.search(rf"\b({own} {said}|{said} {own})\b", here)
    assert "version of millstream that wrote the checkpoint" in shown
    # It was left as it is.
    identity.write_text(good)
    program.start()[0].stop(graceful=False)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format_version": 1}', b'{"format_version": "1"}', b"\xff\0"])
def test_a_checkpoint_whose_identity_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    (tmp_path / "checkpoint.json").write_bytes(content)
    with pytest.raises(CorruptSegmentError, match=r"checkpoint\.json"):
        program.start()


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    # Why not chmod: it does not bind root.
    (tmp_path / "checkpoint.json").unlink()
    (tmp_path / "checkpoint.json").mkdir()
    with pytest.raises(StorageUnavailableError, match=r"checkpoint\.json"):
        program.start()
    (tmp_path / "checkpoint.json").rmdir()


def test_a_checkpoint_without_identity_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.start()[0].stop(graceful=False)
    (tmp_path / "checkpoint.json").unlink()
    with pytest.raises(IncompatibleCheckpointError, match="no identity"):
        program.start()


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    with pytest.raises((ConfigurationError, StorageUnavailableError), match="file"):
        Program(place).start()
    assert place.read_text() == "mine"


def test_a_queue_cannot_be_recovered(tmp_path: Path) -> None:
    ssc = ms.StreamingContext(1.0, checkpoint=tmp_path, environment=ms.Environment(ManualClock()))
    ssc.queue_stream([[1]]).print()
    with pytest.raises(ConfigurationError, match="queue"):
        ssc.start()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint": 3}, "place"),
        ({"checkpoint": ""}, "place"),
        ({"checkpoint": "x", "on_unmatched": "guess"}, "on_unmatched"),
        ({"checkpoint": "x", "on_divergence": "guess"}, "on_divergence"),
        ({"checkpoint": "x", "checkpoint_interval": -1.0}, "checkpoint_interval"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        ms.StreamingContext(1.0, **options)


class Sender(ms.Receiver[int]):
    """Sends everything again from the first record on, as a sender does that never heard an answer."""

    name = "sender"

    def __init__(self, count: int, *, positions: bool = True) -> None:
        self.count = count
        self.positions = positions

    def on_start(self) -> None:
        for n in range(self.count):
            self.store_many([n, n], position=n if self.positions else None)

    def on_stop(self) -> None: ...


@pytest.mark.parametrize(
    ("positions", "wanted"),
    [(True, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), (False, [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])],
)
def test_what_a_sender_sends_again_is_dropped_by_its_position(
    positions: bool, wanted: list[int], tmp_path: Path
) -> None:
    clock, seen = ManualClock(10.0), list[int]()

    def run(count: int) -> None:
        ssc = ms.StreamingContext(1.0, name="sent", checkpoint=tmp_path, environment=ms.Environment(clock))
        stream = ssc.receiver_stream(Sender(count, positions=positions), name="sender")
        stream.foreach_rdd(lambda rdd: seen.extend(rdd.collect()))
        ssc.start()
        clock.advance(0.0)
        assert stream.node.feed.wait_for_records(1, 0.2) or not count  # type: ignore[attr-defined]
        ssc.stop()

    for count in (3, 5):
        run(count)
    assert seen == wanted


@pytest.mark.parametrize("durable", [True, False])
def test_a_stop_says_what_becomes_of_records_that_were_not_processed(
    durable: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, seen, stopped = ManualClock(10.0), list[int](), list[ms.StreamingStopped]()

    class Notes(ms.StreamingListener):
        def on_streaming_stopped(self, event: ms.StreamingStopped) -> None:
            stopped.append(event)

    def start() -> tuple[ms.StreamingContext, Any]:
        place = tmp_path if durable else None
        ssc = ms.StreamingContext(1.0, name="app", checkpoint=place, environment=ms.Environment(clock))
        numbers = ssc.memory_stream(name="numbers")
        numbers.foreach_rdd(lambda rdd: seen.extend(rdd.collect()))
        ssc.add_listener(Notes())
        ssc.start()
        return ssc, numbers

    ssc, numbers = start()
    numbers.push_many([1, 2])
    ssc.stop(graceful=False)
    assert (stopped[0].left, stopped[0].kept) == ({"numbers": 2}, durable)
    assert f"2 records of the input numbers were not processed: they are {'kept' if durable else 'lost'}" in caplog.text
    ssc, _numbers = start()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert seen == ([1, 2] if durable else [])


def test_blocks_that_wait_while_a_checkpoint_is_written_are_not_taken_for_repeated_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, seen, tries = ManualClock(10.0), list[int](), list[int]()

    def commit(rows: list[int], batch: ms.Batch) -> None:
        tries.append(batch.time_ms)
        if len(tries) == 1:
            raise SinkUnavailableError("Not now.")
        seen.extend(rows)

    def run(crash_at_ms: int | None) -> tuple[ms.StreamingContext, Sender]:
        plan = BatchWork.plan

        def crashing(work: BatchWork, instruction: PlanBatch) -> Mapping[str, int]:
            if instruction.time_ms == crash_at_ms:
                raise Crash
            return plan(work, instruction)

        monkeypatch.setattr(BatchWork, "plan", crashing)
        options: dict[str, Any] = {"checkpoint_interval": 0.001, "retry_pause": 1.5}
        ssc = ms.StreamingContext(1.0, name="sent", checkpoint=tmp_path, environment=ms.Environment(clock), **options)
        sender = Sender(0)
        ssc.receiver_stream(sender, name="sender").foreach_batch(commit)
        ssc.start()
        clock.advance(0.0)
        return ssc, sender

    ssc, sender = run(crash_at_ms=12_000)
    sender.store_many([1], position=1)
    clock.advance(1.0)
    # The first batch waits for its second try while the block of the second batch is taken.
    sender.store_many([2], position=2)
    clock.advance(2.0)
    with pytest.raises(Crash):
        ssc.await_termination(0)
    monkeypatch.undo()
    ssc, sender = run(crash_at_ms=None)
    clock.advance(2.0)
    ssc.stop()
    assert seen == [1, 2]


def test_an_end_that_fails_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, calls, done = Program(tmp_path), list[int](), Durability.done

    def failing_once(durability: Durability, time_ms: int, numbers: Sequence[int]) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StorageUnavailableError("Not now.")
        done(durability, time_ms, numbers)

    monkeypatch.setattr(Durability, "done", failing_once)
    ssc, numbers = program.start()
    for n in range(3):
        numbers.push(n)
        program.clock.advance(1.0)
    ssc.stop(graceful=False)
    ssc.await_termination(0)
    assert [time_ms for time_ms, _, _ in program.seen] == [11_000, 12_000, 13_000]


class Committed(ms.Sink[Any]):
    """A sink that says which batch it has."""

    def __init__(self, newest_ms: int | None) -> None:
        self.name = "table"
        self.newest_ms = newest_ms

    def open(self, lineage: Any) -> int | None:
        return self.newest_ms

    def stage(self, batch: ms.Batch, partition: int, data: Any) -> Any:
        return None

    def commit(self, batch: ms.Batch, receipts: Any) -> None:
        self.newest_ms = batch.time_ms

    def discard(self, batch: ms.Batch, receipts: Any) -> None: ...


def test_a_sink_that_knows_of_later_batches_than_the_checkpoint_is_refused(tmp_path: Path) -> None:
    clock, sink = ManualClock(10.0), Committed(None)

    def start(place: Path) -> ms.StreamingContext:
        ssc = ms.StreamingContext(1.0, name="sums", checkpoint=place, environment=ms.Environment(clock))
        ssc.memory_stream(name="numbers").write_to(sink, name="out")
        ssc.start()
        return ssc

    ssc = start(tmp_path / "a")
    clock.advance(2.0)
    ssc.stop(graceful=False)
    assert sink.newest_ms == 12_000
    # A checkpoint that is lost and begun anew, and one that is an old copy.
    with pytest.raises(IncompatibleCheckpointError, match=r"out has committed 12000; .* is None"):
        start(tmp_path / "b")
    sink.newest_ms = 13_000
    with pytest.raises(IncompatibleCheckpointError, match=r"out has committed 13000; .* is 12000"):
        start(tmp_path / "a")


class Sealed(BlockFeed):
    """Gives blocks that were sealed for a batch time."""

    name = "sealed"

    def __init__(self, *blocks: Block) -> None:
        self.blocks = list(blocks)

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        notify(FeedEvent("started"))

    def take(self, until_ms: int) -> list[Block]:
        taken = [block for block in self.blocks if block.batch_ms <= until_ms]
        self.blocks = [block for block in self.blocks if block.batch_ms > until_ms]
        return taken

    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def set_rate(self, records_per_s: float | None) -> None: ...
    def restart(self) -> None: ...
    def begin_stop(self) -> None: ...
    def close(self) -> None: ...


def test_records_of_the_moment_of_the_start_come_after_those_that_waited(tmp_path: Path) -> None:
    """At a time of the grid, at which an overdue slide of a window has a batch of its own."""
    clock, seen = ManualClock(10.0), list[tuple[int, list[int]]]()

    def started(*blocks: Block) -> ms.StreamingContext:
        ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock), checkpoint=tmp_path, name="moment")
        numbers: ms.DStream[int] = ssc.stream(Sealed(*blocks))
        numbers.window(4.0, 2.0).count().collect_to([])
        numbers.collect_to(lambda rows, batch: seen.append((batch.time_ms, rows)))
        ssc.start()
        return ssc

    ssc = started(Block([1], 1, 12_000))
    clock.advance(1.0)
    ssc.stop(graceful=False)
    clock.advance(5.0)
    ssc = started(Block([2], 1, 16_000), Block([3], 1, 17_000))
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert [(time_ms, rows) for time_ms, rows in seen if rows] == [(17_000, [1, 2, 3])]
