"""Batches as frames of other libraries, and frames as records again."""

from __future__ import annotations

import sys
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, UserCodeError
from millstream.testing import run_batches

SALES = [
    [{"shop": "a", "n": 1}, {"shop": "b", "n": 2}, {"shop": "a", "n": 3}],
    [],
    [{"shop": "b", "n": 5}],
]
SCHEMA = pa.schema([("shop", pa.string()), ("n", pa.int64())])


def test_a_batch_is_one_frame_of_the_kind_asked_for() -> None:
    for kind, wanted in (("polars", pl.DataFrame), ("arrow", pa.Table), ("pandas", pd.DataFrame)):
        given = run_batches(lambda ssc, s, kind=kind: s.repartition(2).to_frames(kind), SALES)
        assert [len(batch) for batch in given] == [1, 1, 1]
        assert all(isinstance(frame, wanted) for batch in given for frame in batch)


@pytest.mark.parametrize("workers", [None, 2])
def test_the_same_function_of_polars_over_history_and_over_the_stream(workers: int | None) -> None:
    def totals(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.group_by("shop").agg(pl.col("n").sum()).sort("shop")

    history = pl.DataFrame(SALES[0])
    given = run_batches(
        lambda ssc, s: s.to_frames(schema=SCHEMA).map(totals).from_frames(),
        SALES,
        backend="processes" if workers else "threads",
        workers=workers,
    )
    assert given == [totals(history).to_dicts(), [], [{"shop": "b", "n": 5}]]


def test_sql_of_duckdb_over_each_batch() -> None:
    seen: list[Any] = []

    def query(rdd: ms.RDD[pa.Table]) -> None:
        with duckdb.connect() as connection:
            connection.register("sales", rdd.first())
            seen.append(connection.sql("select shop, sum(n) as n from sales group by shop order by shop").fetchall())

    def build(ssc: ms.StreamingContext, s: ms.DStream[dict[str, Any]]) -> ms.DStream[Any]:
        s.to_frames("arrow", schema=SCHEMA).foreach_rdd(query)
        return s

    run_batches(build, SALES)
    assert seen == [[("a", 4), ("b", 2)], [], [("b", 5)]]


def test_a_schema_orders_columns_and_fills_what_is_missing() -> None:
    schema = pa.schema([("n", pa.float64()), ("tag", pa.string())])
    given = run_batches(lambda ssc, s: s.to_frames("arrow", schema=schema), [[{"x": 1, "n": 2}], []])
    assert [batch[0].schema for batch in given] == [schema, schema]
    assert given[0][0].to_pylist() == [{"n": 2.0, "tag": None}]
    with pytest.raises(ArgumentTypeError, match="does not have the types"):
        run_batches(lambda ssc, s: s.to_frames(schema=SCHEMA), [[{"shop": "a", "n": "many"}]])


def test_lazy_frames_and_those_of_pandas_are_records_again() -> None:
    frames = [[pl.LazyFrame({"a": [1, 2]}), pd.DataFrame({"a": [3]}), pa.table({"a": [4]})]]
    given = run_batches(lambda ssc, s: s.from_frames(), frames)
    assert given == [[{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]]
    with pytest.raises(ArgumentTypeError, match="no frame"):
        run_batches(lambda ssc, s: s.from_frames(), [[{"a": 1}]])


def test_records_that_are_no_dicts_are_one_column() -> None:
    given = run_batches(lambda ssc, s: s.to_frames().map(lambda frame: frame["value"].sum()), [[1, 2, 3]])
    assert given == [[6]]
    with pytest.raises((ArgumentTypeError, UserCodeError), match="no common Arrow type"):
        run_batches(lambda ssc, s: s.to_frames(), [[1, "a"]])


def test_kinds_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="kind has a value that it cannot have"):
        run_batches(lambda ssc, s: s.to_frames("spark"), [[1]])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="pandas, which is not installed"):
        run_batches(lambda ssc, s: s.to_frames("pandas"), [[1]])
