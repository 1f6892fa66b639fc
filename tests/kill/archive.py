"""What a log held before it was released, kept beside the checkpoint for the oracle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from millstream.blocks.log import LogRecord
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage

_NUMBER_BYTES, _KIND_BYTES, _LENGTH_BYTES = 8, 1, 4


def keep_released(folder: Path) -> None:
    """Have every log write what it is about to forget into files of this folder, before it forgets it."""
    folder.mkdir(exist_ok=True)
    original = SegmentLog.release
    kept: dict[Any, int] = {}

    def release(log: SegmentLog, before: int) -> None:
        first = kept.get(log, 0)
        if before > first:
            with open(folder / f"{log._folder}-{os.getpid()}-{first}", "ab") as file:
                for record in log.read(first):
                    if record.number < before:
                        file.write(_encoded(record))
            kept[log] = before
        original(log, before)

    SegmentLog.release = release  # type: ignore[method-assign,assignment]


def all_records(archive: Path, checkpoint: Path, log: str) -> list[LogRecord]:
    """Give all records that a log ever held, in order.

    Raises:
        AssertionError: two records of one number differ.
    """
    found: dict[int, LogRecord] = {}
    live = SegmentLog(LocalStorage(checkpoint), log, read_only=True)
    archived = (record for file in sorted(archive.glob(f"{log}-*")) for record in _decoded(file.read_bytes()))
    for record in (*archived, *live.read()):
        assert found.setdefault(record.number, record) == record, f"{log}: record {record.number} has changed"
    return [found[number] for number in sorted(found)]


def _encoded(record: LogRecord) -> bytes:
    return b"".join(
        (
            record.number.to_bytes(_NUMBER_BYTES, "little"),
            record.kind.to_bytes(_KIND_BYTES, "little"),
            len(record.data).to_bytes(_LENGTH_BYTES, "little"),
            record.data,
        )
    )


def _decoded(data: bytes) -> Iterator[LogRecord]:
    at = 0
    header = _NUMBER_BYTES + _KIND_BYTES + _LENGTH_BYTES
    while at + header <= len(data):
        number = int.from_bytes(data[at : at + _NUMBER_BYTES], "little")
        kind = data[at + _NUMBER_BYTES]
        length = int.from_bytes(data[at + _NUMBER_BYTES + _KIND_BYTES : at + header], "little")
        body = data[at + header : at + header + length]
        if len(body) < length:
            return  # Killed while it was written; then the log still had it.
        yield LogRecord(number, kind, body)
        at += header + length
