"""Values that go through the plain codec come back as exactly what they were."""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.encoding.kinds import ARRAYS, VALUES, Box, Color, Level, Pair, Right, Session, alike

from millstream.encoding.codec import decode, encode
from millstream.errors import EncodingError


@pytest.mark.parametrize("value", VALUES, ids=[f"{n} {type(value).__name__}" for n, value in enumerate(VALUES)])
def test_a_value_comes_back_exactly(value: Any) -> None:
    for whole in (value, [value, value], {"k": (value,)}):
        data = encode(whole)
        again = decode(data)
        assert alike(whole, again)
        assert encode(again) == data


def test_zones_and_details_come_back() -> None:
    berlin = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    again = decode(encode(berlin))
    assert (again.tzinfo, again.fold, again.utcoffset()) == (berlin.tzinfo, 1, timedelta(hours=1))
    assert decode(encode(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")))).tzname() == "CET"
    assert decode(encode(datetime(2026, 1, 1, tzinfo=UTC))).tzinfo is UTC
    assert decode(encode(deque([1], maxlen=3))).maxlen == 3
    assert decode(encode(defaultdict(list))).default_factory is list
    assert str(decode(encode(Decimal("-0.00")))) == "-0.00"
    assert decode(encode(Color.ROT)) is Color.RED


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.timezones())
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Color, *Level, Right.BOTH]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=5)
        | st.builds(Session, st.text(), st.lists(st.integers(), max_size=3))
        | st.builds(Pair, st.integers(), inner)
        | st.sets(st.integers() | st.text(max_size=3), max_size=5)
    ),
    max_leaves=20,
)


@given(plain)
def test_any_nesting_comes_back(value: Any) -> None:
    assert alike(value, decode(encode(value)))


def test_equal_sets_have_equal_bytes() -> None:
    words = [str(i) for i in range(100)]
    one, other = set(words), {"x", *words[::-1]}
    other.remove("x")
    assert encode(one) == encode(other)


@pytest.mark.parametrize("array", ARRAYS, ids=repr)
def test_a_numpy_array_comes_back(array: Any) -> None:
    again = decode(encode(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable


@pytest.mark.parametrize(
    "scalar",
    [np.int8(-1), np.uint64(2**63), np.float32(0.1), np.float64(0.1), np.bool_(True), np.str_("é"), np.str_(""),
     np.bytes_(b"a"), np.datetime64("2026-01-01"), np.complex64(1j), np.timedelta64(3, "s")],
    ids=repr,
)  # fmt: skip
def test_a_numpy_scalar_comes_back(scalar: Any) -> None:
    again = decode(encode(scalar))
    assert type(again) is type(scalar)
    assert (again, again.dtype) == (scalar, scalar.dtype)


@pytest.mark.parametrize(
    "data",
    [pa.table({"a": [1, None], "b": ["x", "y"]}), pa.record_batch({"a": [1.5]}), pa.array([[1], None]),
     pa.array(list(range(100)))[5:7], pa.chunked_array([["a"], ["b"]]), pa.scalar(5, pa.int8()),
     pa.scalar(None, pa.string()), pa.array(["a", "b", "a"]).dictionary_encode(), pa.table({})],
    ids=lambda data: type(data).__name__,
)  # fmt: skip
def test_arrow_data_come_back(data: Any) -> None:
    again = decode(encode(data))
    assert type(again) is type(data)
    assert again.equals(data)
    assert getattr(again, "schema", None) == getattr(data, "schema", None)
    assert getattr(again, "num_chunks", None) == getattr(data, "num_chunks", None)


def test_what_may_be_encoded_may_be_decoded_at_the_limit_of_depth() -> None:
    for wrap in (lambda v: (v,), lambda v: [v], lambda v: {"k": v}, Box, lambda v: deque([v]), lambda v: Pair(0, v)):
        value: Any = 1
        deepest = 0
        for depth in range(1, 210):
            value = wrap(value)
            try:
                data = encode(value)
            except EncodingError:
                break
            deepest = depth
            assert encode(decode(data)) == data
        assert 60 <= deepest <= 200
