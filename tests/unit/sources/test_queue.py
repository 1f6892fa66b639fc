from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from millstream.errors import ArgumentTypeError
from millstream.sources.queue import BatchQueue


def test_one_element_a_batch_in_order() -> None:
    batches = BatchQueue([[1, 2], [3]])
    assert [batches.next_batch() for _ in range(3)] == [[[1, 2]], [[3]], []]


def test_all_elements_at_once() -> None:
    batches = BatchQueue([[1, 2], [3]], one_at_a_time=False)
    assert [batches.next_batch() for _ in range(2)] == [[[1, 2], [3]], []]


@pytest.mark.parametrize("kind", [list, deque])
def test_what_is_appended_later_is_seen(kind: Any) -> None:
    queue = kind([[1]])
    batches: BatchQueue[list[int]] = BatchQueue(queue)
    assert batches.next_batch() == [[1]]
    assert batches.next_batch() == []
    queue.append([2])
    assert batches.next_batch() == [[2]]
    assert len(queue) == 0


def test_the_default_stands_in_for_an_empty_queue_from_the_first_batch_on() -> None:
    batches = BatchQueue([], default=[7])
    assert [batches.next_batch() for _ in range(2)] == [[[7]], [[7]]]


def test_an_empty_queue_gives_empty_batches() -> None:
    assert BatchQueue([]).next_batch() == []


def test_other_iterables_are_copied() -> None:
    queue = ([1], [2])
    batches = BatchQueue(queue)
    assert [batches.next_batch(), batches.next_batch()] == [[[1]], [[2]]]
    assert queue == ([1], [2])


@pytest.mark.parametrize("queue", ["text", 5, None])
def test_what_is_no_queue_is_refused(queue: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="needs a queue of batches") as caught:
        BatchQueue(queue)
    assert caught.value.hint


def test_an_element_that_is_no_batch_is_refused_and_stays() -> None:
    queue: list[Any] = ["a line"]
    with pytest.raises(ArgumentTypeError, match="An element of a queue stream is no batch"):
        BatchQueue(queue).next_batch()
    assert queue == ["a line"]


def test_a_default_that_is_no_batch_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="The default of a queue stream is no batch"):
        BatchQueue([], default=7)
