"""Joins with values that are loaded now and then, and with tables."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, LifecycleError, ShippingError, UserCodeError
from millstream.testing import ManualClock, run_batches

PRICES = {"pen": 2, "ink": 5}


@pytest.fixture(params=["threads", "processes"])
def backend(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"backend": request.param, "workers": 2} if request.param == "processes" else {}


def test_pairs_are_joined_with_a_mapping(backend: dict[str, Any]) -> None:
    def build(ssc: ms.StreamingContext, sales: ms.DStream[tuple[str, int]]) -> ms.DStream[Any]:
        return sales.join(ssc.refreshed(lambda: PRICES))

    assert run_batches(build, [[("pen", 1), ("cap", 9)], [("ink", 3)]], **backend) == [
        [("pen", (1, 2))],
        [("ink", (3, 5))],
    ]


def test_pairs_without_a_partner_are_kept_by_a_left_join(backend: dict[str, Any]) -> None:
    def build(ssc: ms.StreamingContext, sales: ms.DStream[tuple[str, int]]) -> ms.DStream[Any]:
        return sales.left_outer_join(ssc.refreshed(lambda: PRICES))

    assert run_batches(build, [[("pen", 1), ("cap", 9)]], **backend) == [[("pen", (1, 2)), ("cap", (9, None))]]


@pytest.mark.parametrize("form", ["pairs", "rdd"])
def test_a_key_that_comes_more_than_once_gives_a_record_for_each(form: str) -> None:
    pairs = [("pen", 2), ("ink", 5), ("pen", 3)]

    def build(ssc: ms.StreamingContext, sales: ms.DStream[tuple[str, int]]) -> ms.DStream[Any]:
        load: Callable[[], Any] = lambda: ssc.context.parallelize(pairs) if form == "rdd" else iter(pairs)  # noqa: E731
        held = ssc.refreshed(load)
        return sales.join(held).union(sales.left_outer_join(held))

    joined = [("pen", (1, 2)), ("pen", (1, 3))]
    assert run_batches(build, [[("pen", 1), ("cap", 9)]]) == [[*joined, *joined, ("cap", (9, None))]]


def test_a_value_is_loaded_again_every_n_batches_of_the_grid_and_sent_once(backend: dict[str, Any]) -> None:
    loaded: list[int] = []

    def load(batch: ms.Batch) -> dict[str, int]:
        loaded.append(batch.time_ms)
        return {"k": len(loaded)}

    def build(ssc: ms.StreamingContext, s: ms.DStream[tuple[str, int]]) -> ms.DStream[Any]:
        held = ssc.refreshed(load, every=3)
        return s.join(held).map_values(lambda both: both[1]).union(s.left_outer_join(held).map_values(lambda b: b[1]))

    given = run_batches(build, [[("k", 0)]] * 7, **backend)
    assert given == [[("k", version)] * 2 for version in (1, 1, 2, 2, 2, 3, 3)]
    assert loaded == [1_000, 3_000, 6_000]


def test_all_attempts_at_a_batch_see_the_same_value() -> None:
    loaded: list[int] = []
    seen: list[int] = []

    def load() -> dict[str, int]:
        loaded.append(0)
        return {"k": len(loaded)}

    def build(ssc: ms.StreamingContext, s: ms.DStream[tuple[str, int]]) -> ms.DStream[Any]:
        def checked(pair: tuple[str, tuple[int, int]]) -> tuple[str, tuple[int, int]]:
            seen.append(pair[1][1])
            if len(seen) == 1:
                raise ConnectionError("once")
            return pair

        return s.join(ssc.refreshed(load, every=1)).map(checked)

    run_batches(build, [[("k", 0)], [("k", 0)]])
    assert seen == [1, 1, 2]


def test_a_value_that_cannot_be_loaded_fails_the_batch_or_stays(caplog: pytest.LogCaptureFixture) -> None:
    results: list[Any] = [PRICES, OSError("no answer"), {"pen": 7}]

    def load() -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def build(policy: Any) -> Any:
        return lambda ssc, s: s.join(ssc.refreshed(load, every=1, on_error=policy))

    with caplog.at_level(logging.WARNING):
        given = run_batches(build("keep"), [[("pen", 1)]] * 3)
    assert given == [[("pen", (1, 2))], [("pen", (1, 2))], [("pen", (1, 7))]]
    assert "kept its value: loading raised OSError: no answer" in caplog.text
    results[:] = [OSError("no answer")] * 5
    with pytest.raises(UserCodeError, match="The function of refreshed raised OSError: no answer") as caught:
        run_batches(build("keep"), [[("pen", 1)]])
    assert caught.value.site is not None
    assert "test_static_joins.py" in caught.value.site


def test_what_is_loaded_must_be_pairs() -> None:
    for value in ([("pen", 1, 2)], ["pen"], [(["pen"], 1)]):
        with pytest.raises(ArgumentTypeError, match=r"not a pair|cannot be used as one"):
            run_batches(lambda ssc, s, value=value: s.join(ssc.refreshed(lambda: value)), [[("pen", 1)]])
    with pytest.raises((ArgumentTypeError, UserCodeError), match="not a pair"):
        run_batches(lambda ssc, s: s.join(ssc.refreshed(lambda: PRICES)), [["pen"]])


def test_arguments_that_cannot_work_are_refused() -> None:
    with ms.StreamingContext(1.0, environment=ms.Environment(ManualClock())) as ssc:
        for every in (0, -1, True, 1.5):
            with pytest.raises(ConfigurationError, match="needs a number of batches"):
                ssc.refreshed(dict, every=every)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="on_error has a value"):
            ssc.refreshed(dict, on_error="skip")  # type: ignore[call-overload]
        held = ssc.refreshed(lambda: PRICES)
        with pytest.raises(ShippingError, match="cannot be sent to an executor"):
            held.__reduce__()


TABLE = pa.table({"id": ["pen", "ink", None], "price": [2.0, 5.0, 9.0], "n": [1, 2, 3]})
FORMS: dict[str, Callable[[], Any]] = {
    "arrow": lambda: TABLE,
    "chunks": lambda: pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)]),
    "polars": lambda: pl.from_arrow(TABLE),
    "lazy": lambda: pl.DataFrame(TABLE).lazy(),
    "pandas": lambda: TABLE.to_pandas(),
    "rows": TABLE.to_pylist,
}


def joined(
    batches: list[Any], table: Any, on: Any, *, columns: bool, backend: dict[str, Any] | None = None, **options: Any
) -> list[list[dict[str, Any]]]:
    """Run a join over rows, or over columns."""

    def build(ssc: ms.StreamingContext, s: ms.DStream[dict[str, Any]]) -> ms.DStream[Any]:
        given = _in_columns(s) if columns else s
        return given.join_table(table(ssc) if callable(table) else table, on, **options)

    return run_batches(build, batches, **(backend or {}))


def _in_columns(stream: ms.DStream[dict[str, Any]]) -> ms.DStream[dict[str, Any]]:
    from millstream.model.partition import Columns
    from millstream.rdd.lineage import Held

    def held(rdd: ms.RDD[dict[str, Any]]) -> ms.RDD[Any]:
        return rdd.derive(Held([Columns(rdd.to_arrow(), scalar=False)]))

    return stream.transform(held)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("form", list(FORMS))
def test_records_get_the_columns_of_their_rows(form: str, columns: bool) -> None:
    sales = [[{"id": "ink", "count": 4}, {"id": "cap", "count": 1}, {"id": "pen", "count": 3}]]
    given = joined(sales, FORMS[form](), "id", columns=columns)
    assert [(row["id"], row["count"], row["price"]) for row in given[0]] == [("ink", 4, 5.0), ("pen", 3, 2.0)]


@pytest.mark.parametrize("columns", [True, False])
def test_a_left_join_keeps_records_without_a_row(columns: bool, backend: dict[str, Any]) -> None:
    sales = [[{"id": "cap", "count": 1}, {"id": "pen", "count": 3}, {"id": None, "count": 5}]]
    given = joined(sales, TABLE.drop_columns(["n"]), "id", columns=columns, how="left", backend=backend)
    assert given == [
        [
            {"id": "cap", "count": 1, "price": None},
            {"id": "pen", "count": 3, "price": 2.0},
            {"id": None, "count": 5, "price": None},
        ]
    ]


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 2],
        [datetime.date(2026, 1, 3), datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)],
        [2.5, 0.5, 1.5],
    ],
)
def test_keys_of_many_types(values: list[Any], columns: bool) -> None:
    table = pa.table({"key": values, "order": [0, 1, 2]})
    given = joined([[{"day": value} for value in sorted(values)]], table, {"day": "key"}, columns=columns)
    assert [row["order"] for row in given[0]] == [1, 2, 0]
    assert list(given[0][0]) == ["day", "order"]


@pytest.mark.parametrize("columns", [True, False])
def test_several_columns_and_keys_that_come_twice(columns: bool) -> None:
    table = pa.table({"shop": ["a", "a", "b"], "id": [1, 1, 1], "tag": ["x", "y", "z"]})
    sales = [[{"shop": "b", "id": 1}, {"shop": "a", "id": 1}, {"shop": "a", "id": 2}]]
    given = joined(sales, table, ["shop", "id"], columns=columns, how="left")
    assert [(row["shop"], row["id"], row["tag"]) for row in given[0]] == [
        ("b", 1, "z"),
        ("a", 1, "x"),
        ("a", 1, "y"),
        ("a", 2, None),
    ]


@pytest.mark.parametrize("columns", [True, False])
def test_a_column_that_both_have_needs_a_suffix(columns: bool) -> None:
    sales = [[{"id": "pen", "n": 10}]]
    with pytest.raises(ConfigurationError, match="two columns of one name") as caught:
        joined(sales, TABLE, "id", columns=columns)
    assert "'n'" in str(caught.value)
    given = joined(sales, TABLE, "id", columns=columns, suffix="_table")
    assert given == [[{"id": "pen", "n": 10, "price": 2.0, "n_table": 1}]]


@pytest.mark.parametrize("columns", [True, False])
def test_records_without_the_column_are_named(columns: bool) -> None:
    with pytest.raises(ConfigurationError, match="without the column to join on") as caught:
        joined([[{"product": "pen"}]], TABLE, "id", columns=columns)
    assert "They have no 'id', but product" in str(caught.value)


def test_keys_of_two_types_in_columns_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="keys of two types") as caught:
        joined([[{"id": 7}]], TABLE.drop_columns(["n"]), "id", columns=True)
    assert "int64 in the records, and string in the table" in str(caught.value)


def test_tables_and_arguments_that_cannot_work_are_refused() -> None:
    sales = [[{"id": "pen"}]]
    with pytest.raises(ConfigurationError, match="lacks a column"):
        joined(sales, TABLE, {"id": "key"}, columns=False)
    with pytest.raises(ConfigurationError, match="how has a value"):
        joined(sales, TABLE, "id", columns=False, how="outer")
    for table in (7, "id", ["pen"]):
        with pytest.raises(ArgumentTypeError, match="needs a table"):
            joined(sales, table, "id", columns=False)
    for on in ([], ["id", "id"], 7):
        with pytest.raises(ConfigurationError, match="not a list of different names"):
            joined(sales, TABLE, on, columns=False)
    with pytest.raises(ArgumentTypeError, match="a record without columns"):
        joined([["pen"]], TABLE, "id", columns=False)


def test_a_table_that_is_loaded_again(backend: dict[str, Any]) -> None:
    versions = iter([TABLE.slice(0, 1), TABLE])

    def table(ssc: ms.StreamingContext) -> ms.Refreshed[Any]:
        return ssc.refreshed(lambda: next(versions).drop_columns(["n"]), every=2)

    given = joined([[{"id": "ink"}]] * 3, table, "id", columns=True, backend=backend)
    assert given == [[], [{"id": "ink", "price": 5.0}], [{"id": "ink", "price": 5.0}]]


def test_two_joins_on_one_line_do_not_mix() -> None:
    def build(ssc: ms.StreamingContext, s: ms.DStream[dict[str, Any]]) -> ms.DStream[Any]:
        held = ssc.refreshed(lambda: pa.table({"id": [1, 2], "next": [2, 1]}))
        return s.join_table(held, "id").join_table(held, {"next": "id"}, suffix="_2")

    assert run_batches(build, [[{"id": 1}]]) == [[{"id": 1, "next": 2, "next_2": 1}]]


def test_the_value_of_a_batch_goes_to_functions(backend: dict[str, Any]) -> None:
    def build(ssc: ms.StreamingContext, s: ms.DStream[int]) -> ms.DStream[int]:
        factor = ssc.refreshed(lambda batch: batch.time_ms // 1_000, every=2)

        def scaled(rdd: ms.RDD[int], batch: ms.Batch) -> ms.RDD[int]:
            held = factor.at(batch)
            return rdd.map(lambda x: x * held.value)

        return s.transform(scaled)

    assert run_batches(build, [[1], [1], [1]], **backend) == [[1], [2], [2]]


def test_after_the_start_nothing_is_added() -> None:
    with ms.StreamingContext(1.0, environment=ms.Environment(ManualClock())) as ssc:
        stream = ssc.queue_stream([[("a", 1)]])
        stream.collect_to([])
        ssc.start()
        with pytest.raises(LifecycleError):
            stream.join(ssc.refreshed(lambda: PRICES))
