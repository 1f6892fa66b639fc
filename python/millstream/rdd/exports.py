"""RDD methods that hand records to other programs: files, Arrow, Polars."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.errors import ArgumentTypeError, ConfigurationError, MillstreamError
from millstream.model.label import Label
from millstream.model.partition import PartitionData, table_of
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.operations import ApplyPartition, Collect
from millstream.rdd.parts_directory import PartsDirectory
from millstream.rdd.pickle_parts import WritePicklePart
from millstream.rdd.text_parts import WriteTextPart

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class ExportMethods(RDDCore[T_co]):
    """Actions whose result is not made of Python objects."""

    __slots__ = ()

    def to_arrow(self) -> pa.Table:
        """Give all records as an Arrow table, partition after partition.

        Records that are dicts become one column for each key (null where a record has not got it); all others
        become the one column `value`. Data that is in Arrow form already is not made into Python objects.

        Raises:
            ArgumentTypeError: the records have no common Arrow type.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([{"a": 1}, {"a": 2}]).to_arrow().to_pydict()
            {'a': [1, 2]}
        """
        at = label("to_arrow")
        return _joined(self.runner.run(self.lineage, ApplyPartition(_AsTable(at))), at)

    def to_polars(self) -> pl.DataFrame:
        """Give all records as a Polars frame; columns are those of `to_arrow`.

        Raises:
            ArgumentTypeError: the records have no common Arrow type.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(3).to_polars()["value"].sum()
            3
        """
        import polars as pl

        at = label("to_polars")
        frame = pl.from_arrow(_joined(self.runner.run(self.lineage, ApplyPartition(_AsTable(at))), at))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> pd.DataFrame:
        """Give all records as a pandas frame; columns are those of `to_arrow`.

        Raises:
            ConfigurationError: pandas is not installed.
            ArgumentTypeError: the records have no common Arrow type.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([{"a": 1}, {"a": 2}]).to_pandas()["a"].tolist()
            [1, 2]
        """
        at = label("to_pandas")
        table = _joined(self.runner.run(self.lineage, ApplyPartition(_AsTable(at))), at)
        frame: pd.DataFrame = frame_of("pandas", table)
        return frame

    def to_local_iterator(self) -> Iterator[T_co]:
        """Give the records one by one, partition after partition, computing a few partitions at a time.

        For collections that are larger than the memory of the program.

        Example:
            >>> import millstream as ms
            >>> list(ms.Context().range(4, partitions=2).to_local_iterator())
            [0, 1, 2, 3]
        """
        for rows in self.runner.run_lazily(self.lineage, Collect()):
            yield from rows

    def save_as_text_file(self, path: str | os.PathLike[str]) -> None:
        r"""Write one line for each record into a new directory on this machine, one file for each partition.

        The tasks write `part-00000`, `part-00001`, ... into a directory with a temporary name beside `path`, which
        gets its name when all are complete: nobody sees half of it. Lines are `str(record)`, bytes as they are.

        Args:
            path: the directory to make; its parent must exist.

        Raises:
            ConfigurationError: `path` exists, or its parent does not.
            StorageUnavailableError: the directory cannot be written.

        Example:
            >>> import tempfile, pathlib, millstream as ms
            >>> with tempfile.TemporaryDirectory() as parent:
            ...     ms.Context().range(3, partitions=2).save_as_text_file(parent + "/numbers")
            ...     [file.read_text() for file in sorted(pathlib.Path(parent, "numbers").iterdir())]
            ['0\n', '1\n2\n']
        """
        at = label("save_as_text_file")
        with PartsDirectory(path) as staging:
            self.runner.run(self.lineage, ApplyPartition(WriteTextPart(staging, at)))

    def save_as_pickle_file(self, path: str | os.PathLike[str]) -> None:
        """Write the records, pickled, into a new directory on this machine, one file for each partition.

        The directory appears as a whole, as for `save_as_text_file`. `context.pickle_file(path)` reads it; nothing
        else of millstream ever unpickles a file. The format is that of the pickle module, which a newer Python
        reads, with classes of the main program by value; to keep data for years write Parquet or text.

        Args:
            path: the directory to make; its parent must exist.

        Raises:
            ConfigurationError: `path` exists, or its parent does not.
            ShippingError: a record cannot be pickled.
            StorageUnavailableError: the directory cannot be written.

        Example:
            >>> import tempfile, millstream as ms
            >>> with tempfile.TemporaryDirectory() as parent:
            ...     context = ms.Context()
            ...     context.parallelize([("a", 1), {2, 3}]).save_as_pickle_file(parent + "/records")
            ...     context.pickle_file(parent + "/records").collect()
            [('a', 1), {2, 3}]
        """
        at = label("save_as_pickle_file")
        with PartsDirectory(path) as staging:
            self.runner.run(self.lineage, ApplyPartition(WritePicklePart(staging, at)))


def frame_of(kind: str, table: pa.Table | None) -> Any:
    """Give an Arrow table as a frame.

    Args:
        kind: `polars`, `arrow` or `pandas`.
        table: the table; None only checks that the library is there.

    Raises:
        ConfigurationError: the library is not installed.
    """
    if kind == "polars":
        import polars as pl

        return None if table is None else pl.from_arrow(table)
    if kind == "pandas":
        try:
            import pandas  # noqa: F401 - Arrow imports it by itself, and says less where it is missing
        except ImportError as error:
            raise ConfigurationError(
                "Frames of pandas need pandas, which is not installed.", detail=str(error), hint="pip install pandas"
            ) from error
        return None if table is None else table.to_pandas()
    return table


@dataclass(frozen=True, slots=True)
class _AsTable:
    """Makes the Arrow table of one partition."""

    label: Label

    def __call__(self, _batch: Any, _index: int, data: PartitionData) -> pa.Table:
        try:
            return table_of(data)
        except MillstreamError:
            raise
        except Exception as error:
            raise _no_arrow_type(self.label, error) from error


def _joined(tables: list[pa.Table], at: Label) -> pa.Table:
    import pyarrow as pa

    # A partition without records knows nothing of the columns of the others.
    telling = [table for table in tables if table.num_rows] or tables[:1]
    if not telling:
        return pa.table({})
    try:
        return pa.concat_tables(telling, promote_options="permissive")
    except pa.ArrowException as error:
        raise _no_arrow_type(at, error) from error


def _no_arrow_type(at: Label, error: Exception) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{at.operator} met records that have no common Arrow type.",
        detail=f"{type(error).__name__}: {error}. The call is at {at.site}.",
        hint='Map the records to dicts with one type a column, such as .map(lambda p: {"key": p[0], "n": p[1]}).',
    )
