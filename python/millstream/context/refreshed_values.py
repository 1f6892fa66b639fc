"""Methods of the streaming context that make values from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from millstream.context.source_core import SourceCore
from millstream.stream.core import labelled

if TYPE_CHECKING:
    from millstream.model.batch import Batch
    from millstream.stream.refreshed import Refreshed

V = TypeVar("V")


class RefreshedValueMethods(SourceCore):
    """Methods that make values that are loaded now and then."""

    @overload
    def refreshed(
        self, load: Callable[[], V], *, every: int | None = None, on_error: Literal["fail", "keep"] = "fail"
    ) -> Refreshed[V]: ...
    @overload
    def refreshed(
        self, load: Callable[[Batch], V], *, every: int | None = None, on_error: Literal["fail", "keep"] = "fail"
    ) -> Refreshed[V]: ...
    def refreshed(
        self, load: Callable[..., Any], *, every: int | None = None, on_error: Literal["fail", "keep"] = "fail"
    ) -> Refreshed[Any]:
        """Make a value from outside that streams are joined with, and that is loaded again every so many batches.

        `pairs.join(value)` and `pairs.left_outer_join(value)` join with a mapping, pairs or an RDD of pairs;
        `records.join_table(value, on=...)` with a table; `value.at(batch)` in `transform` gives it to functions. The
        value goes to each executor once for each time that it is loaded. The batch waits while it is loaded.

        All attempts at a batch see the same value. It is not kept in checkpoints: a batch that is run again after a
        crash loads anew, so a sink that compares both results may find another one (`on_divergence`).

        Args:
            load: gives the value, on the driver; gets the `Batch` if it requires an argument.
            every: after how many batch intervals it is loaded again; None: never.
            on_error: what happens when loading raises: `fail` fails the batch, `keep` goes on with the value before,
                with a warning, and tries again in the next batch.

        Raises:
            ConfigurationError: an argument cannot work.

        Example:
            >>> from millstream.testing import run_batches
            >>> stock = iter([{"pen": 2}, {"pen": 3, "ink": 5}])
            >>> def build(ssc, sales):
            ...     return sales.join(ssc.refreshed(lambda: next(stock), every=2))
            >>> run_batches(build, [[("pen", 1)], [("pen", 1), ("ink", 4)], [("ink", 6)]])
            [[('pen', (1, 2))], [('pen', (1, 3)), ('ink', (4, 5))], [('ink', (6, 5))]]
        """
        from millstream.stream.refreshed import Refreshed

        at = labelled("refreshed", load, takes=0, batch=True)
        return Refreshed(load, every, on_error, self.program.interval_ms, at)
