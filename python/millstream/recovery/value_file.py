"""Files of one value, such as savepoints: whether they are whole is known before they are read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

from millstream.encoding.codec import decode, encode
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, DataError, IncompatibleCheckpointError
from millstream.recovery.identity import FORMAT_VERSION, check_format

T = TypeVar("T")

MAGIC = b"MSVL"
_HEADER_BYTES = 12


def encode_value_file(value: Any) -> bytes:
    """Give the content of a file that holds a value.

    Raises:
        EncodingError: a part of it has no encoding.
    """
    body = encode(value)
    return MAGIC + FORMAT_VERSION.to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def read_value_file(storage: Storage, name: str, kind: str, made_of: Callable[[Any], T]) -> T:
    """Read a file that holds a value.

    Args:
        storage: where it is.
        name: of the file.
        kind: what it is, for errors.
        made_of: makes of the value what is given back.

    Raises:
        FileNotFoundError: it is not there.
        IncompatibleCheckpointError: a newer version wrote it, or a class of a value in it is not there.
        CorruptSegmentError: it is damaged.
    """
    data, place = storage.read(name), f"{storage.place}/{name}"
    if len(data) < _HEADER_BYTES or data[:4] != MAGIC:
        raise _damaged(place, kind, "it does not begin as such a file does")
    version = int.from_bytes(data[4:8], "little")
    check_format(version, place, kind)
    if version < 1:
        raise _damaged(place, kind, f"no version of it has the number {version}")
    body = data[_HEADER_BYTES:]
    if zlib.crc32(body) != int.from_bytes(data[8:12], "little"):
        raise _damaged(place, kind, "its checksum is wrong")
    try:
        return made_of(decode(body))
    except IncompatibleCheckpointError:
        raise
    except (DataError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(place, kind, f"{type(error).__name__}: {error}") from error


def _damaged(place: str, kind: str, why: str) -> CorruptSegmentError:
    return CorruptSegmentError(
        f"A {kind} is damaged.",
        detail=f"{place}: {why}.",
        hint="Restore the file from a copy, or remove it.",
    )
