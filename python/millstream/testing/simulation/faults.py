"""What goes wrong in a simulated storage, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from millstream.environment.rng import Rng
from millstream.errors import StorageUnavailableError

Kind: TypeAlias = Literal["read", "create", "names", "remove", "size_bytes", "append_file", "write", "sync", "lock"]
"""The calls of a storage and its files; `append` is a `write` and a `sync`."""

Phase: TypeAlias = Literal["before", "during", "after"]
"""Where in a call; `during`: it took effect and is not durable, in calls where that differs."""


class SimulatedCrash(BaseException):
    """The process ended here. Raised by hooks, and by every use of a storage that has crashed.

    No `Exception`, so that nothing handles it like an error.
    """


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of a storage.

    Attributes:
        number: 0, 1, 2, ... over all lives of the storage.
        kind: which call.
        name: of the file or folder.
    """

    number: int
    kind: Kind
    name: str


Hook: TypeAlias = Callable[[Operation, Phase], None]


class Faults:
    """The faults of a storage over all its lives.

    Args:
        rng: chance.
        rate: the share of operations that raise StorageUnavailableError, 0 to 1.
        hook: called before, during and after every operation; what it raises comes out of the call.
        room_bytes: how many bytes the disk has left; None: any number.
        tell: told of every operation that fails by chance.

    Attributes:
        operations: how many calls there were.
    """

    def __init__(
        self,
        rng: Rng,
        *,
        rate: float = 0.0,
        hook: Hook | None = None,
        room_bytes: int | None = None,
        tell: Hook | None = None,
    ) -> None:
        self.tell = tell
        self.rng = rng
        self.rate = rate
        self.hook = hook
        self.room_bytes = room_bytes
        self.operations = 0
        self._ordered: list[_Ordered] = []

    def fail(self, kind: Kind | None = None, *, after: int = 0, took_effect: bool = False) -> None:
        """Let one operation raise StorageUnavailableError.

        Args:
            kind: which calls count; None: all.
            after: how many of them succeed before.
            took_effect: raise after it was done.
        """
        self._ordered.append(_Ordered(kind, after, took_effect))

    @contextmanager
    def operation(self, kind: Kind, name: str) -> Iterator[Callable[[], None]]:
        """Run one operation; gives what to call between its effect and its durability."""
        operation = Operation(self.operations, kind, name)
        self.operations += 1
        fate = self._fate(operation)
        self._tell(operation, "before")
        if fate == "before":
            raise unavailable(f"{kind} of {name} failed")
        yield lambda: self._tell(operation, "during")
        self._tell(operation, "after")
        if fate == "after":
            raise unavailable(f"{kind} of {name} failed after it took effect")

    def take_room(self, size_bytes: int) -> int:
        """Use space on the disk; give how many of the bytes fit."""
        if self.room_bytes is None:
            return size_bytes
        fits = min(size_bytes, self.room_bytes)
        self.room_bytes -= fits
        return fits

    def _tell(self, operation: Operation, phase: Phase) -> None:
        if self.hook is not None:
            self.hook(operation, phase)

    def _fate(self, operation: Operation) -> Phase | None:
        fate: Phase | None = None
        for ordered in self._ordered.copy():
            if ordered.kind in (None, operation.kind):
                if ordered.after == 0:
                    fate = "after" if ordered.took_effect else "before"
                    self._ordered.remove(ordered)
                ordered.after -= 1
        if fate is None and self.rate and self.rng.random() < self.rate:
            chosen: Phase = self.rng.choice(("before", "after"))
            if self.tell is not None:
                self.tell(operation, chosen)
            return chosen
        return fate


@dataclass(slots=True, eq=False)
class _Ordered:
    kind: Kind | None
    after: int
    took_effect: bool


def unavailable(reason: str) -> StorageUnavailableError:
    """Make the error that faults raise."""
    return StorageUnavailableError(
        "The checkpoint's storage is not available.", detail=f"{reason}.", hint="A simulation injects this; go on."
    )
