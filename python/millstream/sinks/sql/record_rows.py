"""Records as rows of a table: which columns they fill, and whether these can take them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, shown
from millstream.model.partition import Columns, Partition
from millstream.sinks.sql.table_shape import TableColumn, TableShape

Row: TypeAlias = tuple[Any, ...]
RowGroup: TypeAlias = tuple[tuple[str, ...], list[Row]]
"""Rows that fill the same columns: the names of these, and the values of each row in the order of the names."""

Convert: TypeAlias = Callable[[Any], Any]


class RecordRows:
    """Turns the records of a partition into rows, on an executor.

    Args:
        output: the name of the output, for errors.
        shape: what the table can take.
        columns: the columns to fill, or None for those that a record has.
        key: the key of an upsert, which cannot be null; empty for mode append.
        converters: turn the values of a column into what the database's driver takes, by name of the column.
    """

    def __init__(
        self,
        output: str,
        shape: TableShape,
        columns: tuple[str, ...] | None,
        key: tuple[str, ...],
        converters: Mapping[str, Convert],
    ) -> None:
        self._output = output
        self._shape = shape
        self._columns = columns
        self._key = key
        self._converters = converters

    def groups(self, data: Partition[Any]) -> list[RowGroup]:
        """Give the rows of a partition.

        Raises:
            ConfigurationError: a record has a field that is no column, or not as many values as there are columns.
            ArgumentTypeError: a value is of a type that its column does not take.
            DataError: there is no value where one must be.
        """
        return [self._checked(names, rows) for names, rows in self._merged(self._raw(data))]

    def _raw(self, data: Partition[Any]) -> Iterable[RowGroup]:
        held = data.data
        if isinstance(held, Columns) and not held.scalar:
            table = held.table
            names = tuple(self._columns or table.column_names)
            absent = [None] * table.num_rows
            present = set(table.column_names)
            values = [table.column(name).to_pylist() if name in present else absent for name in names]
            yield names, list(zip(*values, strict=True))
            return
        for kind, run in itertools.groupby(data.rows(), type):
            yield from self._of_type(kind, list(run))

    def _of_type(self, kind: type, records: list[Any]) -> Iterable[RowGroup]:
        wanted = self._columns
        if issubclass(kind, Mapping):
            return self._of_mappings(records)
        if issubclass(kind, (tuple, list)):
            names = wanted or getattr(kind, "_fields", None)
            if names is None:
                raise self._unnamed(records[0], "a value for each column")
            for record in records:
                if len(record) != len(names):
                    raise self._refused(
                        f"A record has {len(record)} values, and there are {len(names)} columns.", names, record
                    )
            return [(tuple(names), records if kind is tuple else [tuple(record) for record in records])]
        if dataclasses.is_dataclass(kind):
            fields = tuple(field.name for field in dataclasses.fields(kind))
            return self._of_fields(tuple(wanted or fields), set(fields), records)
        if wanted is None or len(wanted) != 1:
            raise self._unnamed(records[0], "one column")
        return [(wanted, [(record,) for record in records])]

    def _of_mappings(self, records: list[Any]) -> Iterable[RowGroup]:
        wanted = self._columns
        if wanted is not None:
            return [(wanted, [tuple([record.get(name) for name in wanted]) for record in records])]
        names = tuple(records[0])
        width = len(names)
        if width and all(len(record) == width for record in records):
            # Why tried first: records of a stream mostly have the same keys, and this is the quick way to see it.
            with suppress(KeyError):
                return [(names, _picked(itemgetter(*names), width, records))]
        return ((tuple(record), [tuple(record.values())]) for record in map(self._in_order, records))

    def _in_order(self, record: Mapping[Any, Any]) -> dict[Any, Any]:
        """Give the fields in the order of the table's columns, so that rows with the same fields go together."""
        known = self._shape.columns
        return {name: record[name] for name in known if name in record} | {
            name: value for name, value in record.items() if name not in known
        }

    def _of_fields(self, names: tuple[str, ...], fields: set[str], records: list[Any]) -> Iterable[RowGroup]:
        if not fields.issuperset(names):
            absent = next(name for name in names if name not in fields)
            raise self._refused(f"A record has no field {absent!r}.", names, records[0])
        return [(names, _picked(attrgetter(*names), len(names), records))]

    def _merged(self, groups: Iterable[RowGroup]) -> list[RowGroup]:
        return merged(groups, in_order=bool(self._key))

    def _checked(self, names: tuple[str, ...], rows: list[Row]) -> RowGroup:
        if not names:
            raise self._refused("A record has no fields.", names, rows[0])
        for name in names:
            if name not in self._shape.columns:
                raise self._refused(f"The table has no column {name!r}.", names, rows[0])
        for name, column in self._shape.columns.items():
            if name not in names and (not column.optional or name in self._key):
                raise self._without_value(column, names, rows[0])
        values: list[Sequence[Any]] = list(zip(*rows, strict=True))
        changed = False
        for index, name in enumerate(names):
            taken = self._column(self._shape.columns[name], values[index], names, rows)
            changed |= taken is not values[index]
            values[index] = taken
        return names, list(zip(*values, strict=True)) if changed else rows

    def _column(
        self, column: TableColumn, values: Sequence[Any], names: tuple[str, ...], rows: list[Row]
    ) -> Sequence[Any]:
        """Check the values of one column, and convert them where the driver needs it."""
        kinds = set(map(type, values))
        if type(None) in kinds and (not column.nullable or column.name in self._key):
            raise self._without_value(column, names, rows[_first(values, lambda value: value is None)])
        kinds.discard(type(None))
        plain = _plain(values, kinds, column)
        if plain is not values:
            values, kinds = plain, set(map(type, plain)) - {type(None)}
        for kind in kinds:
            if not column.fits(kind):
                record = rows[_first(values, partial(_is_of, kind))]
                raise self._wrong_type(column, kind, names, record)
        convert = self._converters.get(column.name)
        if convert is None or not kinds:
            return values
        try:
            return [None if value is None else convert(value) for value in values]
        except Exception as error:
            at = _first(values, partial(_is_refused, convert))
            raise self._wrong_type(column, type(values[at]), names, rows[at], error) from error

    def _where(self, names: Sequence[str], record: Any) -> str:
        return f"output {self._output}, table {self._shape.name}, record {shown(by_column(names, record))}"

    def _refused(self, message: str, names: Sequence[str], record: Any) -> ConfigurationError:
        return ConfigurationError(
            message,
            detail=f"{self._where(names, record)}. The table has {self._shape.listed}.",
            hint="Name the columns to fill with columns=[...], or shape the records with map().",
        )

    def _unnamed(self, record: Any, what: str) -> ArgumentTypeError:
        return ArgumentTypeError(
            "The records do not say which columns they fill.",
            detail=f"{self._where((), record)} is of type {type(record).__name__}.",
            hint=f"Give columns=[...] with {what}, or map() the records to dicts or dataclasses.",
        )

    def _without_value(self, column: TableColumn, names: Sequence[str], record: Any) -> DataError:
        why = "is part of the key" if column.name in self._key else "cannot be null"
        return DataError(
            f"A record has no value for the column {column.name!r}.",
            detail=f"{self._where(names, record)}. The column {why}.",
            hint="Give it a value with map(), leave such records out with filter(), or give the column a default.",
        )

    def _wrong_type(
        self, column: TableColumn, kind: type, names: Sequence[str], record: Any, error: Exception | None = None
    ) -> ArgumentTypeError:
        why = "" if error is None else f" ({error})"
        return ArgumentTypeError(
            f"A value of type {kind.__name__} cannot be written into the column {column.name!r}.",
            detail=f"{self._where(names, record)}. The column is {column.declared}{why}.",
            hint="Turn it into what the column takes with map().",
        )


def merged(groups: Iterable[RowGroup], *, in_order: bool) -> list[RowGroup]:
    """Put rows that fill the same columns together; `in_order`: only those that follow each other.

    Example:
        >>> groups = [(("a",), [(1,)]), (("b",), [(2,)]), (("a",), [(3,)])]
        >>> merged(groups, in_order=False)
        [(('a',), [(1,), (3,)]), (('b',), [(2,)])]
        >>> len(merged(groups, in_order=True))
        3
    """
    together: list[RowGroup] = []
    places: dict[tuple[str, ...], int] = {}
    for names, rows in groups:
        place = places.get(names)
        if place is None or (in_order and place != len(together) - 1):
            places[names] = len(together)
            # Why a copy: what was given may be the list that another operator goes on with.
            together.append((names, list(rows)))
        else:
            together[place][1].extend(rows)
    return [group for group in together if group[1]]


def _picked(pick: Callable[[Any], Any], width: int, records: list[Any]) -> list[Row]:
    return list(map(pick, records)) if width > 1 else [(pick(record),) for record in records]


def by_column(columns: Sequence[str], record: Any) -> Any:
    """Give a row as a dict by column, for errors; anything else as it is."""
    fits = type(record) is tuple and len(record) == len(columns)
    return dict(zip(columns, record, strict=True)) if fits else record


def _plain(values: Sequence[Any], kinds: set[type], column: TableColumn) -> Sequence[Any]:
    """Give values that drivers know: numpy's as Python's, an Enum as its value, a truth value as a number."""
    if any(kind.__module__ == "numpy" for kind in kinds):
        values = [value.item() if type(value).__module__ == "numpy" else value for value in values]
    if any(issubclass(kind, Enum) for kind in kinds):
        values = [value.value if isinstance(value, Enum) else value for value in values]
    if bool in kinds and column.takes == (int,):
        values = [int(value) if type(value) is bool else value for value in values]
    return values


def _first(values: Sequence[Any], is_it: Callable[[Any], bool]) -> int:
    return next(index for index, value in enumerate(values) if is_it(value))


def _is_of(kind: type, value: Any) -> bool:
    return type(value) is kind


def _is_refused(convert: Convert, value: Any) -> bool:
    try:
        if value is not None:
            convert(value)
    except Exception:
        return True
    return False
