"""Which record a database refuses, when all that it says is that one of many is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.sinks.sql.record_rows import Row, RowGroup, by_column
from millstream.sinks.sql.row_writers import RowWriter

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Culprit:
    """The first row that cannot be written.

    Attributes:
        record: the row, by column.
        error: what writing it alone, after those before it, raised.
    """

    record: Any
    error: Exception


def find_culprit(connection: sa.Connection, writer: RowWriter, groups: list[RowGroup]) -> Culprit | None:
    """Write the rows again, in halves of halves, and take everything back.

    Args:
        connection: with no transaction open; left so.
        writer: writes them.
        groups: the rows of the batch.

    Returns:
        The first row that the database refuses after all before it were written; None when it takes all of them now.
    """
    import sqlalchemy as sa

    try:
        if connection.dialect.name == "postgresql":
            # What is checked at the end of a transaction only would show no culprit.
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        if connection.dialect.name == "sqlite":
            # Its driver begins a transaction with a change only; without one the end of a savepoint would commit.
            connection.execute(sa.delete(writer.table).where(sa.false()))
        for columns, rows in groups:
            if (found := _in(connection, writer, columns, rows)) is not None:
                return found
        return None
    finally:
        connection.rollback()


def _in(connection: sa.Connection, writer: RowWriter, columns: tuple[str, ...], rows: list[Row]) -> Culprit | None:
    if not rows:
        return None
    savepoint = connection.begin_nested()
    try:
        writer.write(connection, columns, rows)
        savepoint.commit()
        return None
    except Exception as error:
        savepoint.rollback()
        if len(rows) == 1:
            return Culprit(by_column(columns, rows[0]), error)
    middle = len(rows) // 2
    return _in(connection, writer, columns, rows[:middle]) or _in(connection, writer, columns, rows[middle:])
