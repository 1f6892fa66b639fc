"""What a table can take, as executors need to know it."""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of the table.

    Attributes:
        name: its name.
        declared: its type as the database declares it, for errors.
        takes: Python types that it takes; empty: any.
        refuses: types that it does not take although they inherit from one that it takes.
        nullable: None may be written into it.
        optional: a row may leave it out.
        is_json: values are written as JSON text.
        type: of SQLAlchemy.
    """

    name: str
    declared: str
    takes: tuple[type, ...]
    refuses: tuple[type, ...]
    nullable: bool
    optional: bool
    is_json: bool
    type: Any

    def fits(self, kind: type) -> bool:
        """Tell whether values of a type can be written into this column."""
        return not self.takes or (issubclass(kind, self.takes) and not issubclass(kind, self.refuses))


@dataclass(frozen=True, slots=True)
class TableShape:
    """The columns of one table, by name, in the table's order."""

    name: str
    columns: dict[str, TableColumn]

    @property
    def listed(self) -> str:
        """The columns' names, for errors."""
        return ", ".join(self.columns)


def shape_of(table: sa.Table, dialect: sa.Dialect) -> TableShape:
    """Describe a table that was read from the database."""
    import sqlalchemy as sa

    columns = {}
    for column in table.columns:
        takes, refuses = _taken_by(column.type)
        generated = column.computed is not None or column.identity is not None
        # Why the key too: a database counts up a single integer key, and says so in its own way.
        counted = column.primary_key and isinstance(column.type, sa.Integer) and len(table.primary_key) == 1
        counted = counted and (dialect.name == "sqlite" or column.autoincrement is True)
        columns[column.name] = TableColumn(
            name=column.name,
            declared=_declared(column.type, dialect),
            takes=takes,
            refuses=refuses,
            nullable=bool(column.nullable) or (counted and dialect.name == "sqlite"),
            optional=bool(column.nullable) or column.server_default is not None or generated or counted,
            is_json=isinstance(column.type, sa.JSON),
            type=column.type,
        )
    return TableShape(table.name, columns)


def unique_key(
    connection: sa.Connection, table: sa.Table, wanted: tuple[str, ...] | None, place: str
) -> tuple[str, ...]:
    """Give the columns that identify a row: those that are wanted, or the primary key.

    Args:
        connection: to the table's database.
        table: as it was read from the database.
        wanted: columns, or None.
        place: the output and the table, for errors.

    Raises:
        ConfigurationError: they do not identify a row.
    """
    import sqlalchemy as sa

    primary = tuple(column.name for column in table.primary_key)
    inspector = sa.inspect(connection)
    unique = [set(each["column_names"]) for each in inspector.get_unique_constraints(table.name, table.schema)]
    indexes = inspector.get_indexes(table.name, table.schema)
    unique += [{name for name in each["column_names"] if name} for each in indexes if each["unique"]]
    key = wanted or primary
    if key and (set(key) == set(primary) or set(key) in unique):
        return key
    what = f"({', '.join(key)}) has no unique index" if key else "it has no primary key"
    raise ConfigurationError(
        "Rows cannot be replaced by a key that is not unique.",
        detail=f"{place}: {what}.",
        hint="Name the columns of the primary key, or of a unique index, with key=[...].",
    )


def _declared(column_type: Any, dialect: sa.Dialect) -> str:
    try:
        return str(column_type.compile(dialect=dialect))
    except Exception:  # Why not raised: a type that SQLAlchemy does not know can be written all the same.
        return type(column_type).__name__


def _taken_by(column_type: Any) -> tuple[tuple[type, ...], tuple[type, ...]]:
    """Give the Python types that fit a type of SQLAlchemy, and those among them that do not."""
    import sqlalchemy as sa

    if isinstance(column_type, sa.Boolean):
        return (bool,), ()
    if isinstance(column_type, sa.Integer):
        return (int,), ()
    if isinstance(column_type, (sa.Numeric, sa.Float)):
        return (int, float, decimal.Decimal), (bool,)
    if isinstance(column_type, sa.String):
        return (str,), ()
    if isinstance(column_type, sa.LargeBinary):
        return (bytes, bytearray, memoryview), ()
    if isinstance(column_type, sa.DateTime):
        return (datetime.date,), ()
    if isinstance(column_type, sa.Date):
        return (datetime.date,), (datetime.datetime,)
    if isinstance(column_type, sa.Time):
        return (datetime.time,), ()
    if isinstance(column_type, sa.Interval):
        return (datetime.timedelta,), ()
    if isinstance(column_type, sa.Uuid):
        return (uuid.UUID, str), ()
    return (), ()
