"""How the values of one table are written, and what is said when one of them cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millstream.encoding.codec import Codec
from millstream.errors import MillstreamError, UserCodeError, shown
from millstream.model.label import Label
from millstream.state.chunk import encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class TableFormat:
    """How a table is written to the state log.

    Attributes:
        codec: encodes its values.
        label: the operator, for errors.
    """

    codec: Codec
    label: Label

    def encode(self, delta: Delta) -> bytes:
        """Encode what a batch changed.

        Raises:
            UserCodeError: a value cannot be encoded; names operator, key and type.
        """
        try:
            return encode_delta(delta, self.codec)
        except Exception as error:
            raise self._refusal(delta.batch_ms, delta.changed, error) from error

    def encode_snapshot(self, snapshot: Snapshot) -> bytes:
        """Encode all that a table holds.

        Raises:
            UserCodeError: a value cannot be encoded; names operator, key and type.
        """
        try:
            return encode_snapshot(snapshot, self.codec)
        except Exception as error:
            raise self._refusal(snapshot.batch_ms or 0, snapshot.values, error) from error

    def _refusal(self, batch_ms: int, values: Mapping[Any, Any], error: Exception) -> UserCodeError:
        label = self.label
        operator = f"{label.operator} {label.name!r}" if label.name else label.operator
        about, reason = "", error
        for key, value in values.items():
            try:
                encode_delta(Delta(batch_ms, {key: value}), self.codec)
            except Exception as refusal:
                about, reason = (
                    f"The key is {shown(key)}; its state {shown(value)} is of type {_named(value)}. ",
                    refusal,
                )
                break
        said = reason.message if isinstance(reason, MillstreamError) else f"{type(reason).__name__}: {reason}"
        detail = reason.detail if isinstance(reason, MillstreamError) and reason.detail else ""
        return UserCodeError(
            f"A state of {operator} cannot be written to the checkpoint: {said}",
            operator=label.operator,
            site=label.site,
            batch_time_ms=batch_ms,
            detail=f"{about}{detail}{' ' if detail else ''}{label.operator} was added at {label.site}.",
            hint="Keep plain data as state, or give the operator state=ms.StateOptions(codec=...) with a codec that "
            "can encode it.",
        )


def _named(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
