"""Runs of a program that is another one from run to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import millstream as ms
from millstream.testing import ManualClock

Build = Callable[[ms.DStream[Any]], ms.DStream[Any]]


class Runs:
    """Runs of a program, one after another, on one checkpoint and one clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(10.0)

    def run(self, build: Build, records: Iterable[Any], **options: Any) -> list[list[Any]]:
        """Run a batch for each record, stop, and give what each batch put out."""
        seen: list[list[Any]] = []
        ssc = ms.StreamingContext(
            1.0, name="app", checkpoint=self.path, environment=ms.Environment(self.clock), **options
        )
        try:
            numbers = ssc.memory_stream(name="numbers")
            build(numbers.map(lambda n: (n % 3, n))).foreach_rdd(lambda rdd: seen.append(sorted(rdd.collect())))
            ssc.start()
            for record in records:
                numbers.push(record)
                self.clock.advance(1.0)
                if ssc.state == "stopped":
                    break
        finally:
            ssc.stop(graceful=False)
        ssc.await_termination(0)
        return seen
