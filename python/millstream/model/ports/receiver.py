"""The port of receivers: code that gets records pushed and cannot ask for them again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from millstream.errors import LifecycleError

T = TypeVar("T")


class ReceiverHost(ABC):
    """What the engine offers to a running receiver. Users meet it through the methods of `Receiver`."""

    @abstractmethod
    def store_one(self, record: Any) -> None: ...
    @abstractmethod
    def store_many(self, records: Iterable[Any], position: Any) -> None: ...
    @abstractmethod
    def report_error(self, message: str, error: BaseException | None) -> None: ...
    @abstractmethod
    def restart(self, message: str, error: BaseException | None, delay_s: float | None) -> None: ...
    @abstractmethod
    def stop(self, message: str, error: BaseException | None) -> None: ...
    @abstractmethod
    def is_stopped(self) -> bool: ...


class Receiver(ABC, Generic[T]):
    """A source of your own: override `on_start` and `on_stop`, and call `store`.

    `on_start` must not block: start threads and return. They run until `is_stopped()` is true. `on_stop` must
    make them end. After a failure the engine calls `on_stop`, waits, and calls `on_start` again.

    Example:
        >>> class Ticks(Receiver[int]):
        ...     def on_start(self) -> None:
        ...         self.store_many([1, 2, 3])
        ...     def on_stop(self) -> None: ...
    """

    name: str = "receiver"
    """Shown in errors, events and the UI."""

    _host: ReceiverHost | None = None

    @abstractmethod
    def on_start(self) -> None:
        """Start receiving and return. Called at start and after every restart, from a thread of the engine."""

    @abstractmethod
    def on_stop(self) -> None:
        """End what `on_start` began. Called once for every call of `on_start`, also one that raised.

        Wake the threads and join them: what they store before `on_stop` returns is still taken, and after a restart
        `is_stopped()` is false again, so a thread left behind would go on beside the new one.
        """

    def attach(self, host: ReceiverHost) -> None:
        """Give the receiver its engine; called by the engine before `on_start`."""
        self._host = host

    @property
    def _engine(self) -> ReceiverHost:
        if self._host is None:
            raise LifecycleError(
                f"The receiver {self.name} is not running.",
                detail="store() and its like work only between on_start and on_stop.",
                hint="Hand the receiver to ssc.receiver_stream(...) and start the context.",
            )
        return self._host

    def store(self, record: T) -> None:
        """Hand over one record: counted against the rate limit, not waited for.

        Blocks while the rate limit or the bounded queue says so. A record that was stored this way is lost when
        the process dies before its block is sealed; use `store_many` where the sender waits for an answer.
        """
        self._engine.store_one(record)

    def store_many(self, records: Iterable[T], position: Any = None) -> None:
        """Hand over records as one block and return when it is stored; then acknowledge to the sender.

        Args:
            records: the records, kept together and in order.
            position: where the sender stands after these records, plain data that compares with `<=`. After a
                restart of the program, records at or below the stored position are discarded.
        """
        self._engine.store_many(records, position)

    def report_error(self, message: str, error: BaseException | None = None) -> None:
        """Report a failure and go on."""
        self._engine.report_error(message, error)

    def restart(self, message: str, error: BaseException | None = None, delay: float | None = None) -> None:
        """Ask for a restart: `on_stop`, a pause, `on_start`. Returns at once.

        Args:
            message: why.
            error: the exception behind it.
            delay: seconds of pause; None: a backoff that doubles with each failure.
        """
        self._engine.restart(message, error, delay)

    def stop(self, message: str, error: BaseException | None = None) -> None:
        """Stop this receiver for good; the stream goes on with its other inputs."""
        self._engine.stop(message, error)

    def is_stopped(self) -> bool:
        """Tell whether the receiver was asked to stop: threads of `on_start` end then."""
        return self._engine.is_stopped()
