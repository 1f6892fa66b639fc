from __future__ import annotations

import queue
from collections import deque
from typing import Any

import pytest

from millstream.errors import ArgumentTypeError, GraphError, SinkUnavailableError
from millstream.model.batch import Batch
from millstream.sinks import collect
from millstream.sinks.collect import CollectTo

BATCH = Batch(1_500)


@pytest.mark.parametrize("target", [[], deque()])
def test_a_list_gets_one_list_a_batch_also_for_empty_ones(target: Any) -> None:
    delivery = CollectTo(target)
    delivery.deliver(BATCH, [1, 2])
    delivery.deliver(BATCH, [])
    assert list(target) == [[1, 2], []]
    assert delivery.limit is None


@pytest.mark.parametrize("target", [queue.Queue(), queue.SimpleQueue()])
def test_a_queue_gets_one_list_a_batch(target: Any) -> None:
    CollectTo(target).deliver(BATCH, ["a"])
    assert target.get_nowait() == ["a"]


def test_a_function_gets_the_rows_and_the_batch_if_it_asks_for_it() -> None:
    seen: list[Any] = []
    CollectTo(seen.append).deliver(BATCH, [1])
    CollectTo(lambda rows, batch: seen.append((rows, batch))).deliver(BATCH, [2])
    CollectTo(lambda rows, batch=None: seen.append((rows, batch))).deliver(BATCH, [3])
    assert seen == [[1], ([2], BATCH), ([3], None)]


def test_what_a_function_raises_is_its_own() -> None:
    def fail(rows: list[Any]) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        CollectTo(fail).deliver(BATCH, [])


def test_a_queue_that_stays_full_is_reported_as_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "FULL_QUEUE_WAIT_S", 0.01)
    target: queue.Queue[Any] = queue.Queue(maxsize=1)
    delivery = CollectTo(target)
    delivery.deliver(BATCH, [1])
    with pytest.raises(SinkUnavailableError, match="stayed full") as caught:
        delivery.deliver(BATCH, [2])
    assert caught.value.hint


@pytest.mark.parametrize("target", [None, 5, "text", (1, 2), {}])
def test_other_targets_are_refused(target: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="cannot hand batches over") as caught:
        CollectTo(target)
    assert caught.value.hint


def test_a_coroutine_function_is_refused() -> None:
    async def collect_rows(rows: list[Any]) -> None: ...

    with pytest.raises(GraphError, match="coroutine"):
        CollectTo(collect_rows)
