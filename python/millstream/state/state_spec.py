"""What `map_with_state` is to do: a function, and how its state starts, ends and is spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.batch import Batch
from millstream.model.durations import Duration, duration_ms
from millstream.state.state import State
from millstream.state.state_options import StateOptions

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")
T = TypeVar("T")
P_co = TypeVar("P_co", covariant=True)


class CollectsPairs(Protocol[P_co]):
    """A collection that gives its pairs when asked, such as an RDD."""

    def collect(self) -> Sequence[P_co]:
        """Give all pairs."""
        ...


InitialState: TypeAlias = Mapping[K, S] | Iterable[tuple[K, S]] | CollectsPairs[tuple[K, S]]
StateFunction: TypeAlias = Callable[[K, V | None, State[S]], T | None]
BatchStateFunction: TypeAlias = Callable[[K, V | None, State[S], Batch], T | None]


class StateSpec(Generic[K, V, S, T]):
    """The function of `map_with_state` and its options.

    The function is called once for each record, `f(key, value, state)`, and what it returns is a record of the
    stream; None gives no record. When it requires four arguments, the batch is the fourth. With a timeout, a key
    that is idle for longer gets one last call with the value None, where `state.is_timing_out()` is true.

    A spec does not change: `initial_state`, `timeout`, `partitions` and `state` give a new one.

    Args:
        f: `f(key, value | None, state)` or `f(key, value | None, state, batch)`.
        initial_state: (key, state) pairs, a mapping, or an RDD of pairs; of equal keys the last one counts.
        timeout: seconds (or timedelta) without a record, counted in batch time, after which a key is dropped.
        partitions: how many partitions the state is spread over; None takes the program's default.
        state: how the state is kept in a checkpoint.

    Raises:
        ArgumentTypeError: `f` cannot be called.
        ConfigurationError: the timeout or the number of partitions is not above zero.

    Example:
        >>> def count(word, n, state):
        ...     state.update(state.get(0) + n)
        ...     return word, state.get()
        >>> spec = StateSpec.function(count).initial_state([("a", 10)]).timeout(30)
        >>> spec.timeout_ms, spec.initial_pairs()
        (30000, [('a', 10)])
    """

    __slots__ = ("_initial", "f", "options", "partitions_count", "timeout_ms")

    @overload
    def __init__(
        self,
        f: StateFunction[K, V, S, T],
        *,
        initial_state: InitialState[K, S] | None = None,
        timeout: Duration | None = None,
        partitions: int | None = None,
        state: StateOptions | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        f: BatchStateFunction[K, V, S, T],
        *,
        initial_state: InitialState[K, S] | None = None,
        timeout: Duration | None = None,
        partitions: int | None = None,
        state: StateOptions | None = None,
    ) -> None: ...
    def __init__(
        self,
        f: Callable[..., T | None],
        *,
        initial_state: InitialState[K, S] | None = None,
        timeout: Duration | None = None,
        partitions: int | None = None,
        state: StateOptions | None = None,
    ) -> None:
        if not callable(f):
            raise ArgumentTypeError(
                "A StateSpec needs a function.",
                detail=f"It was given {shown(f)}, of type {type(f).__name__}.",
                hint="Give f(key, value, state).",
            )
        if partitions is not None and (not isinstance(partitions, int) or partitions < 1):
            raise ConfigurationError(
                "partitions must be a whole number above zero.",
                detail=f"partitions={partitions!r}.",
                hint="Give an int from 1 to 1024, or leave it out.",
            )
        self.f = f
        self._initial = initial_state
        self.timeout_ms = None if timeout is None else duration_ms(timeout, "timeout")
        self.partitions_count = partitions
        self.options = state

    @overload
    @classmethod
    def function(cls, f: StateFunction[K, V, S, T]) -> StateSpec[K, V, S, T]: ...
    @overload
    @classmethod
    def function(cls, f: BatchStateFunction[K, V, S, T]) -> StateSpec[K, V, S, T]: ...
    @classmethod
    def function(cls, f: Any) -> StateSpec[Any, Any, Any, Any]:
        """Make a spec of a function alone."""
        return StateSpec(f)

    def initial_state(self, pairs: InitialState[K, S]) -> StateSpec[K, V, S, T]:
        """Give this spec with (key, state) pairs to start from."""
        spec = self._copy()
        spec._initial = pairs
        return spec

    def timeout(self, seconds: Duration) -> StateSpec[K, V, S, T]:
        """Give this spec with a timeout, seconds or timedelta, for idle keys."""
        spec = self._copy()
        spec.timeout_ms = duration_ms(seconds, "timeout")
        return spec

    def partitions(self, count: int) -> StateSpec[K, V, S, T]:
        """Give this spec with the number of partitions of the state."""
        spec: StateSpec[K, V, S, T] = StateSpec(
            self.f, initial_state=self._initial, partitions=count, state=self.options
        )
        spec.timeout_ms = self.timeout_ms
        return spec

    def state(self, options: StateOptions) -> StateSpec[K, V, S, T]:
        """Give this spec with how the state is kept in a checkpoint."""
        spec = self._copy()
        spec.options = options
        return spec

    def initial_pairs(self) -> list[tuple[K, S]]:
        """List the pairs that the state starts with; an RDD is collected.

        Raises:
            ArgumentTypeError: the initial state is neither a mapping nor pairs, or holds None for a state.
        """
        initial = self._initial
        if initial is None:
            return []
        try:
            pairs = _pairs(initial)
            dropped = [key for key, state in pairs if state is None]
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(
                "The initial state is not made of (key, state) pairs.",
                detail=f"It is of type {type(initial).__name__}: {error}",
                hint="Give a dict, a list of pairs or an RDD of pairs.",
            ) from error
        if dropped:
            raise ArgumentTypeError(
                "A state cannot be None.",
                detail=f"The initial state of the key {dropped[0]!r} is None.",
                hint="Leave the key out.",
            )
        return pairs

    def _copy(self) -> StateSpec[K, V, S, T]:
        spec: StateSpec[K, V, S, T] = StateSpec(
            self.f, initial_state=self._initial, partitions=self.partitions_count, state=self.options
        )
        spec.timeout_ms = self.timeout_ms
        return spec


def _pairs(initial: InitialState[K, S]) -> list[tuple[K, S]]:
    if isinstance(initial, Mapping):
        return list(initial.items())
    if hasattr(initial, "collect"):
        return list(initial.collect())
    return list(initial)
