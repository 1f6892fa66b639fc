"""What every log holds to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream.blocks.log import Log, LogRecord
from millstream.blocks.memory_log import MemoryLog
from millstream.blocks.object_log import ObjectLog
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.lease import Owner
from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import seeded_rng
from millstream.testing.simulation.storage import SimulatedStorage

Opener = Callable[[], Log]
"""Opens the log of one test, each time as the next driver does."""


def segments(path: Path) -> Opener:
    return lambda: SegmentLog(LocalStorage(path), "log", segment_bytes=2000)


def simulated(_: Path) -> Opener:
    storage = SimulatedStorage(seeded_rng(1))
    return lambda: SegmentLog(storage, "log", segment_bytes=2000)


def objects(path: Path) -> Opener:
    storage = ObjectStorage.open(f"memory://{path}")
    epochs = itertools.count(1)
    return lambda: ObjectLog(storage, "log", Owner(next(epochs), bytes(16)), object_bytes_max=2000)


def memory(_: Path) -> Opener:
    log = MemoryLog()
    return lambda: log


@pytest.fixture(params=[segments, simulated, objects, memory])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    make: Callable[[Path], Opener] = request.param
    return make(tmp_path)


def numbers(log: Log, first: int = 0) -> list[int]:
    return [record.number for record in log.read(first)]


def test_a_new_log_is_empty(opener: Opener) -> None:
    log = opener()
    assert (log.next_number, list(log.read())) == (0, [])
    log.close()


def test_records_are_numbered_and_read_in_order(opener: Opener) -> None:
    log = opener()
    assert log.append([(0, b"zero"), (255, b"")]) == 0
    assert log.write([(1, memoryview(b"two"))]) == 2
    assert log.append([(3, b"three" * 1000)]) == 3
    assert log.next_number == 4
    expected = [LogRecord(0, 0, b"zero"), LogRecord(1, 255, b""), LogRecord(2, 1, b"two")]
    assert list(log.read()) == [*expected, LogRecord(3, 3, b"three" * 1000)]
    assert numbers(log, 2) == [2, 3]
    assert numbers(log, 4) == []
    assert log.size_bytes > 5000
    log.close()


def test_the_next_driver_reads_what_was_appended_and_goes_on(opener: Opener) -> None:
    for life in range(5):
        log = opener()
        assert [record.data for record in log.read()] == [b"%d" % index for index in range(4 * life)]
        for index in range(4 * life, 4 * life + 4):
            assert log.append([(1, b"%d" % index)]) == index
        if life % 2:
            log.close()


def test_closing_keeps_what_was_written(opener: Opener) -> None:
    log = opener()
    log.write([(1, b"a"), (2, b"b")])
    log.close()
    assert [record.data for record in opener().read()] == [b"a", b"b"]


def test_an_append_of_nothing_makes_durable_what_was_written(opener: Opener) -> None:
    log = opener()
    log.write([(1, b"a")])
    assert log.append([]) == 1
    assert [record.data for record in opener().read()] == [b"a"]


def test_reading_gives_what_is_there_when_it_begins(opener: Opener) -> None:
    log = opener()
    log.append([(1, b"a")] * 3)
    log.write([(1, b"b")])
    records = log.read(1)
    log.append([(1, b"c")])
    assert [record.number for record in records] == [1, 2, 3]


def test_what_was_released_is_not_read_and_its_numbers_do_not_come_again(opener: Opener) -> None:
    log = opener()
    for _ in range(30):
        log.append([(1, b"x" * 500)])
    full_bytes = log.size_bytes
    log.release(28)
    assert numbers(log) == [28, 29]
    assert log.size_bytes < full_bytes / 2
    log.release(5)
    assert numbers(log) == [28, 29]
    log.append([(1, b"y")])
    log.close()
    log = opener()
    assert set(numbers(log)) >= {28, 29, 30}
    assert log.next_number == 31
    log.release(31)
    assert numbers(log) == []
    log.close()
    log = opener()
    assert log.append([(1, b"z")]) == 31


def test_many_threads_use_it(opener: Opener) -> None:
    log = opener()
    given: list[dict[int, bytes]] = [{} for _ in range(5)]

    def use(thread: int) -> None:
        for index in range(30):
            data = [b"%d-%d-%d" % (thread, index, part) for part in range(index % 3 + 1)]
            first = (log.append if index % 4 else log.write)([(thread, payload) for payload in data])
            given[thread].update(enumerate(data, first))

    threads = [threading.Thread(target=use, args=(thread,)) for thread in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.append([])
    everything = sorted(pair for records in given for pair in records.items())
    assert [(record.number, record.data) for record in opener().read()] == everything
