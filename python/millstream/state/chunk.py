"""Chunks: deltas and snapshots as bytes that outlive the program, and that can be merged without their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from millstream._core import (
    MalformedError,
    NewerFormatError,
    UnencodableError,
    describe_chunk,
    write_entries,
    write_keys,
)
from millstream.encoding.codec import Codec, reading_error, refusal
from millstream.encoding.rows import Frame
from millstream.errors import CorruptSegmentError, EncodingError, IncompatibleCheckpointError, shown
from millstream.state.delta import Delta, Snapshot

FORMAT: Final = 1
"""The version of the layout; a reader refuses newer ones."""

_BLOCK_KEYS_MAX = 1_024
_END, _ENTRIES, _REMOVED, _TOUCHED = range(4)


@dataclass(frozen=True, slots=True)
class ChunkDescription:
    """What a chunk says of itself.

    Attributes:
        kind: `delta`, `increment` or `snapshot`.
        batch_ms: the newest batch in it, milliseconds; None for a table without batches.
        hidden_count: keys held that the step leaves out of its rows.
        expired_before_ms: all keys last touched before this time have timed out; None without a timeout.
        pickled: True where values may be pickles, so that the checkpoint may not survive an upgrade.
        entries_count: keys with values.
        removed_count: keys that lost their place.
        touched_count: keys that were touched.
    """

    kind: str
    batch_ms: int | None
    hidden_count: int
    expired_before_ms: int | None
    pickled: bool
    entries_count: int
    removed_count: int
    touched_count: int


def described(data: Frame) -> ChunkDescription:
    """Say what a chunk is, without reading keys or values.

    Raises:
        CorruptSegmentError: the bytes are no chunk.
        IncompatibleCheckpointError: a newer version made it.
    """
    try:
        return ChunkDescription(*describe_chunk(data))
    except (MalformedError, NewerFormatError) as error:
        raise chunk_error(error) from error


def chunk_error(error: MalformedError | NewerFormatError) -> Exception:
    """Make the error for bytes that are no chunk of this version."""
    if isinstance(error, NewerFormatError):
        return IncompatibleCheckpointError(
            "State was written by a newer version of millstream.",
            detail=f"Its chunks have the format {error}; this version reads up to {FORMAT}.",
            hint="Read the checkpoint with the version that wrote it, or a newer one.",
        )
    return CorruptSegmentError(
        "Stored state is damaged.",
        detail=f"A chunk of it cannot be read: {error}.",
        hint="Restore the checkpoint from a copy, or start from an older one.",
    )


def encode_delta(delta: Delta, codec: Codec) -> bytes:
    """Write what a batch changed.

    Raises:
        EncodingError: a state or a key has no encoding; names the key, the part and its type.
    """
    parts = [_header("delta", delta.batch_ms, delta.hidden_count, delta.expired_before_ms, codec)]
    if delta.changed:
        parts.extend(_entries(delta.changed.items(), codec))
    if delta.removed:
        parts.extend(_keys(delta.removed, None, codec))
    if delta.touched:
        parts.extend(_keys(delta.touched, delta.batch_ms, codec))
    parts.append(_end(len(delta.changed), len(delta.removed), len(delta.touched), codec))
    return b"".join(parts)


def encode_snapshot(snapshot: Snapshot, codec: Codec) -> bytes:
    """Write all that a table held.

    Raises:
        EncodingError: a state or a key has no encoding; names the key, the part and its type.
    """
    return b"".join(snapshot_slices(snapshot, codec))


def snapshot_slices(snapshot: Snapshot, codec: Codec) -> Iterator[bytes]:
    """Write all that a table held in slices, for idle time; together they are what `encode_snapshot` gives.

    A slice holds at most 1,024 keys, and less where 32 KiB come together sooner: some 0.1 to 0.5 ms of work.

    Args:
        snapshot: must not change until the last slice was made, which includes its values.
        codec: how values are written.

    Raises:
        EncodingError: a state or a key has no encoding; names the key, the part and its type.
    """
    yield _header("snapshot", snapshot.batch_ms, snapshot.hidden_count, None, codec)
    yield from _entries(snapshot.values.items(), codec)
    for touched_ms, keys in snapshot.idle:
        yield from _keys(keys, touched_ms, codec)
    yield _end(len(snapshot.values), 0, sum(len(keys) for _, keys in snapshot.idle), codec)


def _header(kind: str, batch_ms: int | None, hidden_count: int, expired_before_ms: int | None, codec: Codec) -> bytes:
    fields = {
        "chunk": FORMAT,
        "kind": kind,
        "batch_ms": batch_ms,
        "hidden_count": hidden_count,
        "expired_before_ms": expired_before_ms,
        "pickled": codec.kind == "pickle",
    }
    return codec.encoder.encode(fields)


def _end(entries: int, removed: int, touched: int, codec: Codec) -> bytes:
    return codec.encoder.encode((_END, entries, removed, touched))


def _entries(items: Iterable[tuple[Any, Any]], codec: Codec) -> Iterator[bytes]:
    def write(pairs: list[tuple[Any, Any]]) -> tuple[bytes, int]:
        keys = [key for key, _ in pairs]
        try:
            values = [value for _, value in pairs] if codec.kind == "plain" else _prepared(pairs, codec)
            return write_entries(codec.encoder, keys, values, 0)
        except UnencodableError as error:
            raise _named(error, pairs) from error.__cause__

    return _blocks(items, write)


def _keys(keys: Iterable[Any], touched_ms: int | None, codec: Codec) -> Iterator[bytes]:
    def write(part: list[Any]) -> tuple[bytes, int]:
        try:
            return write_keys(codec.encoder, part, 0, touched_ms)
        except UnencodableError as error:
            raise _named(error, [(key, None) for key in part]) from error.__cause__

    return _blocks(keys, write)


def _blocks(items: Iterable[Any], write: Callable[[list[Any]], tuple[bytes, int]]) -> Iterator[bytes]:
    """Give blocks as full as they get, wherever the core ends one: merged chunks have the same blocks."""
    rest = iter(items)
    pending = list(islice(rest, _BLOCK_KEYS_MAX))
    while pending:
        block, taken = write(pending)
        yield block
        del pending[:taken]
        pending.extend(islice(rest, taken))


def _prepared(pairs: list[tuple[Any, Any]], codec: Codec) -> list[Any]:
    values = []
    for key, value in pairs:
        try:
            values.append(codec.prepared(value))
        except EncodingError as error:
            raise _state_error(key, error) from error
    return values


def _named(error: UnencodableError, pairs: list[tuple[Any, Any]]) -> EncodingError:
    _, _, index, is_key = error.args
    key = pairs[index][0]
    if is_key:
        refused = refusal(error, "key")
        return EncodingError(
            "A key of state cannot be kept in a checkpoint.",
            detail=f"The key is {shown(key)}: {refused.detail}",
            hint="Turn it into a str, a number or a tuple of such before it becomes a key.",
        )
    return _state_error(key, refusal(error, "state"))


def _state_error(key: Any, error: EncodingError) -> EncodingError:
    return EncodingError(
        "A state cannot be kept in a checkpoint.",
        detail=f"The state of the key {shown(key)}: {error.detail}",
        hint="Keep plain data or a dataclass as state, teach the type with millstream.register_type, or choose "
        'StateOptions(codec="pickle").',
    )


def decode_delta(data: Frame, codec: Codec) -> Delta:
    """Read what `encode_delta` wrote.

    Raises:
        CorruptSegmentError: the bytes are no delta.
        IncompatibleCheckpointError: a value cannot be made; see `Codec.decode`.
    """
    read = _read(data, codec, "delta")
    touched = [key for _, keys in read.touched for key in keys]
    batch_ms = read.description.batch_ms
    if batch_ms is None:
        raise chunk_error(MalformedError("a delta is of no batch"))
    return Delta(
        batch_ms,
        read.values,
        tuple(read.removed),
        tuple(touched),
        read.description.expired_before_ms,
        read.description.hidden_count,
    )


def decode_snapshot(data: Frame, codec: Codec) -> Snapshot:
    """Read what `encode_snapshot`, or `merged` with `final`, wrote.

    Raises:
        CorruptSegmentError: the bytes are no snapshot.
        IncompatibleCheckpointError: a value cannot be made; see `Codec.decode`.
    """
    read = _read(data, codec, "snapshot")
    idle = tuple((touched_ms, tuple(keys)) for touched_ms, keys in read.touched)
    return Snapshot(read.description.batch_ms, read.values, idle, read.description.hidden_count)


class _Read:
    """A chunk that was read."""

    def __init__(self, description: ChunkDescription) -> None:
        self.description = description
        self.values: dict[Any, Any] = {}
        self.removed: list[Any] = []
        self.touched: list[tuple[int, list[Any]]] = []


def _read(data: Frame, codec: Codec, kind: str) -> _Read:
    description = described(data)
    if description.kind != kind:
        raise CorruptSegmentError(
            "Stored state is something else than expected.",
            detail=f"A chunk holds a {description.kind} where a {kind} belongs.",
            hint="Restore the checkpoint from a copy, or start from an older one.",
        )
    try:
        read = _read_blocks(data, codec, description)
    except Exception as error:
        raise reading_error(error) from error
    if len(read.values) != description.entries_count:
        raise chunk_error(MalformedError("a key is there twice"))
    return read


def _read_blocks(data: Frame, codec: Codec, description: ChunkDescription) -> _Read:
    decode_all = codec.decoder.decode_all
    read = _Read(description)
    for kind, _, *columns in decode_all(data)[1:-1]:
        keys = decode_all(columns[1])
        if kind == _ENTRIES:
            read.values.update(zip(keys, decode_all(columns[4]), strict=True))
        elif kind == _REMOVED:
            read.removed.extend(keys)
        elif read.touched and read.touched[-1][0] == columns[3]:
            read.touched[-1][1].extend(keys)
        else:
            read.touched.append((columns[3], keys))
    return read
