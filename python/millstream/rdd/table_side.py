"""Joining records with columns with a table that every executor holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.broadcast import Broadcast
from millstream.model.column_names import checked_column_names
from millstream.model.label import Label
from millstream.model.partition import Columns, PartitionData, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KeyIndex

How: TypeAlias = Literal["inner", "left"]
"""Whether records without a partner are left out, or kept with nulls."""


class TableSide:
    """A table, and where the rows of each key are.

    Args:
        table: an Arrow table, a Polars frame, a pandas frame, or a list of dicts.
        on: columns of the records, each with its column of the table.
        label: the operator that asks, for errors.

    Raises:
        ArgumentTypeError: it is no table.
        ConfigurationError: it lacks a column.
    """

    def __init__(self, table: Any, on: Mapping[str, str], label: Label) -> None:
        self.table = _as_table(table, label)
        self.on = dict(on)
        missing = [name for name in self.on.values() if name not in self.table.column_names]
        if missing:
            raise ConfigurationError(
                f"The table of {label.operator} lacks a column.",
                detail=f"It has no {missing[0]!r}, but {', '.join(self.table.column_names)}; "
                f"the call is at {label.site}.",
                hint="Give on= a column of both, or a dict with the table's name of it: on={'product': 'id'}.",
            )
        self.others = [name for name in self.table.column_names if name not in self.on.values()]
        self._index: KeyIndex | None = None
        self._looked = False
        self._rows: dict[Any, list[dict[str, Any]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Why without: each executor makes its own, of the table.
        return {**self.__dict__, "_index": None, "_looked": False, "_rows": None}

    def index(self) -> KeyIndex | None:
        """Give the index; None: keys are several columns, come twice, or are of a type that the core does not know."""
        if not self._looked:
            self._index, self._looked = self._made(), True
        return self._index

    def rows(self) -> dict[Any, list[dict[str, Any]]]:
        """Give what the rows of each key have beside the key."""
        if self._rows is None:
            found: dict[Any, list[dict[str, Any]]] = {}
            keys = self.table.select(list(self.on.values())).to_pylist()
            for key, row in zip(keys, self.table.select(self.others).to_pylist(), strict=True):
                if None not in key.values():
                    found.setdefault(tuple(key.values()), []).append(row)
            self._rows = found
        return self._rows

    def _made(self) -> KeyIndex | None:
        import pyarrow as pa

        from millstream._core import KeyIndex

        if len(self.on) > 1:
            return None
        column = self.table.column(next(iter(self.on.values())))
        kind = indexed_type(column.type)
        if kind is None:
            return None
        chunks = column.cast(kind).combine_chunks()
        whole = chunks.chunk(0) if isinstance(chunks, pa.ChunkedArray) else chunks
        index = KeyIndex(whole)
        return index if index.is_unique else None


@dataclass(frozen=True, slots=True, eq=False)
class TableJoin:
    """Joins the records of a partition with a side; columns stay columns.

    Args:
        side: what they are joined with.
        how: `inner` or `left`.
        suffix: ends the names of the table's columns that the records have too; None: such a name is an error.
        label: the operator, for errors.
    """

    side: Broadcast[TableSide]
    how: How
    suffix: str | None
    label: Label

    def __call__(self, _batch: Any, _index: int, data: PartitionData) -> PartitionData:
        """Give the records with the columns of their partners."""
        side = self.side.value
        if isinstance(data, Columns) and not data.scalar and data.make is None:
            return Columns(self._columns(side, data.table), scalar=False)
        return self._rows(side, rows_of(data))

    def _columns(self, side: TableSide, table: pa.Table) -> pa.Table:
        names = self._names(side, table.column_names)
        for name in side.on:
            if name not in table.column_names:
                raise self._no_column(name, table.column_names)
        index = side.index()
        if index is None:
            return self._joined(side, table, names)
        import pyarrow as pa
        import pyarrow.compute as pc

        (name,) = side.on
        (own,) = side.on.values()
        keys = self._keys(table.column(name), side.table.column(own).type)
        found = pa.Array.from_buffers(pa.int64(), table.num_rows, [None, pa.py_buffer(index.find(keys))])
        known = pc.greater_equal(found, 0)
        if self.how == "inner":
            table, found = table.filter(known), found.filter(known)
        else:
            found = pc.if_else(known, found, None)
        partners = side.table.select(side.others).take(found)
        for other, column in zip(names, partners.columns, strict=True):
            table = table.append_column(other, column)
        return table

    def _keys(self, column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
        import pyarrow as pa

        kind = indexed_type(wanted)
        if kind != indexed_type(column.type):
            raise ArgumentTypeError(
                f"{self.label.operator} met keys of two types.",
                detail=f"They are {column.type} in the records, and {wanted} in the table; the call is at "
                f"{self.label.site}.",
                hint="Make them of one type, where they are read.",
            )
        try:
            return column.cast(kind)
        except pa.ArrowException as error:
            raise ArgumentTypeError(
                f"{self.label.operator} met a key that is none.", detail=str(error), hint="Keys are 64-bit numbers."
            ) from error

    def _joined(self, side: TableSide, table: pa.Table, names: list[str]) -> pa.Table:
        """Join by Polars: keys of several columns, of other types, or that come twice."""
        import polars as pl

        right = side.table.rename_columns(
            [names[side.others.index(name)] if name in side.others else name for name in side.table.column_names]
        )
        try:
            left, other = pl.from_arrow(table), pl.from_arrow(right)
            assert isinstance(left, pl.DataFrame)
            assert isinstance(other, pl.DataFrame)
            joined = left.join(
                other,
                left_on=list(side.on),
                right_on=list(side.on.values()),
                how=self.how,
                maintain_order="left",
                coalesce=True,
            )
        except pl.exceptions.PolarsError as error:
            raise ArgumentTypeError(
                f"{self.label.operator} cannot join these columns.",
                detail=f"{type(error).__name__}: {error}",
                hint="Make the key columns of one type on both sides.",
            ) from error
        return joined.select([*table.column_names, *names]).to_arrow()

    def _rows(self, side: TableSide, rows: Any) -> list[Any]:
        partners = side.rows()
        absent = [dict.fromkeys(side.others)] if self.how == "left" else []
        joined: list[Any] = []
        names: list[str] | None = None
        for row in rows:
            if not isinstance(row, dict):
                raise ArgumentTypeError(
                    f"{self.label.operator} was given a record without columns.",
                    detail=f"The record is {shown(row)} of type {type(row).__name__}.",
                    hint="Records are dicts here; pairs are joined with join(ssc.refreshed(load)).",
                )
            try:
                key = tuple([row[name] for name in side.on])
            except KeyError as error:
                raise self._no_column(error.args[0], list(row)) from error
            # Why for each record: one may have other keys than the one before.
            names = self._names(side, list(row))
            joined.extend(
                {**row, **dict(zip(names, partner.values(), strict=True))} for partner in partners.get(key, absent)
            )
        return joined

    def _names(self, side: TableSide, taken: Sequence[str]) -> list[str]:
        """Give the names of the table's columns beside those of the records."""
        clashing = [name for name in side.others if name in taken]
        if not clashing:
            return side.others
        if self.suffix is None or any(f"{name}{self.suffix}" in taken for name in clashing):
            raise ConfigurationError(
                f"{self.label.operator} would make two columns of one name.",
                detail=f"Both the records and the table have {clashing[0]!r}; the call is at {self.label.site}.",
                hint="Leave the column out of the table, or give suffix='_2' for the table's.",
            )
        return [f"{name}{self.suffix}" if name in clashing else name for name in side.others]

    def _no_column(self, name: str, names: Sequence[str]) -> ConfigurationError:
        return ConfigurationError(
            f"{self.label.operator} was given records without the column to join on.",
            detail=f"They have no {name!r}, but {', '.join(map(str, names))}; the call is at {self.label.site}.",
            hint="Give on= a column of both, or a dict with the table's name of it: on={'product': 'id'}.",
        )


def joined_on(on: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Give the columns of the records, each with its column of the table.

    Example:
        >>> joined_on("id"), joined_on({"product": "id"})
        ({'id': 'id'}, {'product': 'id'})
    """
    if isinstance(on, Mapping):
        names = checked_column_names(list(on.values()), "the columns to join on", argument="on")
        return dict(zip(checked_column_names(list(on), "the columns to join on", argument="on"), names, strict=True))
    names = checked_column_names([on] if isinstance(on, str) else on, "the columns to join on", argument="on")
    return {name: name for name in names}


def indexed_type(kind: pa.DataType) -> pa.DataType | None:
    """Give the type that keys of a type are indexed as, or None."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        kind = kind.value_type
    if kinds.is_integer(kind):
        return pa.int64()
    is_text = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    return pa.large_string() if is_text else None


def _as_table(table: Any, label: Label) -> pa.Table:
    import pyarrow as pa

    try:
        if isinstance(table, pa.Table):
            return table
        if isinstance(table, Sequence) and not isinstance(table, (str, bytes)):
            return pa.Table.from_pylist(list(table))
        if hasattr(table, "collect_schema") and hasattr(table, "collect"):
            table = table.collect()
        if hasattr(table, "__arrow_c_stream__"):
            return pa.table(table)
    except Exception as error:
        raise _no_table(table, label, f"{type(error).__name__}: {error}") from error
    raise _no_table(table, label, f"{shown(table)} is of type {type(table).__name__}.")


def _no_table(table: Any, label: Label, detail: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{label.operator} needs a table.",
        detail=detail,
        hint="Give an Arrow table, a frame of Polars or pandas, a list of dicts, or ssc.refreshed(load) of one.",
    )
