"""Decoding what a member of a group has stored."""

from __future__ import annotations

from typing import Any

from millstream.errors import InternalError
from millstream.model.partition import Columns, Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.sources.kafka.decoding import Decoding


class GroupDecoding(ReplayableSource[Any]):
    """Makes records of the blocks of a group, in the tasks: the write-ahead log has keys and values as they came.

    Args:
        name: of the input, for errors.
        decoding: what keys and values become.
    """

    def __init__(self, name: str, decoding: Decoding) -> None:
        self.name = name
        self._decoding = decoding

    @property
    def invalid(self) -> int:
        """How many records could not be decoded and were left out."""
        return self._decoding.skipped.value

    def open(self, position: Any) -> None:
        """Nothing is to be opened: the member receives."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Refuse: what was received is planned by its blocks."""
        raise InternalError("Blocks of a consumer group are planned by the driver.")

    def read(self, split: Split) -> Partition[Any]:
        """Decode a part of the blocks of a batch.

        Raises:
            DataError: a record cannot be decoded, and the policy is to fail.
            SinkUnavailableError: the topic of such records could not be written.
        """
        columns: Columns = split.data
        return self._decoding.partition(columns.table, self.name)
