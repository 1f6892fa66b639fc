"""Tables that are filled, or written out, as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millstream.state.dump_step import DumpStep
from millstream.state.load_step import LoadStep
from millstream.state.stored_chunks import Chunks


@dataclass(frozen=True, slots=True, eq=False)
class TableLoad:
    """The chunks of a table, on their way to the executors that will hold its partitions.

    Attributes:
        table: the id of the table.
        step: fills one partition.
        parts: for each partition of the program the chunks of the stored partitions that may have keys of it.
    """

    table: str
    step: LoadStep
    parts: Sequence[Sequence[Chunks]]


@dataclass(frozen=True, slots=True, eq=False)
class TableDump:
    """A table that is to be written out as a whole.

    Attributes:
        table: the id of the table.
        step: writes one partition.
        partitions: how many there are.
    """

    table: str
    step: DumpStep
    partitions: int
