"""The bytes of files that may be compressed."""

from __future__ import annotations

import os
from collections.abc import Callable

from millstream.sources.formats.file_format import MalformedFileError


def _gzip(packed: bytes) -> bytes:
    import gzip

    return gzip.decompress(packed)


def _bzip2(packed: bytes) -> bytes:
    import bz2

    return bz2.decompress(packed)


def _xz(packed: bytes) -> bytes:
    import lzma

    return lzma.decompress(packed)


def _zstandard(packed: bytes) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        content: bytes = stream.read()
    return content


_METHODS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    ".gz": ("gzip", _gzip),
    ".bz2": ("bzip2", _bzip2),
    ".xz": ("xz", _xz),
    ".zst": ("Zstandard", _zstandard),
}

PACKED_SUFFIXES = tuple(_METHODS)
"""The ends of the names of compressed files."""


def is_packed(path: str) -> bool:
    """Say whether a file is compressed, by its name.

    Example:
        >>> is_packed("a.csv.gz"), is_packed("a.csv")
        (True, False)
    """
    return path.endswith(PACKED_SUFFIXES)


def unpacked(path: str, content: bytes | None = None) -> bytes:
    """Read a whole file, unpacked when its name ends in `.gz`, `.bz2`, `.xz` or `.zst`.

    Args:
        path: of the file.
        content: what is in it, as it is stored; None: it is on this machine.

    Raises:
        MalformedFileError: its name ends so, and it is no whole file of this kind.
        OSError: it cannot be read.
    """
    if content is None:
        with open(path, "rb") as file:
            content = file.read()
    if not is_packed(path):
        return content
    kind, unpack = _METHODS[os.path.splitext(path)[1]]
    try:
        return unpack(content)
    except MemoryError:
        raise
    except Exception as error:  # Each library has errors of its own, and all mean this.
        raise MalformedFileError(
            "A compressed file cannot be unpacked.",
            detail=f"{path}: {error}",
            hint=f"Move whole {kind} files into the directory, or let the name not end in {os.path.splitext(path)[1]}.",
        ) from error
