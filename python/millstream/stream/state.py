"""Stream methods that keep a state for every key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from millstream.errors import ConfigurationError
from millstream.graph.state import StateNode
from millstream.rdd.partitioner import KeyGroups
from millstream.state.map_with_state import MapWithState
from millstream.state.state_options import StateOptions, checked_options
from millstream.state.state_spec import InitialState, StateSpec
from millstream.state.update_state_by_key import NORMAL_ARGUMENTS, UpdateStateByKey
from millstream.stream.core import StreamCore, T_co, labelled

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream
    from millstream.stream.with_state import StreamWithState

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")
U = TypeVar("U")


class StateMethods(StreamCore[T_co]):
    """Methods with keyed state. What a batch that fails did to the state is undone without trace."""

    __slots__ = ()

    @overload
    def update_state_by_key(
        self: StreamCore[tuple[K, V]],
        f: Callable[[list[V], S | None], S | None],
        partitions: int | None = None,
        *,
        form: Literal["values"] = "values",
        initial_state: InitialState[K, S] | None = None,
        only_updated: bool = False,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[K, S]]: ...
    @overload
    def update_state_by_key(
        self: StreamCore[tuple[K, V]],
        f: Callable[..., Any],
        partitions: int | None = None,
        *,
        form: Literal["values", "key", "iterator"] = "values",
        initial_state: InitialState[K, S] | None = None,
        only_updated: bool = False,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[K, Any]]: ...
    def update_state_by_key(
        self: StreamCore[tuple[K, V]],
        f: Callable[..., Any],
        partitions: int | None = None,
        *,
        form: Literal["values", "key", "iterator"] = "values",
        initial_state: InitialState[K, S] | None = None,
        only_updated: bool = False,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[K, Any]]:
        """Keep a state for each key: `f(new values, old state or None)` gives the new one, None removes the key.

        The function is called in every batch for every key that has a state, with an empty list where the batch has
        no values; with `only_updated` only for keys with values, so that a batch costs what it touches.

        Args:
            f: see `form`; it gets the `Batch` as last argument when it requires one more.
            partitions: partitions of the state.
            form: `values`: `f(values, old)`. `key`: `f(key, values, old)`. `iterator`: `f(iterator of
                (key, values, old))` gives (key, new state) pairs; a key that it leaves out is removed.
            initial_state: (key, state) pairs to start with.
            only_updated: call the function only for keys with values in the batch.
            name: identity of the operator; its state is kept by it.
            state: how the state is kept in a checkpoint.

        Returns:
            All (key, state) pairs after each batch.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(
            ...     lambda ssc, s: s.update_state_by_key(lambda values, old: (old or 0) + sum(values)),
            ...     [[("a", 1), ("a", 2)], [("b", 5)]],
            ... )
            [[('a', 3)], [('a', 3), ('b', 5)]]
        """
        if form not in NORMAL_ARGUMENTS:
            raise ConfigurationError(
                "update_state_by_key has no such form.",
                detail=f"form={form!r}.",
                hint="Choose 'values', 'key' or 'iterator'.",
            )
        at = labelled("update_state_by_key", f, takes=NORMAL_ARGUMENTS[form], batch=True, name=name)
        partitioner = self.key_groups(partitions)
        initial = _spread(StateSpec(f, initial_state=initial_state), partitioner)
        step = UpdateStateByKey(f, at, form, only_updated, initial)
        return self.add(StateNode(self.node, step, partitioner, at, checked_options(state, at)))

    def map_with_state(
        self: StreamCore[tuple[K, V]],
        spec: StateSpec[K, V, S, U] | Callable[..., U | None],
        *,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> StreamWithState[U, K, S]:
        """Map each pair by `f(key, value, state)`, which may read, change and remove the state of the key.

        The function is called for each record, in order. What it returns is a record of the result, None is none.
        With a timeout, a key that is idle for longer gets one last call, with the value None and
        `state.is_timing_out()`, in the first batch in which that is so.

        Args:
            spec: a `StateSpec`, or the function alone.
            name: identity of the operator; its state is kept by it.
            state: how the state is kept in a checkpoint; None: as the spec says.

        Returns:
            The mapped records; its `state_snapshots()` gives all (key, state) pairs after each batch.

        Example:
            >>> from millstream.testing import run_batches
            >>> def running(key, value, state):
            ...     state.update(state.get(0) + value)
            ...     return key, state.get()
            >>> run_batches(lambda ssc, s: s.map_with_state(running), [[("a", 1), ("a", 2)], [("a", 3)]])
            [[('a', 1), ('a', 3)], [('a', 6)]]
        """
        from millstream.stream.with_state import StreamWithState

        whole: StateSpec[Any, Any, Any, Any] = spec if isinstance(spec, StateSpec) else StateSpec(spec)
        at = labelled("map_with_state", whole.f, takes=3, batch=True, name=name)
        partitioner = self.key_groups(whole.partitions_count)
        initial = _spread(whole, partitioner)
        step = MapWithState(whole.f, at, whole.timeout_ms, initial)
        options = checked_options(whole.options if state is None else state, at)
        node = StateNode(self.node, step, partitioner, at, options)
        self.program.graph.add(node)
        return StreamWithState(node, self.program)


def _spread(spec: StateSpec[Any, Any, Any, Any], partitioner: KeyGroups) -> Sequence[Sequence[tuple[Any, Any]]] | None:
    pairs = spec.initial_pairs()
    return partitioner.split_pairs(pairs) if pairs else None
