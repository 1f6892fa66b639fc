"""The port of rate controllers: how fast an input may take records in, learnt from how fast batches were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class BatchMeasured:
    """What one batch that ended tells about the speed of the program.

    Attributes:
        time_ms: the batch time, milliseconds since the epoch.
        interval_ms: the batch interval.
        records: records of each input in the batch, by name; an input that nobody counted is left out.
        processing_ms: from the moment the batch was taken up to its end: planning, the last attempt, commits.
        scheduling_delay_ms: from the batch time to the moment the batch was taken up.
        attempts: how many attempts the batch needed. More than one: its time says little about the records.
    """

    time_ms: int
    interval_ms: int
    records: Mapping[str, int]
    processing_ms: float
    scheduling_delay_ms: float
    attempts: int = 1

    @property
    def total_delay_ms(self) -> float:
        """How old the batch time was at the end: the time for which pushed records wait now."""
        return self.scheduling_delay_ms + self.processing_ms

    @property
    def batches_waiting(self) -> int:
        """How many batch times fell due until the end; they are merged into the next batch."""
        return max(0, int(self.total_delay_ms // self.interval_ms))


class RateController(ABC):
    """Decides how many records a second one input may give.

    The stream makes one for each input that can be limited. It is asked for its first limit before the first batch
    and for the next one after each batch, from one thread, between two batches: be quick. Look at no clock and draw
    no random numbers, and the same batches give the same limits, in a test or a simulation too.

    A pushed input (a socket, a receiver) takes in no more than the limit, evenly. A source that is asked for its
    records (Kafka) gives each batch no more than the limit times the batch interval, or times `span_ms` where that
    is longer. A limit that the user has set (`max_records_per_s`, `set_rate`, `limit`) holds besides.

    What `learnt` gives is kept in the checkpoint, about once a second, and handed to `go_on` of the controller that a
    restart makes. A controller that raises stops the stream with that error.

    Example:
        >>> class Halving(RateController):
        ...     '''Half the rate after a batch that was late, ten records a second more after one that was not.'''
        ...     def first_rate(self, interval_ms: int) -> float:
        ...         self.rate = 1_000.0
        ...         return self.rate
        ...     def next_rate(self, batch: BatchMeasured) -> float:
        ...         self.rate = self.rate / 2 if batch.total_delay_ms > batch.interval_ms else self.rate + 10.0
        ...         return self.rate
        >>> controller = Halving()
        >>> controller.first_rate(1_000)
        1000.0
        >>> controller.next_rate(BatchMeasured(1_000, 1_000, {"lines": 1_000}, 1_500.0, 0.0))
        500.0
    """

    span_ms: float = 0.0
    """How long a batch takes where that is longer than the batch interval, because what each batch costs beside its
    records fills the interval already; 0: the interval. It may change with each limit."""

    def learnt(self) -> Any:
        """Give what a later driver should know, or None: plain data, such as numbers, lists and dicts of them."""
        return None

    def go_on(self, learnt: Any) -> None:  # noqa: B027 - a controller may begin anew each time
        """Be told, before `first_rate`, what one of this class had learnt for this input before the program ended.

        The program, its functions and the machine may be others now.
        """

    def first_rate(self, interval_ms: int) -> float | None:
        """Give the limit, records a second, that holds before anything was measured; None: no limit.

        Called once. Without a limit the first batch takes whatever there is.
        """
        return None

    @abstractmethod
    def next_rate(self, batch: BatchMeasured) -> float | None:
        """Give the limit, records a second, above zero, from now on; None: no limit.

        Called once for each batch that ended, in order of batch time, batches without records included.
        """


RateControllerFactory: TypeAlias = Callable[[str], RateController]
"""Makes the controller of one input, given the input's name."""
