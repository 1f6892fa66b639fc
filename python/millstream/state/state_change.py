"""What one batch changed in one table, on its way to the state log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateChange:
    """What one batch changed in one partition of a table.

    Attributes:
        table: the id of the table.
        partition: the partition when it was written; 0 for the parts of a window.
        data: an encoded chunk.
        records: how many keys were set, removed or only touched.
    """

    table: str
    partition: int
    data: bytes
    records: int
