"""Progress: which task a worker is at, readable after the worker has died."""

from __future__ import annotations

import mmap
import struct

_TASK = struct.Struct("<i")
_NONE = -1

SIZE_BYTES = _TASK.size


class Progress:
    """One number in memory that driver and worker share.

    Args:
        descriptor: an open file of at least `SIZE_BYTES`, mapped by both; may be closed afterwards.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     file.truncate(SIZE_BYTES)
        ...     mine, theirs = Progress(file.fileno()), Progress(file.fileno())
        4
        >>> theirs.task = 2
        >>> mine.task
        2
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE_BYTES)

    @property
    def task(self) -> int | None:
        """The number of the running task in its message, or None while none runs."""
        (task,) = _TASK.unpack_from(self._memory)
        return None if task == _NONE else task

    @task.setter
    def task(self, task: int | None) -> None:
        _TASK.pack_into(self._memory, 0, _NONE if task is None else task)
