"""A partition: one part of a collection, as rows or as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

VALUE_COLUMN = "value"
"""The column of a table whose records are plain values rather than dicts."""


@runtime_checkable
class Rows(Protocol):
    """Rows: anything with a length that can be iterated again and again, usually a list."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class Columns:
    """Records in an Arrow table.

    A table of the one column `value` with `scalar=True` holds plain values (lines of text); any other table
    holds one dict a record, by column name, unless `make` says how its records are made.

    Args:
        table: a `pyarrow.Table`.
        scalar: the records are the values of the only column.
        make: makes the records of such a table; a function of a module, which pickles by name. None: see above.
    """

    __slots__ = ("make", "scalar", "table")

    def __init__(self, table: pa.Table, *, scalar: bool, make: Callable[[pa.Table], list[Any]] | None = None) -> None:
        self.table = table
        self.scalar = scalar
        self.make = make

    def alike(self, table: pa.Table) -> Columns:
        """Give another table whose records are made in the same way."""
        return Columns(table, scalar=self.scalar, make=self.make)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def rows(self) -> list[Any]:
        """Make the records as Python objects."""
        if self.make is not None:
            return self.make(self.table)
        if not self.scalar:
            return list(self.table.to_pylist())
        column = self.table.column(0)
        import pyarrow.types as kinds

        if any(is_text(column.type) for is_text in (kinds.is_string, kinds.is_large_string, kinds.is_string_view)):
            from millstream._core import rows_from_utf8

            return rows_from_utf8(column)
        return list(column.to_pylist())


PartitionData: TypeAlias = Rows | Columns
"""What a partition holds inside the engine."""


def rows_of(data: PartitionData) -> Rows:
    """Give the rows of a partition, made from the columns where it has these."""
    return data.rows() if isinstance(data, Columns) else data


def opened(data: PartitionData) -> PartitionData:
    """Give partition data as rows or columns that are here, also where it came packed."""
    own = getattr(data, "unpack", None)
    return data if own is None else own()


def lasting(data: PartitionData) -> PartitionData:
    """Give partition data that no later batch can change: lazy views are made into lists.

    Example:
        >>> lasting({"a": 1}.items())
        [('a', 1)]
    """
    if isinstance(data, (list, Columns)):
        return data
    # Data that lives elsewhere knows itself how to last.
    own = getattr(data, "lasting", None)
    return list(data) if own is None else own()


def table_of(data: PartitionData) -> pa.Table:
    """Give the records of a partition as an Arrow table.

    Records that are dicts become a column for each key, null where a record has it not; all others become the
    one column `value`.

    Example:
        >>> table_of([{"a": 1}, {"b": 2}]).to_pylist()
        [{'a': 1, 'b': None}, {'a': None, 'b': 2}]
    """
    if isinstance(data, Columns):
        return data.table
    import pyarrow as pa

    rows = list(data)
    if rows and all(type(row) is dict for row in rows):
        # Why not without names: pyarrow takes the columns from the first row alone and drops what others have.
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    return pa.table({VALUE_COLUMN: pa.array(rows)})


class Partition(Generic[T]):
    """One partition of a batch, as sources give it and sinks get it.

    Args:
        data: rows (anything with a length that can be iterated) or `Columns`.

    Example:
        >>> part = Partition(["a", "b"])
        >>> len(part), list(part.rows()), part.table().column("value").to_pylist()
        (2, ['a', 'b'], ['a', 'b'])
    """

    __slots__ = ("data",)

    def __init__(self, data: PartitionData) -> None:
        self.data = data

    @classmethod
    def of_table(cls, table: pa.Table) -> Partition[Any]:
        """Make a partition of an Arrow table; a single column named `value` gives plain values."""
        return cls(Columns(table, scalar=table.column_names == [VALUE_COLUMN]))

    def __len__(self) -> int:
        return len(self.data)

    def rows(self) -> Iterable[T]:
        """Give the records as Python objects."""
        return rows_of(self.data)

    def table(self) -> pa.Table:
        """Give the records as an Arrow table."""
        return table_of(self.data)
