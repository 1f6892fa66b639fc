"""How rows get into a table: by the quickest way that each database has."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millstream.errors import ConfigurationError
from millstream.sinks.sql.record_rows import Row
from millstream.sinks.sql.table_shape import TableColumn

if TYPE_CHECKING:
    import sqlalchemy as sa


SINGLE_UPSERTS_MAX = 256
"""Up to so many rows PostgreSQL replaces one by one: emptying the temporary table costs it as much, about 3 ms."""


class RowWriter(ABC):
    """Writes rows into one table, inside the transaction of a connection.

    Args:
        table: as it was read from the database.
        key: columns whose values name the row to replace; empty: rows are added.
    """

    def __init__(self, table: sa.Table, key: tuple[str, ...]) -> None:
        self.table = table
        self.key = key

    @abstractmethod
    def write(self, connection: sa.Connection, columns: tuple[str, ...], rows: list[Row]) -> None:
        """Write rows; with a key, a later one of the same key replaces an earlier one."""

    def check(self, dialect: sa.Dialect) -> None:  # noqa: B027 - most writers know their one database
        """Refuse what cannot work with the database.

        Raises:
            ConfigurationError: it cannot.
        """


class AnyRows(RowWriter):
    """Writes through SQLAlchemy, which knows the ways of many databases."""

    def write(self, connection: sa.Connection, columns: tuple[str, ...], rows: list[Row]) -> None:
        statement = self._statement(connection.dialect, [name for name in columns if name not in self.key])
        connection.execute(statement, [dict(zip(columns, row, strict=True)) for row in rows])

    def check(self, dialect: sa.Dialect) -> None:
        self._statement(dialect, [])

    def _statement(self, dialect: sa.Dialect, rest: list[str]) -> Any:
        import sqlalchemy as sa

        if not self.key:
            return sa.insert(self.table)
        if dialect.name in ("postgresql", "sqlite"):
            from sqlalchemy.dialects import postgresql, sqlite

            insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(self.table)
            keys = [self.table.c[name] for name in self.key]
            if not rest:
                return insert.on_conflict_do_nothing(index_elements=keys)
            newest = {name: insert.excluded[name] for name in rest}
            return insert.on_conflict_do_update(index_elements=keys, set_=newest)
        if dialect.name in ("mysql", "mariadb"):
            from sqlalchemy.dialects import mysql

            inserted = mysql.insert(self.table)
            return inserted.on_duplicate_key_update({name: inserted.inserted[name] for name in rest or self.key})
        raise ConfigurationError(
            "Rows cannot be replaced by key in this database.",
            detail=f"mode='upsert' works with PostgreSQL, SQLite, MySQL and MariaDB; this is {dialect.name}.",
            hint="Use mode='append' into a table of changes, and a view of the newest row of each key.",
        )


class SqliteRows(RowWriter):
    """Writes by SQLite's own loop over rows, about five times as fast as rows that SQLAlchemy prepares."""

    def write(self, connection: sa.Connection, columns: tuple[str, ...], rows: list[Row]) -> None:
        places = ", ".join("?" * len(columns))
        into = f"INSERT INTO {_quoted_table(self.table)} ({_quoted(columns)}) VALUES ({places})"
        connection.exec_driver_sql(f"{into} {_on_conflict(columns, self.key)}", rows)


class PostgresRows(RowWriter):
    """Writes by COPY, fourteen times as fast as single inserts, for psycopg.

    An upsert of many rows goes through a temporary table that each connection makes once and that is empty after
    every transaction: making a new one for every batch would fill the database's catalogue.
    """

    def write(self, connection: sa.Connection, columns: tuple[str, ...], rows: list[Row]) -> None:
        raw: Any = connection.connection.driver_connection
        table, names = _quoted_table(self.table), _quoted(columns)
        with raw.cursor() as cursor:
            if not self.key:
                _copy(cursor, f"COPY {table} ({names}) FROM STDIN", rows)
            elif len(rows) <= SINGLE_UPSERTS_MAX:
                # Why doubled: the driver takes a single one for the place of a value.
                into = f"INSERT INTO {table} ({names}) VALUES ".replace("%", "%%")
                how = _on_conflict(columns, self.key).replace("%", "%%")
                cursor.executemany(f"{into} ({', '.join(['%s'] * len(columns))}) {how}", rows)
            else:
                self._replace(cursor, table, columns, rows)

    def _replace(self, cursor: Any, table: str, columns: tuple[str, ...], rows: list[Row]) -> None:
        names, keys = _quoted(columns), _quoted(self.key)
        staged = f"millstream_{_digest(table, names)}"
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS AS "
            f"SELECT 0::bigint AS millstream_place, {names} FROM {table} WITH NO DATA"
        )
        # Why: this transaction may have written other rows before.
        cursor.execute(f"DELETE FROM {staged}")
        numbered = [(place, *row) for place, row in enumerate(rows)]
        _copy(cursor, f"COPY {staged} (millstream_place, {names}) FROM STDIN", numbered)
        # Why the database picks the newest row of each key: only it knows which keys are equal.
        newest = f"SELECT DISTINCT ON ({keys}) {names} FROM {staged} ORDER BY {keys}, millstream_place DESC"
        cursor.execute(f"INSERT INTO {table} ({names}) {newest} {_on_conflict(columns, self.key)}")


def writer_for(dialect: sa.Dialect, table: sa.Table, key: tuple[str, ...]) -> RowWriter:
    """Give the quickest way into a table."""
    if dialect.name == "postgresql" and dialect.driver == "psycopg":
        return PostgresRows(table, key)
    if dialect.name == "sqlite" and dialect.paramstyle == "qmark":
        return SqliteRows(table, key)
    return AnyRows(table, key)


def converter_for(dialect: sa.Dialect, column: TableColumn) -> Callable[[Any], Any] | None:
    """Give what turns the values of a column into what the writer of its database takes, or None."""
    if dialect.name == "postgresql" and dialect.driver == "psycopg":
        return _json_text if column.is_json else None
    if dialect.name == "sqlite" and dialect.paramstyle == "qmark":
        if column.is_json:
            return _json_text
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        return process and (lambda value: process(_in_utc(value)))
    return None


def _json_text(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def _in_utc(value: Any) -> Any:
    """Give an aware time in UTC: SQLite keeps no offset, and one that was cut off would be another time."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    return value


def _on_conflict(columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """Give the clause that replaces the row of the same key; empty where rows are added."""
    if not key:
        return ""
    rest = [_quoted([name]) for name in columns if name not in key]
    action = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rest)}" if rest else "NOTHING"
    return f"ON CONFLICT ({_quoted(key)}) DO {action}"


def _quoted(names: Sequence[str]) -> str:
    """Give names as PostgreSQL and SQLite read them, just as they are written in the database."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _quoted_table(table: sa.Table) -> str:
    return _quoted([table.name]) if table.schema is None else f"{_quoted([table.schema])}.{_quoted([table.name])}"


def _copy(cursor: Any, statement: str, rows: list[Row]) -> None:
    with cursor.copy(statement) as copy:
        write_row = copy.write_row
        for row in rows:
            write_row(row)


def _digest(*parts: str) -> str:
    import hashlib

    return hashlib.blake2s("\0".join(parts).encode(), digest_size=8).hexdigest()
