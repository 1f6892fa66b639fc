from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.blocks.crowded_log import CrowdedLog

from millstream.blocks import grouped_log
from millstream.blocks.log import LogRecord
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage
from millstream.environment.rng import seeded_rng
from millstream.environment.storage import Storage
from millstream.errors import LifecycleError
from millstream.testing.simulation.faults import Operation, Phase
from millstream.testing.simulation.storage import SimulatedStorage


@pytest.fixture(params=["local", "simulated"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path) if request.param == "local" else SimulatedStorage(seeded_rng(1))


def numbers(log: SegmentLog, first: int = 0) -> list[int]:
    return [record.number for record in log.read(first)]


def fill(log: SegmentLog, count: int, payload: bytes = b"x" * 100) -> None:
    for _ in range(count):
        log.append([(1, payload)])


def test_a_new_log_is_empty(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    assert (log.next_number, log.size_bytes, list(log.read()), log.torn) == (0, 0, [], None)
    assert storage.names("log") == []
    log.close()


def test_records_are_read_in_order_and_again_after_opening(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    assert log.append([(1, b"a"), (255, b"")]) == 0
    assert log.append([(0, memoryview(bytearray(b"long" * 5000)))]) == 2
    expected = [LogRecord(0, 1, b"a"), LogRecord(1, 255, b""), LogRecord(2, 0, b"long" * 5000)]
    assert list(log.read()) == expected
    log.close()
    for _ in range(3):
        log = SegmentLog(storage, "log")
        assert (list(log.read()), log.next_number, log.torn) == (expected, 3, None)
    assert log.append([(1, b"b")]) == 3
    assert list(log.read(2)) == [expected[2], LogRecord(3, 1, b"b")]


def test_what_was_only_written_is_read_too_and_rides_with_the_next_append(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    assert log.write([(1, b"a")]) == 0
    assert storage.names("log") == []
    assert log.write([(2, b"b"), (3, b"c")]) == 1
    assert numbers(log, 1) == [1, 2]
    assert log.append([]) == 3
    assert numbers(SegmentLog(storage, "log", read_only=True)) == [0, 1, 2]


def test_what_is_written_may_change_afterwards(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    buffer = bytearray(b"as it was")
    log.write([(1, memoryview(buffer))])
    buffer[:] = b"different"
    log.append([])
    assert [record.data for record in log.read()] == [b"as it was"]


def test_writing_much_is_made_durable_without_append(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped_log, "WAITING_BYTES_MAX", 1000)
    log = SegmentLog(storage, "log")
    for _ in range(10):
        log.write([(1, b"x" * 100)])
    assert storage.names("log") == []
    log.write([(1, b"x")])
    assert numbers(SegmentLog(storage, "log", read_only=True)) == list(range(11))


def test_closing_makes_durable_what_was_written(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    log.write([(1, b"a")])
    log.close()
    log.close()
    assert numbers(SegmentLog(storage, "log")) == [0]
    use: list[Callable[[], object]] = [
        lambda: log.append([(1, b"")]),
        lambda: log.write([(1, b"")]),
        lambda: log.release(0),
    ]
    for call in use:
        with pytest.raises(LifecycleError, match="takes no records"):
            call()


def test_a_log_that_is_only_read_is_not_changed(storage: Storage) -> None:
    log = SegmentLog(storage, "log")
    fill(log, 3)
    before = storage.names("log")
    look = SegmentLog(storage, "log", read_only=True)
    assert numbers(look) == [0, 1, 2]
    assert storage.names("log") == before
    with pytest.raises(LifecycleError, match="read only"):
        look.append([(1, b"")])
    look.close()
    fill(log, 1)
    assert numbers(log) == [0, 1, 2, 3]


def test_who_only_reads_a_log_takes_what_is_released_meanwhile(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 12)
    records = SegmentLog(storage, "log", read_only=True).read()
    assert next(records).number == 0
    log.release(10)
    assert [record.number for record in records] == [1, 2, 3, 4, 10, 11]


def test_a_segment_that_vanishes_under_a_reader_is_looked_for_again() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 12)

    def release_once(operation: Operation, phase: Phase) -> None:
        if operation.kind == "size_bytes":
            storage.faults.hook = None
            log.release(10)

    storage.faults.hook = release_once
    assert numbers(SegmentLog(storage, "log", read_only=True)) == [10, 11]


def test_a_segment_ends_before_it_is_overfull(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 20)
    assert storage.names("log") == [
        "00000000000000000000-0000000000.segment",
        "00000000000000000005-0000000001.segment",
        "00000000000000000010-0000000002.segment",
        "00000000000000000015-0000000003.segment",
    ]
    assert all(storage.size_bytes(f"log/{name}") <= 1000 for name in storage.names("log"))
    assert numbers(log, 7) == list(range(7, 20))
    assert log.size_bytes >= sum(storage.size_bytes(f"log/{name}") for name in storage.names("log"))


def test_segments_grow_with_large_groups_also_where_each_is_released_at_once(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 3)
    made = set()
    for _ in range(32):
        log.release(log.append([(1, b"y" * 500)]))
        made.update(storage.names("log"))
    # Two small ones, and then each has room for eight groups of records and for those that tell of a release.
    assert len(made) <= 7


def test_records_of_many_sizes_are_as_they_were(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=3 << 20)
    given = [bytes([index]) * size for index, size in enumerate([10, 600_000, 5, 1_100_000, 4_096, 1_048_576, 700_000])]
    for data in given:
        log.append([(1, data[: len(data) // 3]), (2, data[len(data) // 3 :])])
        assert [record.data for record in log.read()][-2:] == [data[: len(data) // 3], data[len(data) // 3 :]]
    log.close()
    again = [record.data for record in SegmentLog(storage, "log").read()]
    assert [first + second for first, second in zip(again[::2], again[1::2], strict=True)] == given


def test_a_record_larger_than_a_segment_gets_one_of_its_size(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 1)
    log.append([(1, b"y" * 10_000)])
    fill(log, 1)
    assert len(storage.names("log")) == 3
    assert [len(record.data) for record in log.read()] == [100, 10_000, 100]


def test_segments_grow_where_few_groups_fill_one_and_shrink_again(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 31, b"y" * 600)
    assert len(storage.names("log")) <= 6
    log.release(log.next_number)
    fill(log, 60)
    log.release(log.next_number)
    fill(log, 10)
    assert all(storage.size_bytes(f"log/{name}") <= 1000 for name in storage.names("log"))
    assert numbers(log) == list(range(91, 101))


def test_releasing_removes_whole_segments(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 20)
    log.release(4)
    assert (len(storage.names("log")), numbers(log)) == (4, list(range(4, 20)))
    log.release(12)
    assert storage.names("log") == [
        "00000000000000000010-0000000002.segment",
        "00000000000000000015-0000000003.segment",
    ]
    assert log.size_bytes == sum(storage.size_bytes(f"log/{name}") for name in storage.names("log")) <= 2000
    log.release(3)
    again = SegmentLog(storage, "log")
    assert numbers(again) == list(range(12, 20))
    assert again.next_number == 20


def test_what_is_released_is_removed_beside_the_caller(storage: Storage) -> None:
    asides: list[Callable[[], None]] = []
    log = SegmentLog(storage, "log", segment_bytes=1000, background=lambda name, work: asides.append(work))
    fill(log, 20)
    log.release(4)
    assert asides == []
    log.release(7)
    log.release(12)
    assert (storage.names("log")[0][:20], numbers(log)) == (f"{0:020}", list(range(12, 20)))
    fill(log, 5)
    (sweep,) = asides
    sweep()
    assert (storage.names("log")[0][:20], numbers(log)) == (f"{10:020}", list(range(12, 25)))
    log.release(20)
    asides[1]()
    assert numbers(SegmentLog(storage, "log", read_only=True)) == [20, 21, 22, 23, 24]


def test_records_are_appended_while_files_are_removed() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 20)

    def append(operation: Operation, phase: Phase) -> None:
        if (operation.kind, phase) == ("remove", "before"):
            fill(log, 1)

    storage.faults.hook = append
    log.release(12)
    assert numbers(log) == list(range(12, 22))


def test_closing_waits_for_the_removal_of_files() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = SegmentLog(
        storage, "log", segment_bytes=1000, background=lambda name, work: threading.Thread(target=work).start()
    )
    fill(log, 20)
    removing, may_go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def wait(operation: Operation, phase: Phase) -> None:
        if (operation.kind, phase) == ("remove", "before"):
            removing.set()
            may_go_on.wait()
            done.append("removed")

    def close() -> None:
        log.close()
        done.append("closed")

    storage.faults.hook = wait
    log.release(6)
    removing.wait()
    closing = threading.Thread(target=close)
    closing.start()
    closing.join(0.05)  # Time for one that does not wait.
    may_go_on.set()
    closing.join()
    assert done == ["removed", "closed"]


def test_releasing_everything_keeps_the_newest_segment_and_the_numbers(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 20)
    log.release(1_000_000)
    assert numbers(log) == []
    assert len(storage.names("log")) == 1
    for _ in range(3):
        log = SegmentLog(storage, "log", segment_bytes=1000)
        assert (log.next_number, numbers(log)) == (20, [])
        log.release(20)
    assert log.append([(1, b"a")]) == 20
    assert numbers(SegmentLog(storage, "log")) == [20]


def test_a_log_that_is_used_and_released_for_ever_stays_small(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    for _ in range(10):
        for _ in range(20):
            fill(log, 1)
            log.release(log.next_number - 5)
        assert log.size_bytes <= 3 * 1000
        log = SegmentLog(storage, "log", segment_bytes=1000)
    assert len(storage.names("log")) <= 4


def test_a_reader_goes_on_while_records_are_appended_and_released(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=1000)
    fill(log, 12)
    records = log.read()
    assert next(records).number == 0
    fill(log, 5)
    log.release(10)
    assert [record.number for record in records] == [1, 2, 3, 4, 10, 11]


def test_other_files_in_the_folder_are_left_alone(storage: Storage) -> None:
    storage.create("log/notes.txt", b"mine")
    fill(SegmentLog(storage, "log"), 3)
    assert numbers(SegmentLog(storage, "log")) == [0, 1, 2]
    assert storage.read("log/notes.txt") == b"mine"


def test_two_logs_in_two_folders(storage: Storage) -> None:
    one, two = SegmentLog(storage, "one"), SegmentLog(storage, "two")
    fill(one, 2)
    fill(two, 3)
    assert (numbers(one), numbers(two)) == ([0, 1], [0, 1, 2])


def test_many_threads_append_at_the_same_time(storage: Storage) -> None:
    log = SegmentLog(storage, "log", segment_bytes=20_000)
    given: list[list[tuple[int, bytes]]] = [[] for _ in range(6)]
    start = threading.Barrier(len(given))

    def use(thread: int) -> None:
        start.wait()
        for index in range(100):
            records = [(thread, b"%d-%d-%d" % (thread, index, part)) for part in range(index % 3 + 1)]
            number = log.append(records) if index % 4 else log.write(records)
            given[thread] += [(number + part, data) for part, (_, data) in enumerate(records)]

    threads = [threading.Thread(target=use, args=(thread,)) for thread in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    expected = sorted(pair for pairs in given for pair in pairs)
    assert [(record.number, record.data) for record in SegmentLog(storage, "log").read()] == expected
    assert all(pairs == sorted(pairs) for pairs in given)


def test_what_waits_at_the_same_time_is_one_group() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = CrowdedLog(storage, "log", wait_for=7)
    log.append([(1, b"first")])
    others = [threading.Thread(target=log.append, args=([(1, b"later")],)) for _ in range(5)]
    syncs = log.crowd(storage, others)
    log.append([(1, b"second")])
    for thread in others:
        thread.join()
    assert (len(syncs), numbers(log)) == (2, list(range(7)))
