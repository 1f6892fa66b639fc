"""Broadcast values: sent to each executor once, however many tasks use them.

A broadcast pickles as its number. What a backend whose executors live in other processes has to do:

- before it sends tasks, have each worker hold the values: `broadcasts_alive()` gives all that functions may refer
  to, and the worker calls `install_broadcast(number, value)` with each that it has not got;
- or, sending only what is used: pickle functions inside `with broadcasts_pickled() as numbers`, keep the numbers
  beside the pickle, and ask the worker's `BroadcastCopies` what to install and what to drop before the tasks go.

Tasks in the driver's own process use the value itself.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from millstream.errors import InternalError, LifecycleError

T_co = TypeVar("T_co", covariant=True)

_numbers = itertools.count(1)
_alive: WeakValueDictionary[int, Broadcast[Any]] = WeakValueDictionary()
_installed: dict[int, Any] = {}


class Broadcast(Generic[T_co]):
    """A value that tasks read, made by `Context.broadcast`.

    Functions that refer to it carry a number in place of the value. The value must not be changed: executors have
    copies, or the very object, as the backend has it.

    Args:
        value: the value; under processes it must be possible to pickle it.

    Attributes:
        number: names the broadcast in every process of the program.

    Example:
        >>> towns = Broadcast({"ulm": 1})
        >>> towns.value["ulm"]
        1
    """

    def __init__(self, value: T_co) -> None:
        self.number = next(_numbers)
        self.generation = 0
        self._destroyed = False
        self._value = value
        _alive[self.number] = self

    @property
    def value(self) -> T_co:
        """The value, on the driver and in tasks.

        Raises:
            LifecycleError: it was destroyed.
        """
        self._check_alive()
        return self._value

    def unpersist(self) -> None:
        """Have the executors drop their copies; tasks that use the broadcast later get the value again."""
        self.generation += 1

    def destroy(self) -> None:
        """Drop the value everywhere; using it afterwards is an error. A second call does no harm."""
        self._destroyed = True
        self._value = None  # type: ignore[assignment] # nobody can read it any more
        _alive.pop(self.number, None)

    def _check_alive(self) -> None:
        if self._destroyed:
            raise LifecycleError(
                "The broadcast was destroyed.",
                detail=f"It is number {self.number}.",
                hint="Call destroy() only when no action will use the broadcast again; unpersist() frees memory too.",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_alive()
        for numbers in _pickling.numbers:
            numbers.add(self.number)
        return _received, (self.number,)

    def __repr__(self) -> str:
        return f"<Broadcast {self.number}>"


class _InstalledBroadcast(Broadcast[Any]):
    """A broadcast as a worker has it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._destroyed = False

    @property
    def value(self) -> Any:
        """The value that the driver sent."""
        try:
            return _installed[self.number]
        except KeyError:
            raise InternalError(f"Broadcast {self.number} was not sent to this worker.") from None

    def unpersist(self) -> None:
        """Refuse: tasks do not decide about it."""
        self._refuse("unpersist")

    def destroy(self) -> None:
        """Refuse: tasks do not decide about it."""
        self._refuse("destroy")

    def _refuse(self, method: str) -> None:
        raise LifecycleError(
            f"{method}() was called on a broadcast inside a task.",
            detail=f"It is number {self.number}.",
            hint="Call it in the program that made the broadcast.",
        )


def _received(number: int) -> Broadcast[Any]:
    if number in _installed:
        return _InstalledBroadcast(number)
    here = _alive.get(number)
    return _InstalledBroadcast(number) if here is None else here


def broadcasts_alive() -> dict[int, Any]:
    """Give the value of every broadcast that functions may refer to, by number; called on the driver.

    Not among them are those that were destroyed, and those that nothing refers to any more.
    """
    return {number: broadcast.value for number, broadcast in sorted(_alive.items())}


def install_broadcast(number: int, value: Any) -> None:
    """Have a value ready for the tasks of this worker; called in the worker, before they run."""
    _installed[number] = value


def drop_broadcast(number: int) -> None:
    """Let go of a value; called in the worker. Dropping what is not there does no harm."""
    _installed.pop(number, None)


class _Pickling(threading.local):
    def __init__(self) -> None:
        self.numbers: list[set[int]] = []


_pickling = _Pickling()


class broadcasts_pickled:  # noqa: N801 - used like a function
    """Collect the numbers of the broadcasts that are pickled in this thread inside a `with` block.

    Example:
        >>> import pickle
        >>> towns = Broadcast({"ulm": 1})
        >>> with broadcasts_pickled() as numbers:
        ...     data = pickle.dumps([towns, towns])
        >>> numbers == {towns.number}
        True
    """

    def __enter__(self) -> set[int]:
        numbers: set[int] = set()
        _pickling.numbers.append(numbers)
        return numbers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _pickling.numbers.pop()


class BroadcastCopies:
    """What one worker holds, as its driver knows it; a replaced worker starts with a new object.

    Example:
        >>> towns, copies = Broadcast({"ulm": 1}), BroadcastCopies()
        >>> copies.to_install([towns.number]) == [(towns.number, {"ulm": 1})], copies.to_install([towns.number])
        (True, [])
        >>> towns.unpersist()
        >>> copies.to_drop() == [towns.number]
        True
    """

    def __init__(self) -> None:
        self._generations: dict[int, int] = {}

    def to_install(self, numbers: Iterable[int]) -> list[tuple[int, Any]]:
        """Give what the worker has to install before tasks that refer to these broadcasts; it counts as held then.

        Raises:
            LifecycleError: one of them was destroyed.
        """
        missing = []
        for number in sorted(numbers):
            broadcast = _alive.get(number)
            if broadcast is None:
                raise LifecycleError(
                    "A function uses a broadcast that was destroyed.",
                    detail=f"It is number {number}.",
                    hint="Call destroy() only when no action will use the broadcast again.",
                )
            if self._generations.get(number) != broadcast.generation:
                self._generations[number] = broadcast.generation
                missing.append((number, broadcast.value))
        return missing

    def to_drop(self) -> list[int]:
        """Give what the worker need not hold any longer; it counts as dropped then."""
        dropped = []
        for number, generation in list(self._generations.items()):
            broadcast = _alive.get(number)
            if broadcast is None or broadcast.generation != generation:
                del self._generations[number]
                dropped.append(number)
        return dropped
