"""What type checkers say of streams: the program of the README, and the mistakes that they catch."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from operator import add, sub
from typing import assert_type

import millstream as ms


def program(ssc: ms.StreamingContext) -> None:
    lines = ssc.socket_text_stream("localhost", 9999)
    assert_type(lines, ms.DStream[str])
    words = lines.flat_map(str.split)
    assert_type(words, ms.DStream[str])
    pairs = words.map(lambda word: (word, 1))
    assert_type(pairs, ms.DStream[tuple[str, int]])
    assert_type(pairs.reduce_by_key(add), ms.DStream[tuple[str, int]])
    counts = pairs.reduce_by_key_and_window(add, sub, window=600, slide=2)
    assert_type(counts, ms.DStream[tuple[str, int]])
    assert_type(counts.map_values(str), ms.DStream[tuple[str, str]])
    assert_type(counts.count(), ms.DStream[int])
    assert_type(counts.join(pairs), ms.DStream[tuple[str, tuple[int, int]]])
    assert_type(counts.left_outer_join(pairs), ms.DStream[tuple[str, tuple[int, int | None]]])
    assert_type(pairs.group_by_key(), ms.DStream[tuple[str, list[int]]])
    assert_type(words.count_by_value(), ms.DStream[tuple[str, int]])
    assert_type(words.window(10, 5), ms.DStream[str])
    assert_type(words.transform(lambda rdd: rdd.distinct()), ms.DStream[str])
    assert_type(words.glom(), ms.DStream[list[str]])
    counts.print()


def mistakes(numbers: ms.DStream[int]) -> None:
    numbers.reduce_by_key(add)  # type: ignore[misc]
    numbers.keys()  # type: ignore[misc]
    numbers.map(3)  # type: ignore[call-overload]


def batch_aware(numbers: ms.DStream[int]) -> None:
    def stamp(number: int, batch: ms.Batch) -> tuple[int, int]:
        return batch.time_ms, number

    assert_type(numbers.map(stamp), ms.DStream[tuple[int, int]])


def tried(lines: ms.DStream[str]) -> None:
    numbers, refused = lines.try_map(int, errors=ValueError)
    assert_type(numbers, ms.DStream[int])
    assert_type(refused, ms.DStream[ms.Refused[str]])
    assert_type(lines.try_flat_map(str.split)[0], ms.DStream[str])
    lines.try_map(3)  # type: ignore[call-overload]


def awaited(numbers: ms.DStream[int]) -> None:
    async def looked_up(number: int) -> str:
        return str(number)

    async def stamped(number: int, batch: ms.Batch) -> tuple[int, int]:
        return batch.time_ms, number

    assert_type(numbers.map_async(looked_up, concurrency=200, timeout=1.0), ms.DStream[str])
    assert_type(numbers.map_async(stamped, ordered=False), ms.DStream[tuple[int, int]])
    assert_type(numbers.map_async(stamped).reduce_by_key(add), ms.DStream[tuple[int, int]])
    assert_type(numbers.transform(lambda rdd: rdd.map_async(looked_up)), ms.DStream[str])
    numbers.map_async(str)  # type: ignore[arg-type]
    numbers.map_async(looked_up, on_error="stop")  # type: ignore[call-overload]


def covariant(numbers: ms.DStream[bool]) -> ms.DStream[int]:
    return numbers


def keyed_state(pairs: ms.DStream[tuple[str, int]]) -> None:
    def running(key: str, value: int | None, state: ms.State[int]) -> tuple[str, int]:
        state.update(state.get(0) + (value or 0))
        return key, state.get()

    mapped = pairs.map_with_state(ms.StateSpec(running))
    assert_type(mapped.state_snapshots(), ms.DStream[tuple[str, int]])

    def total(values: list[int], old: int | None) -> int | None:
        return (old or 0) + sum(values)

    assert_type(pairs.update_state_by_key(total), ms.DStream[tuple[str, int]])
