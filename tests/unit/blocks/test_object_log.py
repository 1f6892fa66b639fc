from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from millstream.blocks.log_object import LogObject, decode_header, records_of
from millstream.blocks.object_log import ObjectLog
from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.environment.lease import Owner
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import seeded_rng
from millstream.errors import (
    CorruptSegmentError,
    FencedError,
    IncompatibleCheckpointError,
    LifecycleError,
    StorageUnavailableError,
)
from millstream.testing.simulation.objects import Request, SimulatedBucket, SimulatedObjects


class Driver:
    """A driver with its own way to a bucket."""

    def __init__(self, bucket: SimulatedBucket, epoch: int, hook: Callable[[Request, str], None] | None = None) -> None:
        self.client: SimulatedObjects = bucket.client(seeded_rng(epoch), hook=hook)
        self.storage = ObjectStorage(self.client, Environment(ManualClock()), retry_s=0.0, reads_at_once=1)
        self.owner = Owner(epoch, bytes([epoch]) * 16)

    def open(self, object_bytes_max: int = 1 << 20) -> ObjectLog:
        return ObjectLog(self.storage, "journal", self.owner, object_bytes_max=object_bytes_max)

    def reader(self) -> ObjectLog:
        return ObjectLog(self.storage, "journal", Owner(0, b""), read_only=True)


def data_of(log: ObjectLog, first: int = 0) -> list[bytes]:
    return [record.data for record in log.read(first)]


def name(number: int) -> str:
    return f"journal/{number:020d}"


def test_records_are_read_back_by_the_next_driver_with_numbers_and_kinds() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    assert log.next_number == 0
    assert log.append([(1, b"a"), (255, b"")]) == 0
    assert log.append([(0, memoryview(b"c" * 9_000))]) == 2
    assert (log.next_number, log.size_bytes) == (3, sum(map(len, bucket.objects.values())))
    for opened in (log, Driver(bucket, 1).reader(), Driver(bucket, 2).open()):
        assert [tuple(record) for record in opened.read()] == [(0, 1, b"a"), (1, 255, b""), (2, 0, b"c" * 9_000)]
        assert next(tuple(record) for record in opened.read(1)) == (1, 255, b"")
        assert list(opened.read(3)) == []
        assert opened.next_number == 3


def test_what_is_written_waits_for_the_next_append_and_goes_before_it() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    memory = bytearray(b"rate")
    assert log.write([(2, memoryview(memory))]) == 0
    memory[:] = b"gone"
    assert len(bucket.objects) == 1
    assert data_of(log) == [b"rate"]
    assert log.append([(1, b"planned")]) == 1
    assert len(bucket.objects) == 2
    assert data_of(Driver(bucket, 2).open()) == [b"rate", b"planned"]


def test_much_that_is_written_is_not_kept_in_memory() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    for _ in range(3):
        log.write([(2, bytes(4 << 20))])
    assert len(bucket.objects) > 1


def test_closing_puts_what_waits() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    log.write([(2, b"rate")])
    log.close()
    log.close()
    assert data_of(Driver(bucket, 2).open()) == [b"rate"]
    with pytest.raises(LifecycleError, match="was closed"):
        log.append([(1, b"more")])


def test_reading_only_changes_nothing() -> None:
    bucket = SimulatedBucket()
    assert list(Driver(bucket, 1).reader().read()) == []
    log = Driver(bucket, 1).open()
    log.append([(1, b"a")])
    before = bucket.objects
    reader = Driver(bucket, 1).reader()
    assert data_of(reader) == [b"a"]
    with pytest.raises(LifecycleError, match="read only"):
        reader.append([(1, b"b")])
    with pytest.raises(LifecycleError, match="read only"):
        reader.release(1)
    reader.close()
    assert bucket.objects == before
    log.append([(1, b"b")])


def test_a_driver_that_was_paused_before_its_put_is_fenced() -> None:
    bucket = SimulatedBucket()
    seen: list[bytes] = []

    def taken_over(request: Request, name: str) -> None:
        if request == "put_new" and old_appends:
            old_appends.clear()
            new = Driver(bucket, 2).open()
            new.append([(1, b"new")])
            seen.extend(data_of(new))

    old_appends: list[bool] = []
    old = Driver(bucket, 1, taken_over).open()
    old.append([(1, b"old 1")])
    old_appends.append(True)
    for _ in range(3):
        with pytest.raises(FencedError, match=r"epoch 2; this driver has epoch 1"):
            old.append([(1, b"old 2")])
    assert seen == [b"old 1", b"new"]
    assert data_of(Driver(bucket, 2).reader()) == [b"old 1", b"new"]
    old.close()


def test_a_paused_driver_is_fenced_though_all_that_it_knew_was_released() -> None:
    bucket = SimulatedBucket()
    old = Driver(bucket, 1).open()
    old.append([(1, b"old 1")])
    new = Driver(bucket, 2).open()
    for number in range(20):
        new.append([(1, b"new %d" % number)])
    new.release(15)
    assert sorted(bucket.objects)[0] == name(0), "the first claim stays"
    assert name(1) not in bucket.objects
    with pytest.raises(FencedError):
        old.append([(1, b"old 2")])
    assert data_of(Driver(bucket, 3).open()) == [b"new %d" % number for number in range(14, 20)]


def test_a_put_that_nobody_answered_and_that_was_read_and_released_since_counts_for_nothing() -> None:
    bucket = SimulatedBucket()
    old_driver = Driver(bucket, 1)
    old = old_driver.open()
    old_driver.client.order("unanswered")
    with pytest.raises(StorageUnavailableError):
        old.append([(1, b"old 1")])
    new = Driver(bucket, 2).open()
    assert data_of(new) == [b"old 1"]
    for number in range(20):
        new.append([(1, b"new %d" % number)])
    new.release(15)
    # The name of its object is free again, so the put succeeds; the next one meets the claim.
    with pytest.raises(FencedError):
        old.append([(1, b"old 2")])
    assert data_of(Driver(bucket, 3).open())[-1] == b"new 19"
    assert name(1) not in bucket.objects, "who opens the log removes what lies before its beginning"


def test_a_newcomer_that_slept_between_lease_and_claim_is_refused() -> None:
    bucket = SimulatedBucket()

    def overtaken(request: Request, _: str) -> None:
        if request == "put_new" and not overtaking:
            overtaking.append(Driver(bucket, 3).open())
            overtaking[0].append([(1, b"new")])

    overtaking: list[ObjectLog] = []
    Driver(bucket, 1).open().append([(1, b"old")])
    with pytest.raises(FencedError, match="epoch 3; this driver has epoch 2"):
        Driver(bucket, 2, overtaken).open()
    overtaking[0].append([(1, b"more")])
    assert data_of(overtaking[0]) == [b"old", b"new", b"more"]


def test_a_newcomer_whose_number_was_written_and_released_meanwhile_claims_behind_the_end() -> None:
    bucket = SimulatedBucket()
    old = Driver(bucket, 1).open()
    old.append([(1, b"0")])

    def released(request: Request, _: str) -> None:
        if request == "put_new" and old.next_number == 1:
            for number in range(1, 10):
                old.append([(1, b"%d" % number)])
            old.release(8)

    new = Driver(bucket, 2, released).open()
    assert new.append([(1, b"new")]) == 10
    assert data_of(new) == [b"8", b"9", b"new"]
    with pytest.raises(FencedError):
        old.append([(1, b"old")])


def test_the_same_driver_may_open_its_log_again_and_fences_its_earlier_self() -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    first = driver.open()
    first.append([(1, b"a")])
    second = driver.open()
    assert second.append([(1, b"b")]) == 1
    with pytest.raises(FencedError):
        first.append([(1, b"c")])


@pytest.mark.parametrize("fault", ["unsent", "unanswered", "late"])
def test_an_append_that_raised_is_there_once_at_most_and_the_log_goes_on(fault: str) -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    log = driver.open()
    log.append([(1, b"a")])
    log.write([(1, b"written")])
    driver.client.order(fault)  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"b")])
    assert log.append([(1, b"c")]) == 3
    for _ in range(30):
        driver.storage.names("")
    assert data_of(Driver(bucket, 2).open()) == [b"a", b"written", b"b", b"c"]


@pytest.mark.parametrize("fault", ["repeated", "conflict"])
def test_a_refusal_of_a_put_that_took_effect_is_settled_by_reading(fault: str) -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    driver.storage = ObjectStorage(driver.client, Environment(), reads_at_once=1, pause=lambda _: None)
    log = driver.open()
    driver.client.order(fault)  # type: ignore[arg-type]
    log.append([(1, b"a")])
    log.append([(1, b"b")])
    assert data_of(Driver(bucket, 2).open()) == [b"a", b"b"]


class WatchedLog(ObjectLog):
    """Counts the calls that have come to wait."""

    def _enqueue(self, *arguments: Any, **options: Any) -> Any:
        run = super()._enqueue(*arguments, **options)
        came.release()
        return run


came = threading.Semaphore(0)


def test_calls_that_wait_go_into_one_object_together() -> None:
    bucket = SimulatedBucket()
    go_on = threading.Event()

    def slow(request: Request, name: str) -> None:
        if request == "put_new" and name.endswith("1"):
            assert go_on.wait(30)

    driver = Driver(bucket, 1, slow)
    log = WatchedLog(driver.storage, "journal", driver.owner)
    numbers: dict[int, int] = {}

    def append(index: int) -> None:
        numbers[index] = log.append([(1, b"%d" % index), (2, b"more")])

    threads = [threading.Thread(target=append, args=(index,)) for index in range(9)]
    for index, thread in enumerate(threads):
        thread.start()
        assert came.acquire(timeout=30), index
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(bucket.objects) <= 4, "the claim, what was first, and all others"
    records = {record.number: record.data for record in Driver(bucket, 2).open().read()}
    assert all(records[number] == b"%d" % index for index, number in numbers.items())
    assert all(records[number + 1] == b"more" for number in numbers.values())


def test_more_than_an_object_takes_is_spread_but_one_call_stays_together() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open(object_bytes_max=100)
    for number in range(4):
        log.write([(1, b"%d" % number * 60)])
    log.append([(1, b"x" * 90), (1, b"y" * 90)])
    assert len(bucket.objects) == 1 + 5
    assert len(data_of(Driver(bucket, 2).open())) == 6


def test_an_error_reaches_all_that_wait() -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    log = driver.open()
    driver.client.order("unsent", 3)
    errors: list[StorageUnavailableError] = []

    def append() -> None:
        try:
            log.append([(1, b"data")])
        except StorageUnavailableError as error:
            errors.append(error)

    threads = [threading.Thread(target=append) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({id(error) for error in errors}) == len(errors) >= 1


def test_released_records_are_gone_for_readers_and_their_objects_from_the_store() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    for number in range(10):
        log.append([(1, b"%d" % number), (1, b"more")])
    size_bytes = log.size_bytes
    log.release(7)
    assert next(record.number for record in log.read()) == 7
    assert log.size_bytes < size_bytes
    assert [name(number) in bucket.objects for number in range(6)] == [True, False, False, False, True, True]
    opened = Driver(bucket, 2).open()
    assert next(record.number for record in opened.read()) == 7
    opened.release(10_000)
    assert list(opened.read()) == []
    assert opened.next_number == 20
    log = Driver(bucket, 3).open()
    assert log.append([(1, b"x")]) == 20
    assert data_of(log) == [b"x"]


def test_release_is_known_before_anything_is_removed() -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    log = driver.open()
    for number in range(10):
        log.append([(1, b"%d" % number)])
    driver.client.order("unsent")
    log.release(5)
    assert all(name(number) in bucket.objects for number in range(11))
    assert data_of(log) == [b"%d" % number for number in range(5, 10)]
    log.release(5)
    assert name(3) not in bucket.objects
    assert data_of(Driver(bucket, 2).open()) == [b"%d" % number for number in range(5, 10)]


def test_a_reader_beside_a_driver_that_releases_goes_on_behind_it() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    for number in range(10):
        log.append([(1, b"%d" % number)])
    records = Driver(bucket, 1).reader().read()
    assert next(records).data == b"0"
    log.release(6)
    assert [record.data for record in records] == [b"6", b"7", b"8", b"9"]


def test_a_missing_object_is_a_gap_and_named() -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    for number in range(5):
        log.append([(1, b"%d" % number)])
    bucket.remove(name(3))
    log = Driver(bucket, 2).open()
    with pytest.raises(CorruptSegmentError, match=f"simulated://bucket/{name(3)} at byte 0: the object is missing"):
        list(log.read())


@pytest.mark.parametrize("mask", [1, 128])
def test_any_changed_byte_is_found(mask: int) -> None:
    bucket = SimulatedBucket()
    log = Driver(bucket, 1).open()
    log.append([(1, b"first")])
    log.append([(1, b"second"), (2, b"third")])
    for offset in range(len(bucket.objects[name(1)])):
        bucket.damage(name(1), offset, mask)
        with pytest.raises((CorruptSegmentError, IncompatibleCheckpointError)) as caught:
            list(log.read())
        assert name(1) in str(caught.value)
        bucket.damage(name(1), offset, mask)
    assert data_of(log) == [b"first", b"second", b"third"]


def test_a_cut_object_is_found() -> None:
    header = LogObject(3, 1, bytes(16), bytes(16), 7, 9, 0, 0, 0)
    data = header.encode([(7, [(1, b"one"), (2, b"two" * 3_000)])])
    assert decode_header(data, 3, "place") == header
    assert [record.number for record in records_of(data, header, 8, "place")] == [8]
    for length in range(0, len(data), 7):
        with pytest.raises(CorruptSegmentError):
            list(records_of(data[:length], decode_header(data[:length], 3, "place"), 0, "place"))
    with pytest.raises(CorruptSegmentError, match="it says that it is object 3"):
        decode_header(data, 4, "place")


def test_an_object_of_a_newer_release_is_refused() -> None:
    bucket = SimulatedBucket()
    driver = Driver(bucket, 1)
    driver.open()
    newer = bytearray(LogObject(1, 1, bytes(16), bytes(16), 0, 0, 0, 0, 0).encode([]))
    newer[8] = 2
    (header_bytes,) = struct.unpack_from("<I", newer, 12)
    struct.pack_into("<I", newer, header_bytes - 4, zlib.crc32(newer[: header_bytes - 4]))
    driver.storage.create(name(1), bytes(newer))
    with pytest.raises(IncompatibleCheckpointError, match="newer release"):
        Driver(bucket, 2).open()


STORED = bytes.fromhex(
    "4d5354524f424a00010000006c00000005000000000000000700000000000000000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f28000000000000002a0000000000000026000000000000000200000000000000"
    "0400000000000000621d12774d5354524d4c4f4701000000340000002800000000000000050000000000000026000000"
    "000000000000000000000000c389795da7475250020000002b0000000000000028000000000000000000000000000000"
    "26000000000000009001753d070000000000000001010000f8ac7593706c616e6e656404000000010000000201000035"
    "c87858646f6e65"
)
STORED_CLAIM = bytes.fromhex(
    "4d5354524f424a00010000007c00000004000000000000000700000000000000000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f2800000000000000280000000000000026000000000000000200000000000000"
    "04000000000000000000000000000000030000000000000012a188814d5354524d4c4f47010000003400000028000000"
    "000000000400000000000000260000000000000000000000000000004fa43893a7475250000000000000000000000000"
    "2800000000000000000000000000000026000000000000005373c8c7"
)


def test_objects_of_format_1_are_read() -> None:
    header = decode_header(STORED, 5, "stored")
    assert header == LogObject(5, 7, bytes(range(16)), bytes(range(16, 32)), 40, 42, 38, 2, 4)
    assert [tuple(record) for record in records_of(STORED, header, 0, "stored")] == [
        (40, 1, b"planned"),
        (41, 2, b"done"),
    ]
    claim = decode_header(STORED_CLAIM, 4, "stored")
    assert (claim.claim, claim.earlier_claims, list(records_of(STORED_CLAIM, claim, 0, "stored"))) == (4, (0, 3), [])


def test_claims_are_known_over_many_starts() -> None:
    bucket = SimulatedBucket()
    sleepers = []
    for epoch in range(1, 12):
        log = Driver(bucket, epoch).open()
        log.append([(1, b"%d" % epoch)])
        log.release(log.next_number)
        sleepers.append(log)
    for log in sleepers[:-1]:
        with pytest.raises(FencedError):
            log.append([(1, b"late")])
    assert len(bucket.objects) <= 11 + 2
