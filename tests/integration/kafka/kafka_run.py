"""A stream over Kafka on a clock that the test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import millstream as ms
from millstream.testing import ManualClock

LIMIT_S = 60.0


class Reports(ms.StreamingListener):
    """Keeps what the source reports, and what was read."""

    def __init__(self) -> None:
        self.seen: list[ms.SourceReported] = []
        self.batches: list[ms.BatchCompleted] = []

    def on_source_reported(self, event: ms.SourceReported) -> None:
        self.seen.append(event)

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        self.batches.append(event)


class KafkaRun:
    """Runs a stream, a batch for each step of the clock.

    Args:
        servers: the brokers.
        context: where it runs; None: in this thread.
        interval_s: the batch interval.
        shape: makes of a record what is kept, in the tasks.
        options: of `kafka_stream`.

    Attributes:
        rows: what was kept, a list a batch.
        reports: what listeners heard.
    """

    def __init__(
        self,
        servers: str,
        *,
        context: ms.Context | None = None,
        interval_s: float = 1.0,
        shape: Callable[[Any], Any] = lambda record: record.value.decode(),
        **options: Any,
    ) -> None:
        self.clock = ManualClock()
        self.interval_s = interval_s
        self.rows: list[list[Any]] = []
        self.reports = Reports()
        self.ssc = ms.StreamingContext(
            interval_s, context=context, environment=ms.Environment(self.clock), retry_pause=0.001
        )
        self.ssc.add_listener(self.reports)
        self.ssc.kafka_stream(servers, **options).map(shape).collect_to(self.rows)

    def __enter__(self) -> KafkaRun:
        self.ssc.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ssc.stop(graceful=False)

    @property
    def all(self) -> list[Any]:
        """All that was kept."""
        return [row for batch in self.rows for row in batch]

    def step(self, times: int = 1) -> None:
        """Run batches."""
        for _ in range(times):
            self.clock.advance(self.interval_s)
            if self.ssc.state != "active":
                self.ssc.await_termination(0)

    def until(self, done: int | Callable[[], bool]) -> list[Any]:
        """Run batches until so many records were kept, or something else is the case; give all that was kept."""
        deadline = time.monotonic() + LIMIT_S
        while not (len(self.all) >= done if isinstance(done, int) else done()):
            assert time.monotonic() < deadline, f"it is not the case: {self.all[-20:]!r} and {self.reports.seen!r}"
            self.step()
        return self.all

    def failure(self) -> BaseException:
        """Run batches until the stream stops, and give the error."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                self.step()
            except Exception as error:
                return error
        raise AssertionError("The stream did not stop.")
