"""What type checkers make of RDDs; read by mypy --strict and Pyright, never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from typing import Any, assert_type

import polars as pl

from millstream.context.context import Context
from millstream.model.accumulator import Accumulator
from millstream.model.broadcast import Broadcast
from millstream.rdd.rdd import RDD
from millstream.rdd.statistics import Statistics


def total(rows: Iterator[int]) -> list[int]:
    return [sum(rows)]


def numbered(index: int, rows: Iterator[int]) -> list[tuple[int, int]]:
    return [(index, sum(rows))]


def listed(value: float) -> list[float]:
    return [value]


def appended(values: list[float], value: float) -> list[float]:
    return [*values, value]


def extended(left: list[float], right: list[float]) -> list[float]:
    return [*left, *right]


def word_count(lines: RDD[str]) -> None:
    counts = lines.flat_map(str.split).map(lambda w: (w, 1)).reduce_by_key(add)
    assert_type(counts, RDD[tuple[str, int]])
    assert_type(counts.collect(), list[tuple[str, int]])
    assert_type(counts.collect_as_map(), dict[str, int])
    assert_type(counts.top(3, key=lambda pair: pair[1]), list[tuple[str, int]])


def narrow(numbers: RDD[int], pairs: RDD[tuple[str, float]]) -> None:
    assert_type(numbers.map(str), RDD[str])
    assert_type(numbers.map(lambda x: x * 0.5), RDD[float])
    assert_type(numbers.map(lambda x: (x, str(x))), RDD[tuple[int, str]])
    assert_type(numbers.filter(lambda x: x > 1), RDD[int])
    assert_type(numbers.glom(), RDD[list[int]])
    assert_type(numbers.key_by(str), RDD[tuple[str, int]])
    assert_type(numbers.map_partitions(total), RDD[int])
    assert_type(numbers.map_partitions_with_index(numbered), RDD[tuple[int, int]])
    assert_type(pairs.keys(), RDD[str])
    assert_type(pairs.values(), RDD[float])
    assert_type(pairs.map_values(str), RDD[tuple[str, str]])
    assert_type(pairs.flat_map_values(lambda v: [v, v]), RDD[tuple[str, float]])


def by_key(pairs: RDD[tuple[str, float]], others: RDD[tuple[str, int]]) -> None:
    assert_type(pairs.group_by_key(), RDD[tuple[str, list[float]]])
    assert_type(pairs.aggregate_by_key(0, lambda n, v: n + 1, add), RDD[tuple[str, int]])
    assert_type(pairs.combine_by_key(listed, appended, extended), RDD[tuple[str, list[float]]])
    assert_type(pairs.partition_by(3, len), RDD[tuple[str, float]])
    assert_type(pairs.sort_by_key(), RDD[tuple[str, float]])
    assert_type(pairs.join(others), RDD[tuple[str, tuple[float, int]]])
    assert_type(pairs.left_outer_join(others), RDD[tuple[str, tuple[float, int | None]]])
    assert_type(pairs.right_outer_join(others), RDD[tuple[str, tuple[float | None, int]]])
    assert_type(pairs.full_outer_join(others), RDD[tuple[str, tuple[float | None, int | None]]])
    assert_type(pairs.cogroup(others), RDD[tuple[str, tuple[list[float], list[int]]]])
    assert_type(pairs.cogroup(others, pairs), RDD[tuple[str, tuple[list[float], list[int], list[float]]]])
    assert_type(pairs.count_by_key(), dict[str, int])
    assert_type(pairs.lookup("a"), list[float])


def layout(numbers: RDD[int], words: RDD[str]) -> None:
    assert_type(numbers.union(numbers), RDD[int])
    assert_type(numbers.union(words), RDD[int | str])
    assert_type(numbers.distinct(), RDD[int])
    assert_type(numbers.coalesce(1).repartition(2), RDD[int])
    assert_type(numbers.sort_by(lambda x: -x), RDD[int])
    assert_type(numbers.persist(), RDD[int])
    assert_type(numbers.cache().unpersist(), RDD[int])
    assert_type(numbers.num_partitions, int)
    assert_type(numbers.is_persisted, bool)


def grouped(numbers: RDD[int], words: RDD[str], pairs: RDD[tuple[str, float]]) -> None:
    assert_type(words.group_by(len), RDD[tuple[int, list[str]]])
    assert_type(pairs.fold_by_key(0.0, add), RDD[tuple[str, float]])
    assert_type(pairs.repartition_and_sort_within_partitions(3, len), RDD[tuple[str, float]])
    assert_type(pairs.repartition_and_sort_within_partitions(key=len, ascending=False), RDD[tuple[str, float]])
    assert_type(numbers.pipe("sort -n"), RDD[str])
    assert_type(numbers.pipe(["grep", "1"], env={"LC_ALL": "C"}, ok_statuses={0, 1}), RDD[str])
    assert_type(numbers.tree_reduce(add), int)
    assert_type(words.tree_aggregate(0, lambda n, w: n + len(w), add, 3), int)
    assert_type(numbers.variance(), float)
    assert_type(numbers.stdev(), float)
    assert_type(numbers.histogram(3), tuple[list[float], list[int]])
    assert_type(numbers.histogram([0, 1.5]), tuple[list[float], list[int]])


def side_by_side(numbers: RDD[int], words: RDD[str], pairs: RDD[tuple[str, float]]) -> None:
    assert_type(numbers.intersection(words), RDD[int])
    assert_type(numbers.subtract(words, 3), RDD[int])
    assert_type(pairs.subtract_by_key(words.key_by(str)), RDD[tuple[str, float]])
    assert_type(numbers.zip(words), RDD[tuple[int, str]])
    assert_type(numbers.cartesian(words), RDD[tuple[int, str]])
    assert_type(words.zip_with_index(), RDD[tuple[str, int]])
    assert_type(words.zip_with_unique_id(), RDD[tuple[str, int]])


def samples(numbers: RDD[int], pairs: RDD[tuple[str, float]]) -> None:
    assert_type(numbers.sample(0.1, seed=7), RDD[int])
    assert_type(numbers.sample(2, with_replacement=True, seed="a"), RDD[int])
    assert_type(numbers.take_sample(3), list[int])
    assert_type(pairs.sample_by_key({"a": 0.1}), RDD[tuple[str, float]])


def actions(numbers: RDD[int], words: RDD[str]) -> None:
    assert_type(numbers.first(), int)
    assert_type(numbers.take(2), list[int])
    assert_type(numbers.count_by_value(), dict[int, int])
    assert_type(numbers.reduce(add), int)
    assert_type(numbers.reduce(lambda a, b: a + b), int)
    assert_type(words.fold("", add), str)
    assert_type(words.aggregate(0, lambda n, w: n + len(w), add), int)
    assert_type(words.min(), str)
    assert_type(words.max(key=len), str)
    assert_type(numbers.take_ordered(2), list[int])
    assert_type(numbers.sum(), int)
    assert_type(numbers.mean(), float)
    assert_type(numbers.stats(), Statistics)
    assert_type(numbers.is_empty(), bool)
    assert_type(words.to_polars(), pl.DataFrame)
    words.foreach(print)


def covariant(flags: RDD[bool]) -> RDD[int]:
    return flags


def contexts(context: Context) -> None:
    assert_type(context.parallelize(["a"]), RDD[str])
    assert_type(context.range(3), RDD[int])
    assert_type(context.text_file("lines.txt"), RDD[str])
    assert_type(context.whole_text_files("logs"), RDD[tuple[str, str]])
    assert_type(context.binary_records("ticks.bin", 16), RDD[bytes])
    assert_type(context.pickle_file("saved"), RDD[Any])
    assert_type(context.union([context.range(1), context.range(2)]), RDD[int])
    assert_type(context.broadcast({"a": 1}), Broadcast[dict[str, int]])
    assert_type(context.broadcast({"a": 1}).value, dict[str, int])
    assert_type(context.accumulator(0), Accumulator[int])
    assert_type(context.accumulator(0, max).value, int)


def refused(numbers: RDD[int], words: RDD[str], pairs: RDD[tuple[str, int]], context: Context) -> None:
    numbers.reduce_by_key(add)  # type: ignore[misc]
    numbers.join(pairs)  # type: ignore[misc, arg-type]
    pairs.join(numbers)  # type: ignore[arg-type]
    numbers.map_values(str)  # type: ignore[misc]
    words.stats()  # type: ignore[misc]
    numbers.flat_map(lambda x: x)  # type: ignore[arg-type, return-value]
    words.map(abs)  # type: ignore[arg-type]
    numbers.sample(False, 0.1)  # type: ignore[call-arg, arg-type]
    numbers.sample_by_key({1: 0.1})  # type: ignore[misc, arg-type]
    numbers.subtract_by_key(pairs)  # type: ignore[misc]
    pairs.subtract_by_key(numbers)  # type: ignore[arg-type]
    words.histogram(3)  # type: ignore[misc]
    numbers.take("2")  # type: ignore[arg-type]
    context.accumulator(0).add("x")  # type: ignore[arg-type]
