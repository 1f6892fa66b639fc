"""What the two ways of running a receiver have in common: a session, from one start to its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a receiver may take.

    Attributes:
        start_s: seconds for `on_start`; then the receiver is reported as blocking, and goes on.
        stop_s: seconds for all that ends a session; then it is reported and left behind, or its process killed.
    """

    start_s: float = 5.0
    stop_s: float = 5.0


class Session(ABC):
    """One run of a receiver: `on_start` and `on_stop`, each called once.

    It reports `started` or `failed` at its start; `failed` or `stopped` when the receiver ends it by itself;
    `error` for what does not end it.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin, without blocking."""

    @abstractmethod
    def end(self, then: Callable[[], None]) -> None:
        """End it, without blocking; `then` is called once it is over, from any thread, or at once."""

    def set_rate(self, records_per_s: float | None) -> None:  # noqa: B027 - where the feed's own limit holds
        """Change the limit of records a second."""
