"""A queue of ready batches, for tests and demonstrations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from millstream.errors import ArgumentTypeError, shown
from millstream.rdd.core import RDDCore

T = TypeVar("T")


class BatchQueue(Generic[T]):
    """Gives each batch the elements of a queue: sequences of records, or RDDs.

    Elements are taken out of the list or deque that was given, at its left end, so what the program appends
    later is seen, from any thread. Anything else that can be iterated is copied once.

    Args:
        queue: the elements.
        one_at_a_time: a batch takes one element; otherwise all that are there.
        default: the element of a batch that finds the queue empty, or None: such a batch is empty.

    Raises:
        ArgumentTypeError: the queue or the default cannot be iterated, or is text.

    Example:
        >>> waiting = [[1, 2], [3]]
        >>> batches = BatchQueue(waiting, default=[0])
        >>> batches.next_batch(), batches.next_batch(), batches.next_batch()
        ([[1, 2]], [[3]], [[0]])
        >>> waiting.append([4])
        >>> batches.next_batch()
        [[4]]
    """

    def __init__(self, queue: Iterable[T], *, one_at_a_time: bool = True, default: T | None = None) -> None:
        if isinstance(queue, (str, bytes)) or not isinstance(queue, Iterable):
            raise ArgumentTypeError(
                "A queue stream needs a queue of batches.",
                detail=f"{shown(queue)} is of type {type(queue).__name__}.",
                hint="Give a list or a deque whose elements are lists of records or RDDs.",
            )
        if default is not None:
            _check(default, "The default")
        self._queue: list[T] | deque[T] = queue if isinstance(queue, (list, deque)) else deque(queue)
        self._one_at_a_time = one_at_a_time
        self._default = default

    def next_batch(self) -> list[T]:
        """Take the elements of the next batch out of the queue, in order.

        Raises:
            ArgumentTypeError: the next element is neither an RDD nor something that can be iterated, or is text. It
                stays in the queue.
        """
        queue = self._queue
        batch: list[T] = []
        wanted = 1 if self._one_at_a_time else len(queue)
        while len(batch) < wanted and queue:
            _check(queue[0], "An element")
            batch.append(queue.popleft() if isinstance(queue, deque) else queue.pop(0))
        if not batch and self._default is not None:
            batch.append(self._default)
        return batch


def _check(element: object, which: str) -> None:
    if isinstance(element, RDDCore) or (isinstance(element, Iterable) and not isinstance(element, (str, bytes))):
        return
    raise ArgumentTypeError(
        f"{which} of a queue stream is no batch.",
        detail=f"{shown(element)} is of type {type(element).__name__}.",
        hint="Each element holds the records of one batch: give a list of records or an RDD.",
    )
