"""What a program remembers after a batch, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from millstream.encoding.codec import Codec
from millstream.state.stored_chunks import read_chunks

KEYS_SHOWN = 3
"""How many keys of a table a difference names."""

_NOTHING: Any = "nothing"


class Difference(NamedTuple):
    """A key of a table that two images do not hold alike.

    Attributes:
        table: with the partition.
        key: as the operator has it; of a window the batch time.
        here: its value and when it was last touched, in this image.
        there: the same in the other one.
    """

    table: tuple[str, int]
    key: Any
    here: Any
    there: Any


@dataclass(frozen=True, slots=True)
class StateImage:
    """All tables of a program after a batch: state, running values and parts of windows.

    Attributes:
        tables: for each table and partition the value of each key, with the batch time at which it was last touched
            where that counts.
        codecs: write the values of each table.
    """

    tables: dict[tuple[str, int], dict[Any, tuple[Any, int | None]]]
    codecs: dict[str, Codec]

    @classmethod
    def of(cls, durability: Any, time_ms: int) -> StateImage:
        """Take the image of a running program; called in the driver's thread, when a batch is done.

        Args:
            durability: of the program.
            time_ms: the batch.
        """
        state = durability._state
        tables: dict[tuple[str, int], dict[Any, tuple[Any, int | None]]] = {}
        codecs = {table: node.options.reading_codec() for table, node in state._nodes.items()}
        for chunk in state.snapshots(time_ms):
            snapshot = read_chunks([chunk.data], codecs[chunk.table], time_ms)
            if snapshot is not None and snapshot.values:
                touched = {key: touched_ms for touched_ms, keys in snapshot.idle for key in keys}
                values = {key: (value, touched.get(key)) for key, value in snapshot.values.items()}
                tables[chunk.table, chunk.partition] = values
        return cls(tables, codecs)

    def differences(self, other: StateImage) -> list[Difference]:
        """List what the other one does not hold alike, the first few keys of each table."""
        return [
            difference
            for table in {**self.tables, **other.tables}
            for difference in list(self._in_table(table, other))[:KEYS_SHOWN]
        ]

    def _in_table(self, table: tuple[str, int], other: StateImage) -> Iterator[Difference]:
        here, there, codec = self.tables.get(table, {}), other.tables.get(table, {}), self.codecs[table[0]]
        for key in {**here, **there}:
            if key not in here or key not in there or not _alike(here[key], there[key], codec):
                yield Difference(table, key, here.get(key, _NOTHING), there.get(key, _NOTHING))


def _alike(here: tuple[Any, int | None], there: tuple[Any, int | None], codec: Codec) -> bool:
    """Compare as written first: not every class of a program says when two of it are equal."""
    if here[1] != there[1]:
        return False
    return codec.encode(here[0]) == codec.encode(there[0]) or bool(here[0] == there[0])
