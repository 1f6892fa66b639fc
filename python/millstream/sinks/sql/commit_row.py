"""The row of commits: which batch of an output is the newest in the database, and which driver may write the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.errors import ConfigurationError
from millstream.model.ports.sink import SinkLineage

if TYPE_CHECKING:
    import sqlalchemy as sa

CONTROL_TABLE = "millstream_commits"
NO_BATCH_MS = -1
"""What stands for the newest batch time before the first commit; smaller than every batch time."""

LINEAGE_CHARACTERS = 64
OUTPUT_CHARACTERS = 190
"""Together short enough for a primary key in every database."""


@dataclass(frozen=True, slots=True)
class CommitState:
    """What the row says.

    Attributes:
        last_ms: the newest committed batch time, or None.
        epoch: the newest driver that opened the output.
    """

    last_ms: int | None
    epoch: int


class CommitRow:
    """The one row of one output operation of one history of a program.

    Args:
        lineage: whose row it is.
        schema: where the control table lies, None: in the connection's default.
    """

    def __init__(self, lineage: SinkLineage, schema: str | None) -> None:
        import sqlalchemy as sa

        if len(lineage.output) > OUTPUT_CHARACTERS:
            raise ConfigurationError(
                "The name of the output is too long for the row of its commits.",
                detail=f"{lineage.output[:40]}… has {len(lineage.output)} characters, at most {OUTPUT_CHARACTERS} fit.",
                hint="Give a shorter name=.",
            )
        self.lineage = lineage
        self.table = table = sa.Table(
            CONTROL_TABLE,
            sa.MetaData(),
            sa.Column("lineage_id", sa.String(LINEAGE_CHARACTERS), primary_key=True),
            sa.Column("output", sa.String(OUTPUT_CHARACTERS), primary_key=True),
            sa.Column("last_ms", sa.BigInteger, nullable=False),
            sa.Column("epoch", sa.BigInteger, nullable=False),
            schema=schema,
        )
        self._is_ours = sa.and_(table.c.lineage_id == lineage.lineage_id, table.c.output == lineage.output)
        newest = sa.bindparam("newest_ms", type_=sa.BigInteger)
        self._advance = (
            sa.update(table)
            .where(self._is_ours, table.c.last_ms < newest, table.c.epoch <= lineage.epoch)
            .values(last_ms=newest, epoch=lineage.epoch)
        )

    def make(self, connection: sa.Connection) -> None:
        """Make the table and the row where they are missing; other drivers may do so at the same time."""
        import sqlalchemy as sa

        table, lineage = self.table, self.lineage
        try:
            table.create(connection, checkfirst=True)
            connection.commit()
        except sa.exc.DBAPIError:
            connection.rollback()
            if not sa.inspect(connection).has_table(table.name, schema=table.schema):
                raise
            connection.rollback()
        if self.read(connection) is not None:
            return
        row = {
            "lineage_id": lineage.lineage_id,
            "output": lineage.output,
            "last_ms": NO_BATCH_MS,
            "epoch": lineage.epoch,
        }
        try:
            connection.execute(sa.insert(table), row)
            connection.commit()
        except sa.exc.IntegrityError:
            connection.rollback()

    def claim(self, connection: sa.Connection) -> bool:
        """Write this driver's epoch, so that older ones are fenced; False when there is a newer one."""
        import sqlalchemy as sa

        table, epoch = self.table, self.lineage.epoch
        claimed = connection.execute(
            sa.update(table).where(self._is_ours, table.c.epoch <= epoch).values(epoch=epoch),
        )
        connection.commit()
        return claimed.rowcount == 1

    def advance(self, connection: sa.Connection, time_ms: int) -> bool:
        """Write the batch time, in the transaction that writes its rows; False when the batch must not be written.

        The row stays locked until the transaction ends, so that two drivers write one after the other.
        """
        return connection.execute(self._advance, {"newest_ms": time_ms}).rowcount == 1

    def read(self, connection: sa.Connection) -> CommitState | None:
        """Give what the row says, or None when there is none; ends the transaction."""
        import sqlalchemy as sa

        found = connection.execute(
            sa.select(self.table.c.last_ms, self.table.c.epoch).where(self._is_ours)
        ).one_or_none()
        connection.rollback()
        if found is None:
            return None
        return CommitState(None if found.last_ms == NO_BATCH_MS else found.last_ms, found.epoch)
