"""Rows of a SQL table, written exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from millstream.errors import (
    ConfigurationError,
    DataError,
    FencedError,
    LifecycleError,
    MillstreamError,
    SinkUnavailableError,
    shown,
)
from millstream.model.batch import Batch
from millstream.model.choices import one_of
from millstream.model.column_names import checked_column_names
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.sinks.sql.commit_row import CONTROL_TABLE, CommitRow, CommitState
from millstream.sinks.sql.culprit import find_culprit
from millstream.sinks.sql.database import Database
from millstream.sinks.sql.database_failure import driver_text, failure_kind
from millstream.sinks.sql.record_rows import RecordRows, RowGroup, merged
from millstream.sinks.sql.row_writers import RowWriter, converter_for, writer_for
from millstream.sinks.sql.table_shape import TableShape, shape_of, unique_key

if TYPE_CHECKING:
    import sqlalchemy as sa

SqlMode: TypeAlias = Literal["append", "upsert"]


class SqlSink(Sink[Any]):
    """Writes each batch into a table in one transaction, exactly once.

    A row of the table `millstream_commits`, which is made beside the table, says which batch of this output is the
    newest. The transaction of a batch begins with moving that row on, and does nothing when the batch was
    committed before or a newer driver has taken over. Tasks only turn records into rows; these travel in receipts
    and are held in the driver's memory until the commit. Whatever fails before leaves nothing behind.

    Records are mappings by column name, dataclasses, named tuples, tuples or lists (with `columns`), or single values
    (with one column). Without `columns`, a record fills the columns that it has, and the others get their defaults;
    with `columns`, what a record has not got is null. A batch without rows leaves no trace.

    PostgreSQL with psycopg is written by COPY, SQLite by its own loop, any other database through SQLAlchemy.

    Args:
        url: a URL of SQLAlchemy, such as `postgresql://user@host/database` or `sqlite:///counts.db`.
        table: the name of a table that exists.
        mode: `append` adds rows; `upsert` replaces the rows of the same key, the last record of a batch winning.
        key: the columns that identify a row to `upsert`; they need a unique index. None: the primary key.
        columns: the columns to fill, in the order of a tuple's values; None: what the records have.
        schema: where the table lies; None: where the connection looks first.
        connect_args: handed to the driver's connect, for certificates and the like.

    Raises:
        ConfigurationError: the mode, the columns or the URL cannot work, or SQLAlchemy or a driver is missing.
    """

    def __init__(
        self,
        url: str | sa.URL,
        table: str,
        *,
        mode: SqlMode = "append",
        key: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        schema: str | None = None,
        connect_args: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("mode", mode, SqlMode)
        if key is not None and mode == "append":
            raise ConfigurationError(
                "Rows that are added have no use for a key.",
                detail=f"key={shown(key)}, mode='append'.",
                hint='Leave key out, or give mode="upsert".',
            )
        self._database = Database(url, connect_args)
        self._table_name = table
        self._schema = schema
        self._mode = mode
        self._wanted_key = None if key is None else _names((key,) if isinstance(key, str) else key, "key")
        self._columns = None if columns is None else _names(columns, "columns")
        self.name = f"table {table} in {self._database.shown}"
        self._lineage: SinkLineage | None = None
        self._shape: TableShape | None = None
        self._key: tuple[str, ...] = ()
        self._row: CommitRow | None = None
        self._writer: RowWriter | None = None
        self._record_rows: RecordRows | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Executors turn records into rows; the connections and what belongs to them stay with the driver.
        return {**self.__dict__, "_row": None, "_writer": None, "_record_rows": None}

    def open(self, lineage: SinkLineage) -> int | None:
        self._lineage = lineage
        self._row = row = CommitRow(lineage, self._schema)
        with self._reported("opened"), self._database.connected() as connection:
            self._read_table(connection)
            row.make(connection)
            claimed = row.claim(connection)
            state = self._state(connection, row)
        if not claimed:
            raise self._fenced(state)
        return state.last_ms

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        if len(data) == 0:
            return []
        if self._lineage is None or self._shape is None:
            raise self._not_open()
        if self._record_rows is None:
            self._record_rows = self._made_record_rows(self._lineage, self._shape)
        return self._record_rows.groups(data)

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        groups = merged((group for receipt in receipts for group in receipt), in_order=self._mode == "upsert")
        row, writer = self._row, self._writer
        if row is None or writer is None:
            raise self._not_open()
        if not groups:
            return
        with self._reported("committed"), self._database.connected() as connection:
            try:
                if not row.advance(connection, batch.time_ms):
                    self._settle(connection, row, batch)
                    return
                for columns, rows in groups:
                    writer.write(connection, columns, rows)
                connection.commit()
            except MillstreamError:
                raise
            except Exception as error:
                if self._database.is_lost(connection, error):
                    connection.invalidate()
                    self._ask(row, batch, error)
                elif failure_kind(error) == "record":
                    connection.rollback()
                    self._refuse(connection, writer, batch, groups, error)
                else:
                    raise

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts hold all that was staged, so nothing is left to throw away."""

    def close(self) -> None:
        self._database.close()

    def _made_record_rows(self, lineage: SinkLineage, shape: TableShape) -> RecordRows:
        dialect = self._database.dialect
        converters = {
            name: convert
            for name, column in shape.columns.items()
            if (convert := converter_for(dialect, column)) is not None
        }
        return RecordRows(lineage.output, shape, self._columns, self._key, converters)

    def _read_table(self, connection: sa.Connection) -> None:
        import sqlalchemy as sa

        try:
            table = sa.Table(self._table_name, sa.MetaData(), schema=self._schema, autoload_with=connection)
        except sa.exc.NoSuchTableError:
            there = sorted(sa.inspect(connection).get_table_names(schema=self._schema))
            raise ConfigurationError(
                f"There is no table {self._table_name!r}.",
                detail=f"{self._place}. The database has {', '.join(there) or 'no tables'}.",
                hint="Make the table before the stream starts, or give its schema=.",
            ) from None
        self._shape = shape_of(table, connection.dialect)
        unknown = [name for name in (*(self._columns or ()), *(self._wanted_key or ())) if name not in table.c]
        if unknown:
            raise ConfigurationError(
                f"The table has no column {unknown[0]!r}.",
                detail=f"{self._place}. It has {self._shape.listed}.",
                hint="Name columns that it has in columns= and key=, or add the column to the table.",
            )
        if self._mode == "upsert":
            self._key = unique_key(connection, table, self._wanted_key, self._place)
        self._writer = writer_for(connection.dialect, table, self._key)
        self._writer.check(connection.dialect)
        connection.rollback()

    def _settle(self, connection: sa.Connection, row: CommitRow, batch: Batch) -> None:
        """Find out why the batch must not be written: it is committed, or this driver's time is over."""
        connection.rollback()
        state = self._state(connection, row)
        if state.epoch > row.lineage.epoch:
            raise self._fenced(state)
        if state.last_ms is None or state.last_ms < batch.time_ms:
            raise SinkUnavailableError(
                "The row of commits did not move on, and nothing stands in its way.",
                detail=f"{self._place}: batch {batch.time_ms}, the row in {CONTROL_TABLE} says {state.last_ms}.",
                hint="Look for a trigger or a rule on that table; the batch is tried again.",
            )

    def _ask(self, row: CommitRow, batch: Batch, error: Exception) -> None:
        """The connection was lost, perhaps after the database had committed: ask it on a new one."""
        with self._database.connected() as connection:
            state = self._state(connection, row)
        if state.epoch > row.lineage.epoch:
            raise self._fenced(state)
        if state.last_ms is None or state.last_ms < batch.time_ms:
            # It may still be on its way: the next try waits for the row, which that transaction has locked.
            raise self._unavailable("committed", error)

    def _state(self, connection: sa.Connection, row: CommitRow) -> CommitState:
        state = row.read(connection)
        if state is None:
            raise DataError(
                "The row of commits is gone.",
                detail=f"{self._place}: {CONTROL_TABLE} has none for the history {row.lineage.lineage_id}.",
                hint="Something else removed it. Put it back with the newest batch time that the table holds.",
            )
        return state

    def _refuse(
        self,
        connection: sa.Connection,
        writer: RowWriter,
        batch: Batch,
        groups: list[RowGroup],
        error: Exception,
    ) -> NoReturn:
        culprit = find_culprit(connection, writer, groups)
        if culprit is None:
            # What stood in the way is gone, or it shows only at the end of a transaction.
            raise self._unavailable("committed", error)
        text = self._database.scrub(driver_text(culprit.error))
        raise DataError(
            f"The database refuses a record: {text}",
            detail=f"{self._place}, batch {batch.time_ms}, record {shown(culprit.record)}.",
            hint="Mend such records with map(), leave them out with filter(), or change the table.",
        ) from self._database.cause(error)

    @property
    def _place(self) -> str:
        output = "" if self._lineage is None else f"output {self._lineage.output}, "
        return f"{output}{self.name}"

    def _not_open(self) -> LifecycleError:
        return LifecycleError(
            f"The sink of {self.name} is not open.",
            detail="stage and commit come after open.",
            hint="Hand the sink to stream.write_to(...) and start the context.",
        )

    def _fenced(self, state: CommitState) -> FencedError:
        return FencedError(
            "Another driver writes this output.",
            detail=f"{self._place}: epoch {state.epoch} has taken over.",
            hint="Stop this program; the other one goes on from the same checkpoint.",
        )

    def _unavailable(self, what: str, error: BaseException) -> SinkUnavailableError:
        unavailable = SinkUnavailableError(
            f"The table could not be {what}: {self._database.scrub(driver_text(error))}",
            detail=f"{self._place}.",
            hint="Look at the database and the way to it; the step is tried again.",
        )
        unavailable.__cause__ = self._database.cause(error)
        unavailable.__suppress_context__ = True
        return unavailable

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except MillstreamError:
            raise
        except Exception as error:
            if failure_kind(error) == "busy":
                raise self._unavailable(what, error) from self._database.cause(error)
            raise ConfigurationError(
                f"The table could not be {what}: {self._database.scrub(driver_text(error))}",
                detail=f"{self._place}.",
                hint=f"The table and {CONTROL_TABLE}, which is made beside it, must be there, and the user of the URL "
                "must have the right to read and write both.",
            ) from self._database.cause(error)


def _names(names: Sequence[str], argument: str) -> tuple[str, ...]:
    return tuple(checked_column_names(names, f"the columns that {argument} names", argument=argument))
