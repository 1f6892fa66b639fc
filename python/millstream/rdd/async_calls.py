"""The calls of a user's coroutine function for the records of one partition. Imported when the first ones are made."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, NoReturn

from millstream.errors import shown
from millstream.rdd.async_call_error import AsyncCallError

if TYPE_CHECKING:
    from millstream.rdd.async_map import AsyncMap

RETRY_PAUSE_MAX_S = 30.0
"""Pauses between retries double up to this."""

_CALLS_A_TURN = 16
"""A caller whose calls never wait, such as hits in a cache of the user's, must not keep the loop from those that do.
A turn of the loop takes some 10 us, so this adds less than 1 us a call."""

_DROPPED = object()


class AsyncCalls:
    """Used once: makes the calls and gathers what they give.

    A fixed number of callers take the next record each, so a partition of a million records makes no more tasks than
    calls that may be in flight.

    Args:
        how: the operation.
        records: the records of the partition, at least one.
        more: what the function gets behind each record.
    """

    def __init__(self, how: AsyncMap, records: list[Any], more: tuple[Any, ...]) -> None:
        self._how = how
        self._f = how.f
        self._more = more
        self._count = len(records)
        self._waiting = iter(enumerate(records))
        self._results: dict[int, Any] = {}
        self._callers: list[asyncio.Task[None]] = []
        self._failure: AsyncCallError | None = None
        self._ending = False

    async def results(self) -> list[Any]:
        """Give all results, in the order of the records or of completion.

        Raises:
            AsyncCallError: a call failed for good; the others were cancelled and have ended.
        """
        loop = asyncio.get_running_loop()
        self._callers = [loop.create_task(self._call_all()) for _ in range(min(self._how.concurrency, self._count))]
        try:
            await asyncio.wait(self._callers)
        finally:
            await self._ended()
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # The error and this frame would keep each other, and with them the records.
        results = self._results
        if self._how.skipped is not None and len(results) < self._count:
            self._how.skipped.add(self._count - len(results))
        return [results[number] for number in sorted(results)] if self._how.ordered else list(results.values())

    async def _ended(self) -> None:
        """Have all callers end, and wait for them."""
        self._end()
        while running := [caller for caller in self._callers if not caller.done()]:
            await asyncio.wait(running)
        for caller in self._callers:
            if not caller.cancelled():
                caller.exception()  # Looked at, or asyncio reports it as forgotten.

    def _end(self) -> None:
        self._ending = True
        for caller in self._callers:
            caller.cancel()

    async def _call_all(self) -> None:
        """Make one call after the other until no record waits."""
        results = self._results
        for calls, (number, record) in enumerate(self._waiting, 1):
            try:
                result = await self._result(record)
            except AsyncCallError as failure:
                if not self._ending:  # Else it failed in being cancelled, or at the same time: the first one counts.
                    self._failure = failure
                    self._end()
                return
            if result is not _DROPPED:
                results[number] = result
            if calls % _CALLS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _result(self, record: Any) -> Any:
        """Call until it succeeds, or has failed for good."""
        how, pause_s, retries = self._how, self._how.retry_pause_s, 0
        while True:
            try:
                return await self._awaited(record)
            except AsyncCallError:
                raise
            except asyncio.CancelledError as error:
                if self._ending:
                    raise
                failure: BaseException = error  # Something that the user's function awaited was cancelled.
            except Exception as error:
                failure = error
            if retries == how.retries or self._ending:
                break
            retries += 1
            await asyncio.sleep(min(pause_s, RETRY_PAUSE_MAX_S))
            pause_s *= 2
        if how.skips:
            return _DROPPED
        self._fail(record, failure)

    def _fail(self, record: Any, failure: BaseException) -> NoReturn:
        timeout_s, retries = self._how.timeout_s, self._how.retries
        if isinstance(failure, _Overdue):
            problem = f"did not end within its timeout of {timeout_s:g} s"
            hint = "Give a longer timeout=, retries=, or on_error='skip'."
            raise AsyncCallError(record, problem, hint, retries=retries) from failure.__cause__
        raise AsyncCallError(record, retries=retries) from failure

    async def _awaited(self, record: Any) -> Any:
        """Call once."""
        awaitable: Awaitable[Any] = self._f(record, *self._more)
        if not inspect.isawaitable(awaitable):
            raise AsyncCallError(
                record,
                f"returned {shown(awaitable)} of type {type(awaitable).__name__}, which cannot be awaited",
                "Use map for a plain function; define one that waits with async def.",
                is_type=True,
            )
        if self._how.timeout_s is None:
            return await awaitable
        limit = asyncio.timeout(self._how.timeout_s)
        try:
            async with limit:
                return await awaitable
        except TimeoutError as error:
            if not limit.expired():
                raise
            if error.__cause__ is not None and error.__cause__.__traceback__ is not None:
                # The cancellation shows where the function was waiting, behind this frame.
                error.__cause__.__traceback__ = error.__cause__.__traceback__.tb_next
            raise _Overdue from error


class _Overdue(Exception):  # noqa: N818 - never leaves this module
    pass
