"""The sources behind `Context.whole_text_files` and `Context.pickle_file`: files that are read whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from millstream.context.line_ranges import OnInvalid
from millstream.context.listed_files import ListedFile, ListedFiles, listed_files
from millstream.errors import DataError
from millstream.model.choices import one_of
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Split
from millstream.rdd.pickle_parts import read_pickles


class WholeTextFiles(ListedFiles[tuple[str, str]]):
    """Paths and contents of text files.

    Args:
        path: a file, a directory or a glob.
        partitions: how many splits there are, as far as there are files.
        on_invalid: what happens to files that are not UTF-8.

    Raises:
        ConfigurationError: there is no such file or policy.
        SourceUnavailableError: a file cannot be looked at.
    """

    name = "whole_text_files"

    def __init__(self, path: str | os.PathLike[str], partitions: int, *, on_invalid: OnInvalid) -> None:
        one_of("on_invalid", on_invalid, OnInvalid)
        self.on_invalid = on_invalid
        files = listed_files(path, self.name, "text file")
        count = min(partitions, len(files))
        runs = [files[len(files) * p // count : len(files) * (p + 1) // count] for p in range(count)]
        super().__init__([_split_of(run) for run in runs])

    def read(self, split: Split) -> Partition[tuple[str, str]]:
        """Read the files of one split.

        Raises:
            DataError: a file has changed since it was listed, or is not UTF-8 and the policy is `fail`.
            SourceUnavailableError: a file cannot be read.
        """
        texts: list[tuple[str, str]] = []
        errors = "replace" if self.on_invalid == "replace" else "strict"
        for data in split.data["files"]:
            file = ListedFile.of(data)
            with file.read_by(self.name):
                content = Path(file.path).read_bytes()
            try:
                texts.append((file.path, content.decode(errors=errors)))
            except UnicodeDecodeError as error:
                if self.on_invalid == "skip":
                    continue
                raise DataError(
                    "A text file is not UTF-8.",
                    detail=f"{file.path}, byte {error.start}: {error.reason}.",
                    hint="Give whole_text_files on_invalid='replace' or 'skip', or convert the file.",
                ) from error
        return Partition(texts)


class PickleFiles(ListedFiles[Any]):
    """Records of files that `save_as_pickle_file` wrote, a split a file.

    Args:
        path: the directory, one of its files or a glob.

    Raises:
        ConfigurationError: there is no such file.
        SourceUnavailableError: a file cannot be looked at.
    """

    name = "pickle_file"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        files = listed_files(path, self.name, "pickle file")
        super().__init__([Split(file.data(), description=file.path) for file in files])

    def read(self, split: Split) -> Partition[Any]:
        """Unpickle the records of one file.

        Raises:
            DataError: the file has changed since it was listed, or is no such file.
            SourceUnavailableError: the file cannot be read.
        """
        file = ListedFile.of(split.data)
        with file.read_by(self.name):
            return Partition(read_pickles(Path(file.path)))


def _split_of(files: list[ListedFile]) -> Split:
    return Split({"files": [file.data() for file in files]}, len(files), ", ".join(file.path for file in files))
