"""Handing the rows of each batch to the program."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from millstream.errors import ArgumentTypeError, SinkUnavailableError
from millstream.model.arity import refuse_coroutine, wants_batch
from millstream.model.batch import Batch

FULL_QUEUE_WAIT_S = 10.0
"""How long a batch waits for room in a bounded queue before it counts as failed, and is tried again."""


class CollectTo:
    """Gives a list, a queue or a function one list of rows for each batch, in order of batch time.

    At least once: a batch that is run again after a failure is handed over again.

    Args:
        target: a list or deque, which gets the rows of each batch appended as one list; a `queue.Queue` or the
            like, into which that list is put; or a function, called with the list, and with the `Batch` too when
            it requires two positional arguments.

    Raises:
        ArgumentTypeError: none of these.
        GraphError: a coroutine function, which nobody would await.

    Example:
        >>> seen = []
        >>> CollectTo(seen).deliver(Batch(1_000), ["a", "b"])
        >>> seen
        [['a', 'b']]
    """

    limit: int | None = None
    """All rows of a batch are wanted."""

    def __init__(self, target: Any) -> None:
        self._hand_over: Callable[[Batch, list[Any]], object] = _way_to(target)

    def deliver(self, batch: Batch, rows: list[Any]) -> None:
        """Hand over the rows of one batch, also when there are none.

        Raises:
            SinkUnavailableError: a bounded queue stayed full.
        """
        self._hand_over(batch, rows)


def _way_to(target: Any) -> Callable[[Batch, list[Any]], object]:
    if isinstance(target, (list, deque)):
        return lambda batch, rows: target.append(rows)
    if isinstance(target, (queue.Queue, queue.SimpleQueue)):
        return lambda batch, rows: _put(target, batch, rows)
    if callable(target):
        refuse_coroutine(target, "collect_to")
        if wants_batch(target, 1):
            return lambda batch, rows: target(rows, batch)
        return lambda batch, rows: target(rows)
    raise ArgumentTypeError(
        "collect_to cannot hand batches over to this.",
        detail=f"It is of type {type(target).__name__}.",
        hint="Give a list, a queue.Queue, or a function that takes a list of rows.",
    )


def _put(target: Any, batch: Batch, rows: list[Any]) -> None:
    try:
        target.put(rows, timeout=FULL_QUEUE_WAIT_S)
    except queue.Full as error:
        raise SinkUnavailableError(
            "The queue that collect_to fills stayed full.",
            detail=f"The batch of {batch.time.isoformat()} waited {FULL_QUEUE_WAIT_S:g} s; the queue holds "
            f"{target.qsize()} batches.",
            hint="Take batches out more quickly, or use a queue without a limit.",
        ) from error
