from __future__ import annotations

from typing import Any

import pytest

from millstream.errors import ArgumentTypeError, InternalError, UserCodeError
from millstream.model.label import Label
from millstream.rdd.exchange import (
    ByKey,
    Cogroup,
    CombineByKey,
    CountAll,
    CountValuesByKey,
    Distinct,
    Exchange,
    GroupByKey,
    RoundRobin,
    SortByKey,
)
from millstream.rdd.lineage import Held, Merged, Shuffled
from millstream.rdd.partitioner import ByRange, KeyGroups
from millstream.rdd.shuffle import shuffle

AT = Label("reduce_by_key", None, "app.py:3")


def joined(merge: Any = lambda a, b: a + b, create: Any = None) -> CombineByKey:
    return CombineByKey(KeyGroups(2), create, merge, lambda a, b: a + b, AT)


def in_place(exchange: Exchange) -> Exchange:
    merging = exchange.in_place()
    assert merging is not None
    return merging


def test_combiners_of_all_map_tasks_meet_in_the_order_of_partitions() -> None:
    assert list(joined().merge([[{"a": "1", "b": "2"}, {"b": "3", "c": "4"}]])) == [("a", "1"), ("b", "23"), ("c", "4")]
    assert list(joined().merge([[{"a": 1}]])) == [("a", 1)]
    assert list(joined().merge([[]])) == []


def test_in_place_rows_are_values_not_combiners() -> None:
    exchange = joined(lambda text, value: f"{text}+{value}", str)
    assert list(in_place(exchange).merge([[[("a", 1), ("b", 2)], [("a", 3)]]])) == [("a", "1+3"), ("b", "2")]
    with pytest.raises(InternalError):
        in_place(exchange).split({}, 0)


def test_what_is_spread_by_the_keys_of_pairs_still_moves_to_be_counted_or_dealt() -> None:
    parents = [Held([[], []], KeyGroups(2))]
    for exchange in (CountValuesByKey(KeyGroups(2), AT), Distinct(KeyGroups(2), AT), CountAll(AT), RoundRobin(2, AT)):
        assert exchange.in_place() is None
        assert isinstance(shuffle(parents, exchange), Shuffled)
    assert isinstance(shuffle(parents, SortByKey(ByRange(2, ascending=True), AT)), Shuffled)


def test_only_parents_that_are_elsewhere_move() -> None:
    here, there = Held([[], []], KeyGroups(2)), Held([[]])
    both = shuffle([here, there], Cogroup(KeyGroups(2), AT))
    assert isinstance(both, Merged)
    (left,), (right,) = both.sides
    assert left is here
    assert isinstance(right, Shuffled)
    assert right.parents == [there]
    assert both.partitioner == KeyGroups(2)
    assert isinstance(shuffle([there, there], Cogroup(KeyGroups(2), AT)), Shuffled)
    assert isinstance(shuffle([here], ByKey(KeyGroups(3), AT)), Shuffled)


def test_groups_keep_the_order_of_partitions() -> None:
    pieces = [[("a", 1), ("b", 2)], [("a", 3)]]
    assert list(GroupByKey(KeyGroups(2), AT).merge([pieces])) == [("a", [1, 3]), ("b", [2])]
    assert list(Cogroup(KeyGroups(2), AT).merge([pieces, [[("c", 4), ("a", 5)]]])) == [
        ("a", ([1, 3], [5])),
        ("b", ([2], [])),
        ("c", ([], [4])),
    ]


def test_dealing_depends_on_nothing_but_places() -> None:
    deal = RoundRobin(3, AT)
    assert deal.split([1, 2, 3, 4], 0) == [[1, 4], [2], [3]]
    assert deal.split([1, 2, 3, 4], 1) == [[3], [1, 4], [2]]
    assert deal.split({"a": 1}.items(), 0) == [[("a", 1)], [], []]


def test_distinct_keeps_the_first_of_equal_records() -> None:
    assert repr(Distinct(KeyGroups(1), AT).merge([[{1: 2, "a": 1}, {True: 1, "b": 1}]])) == repr([1, "a", "b"])


def test_counts_of_partitions_are_added() -> None:
    exchange = CountAll(AT)
    assert exchange.merge([[exchange.split(2, 0)[0], exchange.split(3, 1)[0]]]) == [5]
    assert exchange.merge([[]]) == [0]
    assert list(CountValuesByKey(KeyGroups(1), AT).merge([[{"a": 1}, {"a": 2}]])) == [("a", 3)]


@pytest.mark.parametrize("key", [float("nan"), ("a", float("nan"))])
def test_keys_without_a_stable_hash_are_refused_with_the_operator(key: Any) -> None:
    for exchange, result in (
        (joined(), {key: 1}),
        (ByKey(KeyGroups(2), AT), [(key, 1)]),
        (Distinct(KeyGroups(2), AT), {key: 1}),
    ):
        with pytest.raises(ArgumentTypeError, match="reduce_by_key met a key"):
            exchange.split(result, 0)


def test_unhashable_keys_are_named() -> None:
    for exchange in (GroupByKey(KeyGroups(2), AT), Cogroup(KeyGroups(2), AT), in_place(joined())):
        with pytest.raises(ArgumentTypeError, match=r"\['a'\] of type list"):
            exchange.merge([[[(["a"], 1)]]])


def test_functions_that_raise_are_named() -> None:
    bad = CombineByKey(KeyGroups(1), None, lambda a, b: a // b, lambda a, b: a // b, AT)
    for exchange in (bad, in_place(bad)):
        with pytest.raises(UserCodeError, match="ZeroDivisionError") as raised:
            exchange.merge([[{"a": 1}.items(), {"a": 0}.items()]])
        assert (raised.value.operator, raised.value.site) == ("reduce_by_key", "app.py:3")
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
