from __future__ import annotations

from typing import Any

import pytest

from millstream.environment.clock import ManualClock
from millstream.errors import ConfigurationError, InputFullError, LifecycleError
from millstream.model.ports.block_feed import Block, FeedEvent
from millstream.sources.memory import MemoryStream


def rows(blocks: list[Block]) -> list[Any]:
    return [row for block in blocks for row in block.data]  # type: ignore[union-attr]


def started(**options: Any) -> tuple[MemoryStream[int], list[FeedEvent]]:
    events: list[FeedEvent] = []
    stream: MemoryStream[int] = MemoryStream(ManualClock(10.0), **options)
    stream.start(interval_ms=1_000, zero_ms=0, notify=events.append)
    return stream, events


def test_what_was_pushed_before_the_start_is_in_the_first_batch() -> None:
    stream: MemoryStream[int] = MemoryStream(ManualClock())
    stream.push(1)
    stream.push_many([2, 3])
    stream.start(interval_ms=1_000, zero_ms=0, notify=lambda event: None)
    stream.push(4)
    assert stream.pending == 4
    assert rows(stream.take(1_000)) == [1, 2, 3, 4]


def test_a_full_stream_raises_where_it_was_told_to() -> None:
    stream, _ = started(max_records=2, on_full="raise")
    stream.push_many([1, 2])
    with pytest.raises(InputFullError):
        stream.push(3)
    with pytest.raises(InputFullError):
        stream.push_many([3])
    assert rows(stream.take(11_000)) == [1, 2]
    stream.push(3)


def test_a_full_stream_blocks_for_as_long_as_it_was_told_to() -> None:
    stream, _ = started(max_records=1, full_timeout_s=0.01)
    stream.push(1)
    with pytest.raises(InputFullError, match=r"within 0\.01 s"):
        stream.push(2)


def test_closing_keeps_what_waits_and_refuses_more() -> None:
    stream, events = started()
    stream.push(1)
    stream.close()
    stream.close()
    with pytest.raises(LifecycleError, match="takes no more records"):
        stream.push(2)
    assert rows(stream.take(11_000)) == [1]
    assert [event.kind for event in events] == ["started", "stopped"]


def test_a_stop_is_answered_also_after_closing() -> None:
    stream, events = started()
    stream.close()
    stream.begin_stop()
    stream.close()
    assert [event.kind for event in events] == ["started", "stopped", "stopped"]


def test_records_left_behind_by_a_stop_are_reported() -> None:
    stream, events = started()
    stream.push(1)
    stream.begin_stop()
    stream.close()
    assert "1 records of memory came too late" in events[-1].message


def test_a_held_stream_takes_nothing_in() -> None:
    stream, _ = started(on_full="raise")
    stream.hold()
    with pytest.raises(InputFullError, match="held"):
        stream.push(1)
    stream.resume()
    stream.push(1)
    stream.restart()
    assert rows(stream.take(11_000)) == [1]


@pytest.mark.parametrize("options", [{"max_records": 0}, {"on_full": "wait"}, {"rate_per_s": 0}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        MemoryStream(ManualClock(), **options)
