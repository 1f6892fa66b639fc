"""Pickles, whole text files and binary records, on every backend."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    DataError,
    ShippingError,
    SourceUnavailableError,
    UserCodeError,
)
from tests.conformance.rdd_strategies import given, partition_counts, records, slices

Factory = pytest.TempPathFactory


@given(records, partition_counts)
def test_pickles_there_and_back(context: Context, tmp_path_factory: Factory, data: list[Any], parts: int) -> None:
    directory = tmp_path_factory.mktemp("pickles") / "out"
    context.parallelize(data, parts).save_as_pickle_file(directory)
    assert sorted(file.name for file in directory.iterdir()) == [f"part-{p:05d}" for p in range(parts)]
    read = context.pickle_file(directory)
    assert list(map(repr, read.glom().collect())) == list(map(repr, slices(data, parts)))
    assert read.count() == len(data)


def test_many_records_and_classes_of_the_program(context: Context, tmp_path: Path) -> None:
    class Own:
        def __init__(self, n: int) -> None:
            self.n = n

    context.range(5000, partitions=2).map(Own).save_as_pickle_file(tmp_path / "out")
    read = context.pickle_file(tmp_path / "out")
    assert read.num_partitions == 2
    assert read.map(lambda own: own.n).collect() == list(range(5000))
    assert context.pickle_file(str(tmp_path / "out" / "part-00001")).count() == 2500


def test_nothing_is_unpickled_before_an_action(context: Context, tmp_path: Path) -> None:
    class Touching:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "touched",)

    (tmp_path / "part-00000").write_bytes(pickle.dumps([Touching()]))
    rdd = context.pickle_file(tmp_path / "part-00000")
    assert context.text_file(tmp_path / "part-00000").count() >= 1
    assert context.binary_records(tmp_path / "part-00000", 1).count() > 1
    assert not (tmp_path / "touched").exists()
    assert rdd.collect() == [None]
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "content", [b"not a pickle", pickle.dumps([1, 2])[:-3], pickle.dumps({"a": 1}), b"cnowhere\nx\n."]
)
def test_files_that_are_no_pickles_of_ours(context: Context, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "part-00000").write_bytes(pickle.dumps(["good"]) + content)
    with pytest.raises(DataError, match="pickle file cannot be read") as raised:
        context.pickle_file(tmp_path).collect()
    assert f"begins at byte {len(pickle.dumps(['good']))}" in str(raised.value)


def test_what_cannot_be_pickled_leaves_nothing(context: Context, tmp_path: Path) -> None:
    import threading

    rdd = context.parallelize([1, 2, 3], 2).map(lambda x: threading.Lock() if x == 2 else x)
    with pytest.raises(ShippingError, match="cannot be pickled") as raised:
        rdd.save_as_pickle_file(tmp_path / "out")
    assert "lock" in str(raised.value)
    with pytest.raises(UserCodeError):
        context.parallelize([1, 0], 2).map(lambda x: 1 // x).save_as_pickle_file(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        rdd.save_as_pickle_file(tmp_path / "out")


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=6)


@given(texts, partition_counts)
def test_whole_text_files(context: Context, tmp_path_factory: Factory, data: list[str], parts: int) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for number, text in enumerate(data):
        (folder / f"{number}.txt").write_bytes(text.encode())
    rdd = context.whole_text_files(folder, parts)
    assert rdd.collect() == [(str(folder / f"{number}.txt"), text) for number, text in enumerate(data)]
    assert rdd.num_partitions == min(parts, len(data))


def test_whole_files_that_are_not_utf8(context: Context, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"b\xffd")
    (tmp_path / "b").write_text("good")
    assert context.whole_text_files(tmp_path).values().collect() == ["b\ufffdd", "good"]
    assert context.whole_text_files(tmp_path, on_invalid="skip").values().collect() == ["good"]
    with pytest.raises(DataError, match="not UTF-8") as raised:
        context.whole_text_files(tmp_path, on_invalid="fail").collect()
    assert "byte 1" in str(raised.value)
    with pytest.raises(ConfigurationError, match="on_invalid has a value"):
        context.whole_text_files(tmp_path, on_invalid="guess")  # type: ignore[arg-type]


@given(st.binary(max_size=60), st.integers(1, 7), st.integers(1, 12))
def test_binary_records(context: Context, tmp_path_factory: Factory, content: bytes, length: int, parts: int) -> None:
    file = tmp_path_factory.mktemp("records") / "records"
    file.write_bytes(content)
    if len(content) % length:
        with pytest.raises(DataError, match="whole records") as raised:
            context.binary_records(file, length, parts)
        assert f"{len(content) % length} bytes" in str(raised.value)
        return
    rdd = context.binary_records(file, length, parts)
    assert rdd.collect() == [content[place : place + length] for place in range(0, len(content), length)]
    assert rdd.num_partitions == max(1, min(parts, len(content) // length))


def test_records_of_many_files(context: Context, tmp_path: Path) -> None:
    for name, content in (("b", b"3344"), ("a", b"1122"), ("c", b""), (".hidden", b"x")):
        (tmp_path / name).write_bytes(content)
    assert context.binary_records(tmp_path, 2).collect() == [b"11", b"22", b"33", b"44"]
    assert context.binary_records(str(tmp_path / "[ab]"), 2, 4).glom().collect() == [[b"11"], [b"22"], [b"33"], [b"44"]]


READERS: list[Callable[[Context, Any], Any]] = [
    lambda context, path: context.whole_text_files(path),
    lambda context, path: context.binary_records(path, 1),
    lambda context, path: context.pickle_file(path),
]


@pytest.mark.parametrize("read", READERS)
def test_files_that_are_missing_change_or_vanish(
    context: Context, tmp_path: Path, read: Callable[[Context, Any], Any]
) -> None:
    with pytest.raises(ConfigurationError, match="There is no such"):
        read(context, tmp_path / "nothing-*")
    with pytest.raises(ArgumentTypeError, match="needs a path"):
        read(context, 3)
    file = tmp_path / "file"
    file.write_bytes(b"a")
    rdd = read(context, file)
    file.write_bytes(b"ab")
    with pytest.raises(DataError, match="changed"):
        rdd.collect()
    file.unlink()
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        rdd.collect()


def test_lengths_of_records_that_cannot_work(context: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    with pytest.raises(ConfigurationError, match="too small"):
        context.binary_records(tmp_path / "file", 0)
    with pytest.raises(ArgumentTypeError, match="whole number"):
        context.binary_records(tmp_path / "file", "1")  # type: ignore[arg-type]
