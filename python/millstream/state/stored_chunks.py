"""The chunks of one stored partition, read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from millstream.encoding.codec import Codec
from millstream.encoding.rows import Frame
from millstream.state.chunk import decode_snapshot, described
from millstream.state.delta import Snapshot
from millstream.state.merge import merged

Chunks: TypeAlias = Sequence[Frame]
"""Chunks of one stored partition, oldest first; the first may be a snapshot."""


def read_chunks(chunks: Chunks, codec: Codec, done_ms: int) -> Snapshot | None:
    """Read what one stored partition is made of.

    The chunks are merged as bytes first, so only the values that count in the end are made.

    Args:
        chunks: what was written.
        codec: how values were written.
        done_ms: the newest batch that is wanted, milliseconds; changes of later ones are left out.

    Returns:
        What the partition held after the newest batch that is wanted; None if nothing was written.

    Raises:
        CorruptSegmentError: a chunk is damaged.
        IncompatibleCheckpointError: a value cannot be made.
    """
    wanted: list[Frame] = []
    for data in chunks:
        description = described(data)
        if description.kind == "snapshot":
            wanted = [data]
        elif description.batch_ms is not None and description.batch_ms > done_ms:
            break
        else:
            wanted.append(data)
    return decode_snapshot(merged(wanted, final=True), codec) if wanted else None
