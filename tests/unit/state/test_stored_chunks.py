"""Chunks read back: which count, and what they come to."""

from __future__ import annotations

from millstream.encoding.codec import Codec
from millstream.state.chunk import encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.merge import merged
from millstream.state.stored_chunks import read_chunks

CODEC = Codec()


def delta(batch_ms: int) -> bytes:
    return encode_delta(Delta(batch_ms, {"a": batch_ms}), CODEC)


def test_changes_end_with_the_newest_batch_that_is_wanted() -> None:
    chunks = [delta(batch_ms) for batch_ms in (1, 2, 3)]
    assert read_chunks(chunks, CODEC, 2) == Snapshot(2, {"a": 2})
    assert read_chunks([memoryview(chunk) for chunk in chunks], CODEC, 3) == Snapshot(3, {"a": 3})


def test_a_snapshot_takes_the_place_of_what_is_before_it() -> None:
    snapshot = encode_snapshot(Snapshot(2, {"b": 7}), CODEC)
    assert read_chunks([delta(1), snapshot], CODEC, 3) == Snapshot(2, {"b": 7})
    assert read_chunks([delta(1), snapshot, delta(3)], CODEC, 3) == Snapshot(3, {"b": 7, "a": 3})


def test_an_increment_counts_as_the_batches_that_it_is_made_of() -> None:
    touch = Delta(2, {}, touched=("a", "b"), expired_before_ms=0)
    later = Delta(4, {"b": 1}, expired_before_ms=0)
    increment = merged([encode_delta(each, CODEC) for each in (touch, later)], final=False)
    below = encode_snapshot(Snapshot(1, {"a": 0}, ((1, ("a",)),)), CODEC)
    assert read_chunks([below, increment], CODEC, 9) == Snapshot(4, {"a": 0, "b": 1}, ((2, ("a",)),))


def test_nothing_stored_is_nothing_read() -> None:
    assert read_chunks([], CODEC, 1) is None
    assert read_chunks([delta(5)], CODEC, 1) is None
