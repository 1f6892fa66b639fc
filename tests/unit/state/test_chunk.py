"""Deltas and snapshots survive as chunks, and what cannot be kept is named."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream._core import write_keys
from millstream.encoding.codec import Codec
from millstream.errors import CorruptSegmentError, DataError, EncodingError, IncompatibleCheckpointError
from millstream.state.chunk import (
    decode_delta,
    decode_snapshot,
    described,
    encode_delta,
    encode_snapshot,
    snapshot_slices,
)
from millstream.state.delta import Delta, Snapshot

PLAIN = Codec()


class Level(IntEnum):
    LOW = 1


class Word(str, Enum):  # noqa: UP042
    """As programs write it that are older than StrEnum: its `str()` is another text."""

    YES = "yes"


class Color(Enum):
    RED = 1


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True)
class Place:
    x: Any
    y: Any


keys = st.one_of(
    st.text(max_size=4), st.integers(), st.none(), st.tuples(st.integers(0, 3), st.text(max_size=2)), st.dates()
)


@given(
    st.dictionaries(keys, st.lists(st.integers(), max_size=3)),
    st.lists(keys),
    st.lists(keys),
    st.none() | st.integers(0, 10**13),
    st.integers(0, 5),
)
def test_a_delta_comes_back(
    changed: dict[Any, Any], removed: list[Any], touched: list[Any], expired: int | None, hidden: int
) -> None:
    delta = Delta(1_700_000_000_000, changed, tuple(removed), tuple(touched), expired, hidden)
    again = decode_delta(encode_delta(delta, PLAIN), PLAIN)
    assert again == delta
    assert list(again.changed) == list(changed)


@given(st.none() | st.integers(0, 10**13), st.dictionaries(keys, st.integers()), st.lists(st.lists(keys, min_size=1)))
def test_a_snapshot_comes_back(batch_ms: int | None, values: dict[Any, Any], runs: list[list[Any]]) -> None:
    idle = tuple((index * 1_000, tuple(run)) for index, run in enumerate(runs))
    snapshot = Snapshot(batch_ms, values, idle, 1)
    again = decode_snapshot(encode_snapshot(snapshot, PLAIN), PLAIN)
    assert again == snapshot
    assert list(again.values) == list(values)


@pytest.mark.parametrize("value_bytes", [1, 100, 70_000])
def test_slices_are_small_and_together_the_snapshot(value_bytes: int) -> None:
    values = {f"key-{i}": "x" * value_bytes for i in range(5_000 if value_bytes < 1_000 else 20)}
    snapshot = Snapshot(5, values, ((5, tuple(values)),))
    slices = list(snapshot_slices(snapshot, PLAIN))
    assert max(map(len, slices)) <= 32 * 1024 + value_bytes + 10_000
    assert b"".join(slices) == encode_snapshot(snapshot, PLAIN)
    assert decode_snapshot(b"".join(slices), PLAIN) == snapshot


def test_a_chunk_says_what_it_is() -> None:
    chunk = encode_delta(Delta(7, {"a": 1, "b": 2}, ("c",), ("a", "b"), 3, 1), Codec("pickle"))
    said = described(chunk)
    assert (said.kind, said.batch_ms, said.hidden_count, said.expired_before_ms) == ("delta", 7, 1, 3)
    assert (said.pickled, said.entries_count, said.removed_count, said.touched_count) == (True, 2, 1, 2)
    assert not described(encode_snapshot(Snapshot(None, {}), PLAIN)).pickled


def test_keys_are_plain_where_values_are_pickles() -> None:
    codec = Codec("pickle")
    delta = Delta(1, {("a", 1): math.sqrt, "b": lambda: 5})
    chunk = encode_delta(delta, codec)
    again = decode_delta(chunk, codec).changed
    assert again[("a", 1)] is math.sqrt
    assert again["b"]() == 5
    with pytest.raises(IncompatibleCheckpointError, match="codec='pickle'"):
        decode_delta(chunk, PLAIN)


@pytest.mark.parametrize("codec", [PLAIN, Codec("pickle")], ids=["plain", "pickle"])
def test_a_state_that_has_no_encoding_is_named_with_its_key(codec: Codec) -> None:
    values: dict[Any, Any] = {f"key-{i}": [i] for i in range(3_000)}
    values["bad one"] = {"sessions": [1, threading.Lock()]}
    expected = "The state of the key 'bad one': " + (
        r"`state\['sessions'\]\[1\]` is a _thread.lock" if codec.kind == "plain" else "It is a builtins.dict"
    )
    with pytest.raises(EncodingError, match=expected) as caught:
        encode_delta(Delta(1, values), codec)
    assert "StateOptions" in (caught.value.hint or "")
    with pytest.raises(EncodingError, match=expected):
        encode_snapshot(Snapshot(1, values), codec)


class Opaque:
    pass


def test_a_key_that_has_no_encoding_is_named() -> None:
    key = (1, Opaque())
    with pytest.raises(EncodingError, match=r"The key is \(1, .*Opaque.*: `key\[1\]` is a .*Opaque"):
        encode_delta(Delta(1, {key: 1}), PLAIN)
    with pytest.raises(EncodingError, match=r"A key of state"):
        encode_delta(Delta(1, {}, removed=("a", key)), PLAIN)
    with pytest.raises(EncodingError, match="NaN, which equals nothing"):
        encode_delta(Delta(1, {Place(math.nan, 1): 1}), PLAIN)


def test_what_is_no_chunk_is_refused() -> None:
    chunk = encode_delta(Delta(7, {"a": 1}), PLAIN)
    with pytest.raises(CorruptSegmentError, match="holds a delta where a snapshot belongs"):
        decode_snapshot(chunk, PLAIN)
    newer = chunk.replace(b"chunk\x01", b"chunk\x02")
    with pytest.raises(IncompatibleCheckpointError, match="format 2; this version reads up to 1"):
        decode_delta(newer, PLAIN)
    twice = encode_delta(Delta(7, {"a": 1, "b": 2}), PLAIN).replace(b"\xa1b", b"\xa1a")
    with pytest.raises(CorruptSegmentError, match="a key is there twice"):
        decode_delta(twice, PLAIN)


def test_damaged_chunks_are_an_error_and_nothing_worse() -> None:
    delta = Delta(7, {i: [i, str(i)] for i in range(50)} | {1.0 + i: i for i in range(60, 70)}, (1, 2.0), (1, 2, 3), 5)
    data = encode_delta(delta, PLAIN)
    chance = random.Random(3)
    for cut in range(len(data)):
        with pytest.raises(DataError):
            decode_delta(data[:cut], PLAIN)
    for _ in range(3_000):
        wrong = bytearray(data)
        wrong[chance.randrange(len(wrong))] = chance.randrange(256)
        try:
            decode_delta(bytes(wrong), PLAIN)
        except DataError:
            continue


def identity(key: Any) -> bytes:
    """Give the identity of a key as a block of keys has it."""
    kind, count, _, key_bytes, identities = msgspec.msgpack.decode(
        write_keys(PLAIN.encoder, [key], 0, None)[0], ext_hook=lambda *_: None
    )
    assert (kind, count) == (2, 1)
    found: bytes = identities[3:] if identities else key_bytes
    return found


def same(one: Any, other: Any) -> bool:
    """Say whether a dict takes two keys for one."""
    return one in {other: 0}


BERLIN = ZoneInfo("Europe/Berlin")
SAME: list[list[Any]] = [
    [1, 1.0, True, Decimal(1), Decimal("1.0"), Fraction(1), 1 + 0j, np.int8(1), np.float32(1), np.bool_(1), Level.LOW],
    [0, -0.0, 0.0, False, Decimal("-0"), complex(-0.0, -0.0), np.float64(-0.0)],
    [2**70, float(2**70), Decimal(2**70)],
    [0.5, Decimal("0.5"), Fraction(1, 2), np.float16(0.5)],
    [Decimal("0.1"), Fraction(1, 10), Decimal("0.10")],
    [0.1, Fraction(*(0.1).as_integer_ratio())],
    [math.inf, Decimal("inf"), np.float32("inf")],
    [1j, complex(0.0, 1.0), complex(-0.0, 1.0), np.complex64(1j)],
    ["a", np.str_("a")],
    ["yes", Word.YES],
    [b"a", np.bytes_(b"a")],
    [("a", 1), ("a", 1.0), ("a", True), Pair("a", 1)],
    [frozenset({1, "a"}), frozenset({"a", 1.0}), frozenset({True, "a"})],
    [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=BERLIN),
     datetime(2026, 1, 1, 11, tzinfo=timezone(timedelta(hours=-1)))],
    [datetime(2026, 1, 1), datetime(2026, 1, 1, fold=1)],
    [datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)],
    [time(12, tzinfo=UTC), time(13, tzinfo=timezone(timedelta(hours=1)))],
    [Place(1, "a"), Place(1.0, "a"), Place(True, "a")],
    [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)],
    [date(2026, 1, 1)], [time(12)], [timedelta(1)], [UUID(int=1)], [Color.RED], [None], ["1"], [b"1"], [()],
    [frozenset()], ["\ud800"], [(1, 2)], [Decimal("1e400") / 3], [np.longdouble("1.5"), 1.5],
]  # fmt: skip


def test_keys_have_one_identity_exactly_where_they_are_equal() -> None:
    flat = [(index, key) for index, group in enumerate(SAME) for key in group]
    pairs = [(one, other) for one in flat for other in flat]
    for (one_group, one), (other_group, other) in pairs:
        # NumPy's numbers and those of the decimal module cannot be compared, nor be keys of one dict.
        if {Decimal, Fraction} & {type(one), type(other)} and np.generic in {*type(one).__mro__, *type(other).__mro__}:
            assert (identity(one) == identity(other)) == (one_group == other_group)
        else:
            assert same(one, other) == (one_group == other_group), (one, other)
            assert (identity(one) == identity(other)) == same(one, other), (one, other)


scalars = st.one_of(
    st.integers(-3, 3), st.booleans(), st.floats(allow_nan=False), st.decimals(allow_nan=False, places=1),
    st.fractions(max_denominator=4), st.complex_numbers(allow_nan=False), st.sampled_from(["a", b"a", None]),
    st.datetimes(timezones=st.none() | st.sampled_from([UTC, BERLIN])), st.builds(Place, st.integers(0, 1), st.just(1)),
)  # fmt: skip
any_keys = scalars | st.tuples(scalars, scalars) | st.frozensets(scalars, max_size=3)


@given(any_keys, any_keys)
def test_any_two_keys_have_one_identity_where_they_are_equal(one: Any, other: Any) -> None:
    assert (identity(one) == identity(other)) == same(one, other)
