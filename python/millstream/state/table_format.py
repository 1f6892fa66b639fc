"""How the values of one table are written, and what is said when one of them cannot be."""

from __future__ import annotations

from dataclasses import dataclass

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
            raise self.refusal(error, delta.batch_ms) from error

    def encode_snapshot(self, snapshot: Snapshot) -> bytes:
        """Encode all that a table holds.

        Raises:
            UserCodeError: a value cannot be encoded; names operator, key and type.
        """
        try:
            return encode_snapshot(snapshot, self.codec)
        except Exception as error:
            raise self.refusal(error, snapshot.batch_ms) from error

    def refusal(self, error: Exception, batch_ms: int | None, record: object = None) -> UserCodeError:
        """Make the error for a value that cannot be encoded.

        Args:
            error: what the codec raised; it names the key.
            batch_ms: the batch, milliseconds.
            record: the record of a window that was refused, or None.
        """
        label = self.label
        operator = f"{label.operator} {label.name!r}" if label.name else label.operator
        what = "A state" if record is None else "A record"
        reason = str(error)
        if isinstance(error, MillstreamError):
            reason = (error.detail or error.message).rstrip(".")
        about = "" if record is None else f"The record is {shown(record)}. "
        return UserCodeError(
            f"{what} of {operator} cannot be kept in the checkpoint.",
            operator=label.operator,
            site=label.site,
            batch_time_ms=batch_ms,
            record=None if record is None else shown(record),
            detail=f"{about}{reason}. {label.operator} was added at {label.site}.",
            hint="Keep plain data or dataclasses, teach the type with millstream.register_type, or give the operator "
            'state=ms.StateOptions(codec="pickle").',
        )
