"""Records as pickle files."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO, ClassVar

from millstream.errors import ArgumentTypeError, shown
from millstream.model.partition import Partition
from millstream.sinks.manifest_files import ManifestFiles

PROTOCOL = 5
"""What every Python that millstream runs on can read."""


class PickleFiles(ManifestFiles[Any]):
    """Writes the records of each partition as one pickled list: any Python object, and for Python alone.

    Reading runs code that the file names, so read only files that nobody else can write.

    Args:
        path: the directory; see `ManifestFiles` for what lies in it.
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of an object store; see `ManifestFiles`.
    """

    kind: ClassVar[str] = "pickle"
    extension: ClassVar[str] = ".pickle"

    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        rows = list(data.rows())
        try:
            content = _pickled(rows)
        except Exception as error:
            _check(rows)
            raise _unpicklable(rows, error) from error
        file.write(content)


def read_pickle(content: bytes) -> list[Any]:
    """Give the records of a file that `PickleFiles` wrote. Runs code that the content names."""
    records: list[Any] = pickle.loads(content)
    return records


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, protocol=PROTOCOL)
    except Exception:
        import cloudpickle

        # Why only then: it takes classes of the program's main module along, and is slower.
        content: bytes = cloudpickle.dumps(value, protocol=PROTOCOL)
        return content


def _check(rows: list[Any]) -> None:
    for record in rows:
        try:
            _pickled(record)
        except Exception as error:
            raise _unpicklable(record, error) from error


def _unpicklable(record: Any, error: Exception) -> ArgumentTypeError:
    return ArgumentTypeError(
        "A record cannot be pickled.",
        detail=f"{shown(record)}: {type(error).__name__}: {error}",
        hint="Leave out what belongs to this process alone, such as locks and connections, with map().",
    )
