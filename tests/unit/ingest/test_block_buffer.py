from __future__ import annotations

import threading
from typing import Any

import pytest

from millstream.environment.clock import ManualClock
from millstream.errors import ConfigurationError, InputFullError, LifecycleError
from millstream.ingest.block_buffer import BlockBuffer, OnFull
from millstream.model.ports.block_feed import Block

WAIT_S = 30.0
"""Longest wait for a thread of a test; only a broken build comes near it."""


def buffer_at(seconds: float = 0.0, **options: Any) -> tuple[BlockBuffer[Any], ManualClock]:
    clock = ManualClock(seconds)
    buffer: BlockBuffer[Any] = BlockBuffer(clock, name="numbers", **options)
    buffer.start(interval_ms=1_000, zero_ms=0)
    return buffer, clock


def shape(blocks: list[Block]) -> list[tuple[list[Any], int, Any]]:
    return [(list(block.data), block.batch_ms, block.position) for block in blocks]  # type: ignore[arg-type]


def test_single_records_become_one_block_of_the_batch_that_asks() -> None:
    buffer, _ = buffer_at(10.2)
    for record in (1, None, "c"):
        buffer.push(record)
    assert shape(buffer.take(11_000)) == [([1, None, "c"], 11_000, None)]
    assert buffer.take(12_000) == []
    assert buffer.pending == 0


def test_a_long_run_of_single_records_is_cut_by_size() -> None:
    buffer, _ = buffer_at(block_max_records=2)
    buffer.push_many(range(5))
    assert [list(block.data) for block in buffer.take(1_000)] == [[0, 1], [2, 3], [4]]  # type: ignore[arg-type]


def test_whole_blocks_keep_boundary_and_position() -> None:
    buffer, _ = buffer_at(0.5)
    buffer.store_block([1, 2], 2, position=7)
    buffer.store_block([3], 1, position=8)
    assert shape(buffer.take(1_000)) == [([1, 2], 1_000, 7), ([3], 1_000, 8)]


@pytest.mark.parametrize(
    ("arrival_s", "batch_ms"), [(10.0, 10_000), (10.0001, 11_000), (10.999, 11_000), (11.0, 11_000)]
)
def test_a_whole_block_belongs_to_the_interval_of_its_arrival(arrival_s: float, batch_ms: int) -> None:
    buffer, _ = buffer_at(arrival_s)
    buffer.store_block([1], 1)
    assert [block.batch_ms for block in buffer.take(20_000)] == [batch_ms]


def test_a_block_that_arrived_after_the_batch_waits_with_all_that_came_behind_it() -> None:
    buffer, clock = buffer_at(0.9)
    buffer.push("a")
    clock.advance(0.2)
    buffer.store_block(["b"], 1)
    buffer.push("c")
    assert buffer.take(1_000) == []
    assert shape(buffer.take(2_000)) == [(["a"], 2_000, None), (["b"], 2_000, None), (["c"], 2_000, None)]


def test_nothing_enters_a_batch_that_was_taken() -> None:
    buffer, _ = buffer_at(0.5)
    buffer.take(3_000)
    buffer.store_block([1], 1)
    assert [block.batch_ms for block in buffer.take(9_000)] == [4_000]


def test_batch_times_ascend_when_the_wall_clock_goes_back() -> None:
    clock = ManualClock(5.5)
    buffer: BlockBuffer[int] = BlockBuffer(clock, name="numbers")
    buffer.start(interval_ms=1_000, zero_ms=0)
    buffer.store_block([1], 1)
    clock.advance(-3.0)
    buffer.store_block([2], 1)
    assert [block.batch_ms for block in buffer.take(9_000)] == [6_000, 6_000]


def test_a_full_buffer_raises_and_says_so() -> None:
    buffer, _ = buffer_at(max_records=2, on_full="raise")
    buffer.push(1)
    buffer.push(2)
    with pytest.raises(InputFullError, match="no room") as caught:
        buffer.push(3)
    assert "2 of 2 wait" in str(caught.value)
    assert caught.value.hint
    buffer.take(1_000)
    buffer.push(3)
    assert shape(buffer.take(2_000)) == [([3], 2_000, None)]


def test_many_records_come_in_whole_or_not_at_all() -> None:
    buffer, _ = buffer_at(max_records=3, on_full="raise")
    buffer.push_many([1, 2])
    with pytest.raises(InputFullError):
        buffer.push_many([3, 4])
    assert buffer.pending == 2


def test_whole_blocks_take_room_from_single_records() -> None:
    buffer, _ = buffer_at(max_records=3, on_full="raise")
    buffer.store_block([1, 2], 2)
    buffer.push(3)
    with pytest.raises(InputFullError):
        buffer.push(4)


def test_a_block_larger_than_all_the_room_comes_in_when_nothing_waits() -> None:
    buffer, _ = buffer_at(max_records=2, on_full="raise")
    buffer.store_block([1, 2, 3], 3)
    with pytest.raises(InputFullError):
        buffer.store_block([4], 1)
    assert len(buffer.take(1_000)) == 1


def test_a_full_buffer_blocks_until_a_batch_takes() -> None:
    buffer, _ = buffer_at(max_records=1)
    buffer.push(1)
    done = threading.Event()

    def push() -> None:
        buffer.push(2)
        done.set()

    threading.Thread(target=push, daemon=True).start()
    while not buffer._waiting:  # the pusher is on its way into its wait
        pass
    assert not done.is_set()
    assert shape(buffer.take(1_000)) == [([1], 1_000, None)]
    assert done.wait(WAIT_S)
    assert shape(buffer.take(2_000)) == [([2], 2_000, None)]


def test_a_push_that_blocks_gives_up_in_time() -> None:
    buffer, _ = buffer_at(max_records=1, full_timeout_s=0.01)
    buffer.push(1)
    with pytest.raises(InputFullError, match=r"within 0\.01 s"):
        buffer.push(2)


@pytest.mark.parametrize("on_full", ["block", "raise"])
def test_a_held_buffer_takes_nothing_in_and_gives_what_it_has(on_full: OnFull) -> None:
    buffer, _ = buffer_at(on_full=on_full, full_timeout_s=0.01)
    buffer.push(1)
    buffer.hold()
    with pytest.raises(InputFullError, match="held"):
        buffer.push(2)
    assert len(buffer.take(1_000)) == 1
    with pytest.raises(InputFullError, match="held"):
        buffer.store_block([2], 1)
    buffer.resume()
    buffer.push(3)
    assert shape(buffer.take(2_000)) == [([3], 2_000, None)]


def test_a_closed_buffer_refuses_and_still_gives() -> None:
    buffer, _ = buffer_at()
    buffer.push(1)
    buffer.close()
    with pytest.raises(LifecycleError, match="takes no more records"):
        buffer.push(2)
    with pytest.raises(LifecycleError, match="takes no more records"):
        buffer.push_many([2])
    with pytest.raises(LifecycleError, match="takes no more records"):
        buffer.store_block([2], 1)
    assert shape(buffer.take(1_000)) == [([1], 1_000, None)]


def test_closing_wakes_who_waits_for_room() -> None:
    buffer, _ = buffer_at(max_records=1)
    buffer.push(1)
    outcome: list[BaseException] = []

    def push() -> None:
        try:
            buffer.push(2)
        except LifecycleError as error:
            outcome.append(error)

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    while not buffer._waiting:
        pass
    buffer.close()
    thread.join(WAIT_S)
    assert len(outcome) == 1


def test_draining_lets_who_waits_in_and_then_refuses_instead_of_blocking() -> None:
    buffer, _ = buffer_at(max_records=1)
    buffer.push(1)
    thread = threading.Thread(target=lambda: buffer.push(2), daemon=True)
    thread.start()
    while not buffer._waiting:
        pass
    buffer.drain()
    thread.join(WAIT_S)
    with pytest.raises(InputFullError):
        buffer.push(3)
    assert [list(block.data) for block in buffer.take(1_000)] == [[1, 2]]  # type: ignore[arg-type]


def test_pushing_beside_taking_loses_nothing_and_doubles_nothing() -> None:
    buffer, _ = buffer_at(max_records=10_000)
    threads = 4
    each = 20_000
    start = threading.Barrier(threads + 1)

    def push(number: int) -> None:
        start.wait()
        for record in range(each):
            buffer.push((number, record))
            if record % 100 == 0:
                buffer.store_block([(number, -1 - record)], 1)

    pushers = [threading.Thread(target=push, args=(number,), daemon=True) for number in range(threads)]
    for pusher in pushers:
        pusher.start()
    start.wait()
    got: list[tuple[int, int]] = []
    batch_ms = 0
    while any(pusher.is_alive() for pusher in pushers) or buffer.pending:
        batch_ms += 1_000
        for block in buffer.take(batch_ms):
            rows = list(block.data)  # type: ignore[arg-type]
            assert block.records == len(rows)
            got.extend(rows)
    for number in range(threads):
        mine = [record for owner, record in got if owner == number]
        expected: list[int] = []
        for record in range(each):
            expected.append(record)
            if record % 100 == 0:
                expected.append(-1 - record)
        assert mine == expected
    assert buffer.pending == 0


def test_waiting_for_records_ends_with_the_last_one_needed() -> None:
    buffer, _ = buffer_at()

    def push() -> None:
        for record in range(1_000):
            buffer.push(record)

    threading.Thread(target=push, daemon=True).start()
    assert buffer.wait_for_records(1_000, WAIT_S)
    assert buffer.pending == 1_000
    assert not buffer.wait_for_records(1_001, 0.01)


def test_a_buffer_is_full_while_a_block_waits_that_does_not_fit_behind_the_first() -> None:
    buffer, _ = buffer_at(max_records=10)
    assert not buffer.wait_until_full(0.01)
    buffer.store_block([1, 2, 3], 3)
    assert not buffer.wait_until_full(0.01)
    thread = threading.Thread(target=lambda: buffer.store_block(list(range(90)), 90), daemon=True)
    thread.start()
    assert buffer.wait_until_full(WAIT_S)
    assert buffer.pending == 3
    assert shape(buffer.take(1_000)) == [([1, 2, 3], 1_000, None)]
    thread.join(WAIT_S)
    assert buffer.pending == 90


def test_a_buffer_is_full_with_its_last_record() -> None:
    buffer, _ = buffer_at(max_records=2)

    def push() -> None:
        buffer.push(1)
        buffer.push(2)

    threading.Thread(target=push, daemon=True).start()
    assert buffer.wait_until_full(WAIT_S)
    assert buffer.pending == 2


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_no_positive_number_is_refused(rate: float) -> None:
    buffer, _ = buffer_at()
    with pytest.raises(ConfigurationError, match="rate limit must be positive"):
        buffer.set_rate(rate)


@pytest.mark.parametrize(
    "options", [{"max_records": 0}, {"max_records": True}, {"block_max_records": -1}, {"on_full": "drop"}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BlockBuffer(ManualClock(), name="numbers", **options)
    assert caught.value.detail
    assert caught.value.hint


def test_a_rate_limit_makes_pushing_wait_and_can_be_lifted() -> None:
    buffer, _ = buffer_at(on_full="raise")
    buffer.set_rate(10)

    def push_a_hundred() -> None:
        for record in range(100):
            buffer.push(record)

    with pytest.raises(InputFullError, match="rate limit"):
        push_a_hundred()
    taken = buffer.pending
    assert 1 <= taken < 100
    with pytest.raises(InputFullError, match="rate limit"):
        buffer.store_block([1], 1)
    buffer.set_rate(None)
    buffer.push_many(range(1_000))
    assert buffer.pending == taken + 1_000


def test_lifting_the_limit_lets_go_of_who_waits_for_it() -> None:
    buffer, _ = buffer_at()
    buffer.set_rate(0.001)
    buffer.push(0)
    thread = threading.Thread(target=lambda: buffer.push(1), daemon=True)
    thread.start()
    buffer.set_rate(None)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert buffer.pending == 2
