"""Bytes that are wrong give an error, never a crash, a hang or a huge allocation."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.encoding.kinds import ARRAYS, VALUES

from millstream.encoding.codec import decode, encode
from millstream.errors import DataError, IncompatibleCheckpointError


def test_an_extension_of_a_newer_version_says_so() -> None:
    with pytest.raises(IncompatibleCheckpointError, match="extension 99"):
        decode(b"\xd4\x63\x00")


@pytest.mark.parametrize("value", [VALUES, {"a": VALUES}, [ARRAYS[0], pa.table({"a": [1, None], "b": ["x", "y"]})]])
def test_damaged_bytes_are_an_error_and_nothing_worse(value: Any) -> None:
    data = encode(value)
    chance = random.Random(7)
    for cut in {chance.randrange(len(data)) for _ in range(300)}:
        with pytest.raises(DataError):
            decode(data[:cut])
    for _ in range(2_000):
        wrong = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 20))):
            wrong[chance.randrange(len(wrong))] = chance.randrange(256)
        decoded_or_refused(bytes(wrong))


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_are_an_error_and_nothing_worse(data: bytes) -> None:
    decoded_or_refused(data)


def decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(DataError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000,
     b"\xdc\xff\xff" * 5000, b"\x01\x01", b"\x82\x01\x01\x01\x02", b"\x81\x81\x01\x01\x01", b"\xa1\xff"],
    ids=repr,
)  # fmt: skip
def test_impossible_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(data)
