"""What a simulated program is connected with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from millstream.model.ports.sink import Sink
from millstream.stream.dstream import DStream


class Connections(ABC):
    """Gives a program its inputs and sinks; `millstream.testing.simulate` hands one to it at every start."""

    @property
    @abstractmethod
    def starts(self) -> int:
        """How often the program was started before, for one that builds itself in another form each time."""

    @abstractmethod
    def stream(self, name: str, *, limit: int | None = None) -> DStream[Any]:
        """Make a stream of an input that can be read again, like a Kafka topic.

        Args:
            name: of the input, a key of `inputs`.
            limit: most records a batch, or None.
        """

    @abstractmethod
    def pushed(self, name: str, *, positions: bool = True, acknowledged: bool = True) -> DStream[Any]:
        """Make a stream of an input whose sender pushes blocks and sends again what was not acknowledged.

        Args:
            name: of the input, a key of `inputs`.
            positions: whether blocks carry positions. Without, some may be in two batches: at least once.
            acknowledged: False: the sender pushes records one time each and waits for no answer, as a receiver does
                that calls `store(record)`. A crash loses those that no plan had: at most once.
        """

    @abstractmethod
    def sink(self, name: str) -> Sink[Any]:
        """Give an exactly-once sink; what it commits is checked, and found under this name in the outcome."""

    @abstractmethod
    def point(self, name: str) -> None:
        """Name a place in a source or a sink of your own at which the program may crash."""
