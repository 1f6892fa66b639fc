"""The source behind `Context.text_file`: ranges of bytes of files, cut at line ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from millstream.context.listed_files import ListedFile, ListedFiles, listed_files
from millstream.errors import DataError
from millstream.model.choices import one_of
from millstream.model.partition import Columns, Partition
from millstream.model.ports.replayable_source import Split

OnInvalid = Literal["replace", "skip", "fail"]
"""What happens to a line that is not UTF-8."""

SPLIT_BYTES_MAX = 64 * 1024 * 1024
"""A split is held in memory whole, twice over when its lines become Python strings."""

SPLIT_BYTES_MIN = 1024 * 1024
"""Below this size the start of a task costs more than a second core saves."""


class LineRanges(ListedFiles[str]):
    """Lines of text files, as they are listed when the source is made.

    A split owns the lines that begin in its range of bytes, so splits one behind the other give every line once.

    Args:
        path: a file, a directory or a glob.
        partitions: how many splits there should be at least.
        on_invalid: what happens to lines that are not UTF-8.
        split_small: make so many splits however small they get.

    Raises:
        ConfigurationError: there is no such file.
        SourceUnavailableError: a file cannot be looked at.
    """

    name = "text_file"

    def __init__(
        self, path: str | os.PathLike[str], partitions: int, *, on_invalid: OnInvalid, split_small: bool
    ) -> None:
        one_of("on_invalid", on_invalid, OnInvalid)
        self.on_invalid = on_invalid
        files = listed_files(path, self.name, "text file")
        super().__init__(byte_ranges(files, partitions, split_small=split_small))

    def read(self, split: Split) -> Partition[str]:
        """Read the lines of one range.

        Raises:
            DataError: the file has changed since it was listed, or a line is not UTF-8 and the policy is `fail`.
            SourceUnavailableError: the file cannot be read.
        """
        import pyarrow as pa

        from millstream._core import InvalidLineError, read_lines

        file = ListedFile.of(split.data)
        try:
            with file.read_by(self.name):
                lines, _ = read_lines(file.path, split.data["start"], split.data["end"], self.on_invalid)
        except InvalidLineError as error:
            raise DataError(
                "A line of a text file is not UTF-8.",
                detail=f"{file.path}, the line that begins at byte {error.line_start}: {error}",
                hint="Give text_file on_invalid='replace' or 'skip', or convert the file.",
            ) from error
        return Partition(Columns(pa.table(lines), scalar=True))


def byte_ranges(files: Sequence[ListedFile], partitions: int, *, split_small: bool, unit_bytes: int = 1) -> list[Split]:
    """Cut files into ranges of bytes of about equal length.

    Args:
        files: what to cut; a range is of one file.
        partitions: how many ranges there should be at least.
        split_small: make so many however small they get.
        unit_bytes: ranges begin and end at multiples of it.

    Returns:
        Splits with the data of their file, `start` and `end`; at least one a file.
    """
    total = sum(file.size for file in files)
    splits = []
    for file in files:
        size = file.size
        wanted = -(-size * partitions // total) if total else 1
        most = size // unit_bytes if split_small else -(-size // SPLIT_BYTES_MIN)
        count = max(1, min(wanted, most), -(-size // SPLIT_BYTES_MAX))
        units = size // unit_bytes
        for part in range(count):
            start, end = units * part // count * unit_bytes, units * (part + 1) // count * unit_bytes
            data = {**file.data(), "start": start, "end": end}
            splits.append(Split(data, description=f"{file.path} bytes {start}..{end}"))
    return splits
