"""Running a program over given batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from millstream.context.streaming_context import StreamingContext
from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.execution.backend import Backend
from millstream.model.durations import Duration, duration_ms
from millstream.stream.dstream import DStream
from millstream.testing.mutation import MutationGuard


def run_batches(
    build: Callable[..., DStream[Any]],
    *inputs: Sequence[Sequence[Any]],
    batch_interval: Duration = 1.0,
    backend: str | Backend = "threads",
    check_mutation: bool = False,
    batches: int | None = None,
    **context: Any,
) -> list[list[Any]]:
    """Run a program over given batches and give what it put out, batch by batch.

    The clock is moved by hand, so the run takes no longer than its work and gives the same result each time.

    Args:
        build: `build(ssc, *streams)` gets the context and a stream for each input, and gives the stream to look at.
        inputs: for each stream a list of batches, each a list of records; shorter ones are filled up with
            empty batches.
        batch_interval: length of a batch, seconds or timedelta.
        backend: `threads`, `processes` or a `Backend`; not looked at when a `context` is given.
        check_mutation: fail when a record of the inputs was changed in place.
        batches: how many batches to run; None: as many as the longest input has.
        context: further arguments of `StreamingContext`.

    Returns:
        For each batch the list of its records; at batch times between the slides of the stream an empty list.

    Raises:
        UserCodeError: a function of the program raised.
        MutationError: a record was changed in place, with `check_mutation`.

    Example:
        >>> from operator import add
        >>> run_batches(
        ...     lambda ssc, words: words.map(lambda w: (w, 1)).reduce_by_key(add),
        ...     [["a", "b", "a"], ["b"]],
        ... )
        [[('a', 2), ('b', 1)], [('b', 1)]]
    """
    for number, given in enumerate(inputs):
        if isinstance(given, str) or not all(isinstance(batch, (list, tuple)) for batch in given):
            raise ArgumentTypeError(
                "Each input of run_batches is a list of batches, and each batch a list of records.",
                detail=f"Input {number} is {given!r:.200}.",
                hint="Write run_batches(build, [[1, 2], [3]]) for two batches of one stream.",
            )
    count = max((len(given) for given in inputs), default=0) if batches is None else batches
    if count < 1:
        raise ConfigurationError(
            "run_batches has no batch to run.",
            detail=f"{len(inputs)} inputs, batches={batches}.",
            hint="Give an input, or batches=.",
        )
    interval_ms = duration_ms(batch_interval, "batch_interval")
    clock = ManualClock()
    guard = MutationGuard(inputs) if check_mutation else None
    collected: dict[int, list[Any]] = {}
    ssc = StreamingContext(
        batch_interval,
        backend=None if context.get("context") else backend,
        environment=Environment(clock, seed=0),
        **{"name": f"run_batches-{next(_runs)}", "process_tuning": False, "retry_pause": 0.001, **context},
    )
    try:
        streams = [ssc.queue_stream(list(given)) for given in inputs]
        result = build(ssc, *streams)
        result.collect_to(lambda rows, batch: collected.__setitem__(batch.time_ms, rows))
        ssc.start()
        for _ in range(count):
            clock.advance(interval_ms / 1000.0)
            if ssc.state == "stopped":
                ssc.await_termination(0)
            if guard is not None:
                guard.check()
        clock.advance(interval_ms / 2000.0)  # Retries of the last batch are due before the next one.
        ssc.stop(graceful=False)
        ssc.await_termination(0)
    finally:
        ssc.stop(graceful=False)
    return [collected.get(interval_ms * number, []) for number in range(1, count + 1)]


_runs = itertools.count(1)
"""Runs in several threads of a process need names of their own."""
