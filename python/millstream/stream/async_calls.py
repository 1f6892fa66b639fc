"""Stream methods that wait on something outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.model.accumulator import Accumulator
from millstream.model.batch import Batch
from millstream.model.durations import Duration
from millstream.rdd.async_map import OnError, async_map
from millstream.stream.core import StreamCore, T_co, labelled

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

U = TypeVar("U")


class AsyncMethods(StreamCore[T_co]):
    """Methods whose functions are awaited."""

    __slots__ = ()

    @overload
    def map_async(
        self,
        f: Callable[[T_co], Awaitable[U]],
        *,
        concurrency: int = 100,
        ordered: bool = True,
        timeout: Duration | None = None,
        retries: int = 0,
        retry_pause: Duration = 0.1,
        on_error: OnError = "fail",
        skipped: Accumulator[int] | None = None,
        name: str | None = None,
    ) -> DStream[U]: ...
    @overload
    def map_async(
        self,
        f: Callable[[T_co, Batch], Awaitable[U]],
        *,
        concurrency: int = 100,
        ordered: bool = True,
        timeout: Duration | None = None,
        retries: int = 0,
        retry_pause: Duration = 0.1,
        on_error: OnError = "fail",
        skipped: Accumulator[int] | None = None,
        name: str | None = None,
    ) -> DStream[U]: ...
    def map_async(
        self,
        f: Callable[..., Awaitable[Any]],
        *,
        concurrency: int = 100,
        ordered: bool = True,
        timeout: Duration | None = None,
        retries: int = 0,
        retry_pause: Duration = 0.1,
        on_error: OnError = "fail",
        skipped: Accumulator[int] | None = None,
        name: str | None = None,
    ) -> DStream[Any]:
        """Replace each record by what `await f(record)` gives, with many calls in flight at once.

        For calls to services and look-ups that wait. The batch waits for all its calls, so a slow service slows the
        inputs like any slow batch. Each executor has one event loop for all batches, so a client or a pool of
        connections that `f` makes once can be kept; the loop stands still between batches and ends with the context.
        A batch that is run again makes its calls again: give the service `batch.id` with what identifies the record
        where it must not count one twice.

        Args:
            f: a coroutine function, or a function that returns an awaitable; it gets the record, and the `Batch` when
                it requires a second argument. Calls run in one thread, one at a time between their awaits.
            concurrency: how many calls of a partition are in flight at once, at least 1.
            ordered: results come in the order of the records; False: of completion.
            timeout: how long one try of a call may take, seconds or timedelta; then it is cancelled and has failed.
            retries: how often a call that failed is tried again.
            retry_pause: the pause before the first retry, seconds or timedelta; it doubles up to 30 s.
            on_error: what happens when the last retry failed: `"fail"` cancels the other calls, waits for them to end
                and fails the batch; `"skip"` drops the record.
            skipped: an accumulator, made by `ssc.context.accumulator(0)`, to which each task that succeeds adds
                how many records it dropped.
            name: identity of the operator.

        Raises:
            ArgumentTypeError: an argument is of a type that cannot work.
            ConfigurationError: a value is out of range.

        Example:
            >>> import asyncio
            >>> from millstream.testing import run_batches
            >>> async def looked_up(x):
            ...     await asyncio.sleep(0.001)
            ...     return x * 10
            >>> run_batches(lambda ssc, numbers: numbers.map_async(looked_up), [[1, 2], [3]])
            [[10, 20], [30]]
        """
        return self.narrow(
            async_map(
                f,
                labelled("map_async", name=name),
                concurrency=concurrency,
                ordered=ordered,
                timeout=timeout,
                retries=retries,
                retry_pause=retry_pause,
                on_error=on_error,
                skipped=skipped,
            )
        )
