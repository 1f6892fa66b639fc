"""The write-ahead log: blocks that were pushed, kept until the batch that has them is done."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from millstream.blocks.log import Bytes, Log, LogRecord
from millstream.encoding.codec import decode, encode
from millstream.encoding.encoded_table import encoded_table
from millstream.errors import DataError, EncodingError
from millstream.model.partition import Columns, PartitionData
from millstream.model.ports.block_feed import Block, BlockStore

BLOCK = 1
"""The kind of a block's record."""

_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block as the log has it.

    Attributes:
        number: its id.
        input: the input that received it.
        records: how many records.
        batch_ms: the batch time of the slot in which it was sealed.
        position: where the sender stood after it, or None.
        invalid: how much in it was no record as it came.
        form: `rows`, `values` (a column of plain values) or `columns`.
        data: the encoded records.
    """

    number: int
    input: str
    records: int
    batch_ms: int
    position: Any
    invalid: int
    form: str
    data: memoryview

    def block(self) -> Block:
        """Decode the records."""
        values = decode(self.data)
        data: PartitionData = values if self.form == "rows" else Columns(values, scalar=self.form == "values")
        return Block(data, self.records, self.batch_ms, self.position, self.invalid, self.number)


class BlockLog(BlockStore):
    """Keeps the blocks of all pushed inputs in one log.

    A block and what identifies it (its number, its input, the source position) are one record, so a crash leaves
    both or neither. Any thread may store; the driver writes, settles and releases.

    Args:
        log: where the records go; closed with this.

    Example:
        >>> from millstream.blocks.memory_log import MemoryLog
        >>> blocks = BlockLog(MemoryLog())
        >>> number = blocks.store("lines", [1, 2], 2, 1_000, None, 0)
        >>> [(stored.number, stored.input, stored.block().data) for stored in blocks.stored()]
        [(0, 'lines', [1, 2])]
        >>> blocks.settle([number])
        1
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        # Numbers that are still needed, and for each block on its way the lowest number that it may get.
        self._open: set[int] = set()
        self._coming: dict[object, int] = {}
        self._lock = threading.Lock()
        self._unsynced = False

    @property
    def size_bytes(self) -> int:
        """How much room the log takes."""
        return self._log.size_bytes

    def store(self, input: str, data: PartitionData, records: int, batch_ms: int, position: Any, invalid: int) -> int:
        encoded = _encoded(input, data, records, batch_ms, position, invalid)
        coming = object()
        with self._lock:
            self._coming[coming] = self._log.next_number
        try:
            number = self._log.append([(BLOCK, encoded)])
            self.hold(number)
            return number
        finally:
            with self._lock:
                del self._coming[coming]

    def write(self, input: str, block: Block) -> int:
        """Write a block that nobody waits for; `sync` makes it durable.

        Returns:
            Its number.
        """
        self._unsynced = True
        data = _encoded(input, block.data, block.records, block.batch_ms, block.position, block.invalid)
        number = self._log.write([(BLOCK, data)])
        self.hold(number)
        return number

    def sync(self) -> None:
        """Make all that was written durable."""
        if self._unsynced:
            self._log.append([])
            self._unsynced = False

    def stored(self) -> Iterator[StoredBlock]:
        """Give the blocks that the log holds, oldest first.

        Raises:
            CorruptSegmentError: bytes that had been durable are wrong.
        """
        return (_stored(record) for record in self._log.read())

    def hold(self, number: int) -> None:
        """Keep a block until it is settled."""
        with self._lock:
            self._open.add(number)

    def settle(self, numbers: Iterable[int]) -> int:
        """Let go of blocks whose batches are done for certain, and of their room as far as whole files allow.

        Returns:
            The lowest number that is still needed; no block below it will be asked for again.
        """
        with self._lock:
            self._open.difference_update(numbers)
            lowest = min(self._open, default=self._log.next_number)
            lowest = min([lowest, *self._coming.values()])
        self._log.release(lowest)
        return lowest

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()


def _encoded(input: str, data: PartitionData, records: int, batch_ms: int, position: Any, invalid: int) -> Bytes:
    form = "rows" if not isinstance(data, Columns) else "values" if data.scalar else "columns"
    header = encode(
        {
            "input": input,
            "records": records,
            "batch_ms": batch_ms,
            "position": position,
            "invalid": invalid,
            "form": form,
        }
    )
    before = len(header).to_bytes(_LENGTH_BYTES, "little") + header
    try:
        return encoded_table(data.table, before) if isinstance(data, Columns) else before + encode(_plain(data))
    except EncodingError as error:
        raise EncodingError(
            f"A record of the input {input} cannot be kept in the write-ahead log.",
            detail=error.detail,
            hint="Store plain data, dataclasses or Arrow tables, register the type with ms.register_type, or run "
            "without checkpoint=.",
        ) from error


def records_of(block: Block) -> Any:
    """Give the records of a block as a value that can be encoded: a list of rows, or a table."""
    return _plain(block.data)


def _plain(data: PartitionData) -> Any:
    if isinstance(data, Columns):
        return data.table
    return data if isinstance(data, list) else list(data)


def _stored(record: LogRecord) -> StoredBlock:
    data = memoryview(record.data)
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = decode(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    if record.kind != BLOCK or not isinstance(header, dict):
        raise DataError(
            "The write-ahead log holds a record that is no block.",
            detail=f"Record {record.number} is of kind {record.kind}.",
            hint="A newer version of millstream may have written it: start the program with that version.",
        )
    return StoredBlock(number=record.number, data=data[_LENGTH_BYTES + length :], **header)
