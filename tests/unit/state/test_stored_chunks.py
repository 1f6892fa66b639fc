"""Chunks read back: which count, and what they come to."""

from __future__ import annotations

from millstream.encoding.codec import Codec
from millstream.state.chunk import encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.stored_chunks import read_chunks

CODEC = Codec()


def delta(batch_ms: int) -> Delta:
    return Delta(batch_ms, {"a": batch_ms})


def test_changes_come_in_order_and_end_with_the_newest_batch_that_is_wanted() -> None:
    chunks = [encode_delta(delta(batch_ms), CODEC) for batch_ms in (1, 2, 3)]
    assert read_chunks(chunks, CODEC, 2) == (None, [delta(1), delta(2)])
    assert read_chunks([memoryview(chunk) for chunk in chunks], CODEC, 3)[1] == [delta(1), delta(2), delta(3)]


def test_a_snapshot_takes_the_place_of_what_is_before_it() -> None:
    snapshot = Snapshot(2, {"a": 7})
    chunks = [encode_delta(delta(1), CODEC), encode_snapshot(snapshot, CODEC), encode_delta(delta(3), CODEC)]
    assert read_chunks(chunks, CODEC, 3) == (snapshot, [delta(3)])


def test_nothing_stored_is_nothing_read() -> None:
    assert read_chunks([], CODEC, 1) == (None, [])
