"""What sources have in common that connect to a service and take what it sends."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any, NoReturn, TypeVar

from millstream.environment.environment import start_thread
from millstream.errors import (
    LifecycleError,
    ShippingError,
    SourceUnavailableError,
    StorageUnavailableError,
    UnavailableError,
)
from millstream.model.ports.receiver import Receiver

T = TypeVar("T")

END_S = 4.0
"""How long a thread may take to end: less than the engine waits for the end of a receiver."""


class ServiceLink(ABC):
    """One connection, which another thread may close at any time, also while it is being made."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.retry_s: float | None = None
        """The pause before the next connection that the service asks for."""

    @abstractmethod
    def receive(self) -> bool:
        """Connect, and store what comes, until the service ends the connection.

        Returns:
            False when the service wants no further connection.

        Raises:
            SourceUnavailableError: it cannot be connected to, or broke.
        """

    @abstractmethod
    def wake(self) -> None:
        """Have `receive` return or raise soon; called from another thread once `closed` is set."""


class ServiceReceiver(Receiver[T]):
    """Connects to a service, and again, for ever and with growing pauses, when the connection ends or breaks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._link: ServiceLink | None = None
        self._thread: threading.Thread | None = None  # noqa: TID251 - only its type

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "A receiver that is connected to a service cannot be sent to another process.",
            detail=f"{self.name} lives in the process of the driver.",
            hint="Leave process= out.",
        )

    @abstractmethod
    def link(self) -> ServiceLink:
        """Give a connection that is not made yet."""

    def on_start(self) -> None:
        link = self._link = self.link()
        self._thread = start_thread(self.name, lambda: self._receive(link))

    def on_stop(self) -> None:
        link, self._link = self._link, None
        thread, self._thread = self._thread, None
        if link is not None:
            link.closed.set()
            link.wake()
        if thread is not None and thread is not threading.current_thread():
            # Why with a limit: a look-up of a name cannot be woken. Its connection is closed and stores nothing.
            thread.join(END_S)

    def _receive(self, link: ServiceLink) -> None:
        failure: BaseException | None = None
        goes_on = True
        try:
            goes_on = link.receive()
        except BaseException as error:  # Why not only Exception: SystemExit would end the thread without a word.
            failure = error
        if link.closed.is_set() or isinstance(failure, LifecycleError):
            return
        if not goes_on:
            self.stop(f"{self.name} has nothing more to send.")
        elif failure is None:
            ended = SourceUnavailableError(
                f"The connection of {self.name} has ended.",
                detail="The service closed it.",
                hint="The connection is made again; if the service is done, stop the stream.",
            )
            self.restart(ended.message, ended, link.retry_s)
        else:
            self._failed(failure, link.retry_s)

    def _failed(self, failure: BaseException, retry_s: float | None) -> None:
        told: Any = failure
        if not isinstance(failure, UnavailableError):
            told = SourceUnavailableError(
                f"The connection of {self.name} broke.",
                detail=f"{type(failure).__name__}: {failure}.",
                hint="Check the service and the way to it; the connection is made again.",
            )
            told.__cause__ = failure
        elif isinstance(failure, StorageUnavailableError):
            retry_s = None
        self.restart(told.message, told, retry_s)
