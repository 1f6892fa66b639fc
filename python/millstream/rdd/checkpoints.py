"""RDD methods that cut lineage: what was computed is kept, and how it came about is forgotten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from millstream.errors import DataError, InternalError, SourceUnavailableError
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.lineage import Held, SplitsRead
from millstream.rdd.operations import ApplyPartition
from millstream.rdd.parts_directory import PartsDirectory
from millstream.rdd.pickle_parts import WritePicklePart, read_pickles


class CheckpointMethods(RDDCore[T_co]):
    """Methods after which an RDD is read from where it was kept."""

    __slots__ = ()

    def checkpoint(self, path: str | os.PathLike[str]) -> Self:
        """Compute the RDD now, write it into a new directory, and read it from there from now on.

        For RDDs that are made of themselves again and again, whose lineage would grow with every step, and for those
        that cost too much to compute twice. RDDs that are derived from it afterwards begin at the directory; those
        that were derived before keep the long lineage. With workers, the directory must be one that they all see.
        Nothing removes it. Records are pickled, as by `save_as_pickle_file`: keep others from writing there.

        Args:
            path: the directory to make; its parent must exist.

        Raises:
            ConfigurationError: `path` exists, or its parent does not.
            ShippingError: a record cannot be pickled.
            StorageUnavailableError: the directory cannot be written.

        Example:
            >>> import tempfile, millstream as ms
            >>> with tempfile.TemporaryDirectory() as parent:
            ...     numbers = ms.Context().range(3).map(lambda x: x * x)
            ...     numbers.checkpoint(parent + "/squares").is_checkpointed, numbers.map(str).collect()
            (True, ['0', '1', '4'])
        """
        at = label("checkpoint")
        directory = PartsDirectory(path)
        with directory as staging:
            self.runner.run(self.lineage, ApplyPartition(WritePicklePart(staging, at)))
        files = [os.path.join(directory.path, name) for name in sorted(os.listdir(directory.path))]
        kept = SplitsRead(_CheckpointFiles(), [_split(file) for file in files])
        kept.partitioner = self.lineage.partitioner
        self.lineage = kept
        return self

    def local_checkpoint(self) -> Self:
        """Compute the RDD now, and keep its partitions in memory in the place of its lineage.

        As `persist`, but at once and for good: how the partitions came about is forgotten, and what it held is free.

        Example:
            >>> import millstream as ms
            >>> numbers = ms.Context().range(3)
            >>> for _ in range(10):
            ...     numbers = numbers.map(lambda x: x + 1).local_checkpoint()
            >>> numbers.collect(), len(numbers.to_debug_string().splitlines())
            ([10, 11, 12], 1)
        """
        self.lineage = Held(self.runner.keep(self.lineage), self.lineage.partitioner)
        return self

    @property
    def is_checkpointed(self) -> bool:
        """Whether the RDD is read from a directory of `checkpoint`."""
        return isinstance(self.lineage, SplitsRead) and isinstance(self.lineage.source, _CheckpointFiles)


class _CheckpointFiles(ReplayableSource[Any]):
    """Reads the files of a checkpoint."""

    name = "checkpoint"

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """It is not planned: all its splits are known."""
        raise InternalError("The files of a checkpoint of an RDD are not planned.")

    def read(self, split: Split) -> Partition[Any]:
        """Read one file.

        Raises:
            DataError: it is not what was written.
            SourceUnavailableError: it cannot be read.
        """
        path, size = split.data["path"], split.data["size"]
        try:
            if os.stat(path).st_size != size:
                raise DataError(
                    "A file of a checkpoint of an RDD has changed.",
                    detail=f"{path} had {size} bytes.",
                    hint="Nothing else may write there: make the RDD and its checkpoint again.",
                )
            return Partition(read_pickles(Path(path)))
        except OSError as error:
            raise SourceUnavailableError(
                "A file of a checkpoint of an RDD cannot be read.",
                detail=f"{path}: {error.strerror or error}.",
                hint="Keep the directory as long as the RDD is used, at a place that all workers see.",
            ) from error


def _split(path: str) -> Split:
    return Split({"path": path, "size": os.stat(path).st_size}, description=path)
