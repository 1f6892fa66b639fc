from __future__ import annotations

from millstream.execution.replicas import Replicas
from millstream.execution.snapshot_slices import SEND_BYTES_MIN, SnapshotSlices, batch_of, joined
from millstream.state.table import StateTable

KEYS = 2_500


def table_of(keys: int = KEYS) -> StateTable:
    table = StateTable("counts", 0)
    for number in (1, 2):
        table.begin(number * 1_000)
        for key in range(0, keys, number):
            table.set(key, [number])
            table.version(number * 1_000).touched.append(key)
        table.due(0)
        table.commit(number * 1_000)
    return table


def test_slices_make_the_snapshot_whatever_happens_meanwhile() -> None:
    table = table_of()
    expected = table.snapshot()
    slices = SnapshotSlices(table)
    taken = []
    for number in range(3, 20):
        table.begin(number * 1_000)
        table.set(number, ["new"])
        table.remove(number + 100)
        table.commit(number * 1_000)
        slices.advance()
        taken += slices.take(0)
    assert slices.is_taken
    assert joined(taken) == expected
    assert batch_of(taken) == 2_000


def test_an_empty_table() -> None:
    table = StateTable("counts", 0)
    slices = SnapshotSlices(table)
    assert joined(slices.take(0)) == table.snapshot()
    assert slices.is_taken


def test_at_least_what_was_asked_for_and_no_more_than_the_limit() -> None:
    table = StateTable("counts", 0)
    table.begin(1_000)
    for key in range(20_000):
        table.set(key, f"{key:050}")
    table.commit(1_000)
    slices = SnapshotSlices(table)
    assert sum(map(len, slices.take(300_000))) >= 300_000
    while slices.advance():
        pass
    assert SEND_BYTES_MIN <= sum(map(len, slices.take(0))) < SEND_BYTES_MIN + 100_000


def test_a_replica_takes_a_snapshot_when_its_deltas_have_grown() -> None:
    replicas, table = Replicas(), StateTable("counts", 0)
    assert replicas.snapshot_wanted() is None
    for number in range(1, 40):
        table.begin(number * 1_000)
        for key in range(1_000):
            table.set(key, number)
        replicas.take_deltas(number * 1_000, [("counts", 0, table.delta(number * 1_000).pack(), 0)])
        table.commit(number * 1_000)
        replicas.commit(number * 1_000)
        if replicas.snapshot_wanted() is not None:
            assert replicas.snapshot_wanted() is None
            replicas.take_slices([*SnapshotSlices(table).take(1 << 30), b""])
    [(operator, partition, snapshot, deltas, open_deltas)] = replicas.images()
    assert (operator, partition, open_deltas) == ("counts", 0, ())
    assert snapshot is not None
    assert 0 < len(deltas) < 39


def test_a_snapshot_given_up_can_be_asked_for_again() -> None:
    replicas = Replicas()
    replicas.take_deltas(1_000, [("counts", 0, bytes(100_000), 0)])
    assert replicas.snapshot_wanted() is None
    replicas.commit(1_000)
    assert replicas.snapshot_wanted() == ("counts", 0)
    replicas.give_up_snapshot()
    assert replicas.snapshot_wanted() == ("counts", 0)
