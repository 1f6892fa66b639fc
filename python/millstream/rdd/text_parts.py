"""Partitions as files of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from millstream.model.label import Label
from millstream.model.partition import PartitionData, rows_of
from millstream.rdd.failures import function_failed
from millstream.rdd.parts_directory import write_part


@dataclass(frozen=True, slots=True)
class WriteTextPart:
    """Writes the records of one partition as lines, in a task.

    Args:
        directory: where to.
        label: the operator, for errors.
    """

    directory: str
    label: Label

    def __call__(self, _batch: Any, index: int, data: PartitionData) -> None:
        write_part(self.directory, index, (self._line(record) for record in rows_of(data)))

    def _line(self, record: object) -> bytes:
        try:
            return (record if isinstance(record, bytes) else str(record).encode()) + b"\n"
        except Exception as error:
            raise function_failed(self.label, error, "writing", record) from error
