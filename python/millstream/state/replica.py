"""The replica: what the driver keeps of a table that lives in another process."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.encoding.rows import Frame
from millstream.errors import InternalError

SNAPSHOT_BYTES_MIN = 1 << 16
"""Deltas below this size never ask for a snapshot: replaying 64 KiB takes about a millisecond."""


@dataclass(frozen=True, slots=True)
class ReplicaImage:
    """What a table is made of again.

    Attributes:
        snapshot: a packed `Snapshot`, or None for a table that never had one.
        deltas: packed deltas of the committed batches after it, oldest first.
        open_deltas: packed deltas of the batches in flight, oldest first.
    """

    snapshot: Frame | None
    deltas: tuple[Frame, ...]
    open_deltas: tuple[Frame, ...]


class StateReplica:
    """The last snapshot of a table and the deltas since, as bytes.

    Deltas come in order of batch time; those after the newest committed batch can be rolled back.

    Example:
        >>> replica = StateReplica()
        >>> replica.append(1_000, b"delta 1"); replica.commit(1_000); replica.append(2_000, b"delta 2")
        >>> replica.image()
        ReplicaImage(snapshot=None, deltas=(b'delta 1',), open_deltas=(b'delta 2',))
        >>> replica.rollback(2_000); replica.image().open_deltas
        ()
    """

    __slots__ = ("_deltas", "_snapshot", "committed_ms", "deltas_bytes", "snapshot_bytes")

    def __init__(self) -> None:
        self.committed_ms: int | None = None
        self.snapshot_bytes = 0
        self.deltas_bytes = 0
        self._snapshot: Frame | None = None
        self._deltas: dict[int, Frame] = {}

    def append(self, batch_ms: int, delta: Frame) -> None:
        """Keep the delta of a batch; the same batch again replaces it and drops later ones.

        Raises:
            InternalError: the batch is committed already.
        """
        if self.committed_ms is not None and batch_ms <= self.committed_ms:
            raise InternalError(
                "A delta came for a batch that is committed.",
                detail=f"Batch {batch_ms}; committed up to {self.committed_ms}.",
            )
        self.rollback(batch_ms)
        self._deltas[batch_ms] = delta
        self.deltas_bytes += len(delta)

    def rollback(self, batch_ms: int) -> None:
        """Drop the delta of a batch in flight, and of every later one."""
        for later_ms in [ms for ms in reversed(self._deltas) if ms >= batch_ms]:
            if self.committed_ms is None or later_ms > self.committed_ms:
                self.deltas_bytes -= len(self._deltas.pop(later_ms))

    def commit(self, batch_ms: int) -> None:
        """Make a batch, and every earlier one, final."""
        if self.committed_ms is None or batch_ms > self.committed_ms:
            self.committed_ms = batch_ms

    @property
    def wants_snapshot(self) -> bool:
        """True when the deltas outgrew the snapshot, so that a new one makes the replica smaller and quicker."""
        return self.deltas_bytes > max(self.snapshot_bytes, SNAPSHOT_BYTES_MIN)

    def renew(self, batch_ms: int, snapshot: Frame) -> None:
        """Keep a new snapshot, and drop the deltas that it holds.

        Args:
            batch_ms: the newest batch in the snapshot, which is committed.
            snapshot: the packed `Snapshot`.

        Raises:
            InternalError: the batch is not committed yet, so it may still be rolled back.
        """
        if self.committed_ms is None or batch_ms > self.committed_ms:
            raise InternalError(
                "A snapshot holds a batch that is not committed.",
                detail=f"Snapshot of batch {batch_ms}; committed up to {self.committed_ms}.",
            )
        for earlier_ms in [ms for ms in self._deltas if ms <= batch_ms]:
            self.deltas_bytes -= len(self._deltas.pop(earlier_ms))
        self._snapshot = snapshot
        self.snapshot_bytes = len(snapshot)

    def load(self, batch_ms: int, snapshot: Frame) -> None:
        """Begin with a snapshot of a committed batch."""
        self.committed_ms = batch_ms
        self.renew(batch_ms, snapshot)

    def image(self) -> ReplicaImage:
        """Give what a worker needs to make the table again."""
        committed_ms = self.committed_ms
        return ReplicaImage(
            self._snapshot,
            tuple(d for ms, d in self._deltas.items() if committed_ms is not None and ms <= committed_ms),
            tuple(d for ms, d in self._deltas.items() if committed_ms is None or ms > committed_ms),
        )
