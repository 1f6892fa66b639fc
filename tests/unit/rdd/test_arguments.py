"""What users may hand over by mistake is refused at the call, with a hint."""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import Any

import pytest

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, GraphError, InvalidError, ShippingError

context = Context()
rdd: Any = context.parallelize([("a", 1)])
numbers: Any = context.parallelize([1])


async def coroutine(x: Any) -> Any:
    return x


METHODS_WITH_A_FUNCTION: list[Callable[[Any], Any]] = [
    lambda f: rdd.map(f),
    lambda f: rdd.flat_map(f),
    lambda f: rdd.filter(f),
    lambda f: rdd.map_partitions(f),
    lambda f: rdd.map_partitions_with_index(f),
    lambda f: rdd.key_by(f),
    lambda f: rdd.map_values(f),
    lambda f: rdd.flat_map_values(f),
    lambda f: rdd.reduce_by_key(f),
    lambda f: rdd.aggregate_by_key(0, f, add),
    lambda f: rdd.aggregate_by_key(0, add, f),
    lambda f: rdd.combine_by_key(f, add, add),
    lambda f: rdd.combine_by_key(str, f, add),
    lambda f: rdd.combine_by_key(str, add, f),
    lambda f: rdd.partition_by(2, f),
    lambda f: rdd.sort_by(f),
    lambda f: rdd.sort_by_key(key=f),
    lambda f: numbers.take_ordered(1, key=f),
    lambda f: numbers.top(1, key=f),
    lambda f: numbers.min(key=f),
    lambda f: numbers.max(key=f),
    lambda f: numbers.reduce(f),
    lambda f: numbers.fold(0, f),
    lambda f: numbers.aggregate(0, f, add),
    lambda f: numbers.aggregate(0, add, f),
    lambda f: numbers.foreach(f),
    lambda f: numbers.foreach_partition(f),
    lambda f: context.accumulator(0, f),
]


@pytest.mark.parametrize("call", METHODS_WITH_A_FUNCTION)
def test_what_cannot_be_called_is_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(ArgumentTypeError, match="needs a function") as raised:
        call(42)
    assert raised.value.detail
    assert raised.value.hint


@pytest.mark.parametrize("call", METHODS_WITH_A_FUNCTION)
def test_coroutine_functions_are_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(GraphError, match="coroutine"):
        call(coroutine)


@pytest.mark.parametrize(
    "call",
    [
        lambda n: rdd.reduce_by_key(add, n),
        lambda n: rdd.group_by_key(n),
        lambda n: rdd.aggregate_by_key(0, add, add, n),
        lambda n: rdd.combine_by_key(str, add, add, n),
        lambda n: rdd.partition_by(n),
        lambda n: rdd.distinct(n),
        lambda n: rdd.coalesce(n),
        lambda n: rdd.repartition(n),
        lambda n: rdd.sort_by(str, partitions=n),
        lambda n: rdd.sort_by_key(partitions=n),
        lambda n: rdd.join(rdd, n),
        lambda n: rdd.cogroup(rdd, partitions=n),
        lambda n: context.parallelize([1], n),
        lambda n: context.range(3, partitions=n),
        lambda n: context.text_file(__file__, n),
        lambda n: Context(partitions=n),
        lambda n: Context("processes", workers=n),
    ],
)
def test_bad_numbers_of_partitions_are_refused(call: Callable[[Any], Any]) -> None:
    for number, kind in ((0, ConfigurationError), (-1, ConfigurationError), ("2", ArgumentTypeError)):
        with pytest.raises(kind) as raised:
            call(number)
        assert raised.value.hint


@pytest.mark.parametrize("method", ["take", "top", "take_ordered"])
def test_bad_counts_are_refused(method: str) -> None:
    for number, kind in ((-1, ConfigurationError), (1.5, ArgumentTypeError), (None, ArgumentTypeError)):
        with pytest.raises(kind):
            getattr(numbers, method)(number)


@pytest.mark.parametrize(
    "call",
    [
        lambda other: rdd.join(other),
        lambda other: rdd.left_outer_join(other),
        lambda other: rdd.right_outer_join(other),
        lambda other: rdd.full_outer_join(other),
        lambda other: rdd.cogroup(rdd, other),
        lambda other: rdd.union(other),
        lambda other: context.union([rdd, other]),
    ],
)
def test_only_rdds_of_one_context_meet(call: Callable[[Any], Any]) -> None:
    with pytest.raises(ArgumentTypeError, match="needs RDDs"):
        call([("a", 1)])
    with pytest.raises(ConfigurationError, match="different contexts"):
        call(Context().parallelize([("a", 1)]))


def test_contexts_check_what_they_are_given() -> None:
    calls: list[Callable[[], Any]] = [
        lambda: Context("cluster"),
        lambda: Context(None),  # type: ignore[arg-type]
        lambda: Context(workers=2),
        lambda: context.parallelize(3),  # type: ignore[arg-type]
        lambda: context.range("3"),  # type: ignore[arg-type]
        lambda: context.range(0, 3, 0),
        lambda: context.range(0, 3, None),  # type: ignore[arg-type]
        lambda: context.text_file(3),  # type: ignore[arg-type]
        lambda: context.from_arrow([1]),
        lambda: context.from_polars([1]),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(InvalidError) as raised:
            call()
        assert raised.value.hint


def test_an_rdd_cannot_be_sent() -> None:
    import pickle

    with pytest.raises(ShippingError, match="RDD cannot be sent") as raised:
        pickle.dumps(rdd)
    assert raised.value.hint
