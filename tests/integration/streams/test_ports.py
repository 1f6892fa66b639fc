"""The two doors: sources and sinks of somebody else's, through whole streams on every backend."""

from __future__ import annotations

from typing import Any

import pytest

import millstream as ms
from millstream.errors import SourceUnavailableError, UserCodeError
from millstream.testing import ManualClock
from millstream.testing.conformance.list_source import ListSource
from millstream.testing.conformance.memory_sink import MemorySink


def test_a_source_gives_each_record_once_within_its_limit(either: ms.StreamingContext, clock: ManualClock) -> None:
    MemorySink.clear("ports")
    sink = MemorySink("ports")
    either.stream(ListSource(list(range(7))), limit=3, name="numbers").map(lambda x: x * 10).write_to(sink)
    either.start()
    clock.advance(4.0)
    assert sink.batches() == {1_000: [0, 10, 20], 2_000: [30, 40, 50], 3_000: [60], 4_000: []}


class Log(ms.ReplayableSource[str]):
    """One partition a record, and trouble where it is told to make some."""

    name = "log"

    def __init__(self, trouble: str, times: int) -> None:
        self.trouble = trouble
        self.times = times
        self.positions: list[Any] = []
        self.calls: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"trouble": self.trouble, "times": 0, "positions": [], "calls": []}

    def open(self, position: Any) -> None:
        self.calls.append("open")

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> ms.Plan:
        self.positions.append(after)
        if self.trouble == "away" and self.times:
            self.times -= 1
            raise SourceUnavailableError("The log is away.", detail="No answer.", hint="Wait.")
        if self.trouble == "plan" and batch_ms == 2_000:
            raise KeyError("offset")
        return ms.Plan([ms.Split({"at": batch_ms, "part": n}, 1, f"log {batch_ms}/{n}") for n in range(2)], batch_ms)

    def read(self, split: ms.Split) -> ms.Partition[str]:
        if self.trouble == "read" and split.data["at"] == 2_000:
            raise KeyError("segment")
        return ms.Partition([f"{split.data['at']}/{split.data['part']}"])

    def close(self) -> None:
        self.calls.append("close")


def test_a_source_that_is_away_is_asked_again_from_the_same_position(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    log, seen = Log("away", 2), list[list[str]]()
    either.stream(log).collect_to(seen)
    either.start()
    clock.advance(2.0)
    either.stop()
    assert seen[:2] == [["1000/0", "1000/1"], ["2000/0", "2000/1"]]
    assert log.positions[:4] == [None, None, None, 1_000]
    assert log.calls == ["open", "close"]


@pytest.mark.parametrize("method", ["plan", "read"])
def test_a_source_that_raises_is_named_and_closed(either: ms.StreamingContext, clock: ManualClock, method: str) -> None:
    log, seen = Log(method, 0), list[list[str]]()
    either.stream(log).collect_to(seen)
    either.start()
    clock.advance(4.0)
    with pytest.raises(UserCodeError, match=f"The source log raised KeyError in {method}") as caught:
        either.await_termination(0)
    assert (caught.value.operator, caught.value.stream, caught.value.batch_time_ms) == ("stream", "main", 2_000)
    assert "test_ports.py" in (caught.value.site or "")
    assert "Hint: " in str(caught.value)
    assert seen == [["1000/0", "1000/1"]]
    assert log.calls == ["open", "close"]


def test_what_was_opened_is_closed_when_the_next_cannot_be_opened(either: ms.StreamingContext) -> None:
    class Refusing(MemorySink):
        def open(self, lineage: ms.SinkLineage) -> int | None:
            raise SourceUnavailableError("The ledger is locked.", detail="By another.", hint="Wait.")

    log = Log("", 0)
    either.stream(log).write_to(Refusing("refusing"))
    with pytest.raises(SourceUnavailableError, match="locked"):
        either.start()
    assert log.calls == ["open", "close"]
    assert either.state == "initialized"
