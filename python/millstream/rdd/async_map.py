"""The narrow operation behind `map_async`: many calls of a user's coroutine function in flight at once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.accumulator import Accumulator
from millstream.model.arity import refuse_arguments, wants_batch
from millstream.model.batch import Batch
from millstream.model.choices import one_of
from millstream.model.durations import Duration, duration_ms
from millstream.model.label import Label
from millstream.rdd.arguments import whole_number
from millstream.rdd.operations import MapPartitions
from millstream.rdd.task_loop import TaskLoop

OnError: TypeAlias = Literal["fail", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class AsyncMap:
    """Replaces the rows of a partition by what awaiting a function gives for each.

    Attributes:
        f: gives an awaitable for a record, and the batch in `AsyncMapWithBatch`.
        concurrency: how many calls are in flight at once, >= 1.
        ordered: results come in the order of the records, else of completion.
        timeout_s: how long one try of a call may take, seconds; None: as long as it likes.
        retries: how often a call that failed is tried again, >= 0.
        retry_pause_s: the pause before the first retry, seconds, >= 0; it doubles with each further one.
        skips: drop a record whose call failed, instead of failing.
        skipped: counts the records that were dropped, or None.
    """

    f: Callable[..., Awaitable[Any]]
    concurrency: int
    ordered: bool
    timeout_s: float | None
    retries: int
    retry_pause_s: float
    skips: bool
    skipped: Accumulator[int] | None

    def __call__(self, rows: Iterable[Any]) -> list[Any]:
        """Give the results for the rows of one partition.

        Raises:
            AsyncCallError: a call failed; the others have ended.
        """
        return self.results(rows, ())

    def results(self, rows: Iterable[Any], more: tuple[Any, ...]) -> list[Any]:
        """Give the results for some rows; `more` is what the function gets behind each record."""
        # Why not at the top: importing asyncio takes longer than the rest of millstream's import may.
        from millstream.rdd.async_calls import AsyncCalls

        # Why a list: what rows are computed by must not run inside the loop, where it could not turn one itself.
        records = list(rows)
        return TaskLoop.current().run(AsyncCalls(self, records, more).results()) if records else []


class AsyncMapWithBatch(AsyncMap):
    """The same with a function that gets the batch as its second argument."""

    __slots__ = ()

    def __call__(self, rows: Iterable[Any], batch: Batch) -> list[Any]:  # type: ignore[override] # see below
        """Give the results for the rows of one partition, as `AsyncMap` does.

        That it requires the batch tells the stage to give it, and to refuse to run where there is none.
        """
        return self.results(rows, (batch,))


def async_map(
    f: Callable[..., Awaitable[Any]],
    at: Label,
    *,
    concurrency: int,
    ordered: bool,
    timeout: Duration | None,
    retries: int,
    retry_pause: Duration,
    on_error: OnError,
    skipped: Accumulator[int] | None,
) -> MapPartitions:
    """Make the operation of what a user gave to `map_async`, whose documentation says what each argument is.

    Raises:
        ArgumentTypeError: an argument is of a type that cannot work.
        ConfigurationError: a value is out of range.
    """
    _check_function(f)
    one_of("on_error", on_error, OnError)
    _check_counter(skipped, on_error)
    kind = AsyncMapWithBatch if wants_batch(f, 1) else AsyncMap
    made = kind(
        f,
        whole_number(concurrency, "map_async", "concurrency", least=1),
        bool(ordered),
        None if timeout is None else duration_ms(timeout, "timeout") / 1000.0,
        whole_number(retries, "map_async", "retries", least=0),
        0.0 if retry_pause in (0, timedelta(0)) else duration_ms(retry_pause, "retry_pause") / 1000.0,
        on_error == "skip",
        skipped,
    )
    return MapPartitions(made, False, at)


def _check_function(f: Any) -> None:
    if not callable(f):
        raise ArgumentTypeError(
            "map_async needs a function.",
            detail=f"f={shown(f)} is of type {type(f).__name__}, which cannot be called.",
            hint="Give a function that is defined with async def.",
        )
    for candidate in (f, inspect.getattr_static(type(f), "__call__", None)):
        if inspect.isasyncgenfunction(candidate):
            raise ArgumentTypeError(
                "map_async was given an async generator, which cannot be awaited.",
                detail=f"{shown(f)} is defined with async def and yields.",
                hint="Return a list from the function, and put flat_map(lambda found: found) behind map_async.",
            )
    refuse_arguments(f, "map_async", 1, batch=True)


def _check_counter(skipped: Any, on_error: OnError) -> None:
    if skipped is None:
        return
    if not isinstance(skipped, Accumulator):
        raise ArgumentTypeError(
            "map_async counts skipped records in an accumulator.",
            detail=f"skipped={shown(skipped)} is of type {type(skipped).__name__}.",
            hint="Make one with context.accumulator(0); of a stream it is ssc.context.accumulator(0).",
        )
    if on_error != "skip":
        raise ConfigurationError(
            "map_async was given a counter of skipped records, but skips none.",
            detail=f"on_error={on_error!r}.",
            hint='Give on_error="skip" with it, or leave skipped= out.',
        )
