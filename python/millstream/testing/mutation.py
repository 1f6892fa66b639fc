"""Finding functions that change records in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millstream.errors import InvalidError, shown


class MutationError(InvalidError):
    """A function of the program changed a record in place; records may be shared between branches and windows."""


class MutationGuard:
    """Compares records with what they were.

    Args:
        inputs: for each stream its batches.
    """

    def __init__(self, inputs: Sequence[Sequence[Sequence[Any]]]) -> None:
        self._inputs = inputs
        self._before = [[[_frozen(record) for record in batch] for batch in given] for given in inputs]

    def check(self) -> None:
        """Compare.

        Raises:
            MutationError: a record has changed.
        """
        for number, (given, before) in enumerate(zip(self._inputs, self._before, strict=True)):
            for index, (batch, old_batch) in enumerate(zip(given, before, strict=True)):
                for record, old in zip(batch, old_batch, strict=True):
                    if _frozen(record) != old:
                        raise MutationError(
                            "A record was changed in place.",
                            detail=f"Input {number}, batch {index}: the record is now {shown(record)}.",
                            hint="Make a new record instead: records may be shared between branches and windows.",
                        )


def _frozen(record: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(record))
