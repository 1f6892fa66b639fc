from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import _core

WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DICTS = st.one_of(
    *(
        st.dictionaries(keys, values, min_size=1, max_size=30)
        for keys in (TEXT, WHOLE)
        for values in (TEXT, WHOLE, st.floats(allow_nan=False))
    )
)


@given(DICTS, st.integers(1, 5), st.sets(st.integers(0, 4)))
def test_what_is_packed_is_what_would_be_split(d: dict[Any, Any], partitions: int, kept: set[int]) -> None:
    own = sorted(partition for partition in kept if partition < partitions)
    split = _core.split_dict(d, partitions)
    given = _core.pack_split(d, partitions, own)
    assert given is not None
    packed, lists = given
    assert [count for count, _ in packed] == [len(part) for part in split]
    unpacked = [_core.unpack_pairs(data) for _, data in packed]
    assert [list(zip(*pairs, strict=True)) for pairs in unpacked] == [list(part.items()) for part in split]
    assert [list(zip(*pairs, strict=True)) for pairs in lists] == [list(split[partition].items()) for partition in own]
    for keys, values in unpacked:
        assert {type(key) for key in keys} <= {type(key) for key in d}
        assert {type(value) for value in values} <= {type(value) for value in d.values()}


def test_floats_keep_their_sign_and_nan_stays() -> None:
    given = _core.pack_split({"a": -0.0, "b": float("nan"), "c": float("inf")}, 1, [])
    assert given is not None
    keys, values = _core.unpack_pairs(given[0][0][1])
    assert keys == ["a", "b", "c"]
    assert list(map(repr, values)) == ["-0.0", "nan", "inf"]


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "d",
    [
        {},
        {"a": 1, "b": 1.5},
        {"a": 1, "b": True},
        {"a": True},
        {"a": 2**63},
        {"a": None},
        {"a": [1]},
        {"a": 1, 2: 2},
        {1.5: 1},
        {("a", 1): 1},
        {"\ud800": 1},
        {"a": "\udfff"},
        {Word("a"): 1},
        {True: 1},
        {b"a": 1},
    ],
    ids=repr,
)
def test_other_dicts_are_left_alone(d: dict[Any, Any]) -> None:
    assert _core.pack_split(d, 3, [0]) is None


def test_arguments_out_of_range() -> None:
    for partitions in (0, 1_025):
        with pytest.raises(ValueError, match="partitions"):
            _core.pack_split({"a": 1}, partitions, [])
    assert _core.pack_split({"a": 1}, 2, [7]) is not None


@given(st.binary(max_size=40))
def test_other_bytes_are_refused(data: bytes) -> None:
    try:
        keys, values = _core.unpack_pairs(data)
    except ValueError:
        return
    assert len(keys) == len(values)
