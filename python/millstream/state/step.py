"""The state step: what an operator does to its keyed state in one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar, Final, TypeAlias

from millstream.errors import ArgumentTypeError, MillstreamError, ShippingError, UserCodeError, shown
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.delta import Snapshot
from millstream.state.table import StateTable
from millstream.state.version import check_key

Pair: TypeAlias = tuple[Any, Any]

NO_RECORD: Final[Any] = object()
"""Stands for the record while none was taken yet."""


class StateStep(ABC):
    """Works on the table of one partition, once in every batch, also when the batch has no data for it.

    A step holds the user's functions and nothing that changes; it goes to workers by cloudpickle. Whatever it
    changes is in the table's version of the batch, so a failed run is undone by rolling back the table.

    Attributes:
        label: the operator, for errors.
        initial: pairs that the state starts with, one sequence a partition, or None.
        changes_table: it works in the version of a batch, and what it changes is a delta.
    """

    __slots__ = ()

    changes_table: ClassVar[bool] = True

    label: Label
    initial: Sequence[Sequence[Pair]] | None

    def run(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        """Open the batch on the table and work; a batch that is open already starts anew.

        Args:
            table: the table of this operator and partition.
            inputs: the rows of each input, each in one or more parts; every row belongs to this partition.
            batch: the batch that runs.

        Returns:
            The rows that the operator gives, a list or a view of the state.

        Raises:
            UserCodeError: a function of the user's raised; the cause is chained.
            ArgumentTypeError: a record is not a pair, or its key cannot be one.
        """
        table.begin(batch.time_ms)
        if self.initial is not None and table.is_new:
            table.seed(self.initial[table.partition])
        return self.advance(table, inputs, batch)

    @abstractmethod
    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        """Work on a table whose version of the batch is open; see `run`."""

    def upgraded(self, value: Any, upgrade: Callable[[Any], Any]) -> Any:
        """Bring what the table holds for a key up to date; None drops the key.

        Args:
            value: what the table holds for the key.
            upgrade: the user's function for the user's own value.
        """
        return upgrade(value)

    def fits(self, table: StateTable) -> bool:
        """Tell whether a loaded table has the shape on which this step relies, whatever the program before did."""
        return True

    def fitted(self, snapshot: Snapshot, batch: Batch) -> Snapshot:
        """Bring what a checkpoint holds into that shape.

        Args:
            snapshot: the state of this table's keys.
            batch: the newest batch in it.
        """
        return snapshot

    def failure(self, batch: Batch, record: Any, error: Exception) -> MillstreamError:
        """Tell what is to be raised when the work on a record ended in an error.

        Args:
            batch: the batch that runs.
            record: the pair that was worked on.
            error: what was raised.
        """
        label = self.label
        if record is NO_RECORD and isinstance(error, MillstreamError):
            return error  # It came out of the input, before this step did anything.
        refusal = None if record is NO_RECORD else _refusal(record, label)
        if refusal is not None:
            return refusal
        operator = f"{label.operator} {label.name!r}" if label.name else label.operator
        reason: object = error
        about = "" if record is NO_RECORD else f"record {shown(record)}; "
        detail = f"{about}batch {batch.time.isoformat()} ({batch.time_ms} ms){_place(label)}."
        hint: str | None = "The traceback of the cause shows the line."
        if isinstance(error, MillstreamError):
            reason, hint = error.message, error.hint
            detail = f"{error.detail} {detail}" if error.detail else detail
        message = f"The function of {operator} raised {type(error).__name__}: {reason}"
        if isinstance(error, ShippingError):
            message = f"A state of {operator} cannot be kept: {reason}"
        return UserCodeError(
            message,
            operator=label.operator,
            site=label.site,
            batch_time_ms=batch.time_ms,
            record=None if record is NO_RECORD else shown(record),
            detail=detail,
            hint=hint,
        )


def pairs_of(parts: Iterable[Any]) -> Iterable[Any]:
    """Give the pairs of all parts of an input, one part behind the other."""
    all_pairs: list[Iterable[Any]] = [part.items() if isinstance(part, dict) else part for part in parts]
    return all_pairs[0] if len(all_pairs) == 1 else chain.from_iterable(all_pairs)


def _refusal(record: Any, label: Label) -> ArgumentTypeError | None:
    """Say what is wrong with a record that cannot be worked on, or None."""
    try:
        key, _ = record
    except (TypeError, ValueError):
        return ArgumentTypeError(
            f"{label.operator} was given a record that is not a pair.",
            detail=f"The record is {shown(record)} of type {type(record).__name__}{_place(label)}.",
            hint="A pair is a tuple of two, (key, value); make pairs first, for instance with map(lambda x: (x, 1)).",
        )
    try:
        check_key(key)
    except ArgumentTypeError as error:
        error.message = f"{label.operator}: {error.message}"
        return error
    return None


def _place(label: Label) -> str:
    return f"; {label.operator} was added at {label.site}" if label.site else ""
