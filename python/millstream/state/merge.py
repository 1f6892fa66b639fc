"""Merging chunks of state: many batches into one increment, or into a new snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from millstream._core import MalformedError, NewerFormatError, merge_chunks
from millstream.encoding.rows import Frame
from millstream.errors import InternalError
from millstream.state.chunk import chunk_error


def merged(chunks: Sequence[Frame], *, final: bool) -> Frame:
    """Merge chunks of one table into one that says the same.

    The result is what the table would hold, byte for byte, had it been loaded with the first chunk and had taken in
    the others: keys keep their place and stay the objects they were, keys that were removed and came again are last,
    and idle times are those of the last touches. Values are not decoded, so no class of the program is needed. It may
    run on any thread, and releases the GIL.

    Merging is associative: increments may be merged with their neighbours in any grouping. Without a snapshot the
    work is proportional to the keys that changed.

    Args:
        chunks: deltas, increments, and first perhaps a snapshot, in order of batch time; they must not change
            meanwhile.
        final: True gives a snapshot; without a snapshot among the chunks it begins with an empty table. False gives an
            increment, which keeps what was removed, for a snapshot that it is merged with later; a snapshot among the
            chunks makes it one all the same.

    Returns:
        The chunk; a large one is a view of memory that is given back without the GIL.

    Raises:
        CorruptSegmentError: a chunk is damaged.
        IncompatibleCheckpointError: a chunk was made by a newer version.
        InternalError: the chunks are not in order of batch time, or a snapshot is not the first.

    Example:
        >>> from millstream.encoding.codec import Codec
        >>> from millstream.state.chunk import decode_snapshot, encode_delta
        >>> from millstream.state.delta import Delta
        >>> first, second = Delta(1_000, {"a": 1, "b": 2}), Delta(2_000, {"a": 3, "c": 4}, removed=("b",))
        >>> chunk = merged([encode_delta(delta, Codec()) for delta in (first, second)], final=True)
        >>> decode_snapshot(chunk, Codec()).values
        {'a': 3, 'c': 4}
    """
    try:
        return merge_chunks(chunks, final)
    except (MalformedError, NewerFormatError) as error:
        raise chunk_error(error) from error
    except ValueError as error:
        raise InternalError("Chunks of state cannot be merged.", detail=f"{error}.") from error
