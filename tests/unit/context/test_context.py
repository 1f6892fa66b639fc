from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from millstream.context.context import Context
from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.errors import LifecycleError
from millstream.execution.threads import ThreadsBackend


def test_a_closed_context_does_nothing_more() -> None:
    with Context() as context:
        rdd = context.range(3)
        assert rdd.count() == 3
    context.close()
    calls: Sequence[Any] = (rdd.count, lambda: context.range(3), context.empty_rdd, lambda: context.broadcast(1))
    for call in (*calls, lambda: context.accumulator(0), lambda: rdd.take(1)):
        with pytest.raises(LifecycleError, match="closed"):
            call()
    with pytest.raises(LifecycleError, match="closed"), context:
        pass
    assert "closed" in repr(context)


def test_partitions_are_the_default_of_everything() -> None:
    context = Context(partitions=3)
    assert context.default_partitions == context.backend.default_partitions == 3
    assert context.parallelize([1]).num_partitions == 3
    assert context.range(10).map(lambda x: (x, x)).group_by_key().num_partitions == 3
    assert context.range(10, partitions=7).num_partitions == 7
    assert Context().default_partitions == ThreadsBackend.default_partitions


def test_a_backend_and_an_environment_can_be_handed_in() -> None:
    backend, environment = ThreadsBackend(), Environment(ManualClock())
    context = Context(backend, environment=environment)
    assert context.backend is backend
    assert context.environment is environment


@pytest.mark.parametrize("arguments", [(5,), (2, 9), (9, 2, -3), (0,), (-5,), (3, -3, -1), (0, 10, 3)])
def test_range_is_pythons_range(arguments: tuple[int, ...]) -> None:
    for partitions in (1, 2, 7):
        assert Context().range(*arguments, partitions=partitions).collect() == list(range(*arguments))


def test_a_range_is_not_held_in_memory() -> None:
    numbers = Context().range(10**12, partitions=4)
    assert numbers.take(2) == [0, 1]
    assert numbers.num_partitions == 4


def test_parallelize_reads_once_and_now() -> None:
    data = iter([1, 2, 3])
    rdd = Context().parallelize(data, 2)
    assert next(data, None) is None
    assert rdd.collect() == rdd.collect() == [1, 2, 3]
    mutable = [1]
    rdd = Context().parallelize(mutable)
    mutable.append(2)
    assert rdd.collect() == [1]
