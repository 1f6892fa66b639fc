"""Receivers: started once, and again after every failure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import assert_never

from millstream.control.facts import (
    ReceiverFact,
    ReceiverFailed,
    ReceiverRestartDue,
    ReceiverStarted,
    ReceiverStopped,
)
from millstream.control.instructions import RestartReceiver, StartReceiver
from millstream.control.retries import Backoff
from millstream.errors import InternalError


class ReceiverState(Enum):
    """Where a receiver stands."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "waiting for its restart"
    STOPPED = "stopped"


class _Receiver:
    __slots__ = ("failures", "state")

    def __init__(self) -> None:
        self.state = ReceiverState.STARTING
        self.failures = 0


class Receivers:
    """The receivers of a stream and their restarts, which have no limit but a growing pause.

    Example:
        >>> from millstream.control.failure import Failure
        >>> receivers = Receivers(["lines"], Backoff(100, 10_000))
        >>> failed = ReceiverFailed("lines", Failure.of(OSError("gone")))
        >>> receivers.handle(failed)
        (RestartReceiver(input='lines', delay_ms=100),)
        >>> receivers.handle(ReceiverRestartDue("lines"))
        (StartReceiver(input='lines'),)
        >>> receivers.handle(failed)
        (RestartReceiver(input='lines', delay_ms=200),)
    """

    __slots__ = ("_backoff", "_receivers")

    def __init__(self, inputs: Iterable[str], backoff: Backoff) -> None:
        self._receivers = {name: _Receiver() for name in inputs}
        self._backoff = backoff

    def start(self) -> tuple[StartReceiver, ...]:
        """Start all, in order of registration."""
        return tuple(StartReceiver(name) for name in self._receivers)

    def note_block(self, name: str) -> None:
        """A receiver that started and stored a block is well: its next failure counts as the first."""
        receiver = self._receivers[name]
        if receiver.failures and receiver.state is ReceiverState.RUNNING:
            receiver.failures = 0

    def check(self, name: str) -> None:
        """Refuse an input that is not a receiver.

        Raises:
            InternalError: naming the input.
        """
        if name not in self._receivers:
            raise InternalError(f"{name!r} is not a receiver input.")

    def handle(self, fact: ReceiverFact) -> tuple[StartReceiver | RestartReceiver, ...]:
        """Follow a receiver while the stream runs.

        By rule these say nothing new: a failure of a receiver whose restart is on its way or that has stopped, a
        second ReceiverStopped, and the end of the pause of a receiver that has stopped meanwhile.

        Raises:
            InternalError: the fact is impossible in the receiver's state.
        """
        self.check(fact.input)
        receiver = self._receivers[fact.input]
        match fact:
            case ReceiverStarted():
                self._require(fact.input, receiver.state is ReceiverState.STARTING)
                receiver.state = ReceiverState.RUNNING
            case ReceiverFailed():
                if receiver.state is ReceiverState.STARTING or receiver.state is ReceiverState.RUNNING:
                    return (self._pause(receiver, fact),)
            case ReceiverStopped():
                receiver.state = ReceiverState.STOPPED
            case ReceiverRestartDue():
                if receiver.state is not ReceiverState.STOPPED:
                    self._require(fact.input, receiver.state is ReceiverState.PAUSING)
                    receiver.state = ReceiverState.STARTING
                    return (StartReceiver(fact.input),)
            case _:
                assert_never(fact)
        return ()

    def _pause(self, receiver: _Receiver, fact: ReceiverFailed) -> RestartReceiver:
        backoff_ms = self._backoff.delay_ms(receiver.failures)
        receiver.state = ReceiverState.PAUSING
        receiver.failures += 1
        return RestartReceiver(fact.input, backoff_ms if fact.delay_ms is None else fact.delay_ms)

    def _require(self, name: str, possible: bool) -> None:
        if not possible:
            raise InternalError(f"The receiver {name!r} is {self._receivers[name].state.value}.")

    def __str__(self) -> str:
        return ", ".join(f"{name} {receiver.state.value}" for name, receiver in self._receivers.items()) or "none"
