"""RDD methods that wait on something outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.model.accumulator import Accumulator
from millstream.model.batch import Batch
from millstream.model.durations import Duration
from millstream.rdd.async_map import OnError, async_map
from millstream.rdd.core import RDDCore, T_co, label

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

U = TypeVar("U")


class AsyncMethods(RDDCore[T_co]):
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
    ) -> RDD[U]: ...
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
    ) -> RDD[U]: ...
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
    ) -> RDD[Any]:
        """Replace each record by what `await f(record)` gives, with many calls in flight at once.

        For calls to services and look-ups that wait. Arguments, threads and failures are those of
        `DStream.map_async`; the calls of one partition are in flight together.

        Raises:
            ArgumentTypeError: an argument is of a type that cannot work.
            ConfigurationError: a value is out of range.

        Example:
            >>> import asyncio
            >>> import millstream as ms
            >>> async def looked_up(x):
            ...     await asyncio.sleep(0.001)
            ...     return x * 10
            >>> with ms.Context() as context:
            ...     context.parallelize([1, 2, 3]).map_async(looked_up).collect()
            [10, 20, 30]
        """
        return self.narrow(
            async_map(
                f,
                label("map_async"),
                concurrency=concurrency,
                ordered=ordered,
                timeout=timeout,
                retries=retries,
                retry_pause=retry_pause,
                on_error=on_error,
                skipped=skipped,
            )
        )
