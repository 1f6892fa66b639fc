from __future__ import annotations

import zlib

import pytest

from millstream.encoding.codec import encode
from millstream.errors import CorruptSegmentError
from millstream.recovery.chunk_file import TableChunk, chunks_within, decode_chunk_file, encode_chunk_file
from millstream.state.merge import merged

CHUNKS = [TableChunk("counts", 0, b"first"), TableChunk("sums.parts", 300, b"x" * 70_000), TableChunk("é", 1, b"")]


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_a_file_is_a_list_of_chunks_behind_a_checksum(count: int) -> None:
    chunks = (CHUNKS * 7)[:count]
    data = encode_chunk_file(chunks)
    body = encode([[chunk.table, chunk.partition, chunk.data] for chunk in chunks])
    assert data[12:] == body
    assert (bytes(data[:8]), bytes(data[8:12])) == (b"MSCH\1\0\0\0", zlib.crc32(body).to_bytes(4, "little"))
    assert decode_chunk_file(data, "state/1") == chunks
    assert decode_chunk_file(bytes(data), "state/1") == chunks


def test_chunks_may_stay_where_they_are() -> None:
    data = encode_chunk_file(CHUNKS)
    views = chunks_within(data, "state/1")
    assert views == CHUNKS
    assert all(isinstance(chunk.data, memoryview) and chunk.data.obj is data.obj for chunk in views)


def test_what_is_no_list_of_chunks_is_damaged() -> None:
    for value in ([["counts", 0]], [["counts", "0", b""]], [[1, 0, b""]], [["counts", 0, "text"]], {"a": 1}, [1]):
        body = encode(value)
        data = b"MSCH\1\0\0\0" + zlib.crc32(body).to_bytes(4, "little") + body
        with pytest.raises(CorruptSegmentError, match=r"state/1: "):
            decode_chunk_file(data, "state/1")
    with pytest.raises(CorruptSegmentError, match="its checksum is wrong"):
        decode_chunk_file(bytes(encode_chunk_file(CHUNKS))[:-1], "state/1")


def test_what_was_merged_lives_as_long_as_a_view_of_it() -> None:
    from millstream.encoding.codec import Codec
    from millstream.state.chunk import decode_snapshot, encode_delta
    from millstream.state.delta import Delta

    values = {f"key {n}": n for n in range(90_000)}
    chunk = merged([encode_delta(Delta(1_000, values), Codec())], final=True)
    assert isinstance(chunk, memoryview)
    assert chunk.readonly
    assert len(chunk) > 1 << 20
    part = chunk[:-1][:0]
    assert decode_snapshot(chunk, Codec()).values == values
    del chunk
    assert bytes(part) == b""
