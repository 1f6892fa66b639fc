"""Arrow, Polars and text files in and out, on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, SourceUnavailableError, UserCodeError
from tests.conformance.rdd_strategies import given, partition_counts

rows = st.lists(st.fixed_dictionaries({"a": st.integers(-9, 9), "b": st.text(max_size=3)}), max_size=20)


@given(rows, partition_counts)
def test_arrow_and_polars_there_and_back(context: Context, data: list[dict[str, Any]], parts: int) -> None:
    table = pa.table({"a": [row["a"] for row in data], "b": pa.array([row["b"] for row in data], pa.string())})
    rdd = context.from_arrow(table, parts)
    assert rdd.num_partitions == parts
    assert rdd.collect() == data
    assert rdd.count() == len(data)
    assert rdd.take(3) == data[:3]
    assert rdd.to_arrow().equals(table)
    assert rdd.map(lambda row: {"a": row["a"] * 2}).to_arrow().to_pylist() == [{"a": row["a"] * 2} for row in data]
    frame = pl.DataFrame(table)
    assert context.from_polars(frame, parts).collect() == data
    assert isinstance(frame, pl.DataFrame)
    assert rdd.to_polars().to_dicts() == data


@given(st.lists(st.integers(-9, 9), max_size=20), partition_counts)
def test_values_become_one_column(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.to_arrow().column_names == ["value"]
    assert rdd.to_polars()["value"].to_list() == data
    assert context.from_arrow(rdd.to_arrow()).collect() == data


def test_dicts_with_keys_of_their_own_give_every_column(context: Context) -> None:
    rdd = context.parallelize([{"a": 1}, {"b": 2}, {"a": 3, "c": None}], 2)
    assert rdd.to_arrow().select(["a", "b", "c"]).to_pydict() == {
        "a": [1, None, 3],
        "b": [None, 2, None],
        "c": [None, None, None],
    }


def test_partitions_of_different_number_types_meet_in_one(context: Context) -> None:
    assert context.parallelize([1, 2, 2.5], 3).to_arrow().column("value").to_pylist() == [1.0, 2.0, 2.5]


@pytest.mark.parametrize("data", [[1, "a"], [("a", 1)], [object], [{"a": 1}, {"a": "x"}]])
@pytest.mark.parametrize("parts", [1, 2])
def test_records_without_a_common_type_are_refused(context: Context, data: list[Any], parts: int) -> None:
    for action in (context.parallelize(data, parts).to_arrow, context.parallelize(data, parts).to_polars):
        with pytest.raises(ArgumentTypeError, match="Arrow type"):
            action()


lines = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=8), max_size=30)


@given(lines, partition_counts, partition_counts)
def test_text_files_there_and_back(
    context: Context, tmp_path_factory: pytest.TempPathFactory, data: list[str], parts: int, read_parts: int
) -> None:
    directory = tmp_path_factory.mktemp("text") / "out"
    context.parallelize(data, parts).save_as_text_file(directory)
    assert sorted(file.name for file in directory.iterdir()) == [f"part-{p:05d}" for p in range(parts)]
    read = context.text_file(directory, read_parts)
    assert read.collect() == data
    assert read.count() == len(data)
    assert read.map(len).collect() == list(map(len, data))


@given(lines, st.integers(1, 12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_splits_of_a_file_give_every_line_once(
    context: Context, tmp_path_factory: pytest.TempPathFactory, data: list[str], parts: int, end: str, last_end: bool
) -> None:
    file = tmp_path_factory.mktemp("lines") / "lines.txt"
    text = end.join(data) + (end if data and last_end else "")
    file.write_bytes(text.encode())
    oracle = data if last_end or not data or data[-1] else data[:-1]
    rdd = context.text_file(str(file), parts)
    assert rdd.collect() == oracle
    assert rdd.count() == len(oracle)
    assert rdd.num_partitions == max(1, min(parts, len(text.encode())))


def test_many_files_and_globs_are_read_in_the_order_of_their_names(context: Context, tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.log", ".hidden", "_SUCCESS"):
        (tmp_path / name).write_text(f"{name}\n")
    assert context.text_file(tmp_path).collect() == ["a.txt", "b.txt", "c.log"]
    assert context.text_file(str(tmp_path / "*.txt")).collect() == ["a.txt", "b.txt"]
    assert context.text_file(tmp_path / "b.txt").num_partitions == 1


def test_text_is_counted_without_python_strings(context: Context, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("a\nb\nc\n")
    rdd = context.text_file(tmp_path / "lines.txt", 2)
    assert rdd.to_arrow().column("value").to_pylist() == ["a", "b", "c"]
    assert rdd.coalesce(1).count() == rdd.union(rdd).count() - 3 == 3
    assert rdd.coalesce(1).to_arrow().schema == rdd.to_arrow().schema
    assert rdd.coalesce(1).collect() == ["a", "b", "c"]
    mixed = rdd.union(context.parallelize(["d"], 1))
    assert mixed.coalesce(1).collect() == mixed.collect() == ["a", "b", "c", "d"]


def test_arrow_data_stays_as_it_is_where_no_function_looks_at_it(context: Context) -> None:
    table = pa.table({"small": pa.array([1, 2, 3], pa.int8())})
    rdd = context.from_arrow(table, 3)
    for same in (
        rdd,
        rdd.coalesce(2),
        rdd.coalesce(1),
        rdd.union(context.from_arrow(table.slice(0, 0), 1)).coalesce(1),
    ):
        assert same.to_arrow().schema == table.schema
        assert same.to_arrow().to_pydict() == table.to_pydict()


def test_lines_that_are_not_utf8(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(b"good\nb\xffd\nfine\n")
    assert context.text_file(file).collect() == ["good", "b\ufffdd", "fine"]
    assert context.text_file(file, on_invalid="skip").collect() == ["good", "fine"]
    with pytest.raises(DataError, match="not UTF-8"):
        context.text_file(file, on_invalid="fail").collect()
    with pytest.raises(ConfigurationError, match="on_invalid has a value"):
        context.text_file(file, on_invalid="guess")  # type: ignore[arg-type]


def test_files_that_are_missing_change_or_vanish(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such text file"):
        context.text_file(tmp_path / "nothing-*.txt")
    file = tmp_path / "lines.txt"
    file.write_text("a\n")
    rdd = context.text_file(file)
    file.write_text("a\nb\n")
    with pytest.raises(DataError, match="changed"):
        rdd.collect()
    file.unlink()
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        rdd.collect()


def test_what_exists_is_never_overwritten(context: Context, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        context.range(2).save_as_text_file(tmp_path / "out")
    with pytest.raises(ConfigurationError, match="no parent"):
        context.range(2).save_as_text_file(tmp_path / "absent" / "out")


def test_nothing_is_seen_of_a_save_that_failed(context: Context, tmp_path: Path) -> None:
    with pytest.raises(UserCodeError):
        context.parallelize([1, 0], 2).map(lambda x: 1 // x).save_as_text_file(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    context.parallelize([b"bytes \xff", "text", 1.5, None], 1).save_as_text_file(tmp_path / "out")
    assert (tmp_path / "out" / "part-00000").read_bytes() == b"bytes \xff\ntext\n1.5\nNone\n"
