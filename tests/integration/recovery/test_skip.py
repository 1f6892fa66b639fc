"""Batches that are given up: `on_failure="skip"`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.environment.local_storage import LocalStorage
from millstream.errors import ConfigurationError, DataError, SinkUnavailableError, UserCodeError
from millstream.recovery.dead_letters import read_dead_letters
from millstream.recovery.maintenance import skip_batch
from millstream.testing import ManualClock

POISON = 13


def start(
    clock: ManualClock, path: Path, seen: list[Any], check: Callable[[int], Any], **options: Any
) -> tuple[ms.StreamingContext, Any]:
    settings: dict[str, Any] = {"on_failure": "skip", "checkpoint": path, "name": "app", **options}
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock), **settings)
    numbers = ssc.memory_stream(name="numbers")
    checked = numbers.map(check)
    checked.map(lambda n: ("sum", n)).reduce_by_key_and_window(add, window=3.0).collect_to(seen)
    checked.map(lambda n: ("sum", n)).update_state_by_key(lambda new, old: (old or 0) + sum(new)).collect_to(seen)
    ssc.start()
    return ssc, numbers


def refuse_poison(n: int) -> int:
    if n == POISON:
        raise ValueError("poison")
    return n


def feed(clock: ManualClock, stream: Any, numbers: list[int]) -> None:
    for n in numbers:
        stream.push(n)
        clock.advance(1.0)
        clock.advance(0.0)
        clock.advance(0.2)  # The pause before the retry.
        clock.advance(0.8)


def test_a_batch_that_fails_again_and_again_is_given_up_and_kept(tmp_path: Path) -> None:
    clock, seen = ManualClock(10.0), list[Any]()
    skipped: list[ms.BatchSkipped] = []

    class Notes(ms.StreamingListener):
        def on_batch_skipped(self, event: ms.BatchSkipped) -> None:
            skipped.append(event)

    ssc, stream = start(clock, tmp_path, seen, refuse_poison)
    ssc.add_listener(Notes())
    feed(clock, stream, [1, POISON, 2])
    ssc.stop(graceful=False)
    sums = [rows for rows in seen if rows and rows[0][1] in (1, 3)]
    assert sums[-1] == [("sum", 3)]
    assert not any(POISON in row for rows in seen for row in rows)
    (letter,) = read_dead_letters(LocalStorage(tmp_path))
    assert letter.blocks == (("numbers", [POISON]),)
    assert "poison" in letter.error
    assert [event.batch_time_ms for event in skipped] == [letter.planned.time_ms]


def test_a_skipped_batch_stays_skipped_after_a_restart(tmp_path: Path) -> None:
    clock, seen = ManualClock(10.0), list[Any]()
    ssc, stream = start(clock, tmp_path, seen, refuse_poison)
    feed(clock, stream, [1, POISON])
    ssc.stop(graceful=False)
    seen.clear()
    ssc, stream = start(clock, tmp_path, seen, refuse_poison)
    feed(clock, stream, [2])
    ssc.stop(graceful=False)
    assert [("sum", 3)] in seen
    assert not any(row[1] > 3 for rows in seen for row in rows)


def test_too_many_skipped_batches_stop_the_stream_with_the_error_of_the_last(tmp_path: Path) -> None:
    clock = ManualClock(10.0)
    ssc, stream = start(clock, tmp_path, [], refuse_poison, dead_letter_limit=1)
    feed(clock, stream, [POISON])
    stream.push(POISON)
    clock.advance(1.0)
    clock.advance(1.0)
    with pytest.raises(DataError, match="dead_letter_limit=1") as caught:
        ssc.await_termination(0)
    assert isinstance(caught.value.__cause__, UserCodeError)
    # The batch is not lost: mended code processes it.
    seen: list[Any] = []
    ssc, stream = start(clock, tmp_path, seen, lambda n: n, dead_letter_limit=1)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert [("sum", POISON)] in seen


def test_an_outage_is_not_skipped(tmp_path: Path) -> None:
    clock, attempts = ManualClock(10.0), list[int]()

    def unreachable(rdd: Any, batch: ms.Batch) -> None:
        attempts.append(batch.attempt)
        raise SinkUnavailableError("The service does not answer.")

    environment = ms.Environment(clock)
    ssc = ms.StreamingContext(
        1.0, environment=environment, checkpoint=tmp_path, on_failure="skip", batch_retries=2, name="app"
    )
    ssc.memory_stream().foreach_rdd(unreachable)
    ssc.start()
    for _ in range(4):
        clock.advance(1.0)
    with pytest.raises(SinkUnavailableError):
        ssc.await_termination(0)
    assert attempts == [0, 1, 2]


def test_skipping_needs_a_place_to_keep_what_is_skipped() -> None:
    with pytest.raises(ConfigurationError, match="checkpoint"):
        ms.StreamingContext(1.0, on_failure="skip")


class Table(ms.Sink[int]):
    """Commits a batch in one step; refuses numbers, where it does."""

    def __init__(self, name: str, refused: frozenset[int] = frozenset()) -> None:
        self.name = name
        self.refused = refused
        self.batches: dict[int, list[int]] = {}

    @property
    def numbers(self) -> list[list[int]]:
        """What the batches had that had anything."""
        return [rows for rows in self.batches.values() if rows]

    def open(self, lineage: ms.SinkLineage) -> int | None:
        return max(self.batches, default=None)

    def stage(self, batch: ms.Batch, partition: int, data: ms.Partition[int]) -> Any:
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Sequence[Any]) -> None:
        rows = [row for receipt in receipts for row in receipt]
        if self.refused & set(rows):
            raise ValueError("poison")
        self.batches[batch.time_ms] = rows

    def discard(self, batch: ms.Batch, receipts: Sequence[Any]) -> None: ...


def two_tables(
    clock: ManualClock, path: Path, first: Table, second: Table, **options: Any
) -> tuple[ms.StreamingContext, Any]:
    ssc = ms.StreamingContext(
        1.0, name="app", checkpoint=path, on_failure="skip", environment=ms.Environment(clock), **options
    )
    numbers = ssc.memory_stream(name="numbers")
    numbers.write_to(first, name="first")
    numbers.write_to(second, name="second")
    ssc.start()
    return ssc, numbers


def test_a_batch_that_one_of_two_sinks_has_is_not_skipped(tmp_path: Path) -> None:
    clock, first, second = ManualClock(10.0), Table("first"), Table("second", frozenset({POISON}))
    ssc, stream = two_tables(clock, tmp_path, first, second)
    feed(clock, stream, [1, POISON])
    with pytest.raises(UserCodeError, match="poison"):
        ssc.await_termination(0)
    assert (first.numbers, second.numbers) == ([[1], [POISON]], [[1]])
    assert list(read_dead_letters(LocalStorage(tmp_path))) == []
    second.refused = frozenset()
    ssc, stream = two_tables(clock, tmp_path, first, second)
    feed(clock, stream, [2])
    ssc.stop()
    assert first.numbers == second.numbers == [[1], [POISON], [2]]


@pytest.mark.parametrize("policy", ["fail", "accept"])
def test_a_batch_skipped_by_hand_that_a_sink_has_is_told(tmp_path: Path, policy: str) -> None:
    clock, first, second = ManualClock(10.0), Table("first"), Table("second", frozenset({POISON}))
    ssc, stream = two_tables(clock, tmp_path, first, second)
    feed(clock, stream, [1, POISON])
    assert ssc.state == "stopped"
    skipped = skip_batch(LocalStorage(tmp_path), max(first.batches), "poison")
    if policy == "fail":
        with pytest.raises(DataError, match="was skipped, but a sink has committed it"):
            two_tables(clock, tmp_path, first, second)
        return
    ssc, stream = two_tables(clock, tmp_path, first, second, on_divergence=policy)
    feed(clock, stream, [2])
    ssc.stop()
    assert skipped.time_ms not in second.batches
    assert (first.numbers, second.numbers) == ([[1], [POISON], [2]], [[1], [2]])
