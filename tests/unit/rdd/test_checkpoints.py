"""RDDs that are read from where they were kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import chain
from operator import add
from pathlib import Path
from threading import Lock

import pytest

import millstream as ms
from millstream.errors import ConfigurationError, DataError, ShippingError, SourceUnavailableError


@pytest.fixture(params=["threads", "processes"])
def context(request: pytest.FixtureRequest) -> Iterator[ms.Context]:
    context = ms.Context(request.param, workers=2 if request.param == "processes" else None)
    yield context
    context.close()


def test_what_was_computed_is_read_and_not_computed_again(context: ms.Context, tmp_path: Path) -> None:
    calls = context.accumulator(0)

    def squared(x: int) -> int:
        calls.add(1)
        return x * x

    numbers = context.range(10, partitions=3).map(squared)
    before = numbers.map(str)
    kept = numbers.checkpoint(tmp_path / "kept")
    assert kept is numbers
    assert numbers.is_checkpointed
    assert not before.is_checkpointed
    assert numbers.glom().collect() == [[0, 1, 4], [9, 16, 25], [36, 49, 64, 81]]
    assert calls.value == 10
    assert len(numbers.to_debug_string().splitlines()) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 3
    assert before.collect() == [str(x * x) for x in range(10)]
    assert calls.value == 20


def test_keys_stay_where_they_are(context: ms.Context, tmp_path: Path) -> None:
    pairs = context.parallelize([(x % 5, x) for x in range(20)]).reduce_by_key(add, partitions=2)
    expected = pairs.collect_as_map()
    pairs.checkpoint(tmp_path / "kept")
    assert pairs.join(pairs).map_values(lambda both: both[0]).collect_as_map() == expected


def test_a_lineage_that_would_grow_stays_short(context: ms.Context, tmp_path: Path) -> None:
    local = reliable = context.range(4)
    for step in range(60):
        local = local.map(lambda x: x + 1)
        reliable = reliable.map(lambda x: x + 1)
        if step % 20 == 0:
            local.local_checkpoint()
            reliable.checkpoint(tmp_path / f"step-{step}")
    assert local.collect() == reliable.collect() == [60, 61, 62, 63]
    assert len(local.to_debug_string().splitlines()) <= 20
    assert not local.is_checkpointed


def test_without_records_and_without_partitions(context: ms.Context, tmp_path: Path) -> None:
    assert context.empty_rdd().checkpoint(tmp_path / "none").collect() == []
    assert context.parallelize([], 2).checkpoint(tmp_path / "empty").glom().collect() == [[], []]


def test_what_cannot_work_is_refused_and_leaves_the_rdd_as_it_was(tmp_path: Path) -> None:
    context = ms.Context()
    numbers = context.range(3)
    with pytest.raises(ConfigurationError, match="exists already"):
        numbers.checkpoint(tmp_path)
    with pytest.raises(ConfigurationError, match="no parent"):
        numbers.checkpoint(tmp_path / "missing" / "kept")
    with pytest.raises(ShippingError, match="cannot be pickled"):
        context.range(1).map(lambda x: Lock()).checkpoint(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert (numbers.is_checkpointed, numbers.collect()) == (False, [0, 1, 2])


def test_a_directory_that_is_gone_or_was_changed_is_named(tmp_path: Path) -> None:
    numbers = ms.Context().range(3).checkpoint(tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    with file.open("ab") as part:
        part.write(b"more")
    with pytest.raises(DataError, match="has changed") as caught:
        numbers.collect()
    assert str(file) in str(caught.value)
    shutil.rmtree(tmp_path / "kept")
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        numbers.collect()


def test_records_come_one_by_one_and_partitions_only_when_they_are_asked_for() -> None:
    context = ms.Context()
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    records = context.range(100, partitions=50).map(counted).to_local_iterator()
    assert [next(records) for _ in range(3)] == [0, 1, 2]
    assert calls.value < 100
    assert list(records) == list(range(3, 100))


@pytest.mark.parametrize("partitions", [1, 7])
def test_a_random_split_parts_records_the_same_way_each_time(partitions: int) -> None:
    parts = ms.Context().range(1_000, partitions=partitions).random_split([2, 1, 0, 1], seed=7)
    lists = [part.collect() for part in parts]
    assert sorted(chain.from_iterable(lists)) == list(range(1_000))
    assert all(rows == sorted(rows) for rows in lists)
    assert lists[2] == []
    assert 430 < len(lists[0]) < 570
    again = ms.Context().range(1_000, partitions=3).random_split([2, 1, 0, 1], seed=7)
    assert [part.collect() for part in again] == lists


@pytest.mark.parametrize("weights", [[], [0, 0], [-1, 2], 3, ["a"], [float("nan")], [float("inf")]])
def test_weights_that_cannot_work_are_refused(weights: object) -> None:
    with pytest.raises(ConfigurationError, match="random_split needs weights"):
        ms.Context().range(3).random_split(weights)  # type: ignore[arg-type]
