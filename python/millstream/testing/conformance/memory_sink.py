"""A sink in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from millstream.errors import FencedError, InternalError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage


@dataclass(slots=True)
class _Target:
    """What is outside of the program, so to speak: it outlives every sink object.

    Attributes:
        committed: the records of each batch, by lineage id, output and batch time.
        epochs: the newest driver that opened each output, by lineage id and output.
    """

    committed: dict[tuple[str, str, int], list[Any]] = field(default_factory=dict)
    epochs: dict[tuple[str, str], int] = field(default_factory=dict)


class MemorySink(Sink[Any]):
    """Keeps what was committed under a name, in this process.

    Sinks of one name write to one place, as drivers of one program would. Receipts carry the records, so staging
    works in worker processes too and leaves nothing behind.

    Args:
        place: the name.

    Example:
        >>> MemorySink.clear("demo")
        >>> sink = MemorySink("demo")
        >>> sink.open(SinkLineage("lineage", "output"))
        >>> sink.commit(Batch(1_000), [sink.stage(Batch(1_000), 0, Partition(["a", "b"]))])
        >>> sink.records()
        ['a', 'b']
    """

    _places: ClassVar[dict[str, _Target]] = {}

    def __init__(self, place: str = "memory") -> None:
        self.name = f"memory sink {place}"
        self.place = place
        self._lineage: SinkLineage | None = None

    @classmethod
    def clear(cls, place: str = "memory") -> None:
        """Forget all that was committed under a name."""
        cls._places.pop(place, None)

    def batches(self) -> dict[int, list[Any]]:
        """Give the committed records of each batch time, in order of time, of all outputs in this place."""
        batches: dict[int, list[Any]] = {}
        committed = self._target.committed
        for lineage_id, output, time_ms in sorted(committed, key=lambda key: (key[2], key[0], key[1])):
            batches.setdefault(time_ms, []).extend(committed[lineage_id, output, time_ms])
        return batches

    def records(self) -> list[Any]:
        """Give all committed records, in order of batch time."""
        return [record for batch in self.batches().values() for record in batch]

    def open(self, lineage: SinkLineage) -> int | None:
        self._lineage = lineage
        self._check_epoch()
        self._target.epochs[lineage.lineage_id, lineage.output] = lineage.epoch
        return max((time_ms for *key, time_ms in self._target.committed if key == self._key), default=None)

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        return list(data.rows())

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        self._check_epoch()
        lineage_id, output = self._key
        self._target.committed.setdefault(
            (lineage_id, output, batch.time_ms), [record for receipt in receipts for record in receipt]
        )

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts hold all that was staged, so nothing is left to throw away."""

    @property
    def _target(self) -> _Target:
        return self._places.setdefault(self.place, _Target())

    @property
    def _key(self) -> list[str]:
        if self._lineage is None:
            raise InternalError("The sink is not open.", hint="Call open() first.")
        return [self._lineage.lineage_id, self._lineage.output]

    def _check_epoch(self) -> None:
        lineage_id, output = self._key
        newest = self._target.epochs.get((lineage_id, output), 0)
        if self._lineage is not None and newest > self._lineage.epoch:
            raise FencedError(
                "Another driver writes this output.",
                detail=f"Epoch {newest} has taken over, this driver has {self._lineage.epoch}.",
                hint="Stop this driver.",
            )
