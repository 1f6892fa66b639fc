"""The source behind `Context.binary_records`: files of records of equal length."""

from __future__ import annotations

import os

from millstream.context.line_ranges import byte_ranges
from millstream.context.listed_files import ListedFile, ListedFiles, listed_files
from millstream.errors import DataError
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Split


class RecordRanges(ListedFiles[bytes]):
    """Records of equal length, as the files are listed when the source is made.

    Args:
        path: a file, a directory or a glob.
        record_length: bytes a record, at least 1.
        partitions: how many splits there should be at least.
        split_small: make so many splits however small they get.

    Raises:
        ConfigurationError: there is no such file.
        DataError: a file does not end with a whole record.
        SourceUnavailableError: a file cannot be looked at.
    """

    name = "binary_records"

    def __init__(self, path: str | os.PathLike[str], record_length: int, partitions: int, *, split_small: bool) -> None:
        self.record_length = record_length
        files = listed_files(path, self.name)
        for file in files:
            if file.size % record_length:
                raise DataError(
                    "A file does not consist of whole records.",
                    detail=f"{file.path} has {file.size} bytes: {file.size // record_length} records of "
                    f"{record_length} and {file.size % record_length} bytes.",
                    hint="Check record_length, and that nobody is writing into the file.",
                )
        super().__init__(byte_ranges(files, partitions, split_small=split_small, unit_bytes=record_length))

    def read(self, split: Split) -> Partition[bytes]:
        """Read the records of one range.

        Raises:
            DataError: the file has changed since it was listed.
            SourceUnavailableError: the file cannot be read.
        """
        file, length = ListedFile.of(split.data), self.record_length
        start, end = split.data["start"], split.data["end"]
        with file.read_by(self.name), open(file.path, "rb") as content:
            content.seek(start)
            data = content.read(end - start)
        return Partition([data[place : place + length] for place in range(0, len(data), length)])
