"""Deltas and snapshots: state as it travels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millstream.encoding.rows import Frame, pack, unpack
from millstream.errors import ShippingError, shown


@dataclass(frozen=True, slots=True)
class Delta:
    """What one batch changed in one table.

    Attributes:
        batch_ms: batch time, milliseconds.
        changed: keys that were set, or whose mutable value the user's function got, with their values after
            the batch; new ones in order of insertion. Belongs to the table: read it, do not change it.
        removed: keys that lost their place. One that is in `changed` too came again, as the last.
        touched: keys with data in the batch, in order; those still held are idle from `batch_ms` on.
        expired_before_ms: all keys last touched before this time have timed out; None without a timeout.
        hidden_count: keys held after the batch that the step leaves out of its rows.
    """

    batch_ms: int
    changed: Mapping[Any, Any]
    removed: tuple[Any, ...] = ()
    touched: tuple[Any, ...] = ()
    expired_before_ms: int | None = None
    hidden_count: int = 0

    @property
    def records(self) -> int:
        """How many keys the batch changed or, when it changed none, touched; 0 when the table is as it was."""
        return len(self.changed) + len(self.removed) or len(self.touched)

    def pack(self) -> bytes:
        """Encode for another process of this run.

        Raises:
            ShippingError: a state cannot be encoded; names its key.
        """
        fields = (self.batch_ms, self.changed, self.removed, self.touched, self.expired_before_ms, self.hidden_count)
        try:
            return pack(fields)
        except ShippingError as error:
            raise _named(error, self.changed) from error

    @classmethod
    def unpack(cls, data: Frame) -> Delta:
        """Decode what `pack` gave."""
        return cls(*unpack(data))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one table held when a batch was committed.

    Attributes:
        batch_ms: the newest committed batch, milliseconds, or None when there was none yet.
        values: every key with its value, in order of insertion.
        idle: for steps with a timeout: batch time, milliseconds, with the keys last touched then, in order.
        hidden_count: keys that the step leaves out of its rows.
    """

    batch_ms: int | None
    values: dict[Any, Any]
    idle: tuple[tuple[int, tuple[Any, ...]], ...] = ()
    hidden_count: int = 0

    def pack(self) -> bytes:
        """Encode for another process of this run."""
        return pack((self.batch_ms, self.values, self.idle, self.hidden_count))

    @classmethod
    def unpack(cls, data: Frame) -> Snapshot:
        """Decode what `pack` gave."""
        return cls(*unpack(data))


def _named(error: ShippingError, changed: Mapping[Any, Any]) -> ShippingError:
    for key, value in changed.items():
        try:
            pack(value)
        except ShippingError as refusal:
            return ShippingError(
                "A state cannot be sent to another process.",
                detail=f"The state of the key {shown(key)} is {shown(value)}: {refusal.detail}",
                hint="Keep plain data as state, and make connections, locks and files where they are used.",
            )
    return error


def apply_changes(values: dict[Any, Any], changed: Mapping[Any, Any], removed: Iterable[Any]) -> None:
    """Bring committed values up to date: keys that stay keep their place, new ones follow in order."""
    for key in removed:
        values.pop(key, None)
    values.update(changed)
