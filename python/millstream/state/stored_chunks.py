"""The chunks of one stored partition, read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from millstream.encoding.codec import Codec
from millstream.encoding.rows import Frame
from millstream.state.chunk import decode_delta, decode_increment, decode_snapshot, described
from millstream.state.delta import Delta, Snapshot

Chunks: TypeAlias = Sequence[Frame]
"""Chunks of one stored partition, oldest first; the first may be a snapshot."""


def read_chunks(chunks: Chunks, codec: Codec, done_ms: int) -> tuple[Snapshot | None, list[Delta]]:
    """Read what one stored partition is made of.

    Args:
        chunks: what was written.
        codec: how values were written.
        done_ms: the newest batch that is wanted, milliseconds; changes of later ones are left out.

    Returns:
        The last snapshot, or None, and the changes after it, oldest first.

    Raises:
        CorruptSegmentError: a chunk is damaged.
        IncompatibleCheckpointError: a value cannot be made.
    """
    snapshot: Snapshot | None = None
    deltas: list[Delta] = []
    for data in chunks:
        description = described(data)
        if description.kind == "snapshot":
            snapshot, deltas = decode_snapshot(data, codec), []
        elif description.batch_ms is not None and description.batch_ms > done_ms:
            break
        elif description.kind == "increment":
            deltas.extend(decode_increment(data, codec))
        else:
            deltas.append(decode_delta(data, codec))
    return snapshot, deltas
