"""The batch that runs now: the clock and the chance that a re-run sees again."""

from __future__ import annotations

import threading
from datetime import datetime

from millstream.environment.rng import Rng, seeded_rng
from millstream.errors import LifecycleError
from millstream.model.batch import Batch


class _Current(threading.local):
    batch: Batch | None = None


_current = _Current()


class running_batch:  # noqa: N801 - used like a function, and a class is three times as quick as a generator
    """Make a batch the current one for the length of a `with` block, in this thread."""

    __slots__ = ("_batch", "_before")

    def __init__(self, batch: Batch | None) -> None:
        self._batch = batch

    def __enter__(self) -> None:
        self._before = _current.batch
        _current.batch = self._batch

    def __exit__(self, *_: object) -> None:
        _current.batch = self._before


def batch_here() -> Batch | None:
    """Give the batch whose functions run now, in this thread, or None."""
    return _current.batch


def current_batch() -> Batch:
    """Give the batch whose functions run now, in this thread.

    Raises:
        LifecycleError: no batch runs here.
    """
    batch = _current.batch
    if batch is None:
        raise LifecycleError(
            "No batch runs here.",
            detail="batch_time() and batch_rng() work inside functions that a stream calls.",
            hint="In a batch program take the time and the seed from outside.",
        )
    return batch


def batch_time() -> datetime:
    """Give the time of the running batch: the clock that a re-run of the batch sees again.

    Returns:
        An aware datetime in UTC.

    Raises:
        LifecycleError: no batch runs in this thread.
    """
    return current_batch().time


def batch_rng(name: str = "") -> Rng:
    """Give a generator of random numbers that a re-run of the batch sees again.

    Args:
        name: separates generators of one batch, such as the name of the operator.

    Raises:
        LifecycleError: no batch runs in this thread.

    Example:
        >>> with running_batch(Batch(1_000)):
        ...     batch_rng("a").random() == batch_rng("a").random()
        True
    """
    return seeded_rng(f"{current_batch().time_ms}:{name}")
