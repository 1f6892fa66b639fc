"""Heads of MessagePack for values that are too long to be copied into one another."""

from __future__ import annotations

import struct

from millstream.errors import EncodingError

LENGTH_MAX = (1 << 32) - 1
"""The length of the longest value, bytes."""


def bytes_head(length: int) -> bytes:
    """Give what goes before so many bytes.

    Raises:
        EncodingError: they are 4 GiB or more.
    """
    return _head((0xC4, 0xC5, 0xC6), length)


def extension_head(code: int, length: int) -> bytes:
    """Give what goes before the content of an extension.

    Args:
        code: of `millstream.encoding.extensions`.
        length: of the content, bytes.

    Raises:
        EncodingError: it has 4 GiB or more.

    Example:
        >>> extension_head(1, 300).hex()
        'c8012c01'
    """
    return _head((0xC7, 0xC8, 0xC9), length) + struct.pack("b", code)


def array_head(count: int) -> bytes:
    """Give what goes before so many values, at most 4 G."""
    if count < 16:
        return bytes((0x90 | count,))
    return struct.pack(">BH", 0xDC, count) if count < 1 << 16 else struct.pack(">BI", 0xDD, count)


def _head(kinds: tuple[int, int, int], length: int) -> bytes:
    """Give the shortest head that holds a length, of three with a length of one, two and four bytes."""
    if length > LENGTH_MAX:
        raise EncodingError(
            "A value cannot be kept in a checkpoint.",
            detail=f"It takes {length} bytes; 4 GiB is the limit.",
            hint="Make smaller blocks, or spread the state over more partitions.",
        )
    size = 0 if length < 1 << 8 else 1 if length < 1 << 16 else 2
    return struct.pack((">BB", ">BH", ">BI")[size], kinds[size], length)
