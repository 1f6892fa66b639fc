"""What version 1 wrote is read by every later version.

The files are never written anew. A version that writes other bytes adds files of its own beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.unit.encoding.kinds import ARRAYS, VALUES, Color, Pair, Point, alike

from millstream.encoding.codec import Codec, decode, encode
from millstream.state.chunk import decode_delta, decode_snapshot, described, encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.merge import merged

FIXTURES = Path(__file__).with_name("fixtures")
# Without the largest ones: a fixture stays small.
STORED = tuple(value for value in VALUES if len(encode(value)) < 1_000)
TABLE = pa.table({"a": [1, None], "b": ["x", "y"]})
ARROW = (TABLE, TABLE.to_batches()[0], TABLE["b"].chunk(0), TABLE["b"], TABLE["a"][0])
PLAIN = Codec()

BELOW = Snapshot(1_000, {"a": [1], 1: Point(1.0), ("k", 2): None, Color.RED: 4}, ((1_000, ("a", 1)),), 1)
FIRST = Delta(2_000, {1.0: Point(2.0), 0.5: {"new"}}, ("a",), (1.0, ("k", 2)), 500, 2)
SECOND = Delta(3_000, {"a": (), Pair("k", 2.0): 7}, (0.5,), ("a",), 700)
AFTER = Snapshot(
    3_000, {1: Point(2.0), ("k", 2): 7, Color.RED: 4, "a": ()}, ((2_000, (1.0, ("k", 2))), (3_000, ("a",))), 0
)


def stored_values() -> tuple[Any, ...]:
    """Give the values of the fixture."""
    return STORED, tuple(ARRAYS), ARROW


def stored_chunks() -> tuple[bytes, ...]:
    """Give the chunks of the fixture."""
    first, second = encode_delta(FIRST, PLAIN), encode_delta(SECOND, PLAIN)
    return encode_snapshot(BELOW, PLAIN), first, second, bytes(merged([first, second], final=False))


def test_values_of_version_1_are_read() -> None:
    data = (FIXTURES / "values-v1.bin").read_bytes()
    values, arrays, arrow = decode(data)
    assert alike(values, STORED)
    assert [(a.dtype, a.shape, a.tobytes()) for a in arrays] == [(a.dtype, a.shape, a.tobytes()) for a in ARRAYS]
    assert all(one.equals(other) and type(one) is type(other) for one, other in zip(arrow, ARROW, strict=True))


def test_chunks_of_version_1_are_read_and_merged() -> None:
    below, first, second, increment = decode((FIXTURES / "chunks-v1.bin").read_bytes())
    assert decode_snapshot(below, PLAIN) == BELOW
    assert decode_delta(first, PLAIN) == FIRST
    assert decode_delta(second, PLAIN) == SECOND
    assert described(increment).kind == "increment"
    for chunks in ([below, first, second], [below, increment]):
        after = decode_snapshot(merged(chunks, final=True), PLAIN)
        assert after == AFTER
        assert list(after.values) == list(AFTER.values)
        assert alike(next(iter(after.values)), 1)


def test_this_version_writes_what_version_1_wrote() -> None:
    assert encode(stored_chunks()) == (FIXTURES / "chunks-v1.bin").read_bytes()
    # The streams of Arrow may differ from one version of it to the next.
    values, arrays, _ = decode((FIXTURES / "values-v1.bin").read_bytes())
    assert encode(values) == encode(stored_values()[0])
    assert encode(arrays) == encode(stored_values()[1])
