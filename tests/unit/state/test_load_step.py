"""A table filled from chunks: whose keys it takes, in what order, and from when on it goes on."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millstream._core import split_dict
from millstream.encoding.codec import Codec
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.state.chunk import encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.load_step import LoadStep
from millstream.state.map_with_state import MapWithState
from millstream.state.table import StateTable

AT = Label("map_with_state")
CODEC = Codec()


def loaded(stored: list[list[bytes]], partition: int, partitions: int | None, timeout_ms: int | None) -> StateTable:
    table = StateTable("counts", partition)
    step = MapWithState(lambda key, value, state: None, AT, timeout_ms)
    load = LoadStep(AT, step, CODEC, partitions, 9_000, None)
    load.run(table, [[stored]], Batch(9_000))
    return table


def idle_times(snapshot: Snapshot) -> dict[Any, int]:
    return {key: touched_ms for touched_ms, keys in snapshot.idle for key in keys}


keys = st.one_of(st.integers(-5, 50), st.text(max_size=2), st.tuples(st.integers(0, 3), st.booleans()))


@given(values=st.dictionaries(keys, st.integers()), before=st.integers(1, 6), after=st.integers(1, 6))
def test_every_key_comes_to_its_partition_once_with_its_idle_time(
    values: dict[Any, int], before: int, after: int
) -> None:
    stored: list[list[bytes]] = []
    for mine in split_dict(values, before):
        touched = (tuple(key for key in mine if hash(key) % 2), tuple(key for key in mine if not hash(key) % 2))
        idle = tuple((time_ms, keys) for time_ms, keys in zip((1_000, 2_000), touched, strict=True) if keys)
        stored.append([encode_snapshot(Snapshot(2_000, mine, idle), CODEC)])
    tables = [loaded(stored, partition, after, 5_000) for partition in range(after)]
    assert [dict(table.items()) for table in tables] == split_dict(values, after)
    times = {key: at for table in tables for key, at in idle_times(table.snapshot()).items()}
    assert times == {key: 1_000 if hash(key) % 2 else 2_000 for key in values}
    assert {table.committed_ms for table in tables} == {9_000}


def test_the_order_of_insertion_survives() -> None:
    deltas = [Delta(1_000, {"b": 1, "a": 2, "c": 3}), Delta(2_000, {"b": 4, "a": 5}, ("b",))]
    table = loaded([[encode_delta(delta, CODEC) for delta in deltas]], 0, None, None)
    assert list(table.items()) == [("a", 5), ("c", 3), ("b", 4)]


def test_a_table_without_chunks_is_not_new() -> None:
    nothing: list[list[list[bytes]]] = [[], [[]]]
    for stored in nothing:
        table = loaded(stored, 0, None, None)
        assert (len(table), table.is_new) == (0, False)
