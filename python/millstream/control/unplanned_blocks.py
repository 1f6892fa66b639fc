"""The blocks that no batch has yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from millstream.control.facts import BlockStored
from millstream.errors import InternalError

Blocks: TypeAlias = dict[int, BlockStored]
"""Blocks by id, in the order in which they were stored."""


class UnplannedBlocks:
    """Blocks from the moment they are stored until a batch takes them: each is taken once.

    A block goes to the first batch at or after its slot of the grid; one that comes after that batch was planned
    goes to the next.

    Example:
        >>> blocks = UnplannedBlocks(["lines"])
        >>> blocks.store(BlockStored("lines", block_id=7, batch_ms=1_000, records=3))
        >>> blocks.store(BlockStored("lines", block_id=8, batch_ms=2_000, records=2))
        >>> [list(taken) for taken in blocks.take(1_000).values()], blocks.newest_ms
        ([[7]], 2000)
    """

    __slots__ = ("_newest_ms", "_stored")

    def __init__(self, inputs: Iterable[str]) -> None:
        self._stored: dict[str, Blocks] = {name: {} for name in inputs}
        self._newest_ms: int | None = None

    @property
    def newest_ms(self) -> int | None:
        """The latest slot of the blocks that wait, milliseconds since the epoch, or None when none waits."""
        return self._newest_ms

    def store(self, fact: BlockStored) -> None:
        """Add a block.

        Raises:
            InternalError: the input has no blocks, or the block is here already.
        """
        stored = self._stored.get(fact.input)
        if stored is None:
            raise InternalError(f"{fact.input!r} is not a receiver input.")
        if fact.block_id in stored:
            raise InternalError(f"Block {fact.block_id} of {fact.input!r} was stored twice.")
        stored[fact.block_id] = fact
        if self._newest_ms is None or fact.batch_ms > self._newest_ms:
            self._newest_ms = fact.batch_ms

    def take(self, time_ms: int) -> dict[str, Blocks]:
        """Take the blocks of slots up to a batch time, for every input."""
        if self._newest_ms is None or self._newest_ms <= time_ms:
            taken = self._stored
            self._stored = {name: {} for name in taken}
            self._newest_ms = None
            return taken
        taken = {name: {} for name in self._stored}
        kept: dict[str, Blocks] = {name: {} for name in self._stored}
        for name, stored in self._stored.items():
            for block_id, block in stored.items():
                (taken if block.batch_ms <= time_ms else kept)[name][block_id] = block
        self._stored = kept  # Invariant: the newest block is among them, or the quick way had been taken.
        return taken

    def left(self) -> Mapping[str, Blocks]:
        """The blocks that wait, by input, for a report."""
        return self._stored
