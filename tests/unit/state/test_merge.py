"""Merged chunks say what a table holds that took in the deltas one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.encoding.codec import Codec
from millstream.encoding.rows import Frame
from millstream.errors import CorruptSegmentError, DataError, IncompatibleCheckpointError, InternalError
from millstream.state.chunk import decode_snapshot, described, encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.merge import merged
from millstream.state.table import StateTable

PLAIN = Codec()
KEYS: list[Any] = [
    "a", "b", "c", 1, 1.0, True, Decimal(1), 0, -0.0, 0.5, ("a", 1), ("a", 1.0), frozenset({1}), frozenset({1.0}), None,
]  # fmt: skip

operations = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "get", "remove", "touch", "set and touch", "set and touch"]),
        st.sampled_from(KEYS),
    ),
    max_size=8,
)
batches = st.lists(operations, min_size=1, max_size=8)


def run(
    batches: Sequence[Any], timeout: int | None, removes: bool = True
) -> tuple[StateTable, list[Snapshot], list[Delta]]:
    """Run batches on a table; give it with the snapshot before each batch and the delta of each."""
    table, snapshots, deltas = StateTable("counts", 0), [], []
    for number, batch in enumerate(batches):
        now_ms = (number + 1) * 1_000
        snapshots.append(table.snapshot())
        table.begin(now_ms)
        version = table.version(now_ms)
        for index, (operation, key) in enumerate(batch):
            if "set" in operation:
                table.set(key, [now_ms, index])
            elif operation == "get" and table.get(key):
                table.get(key).append(index)
            elif operation == "remove":
                table.remove(key)
            if "touch" in operation:
                version.touched.append(key)
        if timeout is not None:
            for key in table.due(now_ms - timeout):
                table.remove(key)
        version.hidden_count = len(batch)
        deltas.append(table.delta(now_ms))
        table.commit(now_ms)
    return table, snapshots, deltas


@settings(max_examples=400)
@given(batches, st.sampled_from([None, 0, 1_000, 3_000]), st.data())
def test_merging_is_taking_in_one_by_one(batches: Sequence[Any], timeout: int | None, data: st.DataObject) -> None:
    table, snapshots, deltas = run(batches, timeout)
    expected = encode_snapshot(table.snapshot(), PLAIN)
    chunks = [encode_delta(delta, PLAIN) for delta in deltas]
    assert merged(chunks, final=True) == expected
    first = data.draw(st.integers(0, len(chunks) - 1), "first")
    below = [encode_snapshot(snapshots[first], PLAIN)] if first else []
    assert merged(below + chunks[first:], final=True) == expected
    grouped: list[Frame] = [*chunks[first:]]
    while len(grouped) > 1:
        start = data.draw(st.integers(0, len(grouped) - 1), "start")
        end = data.draw(st.integers(start + 1, len(grouped)), "end")
        grouped[start:end] = [merged(grouped[start:end], final=False)]
        if end - start == 1 and data.draw(st.booleans(), "enough"):
            break
    assert merged([*below, *grouped], final=True) == expected
    whole = merged(chunks[first:], final=False)
    assert merged(grouped, final=False) == whole
    assert merged([whole], final=False) == whole
    if below:
        assert merged(below + grouped, final=False) == expected
        assert (
            merged([merged(below + chunks[first : first + 1], final=False), *chunks[first + 1 :]], final=True)
            == expected
        )


def test_a_touch_without_a_change_counts_only_where_the_key_is_held() -> None:
    touch = Delta(2_000, {}, touched=("a", "b"), expired_before_ms=0)
    later = Delta(3_000, {"b": 5}, touched=(), expired_before_ms=0)
    below = Snapshot(1_000, {"a": 1}, ((1_000, ("a",)),))
    increment = merged([encode_delta(touch, PLAIN), encode_delta(later, PLAIN)], final=False)
    chunk = merged([encode_snapshot(below, PLAIN), increment], final=True)
    assert decode_snapshot(chunk, PLAIN) == Snapshot(3_000, {"a": 1, "b": 5}, ((2_000, ("a",)),))


def many(keys: int, make: Callable[[int], Any]) -> Snapshot:
    return Snapshot(
        1_000, {f"key-{i}": make(i) for i in range(keys)}, ((1_000, tuple(f"key-{i}" for i in range(keys))),)
    )


@pytest.mark.parametrize("make", [lambda i: i, lambda i: [i] * (i % 200), lambda i: "x" * 70_000], ids=["s", "m", "l"])
def test_large_tables_have_the_blocks_of_one_that_was_never_merged(make: Callable[[int], Any]) -> None:
    chance = random.Random(1)
    below = many(50 if make(1) == "x" * 70_000 else 5_000, make)
    names = list(below.values)
    table = StateTable("counts", 0)
    table.load(below)
    chunks: list[bytes | memoryview] = [memoryview(encode_snapshot(below, PLAIN))]
    for batch in range(4):
        now_ms = 2_000 + batch * 1_000
        table.begin(now_ms)
        for name in chance.sample(names, len(names) // 10):
            table.remove(name)
        for name in chance.sample(names, len(names) // 10):
            table.set(name, make(batch + 1))
            table.version(now_ms).touched.append(name)
        table.version(now_ms).expired_before_ms = 0
        chunks.append(encode_delta(table.delta(now_ms), PLAIN))
        table.commit(now_ms)
    assert merged(chunks, final=True) == encode_snapshot(table.snapshot(), PLAIN)


def test_pickles_stay_known() -> None:
    pickled = encode_delta(Delta(1_000, {"a": 1}), Codec("pickle"))
    plain = encode_delta(Delta(2_000, {"a": 2}), PLAIN)
    assert described(merged([pickled, plain], final=True)).pickled
    assert not described(merged([plain], final=True)).pickled


def test_nothing_merged_is_an_empty_table() -> None:
    assert decode_snapshot(merged([], final=True), PLAIN) == Snapshot(None, {})


def test_chunks_out_of_order_are_refused() -> None:
    one, other = (encode_delta(Delta(time_ms, {}), PLAIN) for time_ms in (1_000, 2_000))
    for wrong in ([other, one], [one, one], [one, encode_snapshot(Snapshot(2_000, {}), PLAIN)]):
        with pytest.raises(InternalError, match="cannot be merged"):
            merged(wrong, final=False)


def test_damaged_chunks_are_an_error_and_nothing_worse() -> None:
    _, snapshots, deltas = run([[("set and touch", key) for key in KEYS], [("remove", "a"), ("touch", "b")]] * 3, 5_000)
    chunks = [encode_snapshot(snapshots[2], PLAIN), *(encode_delta(delta, PLAIN) for delta in deltas[2:])]
    chance = random.Random(5)
    for place, chunk in enumerate(chunks):
        for cut in range(len(chunk)):
            with pytest.raises(CorruptSegmentError):
                merged([*chunks[:place], chunk[:cut], *chunks[place + 1 :]], final=True)
        for _ in range(1_000):
            wrong = bytearray(chunk)
            wrong[chance.randrange(len(wrong))] = chance.randrange(256)
            try:
                merged([*chunks[:place], bytes(wrong), *chunks[place + 1 :]], final=bool(chance.getrandbits(1)))
            except (DataError, InternalError):
                continue
    with pytest.raises(IncompatibleCheckpointError, match="format 3"):
        merged([chunks[0].replace(b"chunk\x01", b"chunk\x03")], final=True)
