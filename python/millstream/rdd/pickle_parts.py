"""Partitions as files of pickled records.

A file is one pickle behind the other, each a list of records. Reading it runs what the pickles say, so it is done
only where the user asks for it by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from millstream.errors import DataError, ShippingError, shown
from millstream.model.label import Label
from millstream.model.partition import PartitionData, rows_of
from millstream.rdd.parts_directory import write_part

RECORDS_PER_PICKLE = 1024
"""Enough that a pickle of its own costs nothing, and few enough that a task holds no second copy of a partition."""


@dataclass(frozen=True, slots=True)
class WritePicklePart:
    """Writes the records of one partition, in a task.

    Args:
        directory: where to.
        label: the operator, for errors.
    """

    directory: str
    label: Label

    def __call__(self, _batch: Any, index: int, data: PartitionData) -> None:
        write_part(self.directory, index, self._pickles(data))

    def _pickles(self, data: PartitionData) -> Iterator[bytes]:
        records = iter(rows_of(data))
        while chunk := list(islice(records, RECORDS_PER_PICKLE)):
            yield self._pickled(chunk)

    def _pickled(self, chunk: list[Any]) -> bytes:
        # Why not pickle itself: it keeps only the names of classes, and those of a main program mean nothing elsewhere.
        import cloudpickle

        try:
            return bytes(cloudpickle.dumps(chunk, pickle.HIGHEST_PROTOCOL))
        except Exception as error:
            if len(chunk) > 1:
                for record in chunk:
                    self._pickled([record])
            raise ShippingError(
                f"{self.label.operator} met a record that cannot be pickled.",
                detail=f"{shown(chunk[0])} of type {type(chunk[0]).__name__}: {type(error).__name__}: {error}. "
                f"The call is at {self.label.site}.",
                hint="Map the records to plain data first.",
            ) from error


def read_pickles(path: Path) -> list[Any]:
    """Read the records of a file. This runs code that the file names: only for files that are trusted.

    Raises:
        OSError: the file cannot be read.
        DataError: it holds something else, is damaged, or needs a class that is not here.
    """
    records: list[Any] = []
    with path.open("rb") as file:
        while file.peek(1):
            start = file.tell()
            try:
                chunk = pickle.load(file)
            except OSError:
                raise
            except Exception as error:  # Why not narrower: unpickling runs constructors, which raise what they like.
                raise _unreadable(path, start, f"{type(error).__name__}: {error}") from error
            if not isinstance(chunk, list):
                raise _unreadable(path, start, f"there is an object of type {type(chunk).__name__}, not a list")
            records.extend(chunk)
    return records


def _unreadable(path: Path, start: int, why: str) -> DataError:
    return DataError(
        "A pickle file cannot be read.",
        detail=f"{path}, the pickle that begins at byte {start}: {why}.",
        hint="It must come from save_as_pickle_file(), and the modules of its classes must be importable here.",
    )
