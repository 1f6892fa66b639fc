"""Stream methods over windows: batches of the last while, looked at together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from operator import add, sub
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from millstream.errors import ArgumentTypeError, shown
from millstream.graph.shuffle import ShuffleNode
from millstream.graph.window import InverseWindowNode, ReducedWindowNode, WindowNode
from millstream.model.durations import Duration, multiple_ms
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
from millstream.rdd.exchange import CombineByKey, CountAll, CountValuesByKey, GroupByKey, RoundRobin
from millstream.rdd.operations import Filter, Map, MapPartitions, Values
from millstream.state.inverse_window import InverseWindow
from millstream.state.state_options import StateOptions, checked_options
from millstream.stream.core import StreamCore, T_co, labelled
from millstream.stream.pairs import as_pairs, at_inside, under_none

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

K = TypeVar("K")
V = TypeVar("V")


class WindowMethods(StreamCore[T_co]):
    """Methods over windows.

    A window at batch time T holds the batches in `(T - window, T]`; at the start of the stream it is partial.
    `slide` says how often there is one; both are multiples of the interval at which this stream gives batches.
    """

    __slots__ = ()

    def window_ms(self, window: Duration, slide: Duration | None) -> tuple[int, int]:
        """Check a window and its slide, and give both in milliseconds."""
        of_ms = self.node.slide_ms
        of_name = "batch interval" if of_ms == self.program.interval_ms else "slide of the stream"
        window_ms = multiple_ms(window, "window", of_ms=of_ms, of_name=of_name)
        if slide is None:
            return window_ms, of_ms
        return window_ms, multiple_ms(slide, "slide", of_ms=of_ms, of_name=of_name)

    def window(
        self,
        window: Duration,
        slide: Duration | None = None,
        *,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[T_co]:
        """Give all records of the batches in the window, batch after batch.

        The records stay in memory while a window can hold them.

        Args:
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch of this stream.
            name: identity of the operator; its state is kept by it.
            state: how the window is kept in a checkpoint.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.window(3, 2), [[1], [2], [3], [4], [5], []])
            [[], [1, 2], [], [2, 3, 4], [], [4, 5]]
        """
        window_ms, slide_ms = self.window_ms(window, slide)
        at = labelled("window", name=name)
        return self.add(WindowNode(self.node, window_ms, slide_ms, at, checked_options(state, at)))

    def reduce_by_window(
        self,
        f: Callable[[T_co, T_co], T_co],
        window: Duration,
        slide: Duration | None = None,
        *,
        inverse: Callable[[T_co, T_co], T_co] | None = None,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[T_co]:
        """Combine all records of the window into one; an empty window gives none.

        Args:
            f: associative.
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch.
            inverse: takes away from a value what left the window: `inverse(f(a, b), b) == a`, for an `f` that does
                not mind the order. With it the cost of a batch does not depend on the length of the window.
            name: identity of the operator; its state is kept by it.
            state: how the window is kept in a checkpoint.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.reduce_by_window(max, 2), [[1, 5], [2], [3], [], []])
            [[5], [5], [3], [3], []]
        """
        at = labelled("reduce_by_window", f, takes=2, name=name)
        keep = _Kept(None, checked_options(state, at))
        pairs = self.narrow(Map(under_none, at_inside(at)))
        reduced = _reduced_by_key(pairs, f, inverse, window, slide, 1, keep, at)
        return reduced.narrow(Values(at_inside(at)))

    def count_by_window(
        self,
        window: Duration,
        slide: Duration | None = None,
        *,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[int]:
        """Count the records of the window: always one number, 0 for an empty window.

        Args:
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch.
            name: identity of the operator; its state is kept by it.
            state: how the counts are kept in a checkpoint.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.count_by_window(2), [["a", "b"], ["c"], [], []])
            [[2], [3], [1], [0]]
        """
        window_ms, slide_ms = self.window_ms(window, slide)
        at = labelled("count_by_window", name=name)
        counts = as_pairs(self).shuffled(CountAll(at_inside(at)))
        parts = counts.add(WindowNode(counts.node, window_ms, slide_ms, at, checked_options(state, at)))
        one = parts.add(ShuffleNode([parts.node], RoundRobin(1, at), at_inside(at)))
        return one.narrow(MapPartitions(_sum, False, at_inside(at)))

    def count_by_value_and_window(
        self,
        window: Duration,
        slide: Duration | None = None,
        partitions: int | None = None,
        *,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[T_co, int]]:
        """Count how often each record occurs in the window; what is not in it does not appear.

        Args:
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch.
            partitions: partitions of the result.
            name: identity of the operator; its state is kept by it.
            state: how the window is kept in a checkpoint.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.count_by_value_and_window(2), [["a", "b"], ["a"], []])
            [[('a', 1), ('b', 1)], [('a', 2), ('b', 1)], [('a', 1)]]
        """
        window_ms, slide_ms = self.window_ms(window, slide)
        at = labelled("count_by_value_and_window", name=name)
        partitioner = self.key_groups(partitions)
        counts = as_pairs(self).shuffled(CountValuesByKey(partitioner, at_inside(at)))
        step, options = InverseWindow(add, sub, at), checked_options(state, at)
        return self.add(InverseWindowNode(counts.node, step, partitioner, window_ms, slide_ms, at, options))

    def group_by_key_and_window(
        self: StreamCore[tuple[K, V]],
        window: Duration,
        slide: Duration | None = None,
        partitions: int | None = None,
        *,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[K, list[V]]]:
        """Put the values of each key of the window into a list, oldest batch first.

        Args:
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch.
            partitions: partitions of the result.
            name: identity of the operator; its state is kept by it.
            state: how the window is kept in a checkpoint.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.group_by_key_and_window(2), [[("a", 1)], [("a", 2)], []])
            [[('a', [1])], [('a', [1, 2])], [('a', [2])]]
        """
        window_ms, slide_ms = as_windows(self).window_ms(window, slide)
        at = labelled("group_by_key_and_window", name=name)
        partitioner = self.key_groups(partitions)
        grouped = as_pairs(self).shuffled(GroupByKey(partitioner, at_inside(at)))
        merge = CombineByKey(partitioner, list, _extended, _extended, at)
        options = checked_options(state, at)
        return self.add(ReducedWindowNode(grouped.node, merge, window_ms, slide_ms, at, options))

    def reduce_by_key_and_window(
        self: StreamCore[tuple[K, V]],
        f: Callable[[V, V], V],
        inverse: Callable[[V, V], V] | None = None,
        window: Duration | None = None,
        slide: Duration | None = None,
        partitions: int | None = None,
        *,
        filter: Callable[[tuple[K, V]], object] | None = None,
        name: str | None = None,
        state: StateOptions | None = None,
    ) -> DStream[tuple[K, V]]:
        """Combine the values of each key of the window.

        Without an inverse the parts of all batches in the window are combined anew each time. With it the running
        values are carried on: what entered is added, what left is taken away, so a batch costs what changed in it.
        A key that no batch in the window has disappears.

        Args:
            f: associative; gets two values of a key. With an inverse it must not mind the order of values.
            inverse: takes away what left: `inverse(f(a, b), b) == a`; None: combine anew.
            window: length, seconds or timedelta.
            slide: distance between windows; None: every batch.
            partitions: partitions of the result.
            filter: shows the pairs for which it is true; with an inverse it is asked when a value changes.
            name: identity of the operator; its state is kept by it.
            state: how the window is kept in a checkpoint.

        Example:
            >>> from operator import add, sub
            >>> from millstream.testing import run_batches
            >>> run_batches(
            ...     lambda ssc, s: s.reduce_by_key_and_window(add, sub, window=2, slide=1),
            ...     [[("a", 1)], [("a", 2), ("b", 5)], [], []],
            ... )
            [[('a', 1)], [('a', 3), ('b', 5)], [('a', 2), ('b', 5)], []]
        """
        at = labelled("reduce_by_key_and_window", f, takes=2, name=name)
        if window is None or isinstance(inverse, (int, float, timedelta)):
            raise ArgumentTypeError(
                "reduce_by_key_and_window needs a window.",
                detail="window= was not given." if window is None else f"inverse={shown(inverse)} is no function.",
                hint="Write .reduce_by_key_and_window(f, inverse, window=600, slide=2); inverse may be left out.",
            )
        if filter is not None:
            check_function(filter, "reduce_by_key_and_window", "filter", takes=1)
        keep = _Kept(filter, checked_options(state, at))
        return _reduced_by_key(self, f, inverse, window, slide, partitions, keep, at)


class _Kept(NamedTuple):
    """What a window shows of its pairs, and how it keeps them."""

    filter: Callable[[Any], object] | None
    options: StateOptions


def _reduced_by_key(
    pairs: StreamCore[Any],
    f: Callable[[Any, Any], Any],
    inverse: Callable[[Any, Any], Any] | None,
    window: Duration,
    slide: Duration | None,
    partitions: int | None,
    keep: _Kept,
    at: Label,
) -> DStream[Any]:
    window_ms, slide_ms = as_windows(pairs).window_ms(window, slide)
    partitioner = pairs.key_groups(partitions)
    exchange = CombineByKey(partitioner, None, f, f, at_inside(at))
    parts = as_pairs(pairs).shuffled(exchange)
    if inverse is None:
        reduced = pairs.add(ReducedWindowNode(parts.node, exchange, window_ms, slide_ms, at, keep.options))
    else:
        check_function(inverse, at.operator, "inverse", takes=2)
        step = InverseWindow(f, inverse, at, keep.filter)
        return pairs.add(InverseWindowNode(parts.node, step, partitioner, window_ms, slide_ms, at, keep.options))
    return reduced if keep.filter is None else reduced.narrow(Filter(keep.filter, at_inside(at)))


def as_windows(stream: StreamCore[Any]) -> WindowMethods[Any]:
    """See a stream as one that has the methods over windows."""
    assert isinstance(stream, WindowMethods)
    return stream


def _extended(values: list[Any], more: list[Any]) -> list[Any]:
    return [*values, *more]


def _sum(counts: Any) -> list[int]:
    return [sum(counts)]
