"""A checksum over records says whether they are the same, and nothing of how they lie in memory."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from millstream.encoding.record_checksum import record_checksum
from millstream.model.partition import Columns

PAIR = pa.struct([("key", pa.string()), ("value", pa.binary())])
COLUMNS: dict[str, pa.Array] = {
    "text": pa.array(["a", None, "ccc", "", "dd"]),
    "large text": pa.array(["x", "y", None, "", "zz"], pa.large_string()),
    "bytes": pa.array([b"a", b"", None, b"c", b"d"]),
    "bytes of one width": pa.array([b"xx", b"yy", None, b"zz", b"aa"], pa.binary(2)),
    "integers": pa.array([1, None, 3, 4, 0]),
    "truth": pa.array([True, None, False, True, False]),
    "decimals": pa.array([Decimal("1.5"), None, Decimal("2.5"), Decimal(0), Decimal("1.5")]),
    "times": pa.array([datetime(2020, 1, day) for day in range(1, 6)], pa.timestamp("us", "UTC")),
    "lists": pa.array([[1], None, [], [2, None], [None, 2]]),
    "lists of one length": pa.array([[1, 2], None, [3, 4], [5, 6], [7, 8]], pa.list_(pa.int32(), 2)),
    "structs": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 3, "b": None}, {"a": 0, "b": "q"}]),
    "headers": pa.array(
        [[{"key": "a", "value": b"1"}], [], None, [{"key": "a", "value": None}], [{"key": "c", "value": b""}]],
        pa.list_(PAIR),
    ),
    "dictionary": pa.array(["x", "y", "x", None, "z"]).dictionary_encode(),
    "nulls": pa.nulls(5),
}


def checksum(table: pa.Table) -> int | None:
    return record_checksum(Columns(table, scalar=False))


@pytest.mark.parametrize("array", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("cuts", [(0, 1, 5), (0, 2, 3, 5), (0, 0, 4, 5), (0, 1, 2, 3, 4, 5)])
def test_chunks_and_slices_change_nothing(array: pa.Array, cuts: tuple[int, ...]) -> None:
    whole = checksum(pa.table({"c": array}))
    parts = pa.chunked_array([array.slice(low, high - low) for low, high in pairwise(cuts)])
    assert checksum(pa.table({"c": parts})) == whole
    amid_others = pa.concat_arrays([array, array, array]).slice(5, 5)
    assert checksum(pa.table({"c": amid_others})) == whole


@pytest.mark.parametrize("array", [array for name, array in COLUMNS.items() if name != "nulls"])
def test_the_order_of_records_counts(array: pa.Array) -> None:
    whole, values = checksum(pa.table({"c": array})), array.to_pylist()
    for n in range(4):
        order = list(range(5))
        order[n], order[n + 1] = order[n + 1], order[n]
        if values[n] != values[n + 1]:
            assert checksum(pa.table({"c": array.take(pa.array(order))})) != whole


def test_what_lies_under_a_null_does_not_count() -> None:
    valid = pa.py_buffer(b"\x05")
    one, other = (
        pa.Array.from_buffers(pa.int64(), 3, [valid, pa.array(values).buffers()[1]])
        for values in ([1, 2, 3], [1, 9, 3])
    )
    assert one.to_pylist() == other.to_pylist() == [1, None, 3]
    assert checksum(pa.table({"c": one})) == checksum(pa.table({"c": other}))


def test_a_dictionary_counts_by_what_it_means() -> None:
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", "b"]))
    other = pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array(["b", "a"]))
    assert checksum(pa.table({"c": one})) == checksum(pa.table({"c": other}))


def test_where_one_value_ends_and_the_next_begins_counts() -> None:
    assert checksum(pa.table({"c": ["ab", "c"]})) != checksum(pa.table({"c": ["a", "bc"]}))
    assert checksum(pa.table({"a": ["x"], "b": ["y"]})) != checksum(pa.table({"a": ["y"], "b": ["x"]}))
    assert checksum(pa.table({"a": [1]})) != checksum(pa.table({"b": [1]}))


def test_rows_of_any_number_and_kind_that_the_codec_writes_have_one() -> None:
    rows: list[Any] = [(n, str(n), {"n": {n, n + 1}}) for n in range(3_000)]
    whole = record_checksum(rows)
    assert whole is not None
    assert record_checksum(tuple(rows)) == whole
    assert record_checksum([*rows[:-1], (2_999, "2999", {"n": {0}})]) != whole
    assert record_checksum([*rows[1:], rows[0]]) != whole


def test_records_without_a_form_have_none() -> None:
    assert record_checksum([*range(2_000), object()]) is None
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    assert checksum(pa.table({"c": union})) is None


def test_no_records_are_alike() -> None:
    assert record_checksum([]) == checksum(pa.table({"c": pa.array([], pa.string())})) == 0
