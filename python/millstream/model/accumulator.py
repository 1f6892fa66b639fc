"""Accumulators: tasks add to them, the driver reads them.

What a task adds is collected in the thread that runs it and reaches the value once, when the task succeeded; what a
failed attempt added is forgotten. So an executor runs each task inside `with collecting_additions()`. Whoever
asked it to then takes `drain_accumulators()`, in the same thread, and has the driver call `apply_accumulators` with
that: right away in the driver's process, along with the result of the task from another one.
"""

from __future__ import annotations

import copy
import itertools
import operator
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from millstream.errors import LifecycleError, UserCodeError, shown

T = TypeVar("T")

Addition = tuple[int, Any]
"""The number of an accumulator and what a task added to it, put together."""

_numbers = itertools.count(1)
_alive: WeakValueDictionary[int, Accumulator[Any]] = WeakValueDictionary()


class Accumulator(Generic[T]):
    """A total that tasks add to, made by `Context.accumulator`.

    Args:
        initial: where the total starts; a copy is kept.
        add: takes two amounts and gives their sum; must be associative. A task puts its own amounts together first.
        silenced: whether `silent_accumulators` keeps additions from it.

    Attributes:
        number: names the accumulator in every process of the program.

    Example:
        >>> bad_lines = Accumulator(0)
        >>> bad_lines.add(2)
        >>> bad_lines += 1
        >>> bad_lines.value
        3
    """

    def __init__(self, initial: T, add: Callable[[T, T], T] = operator.add, *, silenced: bool = True) -> None:
        self.number = next(_numbers)
        self._total = copy.deepcopy(initial)
        self._put_together = add
        self._silenced = silenced
        self._lock = threading.Lock()
        _alive[self.number] = self

    @property
    def value(self) -> T:
        """The total; for the driver only.

        Raises:
            LifecycleError: it was asked for inside a task, which knows only what it has added itself.
        """
        if _thread.additions is not None:
            raise LifecycleError(
                "The value of an accumulator was read inside a task.",
                detail="A task cannot know what the others have added.",
                hint="Read it after the action; give the tasks what they need to know by context.broadcast().",
            )
        return self._total

    def add(self, amount: T) -> None:
        """Add to the total: at once on the driver, when the task has succeeded inside one.

        Actions that compute an RDD again add again, and so does a batch that is tried again.
        """
        additions = _thread.additions
        if additions is None:
            self.take_in(amount)
        elif self.number in additions:
            additions[self.number] = self._put_together(additions[self.number], amount)
        else:
            additions[self.number] = amount

    def __iadd__(self, amount: T) -> Self:
        self.add(amount)
        return self

    def take_in(self, amount: T) -> None:
        """Add to the total on the driver.

        Raises:
            UserCodeError: the function of the accumulator raised.
        """
        if _thread.is_silent and self._silenced:
            return
        with self._lock:
            try:
                self._total = self._put_together(self._total, amount)
            except Exception as error:
                raise UserCodeError(
                    f"The function of an accumulator raised {type(error).__name__}: {error}",
                    operator="accumulator",
                    record=shown(amount),
                    detail=f"The total is {shown(self._total)}; it was adding {shown(amount)}.",
                    hint="Give an initial value and amounts of one type, and a function add= that puts them together.",
                ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self.number, self._put_together)

    def __repr__(self) -> str:
        return f"<Accumulator {self.number}>"


class _RemoteAccumulator(Accumulator[Any]):
    """An accumulator as a worker has it: it only collects."""

    def __init__(self, number: int, add: Callable[[Any, Any], Any]) -> None:
        self.number = number
        self._put_together = add

    @property
    def value(self) -> Any:
        """Refuse: the total is on the driver."""
        raise LifecycleError(
            "The value of an accumulator was read in a worker.",
            detail="The total is kept by the driver.",
            hint="Read it after the action; give the tasks what they need to know by context.broadcast().",
        )

    def take_in(self, amount: Any) -> None:
        """Refuse: nobody would take home what is added outside a task."""
        raise LifecycleError(
            "An accumulator was added to in a worker, outside a task.",
            detail=f"The amount is {shown(amount)}.",
            hint="Add in the function that the task calls, not in a thread that it has started.",
        )


def _received(number: int, add: Callable[[Any, Any], Any]) -> Accumulator[Any]:
    here = _alive.get(number)
    return _RemoteAccumulator(number, add) if here is None else here


class _Thread(threading.local):
    """What this thread collects: for the task that runs, and of those that have succeeded."""

    def __init__(self) -> None:
        self.additions: dict[int, Any] | None = None
        self.succeeded: list[Addition] = []
        self.is_silent = False


_thread = _Thread()


class collecting_additions:  # noqa: N801 - used like a function
    """Collect what a task adds, inside a `with` block; an error forgets it.

    Example:
        >>> lines = Accumulator(0)
        >>> with collecting_additions():
        ...     lines.add(1); lines.add(2)
        >>> lines.value, (additions := drain_accumulators()) == [(lines.number, 3)]
        (0, True)
        >>> apply_accumulators(additions); lines.value
        3
    """

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = _thread.additions
        _thread.additions = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        additions = _thread.additions
        _thread.additions = self._before
        if additions and error is None:
            _thread.succeeded.extend(additions.items())


def additions_here() -> dict[int, Any] | None:
    """Give what the task of this thread has added so far, by the number of the accumulator; None outside a task."""
    return _thread.additions


class adding_to:  # noqa: N801 - used like a function
    """Have this thread, inside a `with` block, add for a task that waits in another one.

    Args:
        additions: what `additions_here` gave in the thread of the task.

    Example:
        >>> lines = Accumulator(0)
        >>> with collecting_additions():
        ...     with adding_to(additions_here()):
        ...         lines.add(1)
        >>> drain_accumulators() == [(lines.number, 1)]
        True
    """

    __slots__ = ("_additions", "_before")

    def __init__(self, additions: dict[int, Any] | None) -> None:
        self._additions = additions

    def __enter__(self) -> None:
        self._before = _thread.additions
        _thread.additions = self._additions

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.additions = self._before


@contextmanager
def silent_accumulators() -> Iterator[None]:
    """Let what this thread adds to totals, and has its tasks add, come to nothing: it was added before.

    Example:
        >>> total = Accumulator(0)
        >>> with silent_accumulators():
        ...     total.add(5)
        >>> total.value
        0
    """
    before, _thread.is_silent = _thread.is_silent, True
    try:
        yield
    finally:
        _thread.is_silent = before


def drain_accumulators() -> list[Addition]:
    """Take what the tasks of this thread added that have succeeded since the last call."""
    additions = _thread.succeeded
    if additions:
        _thread.succeeded = []
    return additions


def apply_accumulators(additions: Iterable[Addition]) -> None:
    """Add what tasks have added to the totals; called on the driver, once for each task that succeeded.

    An accumulator that nothing refers to any more is passed over: nobody can read it.

    Raises:
        UserCodeError: the function of an accumulator raised.
    """
    for number, amount in additions:
        accumulator = _alive.get(number)
        if accumulator is not None:
            accumulator.take_in(amount)
