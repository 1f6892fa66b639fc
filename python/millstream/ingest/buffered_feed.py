"""The feeds whose blocks wait in a buffer."""

from __future__ import annotations

from typing import Any

from millstream.ingest.block_buffer import BlockBuffer
from millstream.model.ports.block_feed import Block, BlockFeed, BlockStore


class BufferedFeed(BlockFeed):
    """A feed that hands over what its buffer holds; what fills the buffer is the subclass's own."""

    _buffer: BlockBuffer[Any]

    @property
    def pending(self) -> int:
        """How many records wait for a batch."""
        return self._buffer.pending

    def persist(self, name: str, store: BlockStore, position: Any) -> None:
        self._buffer.persist(name, store, position)

    def take(self, until_ms: int) -> list[Block]:
        return self._buffer.take(until_ms)

    def hold(self) -> None:
        self._buffer.hold()

    def resume(self) -> None:
        self._buffer.resume()
