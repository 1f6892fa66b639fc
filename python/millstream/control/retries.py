"""How often something is tried again, and after which pause."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.control.failure import Failure

_DOUBLINGS_MAX = 40  # 2**40 ms are 35 years: longer than any pause, and the number stays small


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double up to a limit.

    Attributes:
        initial_ms: the first pause, milliseconds, >= 0.
        max_ms: the longest pause, milliseconds.
    """

    initial_ms: int
    max_ms: int

    def delay_ms(self, failures_before: int) -> int:
        """Give the pause after a failure that follows `failures_before` others.

        Example:
            >>> [Backoff(100, 5_000).delay_ms(n) for n in (0, 1, 2, 10, 10_000)]
            [100, 200, 400, 5000, 5000]
        """
        return min(self.initial_ms << min(failures_before, _DOUBLINGS_MAX), self.max_ms)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed step of a batch is tried again.

    Attributes:
        limit: retries of one step, all kinds of failures together, >= 0.
        backoff: the pauses before them.
    """

    limit: int
    backoff: Backoff


class StepRetries:
    """The retries that one step of one batch has used.

    Example:
        >>> retries = StepRetries(RetryPolicy(limit=3, backoff=Backoff(100, 5_000)))
        >>> user = Failure.of(ValueError("bad record"))
        >>> retries.next_delay_ms(user), retries.next_delay_ms(user)
        (100, None)
    """

    __slots__ = ("_after_user", "_policy", "_used")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._used = 0
        self._after_user = 0

    def next_delay_ms(self, failure: Failure) -> int | None:
        """Use one retry and give the pause before it, or None when the failure allows no further one."""
        if failure.kind == "final" or self._used >= self._policy.limit:
            return None
        if failure.kind == "user":
            # Why once: a user's function that raised twice on the same records will raise a third time.
            if self._after_user:
                return None
            self._after_user = 1
        delay_ms = self._policy.backoff.delay_ms(self._used)
        self._used += 1
        return delay_ms
