"""What a log makes of storage that refuses, and of drivers that lost it."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from tests.unit.blocks.crowded_log import CrowdedLog

from millstream.blocks.segment_log import SegmentLog
from millstream.environment.rng import seeded_rng
from millstream.errors import FencedError, StorageUnavailableError
from millstream.testing.simulation.faults import Operation, Phase, SimulatedCrash
from millstream.testing.simulation.storage import SimulatedStorage


@pytest.fixture
def storage() -> SimulatedStorage:
    return SimulatedStorage(seeded_rng(7))


def contents(storage: SimulatedStorage) -> list[tuple[int, bytes]]:
    return [(record.number, record.data) for record in SegmentLog(storage, "log", read_only=True).read()]


@pytest.mark.parametrize("took_effect", [False, True])
def test_a_failed_sync_ends_the_segment(storage: SimulatedStorage, took_effect: bool) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"a")])
    storage.faults.fail("sync", took_effect=took_effect)
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"b")])
    assert [record.data for record in log.read()] == [b"a"]
    assert log.append([(1, b"b again")]) == 2
    assert contents(storage) == [(0, b"a"), (2, b"b again")]
    assert contents(storage.crash()) == [(0, b"a"), (2, b"b again")]


def test_what_was_written_before_a_failure_goes_with_the_next_append(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"a")])
    log.write([(1, b"b")])
    storage.faults.fail("sync", took_effect=True)
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"c")])
    log.write([(1, b"d")])
    assert [record.data for record in log.read()] == [b"a", b"b", b"d"]
    log.append([(1, b"e")])
    expected = [(0, b"a"), (1, b"b"), (3, b"d"), (4, b"e")]
    assert contents(storage) == expected
    assert contents(storage.crash()) == expected


def test_the_first_append_of_all_fails(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log")
    for took_effect in (False, True, True):
        storage.faults.fail("sync", took_effect=took_effect)
        with pytest.raises(StorageUnavailableError):
            log.append([(1, b"lost")])
    log.append([(1, b"kept")])
    assert contents(storage) == [(3, b"kept")]
    assert len(storage.names("log")) == 1


def test_a_crash_after_a_failed_sync_shows_the_records_or_not(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"a")])
    storage.faults.fail("sync", took_effect=True)
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"b")])
    after = storage.crash(machine=False)
    log = SegmentLog(after, "log")
    assert [record.data for record in log.read()] == [b"a", b"b"]
    assert contents(after.crash()) == [(0, b"a"), (1, b"b")], "once read it stays"


def test_read_records_are_durable_however_the_machine_crashes_next() -> None:
    for seed in range(50):
        storage = SimulatedStorage(seeded_rng(seed))
        log = SegmentLog(storage, "log", segment_bytes=4096)
        log.append([(1, b"a")])
        storage.faults.fail("sync")
        with pytest.raises(StorageUnavailableError):
            log.append([(1, b"never synced")])
        killed = storage.crash(machine=False)
        read = [record.data for record in SegmentLog(killed, "log", segment_bytes=4096).read()]
        assert read == [b"a", b"never synced"]
        assert [data for _, data in contents(killed.crash())] == read


def test_a_disk_that_is_full_for_a_while(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    log.append([(1, b"a" * 500)])
    storage.faults.room_bytes = 0
    for _ in range(3):
        with pytest.raises(StorageUnavailableError, match="no space left"):
            log.append([(1, b"b" * 500)])
    storage.faults.room_bytes = 5000
    log.append([(1, b"c")])
    assert [data[:1] for _, data in contents(storage)] == [b"a", b"c"]
    assert len(storage.names("log")) == 2


def test_tries_that_fail_leave_no_files(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    log.append([(1, b"a")])
    for _ in range(10):
        storage.faults.fail("sync")
        with pytest.raises(StorageUnavailableError):
            log.append([(1, b"b")])
    assert len(storage.names("log")) == 1
    assert [record.data for record in log.read()] == [b"a"]
    log.append([(1, b"c")])
    assert [data for _, data in contents(storage)] == [b"a", b"c"]


def test_a_disk_that_fills_up_inside_a_record(storage: SimulatedStorage) -> None:
    storage.faults.room_bytes = 100
    log = SegmentLog(storage, "log", segment_bytes=0)
    with pytest.raises(StorageUnavailableError, match="no space left"):
        log.append([(1, b"a" * 500)])
    storage.faults.room_bytes = None
    assert contents(storage.crash()) == []


def test_an_opening_that_cannot_write_raises_and_works_later(storage: SimulatedStorage) -> None:
    SegmentLog(storage, "log").append([(1, b"a")])
    storage = storage.crash()
    storage.faults.fail("append_file")
    with pytest.raises(StorageUnavailableError):
        SegmentLog(storage, "log")
    assert [record.data for record in SegmentLog(storage, "log").read()] == [b"a"]


def test_a_file_that_cannot_be_removed_goes_later(storage: SimulatedStorage, caplog: pytest.LogCaptureFixture) -> None:
    log = SegmentLog(storage, "log", segment_bytes=500)
    for _ in range(9):
        log.append([(1, b"x" * 100)])
    assert len(storage.names("log")) == 5
    storage.faults.fail("remove")
    log.release(6)
    assert "stays for now" in caplog.text
    assert len(storage.names("log")) == 3
    log.append([(1, b"x" * 400)])
    assert len(storage.names("log")) == 3
    assert [record.number for record in SegmentLog(storage, "log").read()] == [6, 7, 8, 9]


def test_a_crash_between_the_mark_of_a_release_and_its_removals(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=500)
    for _ in range(9):
        log.append([(1, b"x" * 100)])

    removals = itertools.count(1)

    def crash_at_second_removal(operation: Operation, phase: Phase) -> None:
        if (operation.kind, phase) == ("remove", "before") and next(removals) == 2:
            raise SimulatedCrash

    storage.faults.hook = crash_at_second_removal
    with pytest.raises(SimulatedCrash):
        log.release(6)
    storage.faults.hook = None
    for machine in (False, True):
        storage = storage.crash(machine=machine)
        log = SegmentLog(storage, "log", segment_bytes=500)
        assert [record.number for record in log.read()] == [6, 7, 8]
    log.append([(1, b"x" * 400)])
    assert all(name >= "00000000000000000006" for name in storage.names("log"))


def test_the_numbers_of_failed_appends_can_be_released(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=500)
    log.append([(1, b"x" * 300)])
    storage.faults.fail("sync")
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"failed")] * 5)
    log.release(6)
    for machine in (False, True):
        storage = storage.crash(machine=machine)
        assert SegmentLog(storage, "log").next_number == 6
    log = SegmentLog(storage, "log")
    assert log.append([(1, b"next")]) == 6
    assert [record.data for record in log.read()] == [b"next"]


def test_an_append_of_nothing_waits_for_nothing(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"a")])
    operations = storage.faults.operations
    assert log.append([]) == 1
    assert storage.faults.operations == operations
    log.write([(1, b"b")])
    log.append([])
    assert storage.faults.operations > operations


def test_all_who_wait_are_told_of_a_failure(storage: SimulatedStorage) -> None:
    log = CrowdedLog(storage, "log", wait_for=6)
    log.append([(1, b"first")])
    outcomes: list[Any] = []

    def append() -> None:
        try:
            outcomes.append(log.append([(1, b"waits")]))
        except StorageUnavailableError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=append) for _ in range(4)]

    def then_fail() -> None:
        storage.faults.fail("sync")

    log.crowd(storage, threads, then_fail)
    log.append([(1, b"second")])
    for thread in threads:
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailableError] * 4
    assert len({id(outcome) for outcome in outcomes}) == 4
    assert [record.data for record in log.read()] == [b"first", b"second"]


def test_a_driver_that_lost_the_checkpoint_stops(storage: SimulatedStorage) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"mine")])
    other = SegmentLog(storage.take_over(), "log")
    other.append([(1, b"theirs")])
    with pytest.raises(FencedError):
        log.append([(1, b"too late")])
    assert [record.data for record in other.read()] == [b"mine", b"theirs"]


def test_closing_without_storage_says_what_is_lost(storage: SimulatedStorage, caplog: pytest.LogCaptureFixture) -> None:
    log = SegmentLog(storage, "log")
    log.append([(1, b"a")])
    log.write([(1, b"b")])
    storage.faults.fail("write")
    log.close()
    assert "not yet durable are lost" in caplog.text
    assert contents(storage) == [(0, b"a")]
