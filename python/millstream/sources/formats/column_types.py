"""Turning columns of bytes into columns of text and of other types, and finding the values that are none."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream.errors import ConfigurationError, shown

if TYPE_CHECKING:
    import pyarrow as pa

ColumnType: TypeAlias = "type[Any] | pa.DataType"
"""A Python type, or a type of Arrow."""


def arrow_type(name: str, kind: Any) -> pa.DataType:
    """Give the Arrow type that a user's type means.

    Raises:
        ConfigurationError: it is no type that text can be turned into.

    Example:
        >>> arrow_type("price", float)
        DataType(double)
    """
    import pyarrow as pa

    if isinstance(kind, pa.DataType):
        return kind
    known: dict[Any, pa.DataType] = {
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        str: pa.string(),
        datetime.date: pa.date32(),
        datetime.datetime: pa.timestamp("us"),
    }
    if not isinstance(kind, type) or kind not in known:
        raise ConfigurationError(
            f"The column {name!r} cannot have this type.",
            detail=f"types has {shown(kind)} for it.",
            hint="Give int, float, bool, str, datetime.date, datetime.datetime, or a pyarrow.DataType.",
        )
    return known[kind]


def converted(table: pa.Table, types: Mapping[str, pa.DataType]) -> tuple[pa.Table, dict[int, str]]:
    """Turn columns of bytes into text, or into the types given, without the rows where that is impossible.

    Empty values of columns with a type become null, save for text.

    Returns:
        The table, and what is wrong by index of the rows that were left out.
    """
    import pyarrow as pa

    bad: dict[int, str] = {}
    for name in table.column_names:
        for index in _impossible(table.column(name), types.get(name, pa.string())):
            value = table.column(name)[index].as_py()
            bad.setdefault(index, f"column {name!r} has {shown(value)}, which is no {_named(types.get(name))}.")
    if bad:
        table = table.filter(pa.array([index not in bad for index in range(table.num_rows)]))
    for position, name in enumerate(table.column_names):
        column = _cast(table.column(name), types.get(name, pa.string()))
        table = table.set_column(position, name, column)
    return table, bad


def _named(kind: pa.DataType | None) -> str:
    return "UTF-8" if kind is None else str(kind)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = column.cast(pa.string())
    if kind == text.type:
        return text
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text).cast(kind)


def _impossible(column: pa.ChunkedArray, kind: pa.DataType, start: int = 0) -> list[int]:
    """Find the values that cannot be cast, by halving what holds some; most columns are cast once."""
    import pyarrow as pa

    try:
        _cast(column, kind)
    except (pa.ArrowException, UnicodeDecodeError):
        if len(column) == 1:
            return [start]
        middle = len(column) // 2
        return [
            *_impossible(column.slice(0, middle), kind, start),
            *_impossible(column.slice(middle), kind, start + middle),
        ]
    return []
