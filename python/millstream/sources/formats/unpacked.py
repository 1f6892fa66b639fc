"""The bytes of files that may be compressed."""

from __future__ import annotations

import gzip
import zlib

from millstream.sources.formats.file_format import MalformedFileError

GZIP_SUFFIX = ".gz"


def is_packed(path: str) -> bool:
    """Say whether a file is compressed, by its name.

    Example:
        >>> is_packed("a.csv.gz"), is_packed("a.csv")
        (True, False)
    """
    return path.endswith(GZIP_SUFFIX)


def unpacked(path: str) -> bytes:
    """Read a whole file, unpacked when its name ends in `.gz`.

    Raises:
        MalformedFileError: its name ends so, and it is no whole gzip file.
        OSError: it cannot be read.
    """
    if not is_packed(path):
        with open(path, "rb") as file:
            return file.read()
    try:
        with gzip.open(path, "rb") as packed:
            return packed.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MalformedFileError(
            "A compressed file cannot be unpacked.",
            detail=f"{path}: {error}",
            hint="Move whole gzip files into the directory, or let the name not end in .gz.",
        ) from error
