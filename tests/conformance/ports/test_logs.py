"""What every log keeps to, on each implementation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream.blocks.log import Log
from millstream.blocks.opening import open_log
from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import seeded_rng
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, LifecycleError, StorageUnavailableError
from millstream.testing.simulation.objects import SimulatedBucket, SimulatedObjects
from millstream.testing.simulation.storage import SimulatedStorage


class Place:
    """Where a log lives, and how it can be hurt."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind = kind
        self.bucket = SimulatedBucket()
        self.client: SimulatedObjects = self.bucket.client(seeded_rng(1))
        self.simulated = SimulatedStorage(seeded_rng(1))
        self.storage: Storage
        match kind:
            case "local":
                self.storage = LocalStorage(root)
            case "simulated":
                self.storage = self.simulated
            case _:
                self.storage = ObjectStorage(self.client, retry_s=0.0)
        self.lock = self.storage.lock("test")

    def open(self, *, read_only: bool = False) -> Log:
        return open_log(self.storage, "log", self.lock, read_only=read_only, segment_bytes=4_096)

    def fail_next_append(self, *, took_effect: bool) -> None:
        self.simulated.faults.fail("sync", took_effect=took_effect)
        self.client.order("unanswered" if took_effect else "unsent")

    def damage(self) -> None:
        """Change a byte of a record in the middle of the log."""
        if self.kind == "objects":
            self.bucket.damage(f"log/{5:020d}", 200, 1)
        else:
            name = sorted(self.storage.names("log"))[0]
            self.simulated.damage(f"log/{name}", 200, 1)


KINDS = ("local", "simulated", "objects")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(request.param, tmp_path)
    yield place
    place.lock.release()


# A real disk neither fails nor is damaged on order.
on_order = pytest.mark.parametrize("place", KINDS[1:], indirect=True)


def data_of(log: Log, first: int = 0) -> list[bytes]:
    return [record.data for record in log.read(first)]


def test_records_come_back_in_order_with_number_and_kind(place: Place) -> None:
    log = place.open()
    assert (log.next_number, list(log.read())) == (0, [])
    assert log.append([(1, b"a"), (255, b"")]) == 0
    assert log.append([(0, memoryview(b"c" * 10_000))]) == 2
    expected = [(0, 1, b"a"), (1, 255, b""), (2, 0, b"c" * 10_000)]
    assert [tuple(record) for record in log.read()] == expected
    log.close()
    for _ in range(3):
        log = place.open()
        assert [tuple(record) for record in log.read()] == expected
        assert [tuple(record) for record in log.read(2)] == expected[2:]
        assert (list(log.read(3)), log.next_number) == ([], 3)
        log.close()


def test_what_is_written_goes_before_the_next_append(place: Place) -> None:
    log = place.open()
    memory = bytearray(b"rate")
    assert log.write([(2, memoryview(memory))]) == 0
    memory[:] = b"gone"
    assert data_of(log) == [b"rate"]
    assert log.append([(1, b"planned")]) == 1
    assert data_of(place.open(read_only=True)) == [b"rate", b"planned"]


def test_closing_keeps_what_was_written(place: Place) -> None:
    log = place.open()
    log.write([(2, b"rate")])
    log.close()
    log.close()
    assert data_of(place.open()) == [b"rate"]
    for use in (log.append, log.write):
        with pytest.raises(LifecycleError):
            use([(1, b"x")])


def test_an_append_of_nothing_makes_durable_what_was_written(place: Place) -> None:
    log = place.open()
    log.write([(2, b"rate")])
    assert log.append([]) == 1
    assert data_of(place.open(read_only=True)) == [b"rate"]


@on_order
@pytest.mark.parametrize("took_effect", [False, True])
def test_a_log_goes_on_after_an_append_that_raised(place: Place, took_effect: bool) -> None:
    log = place.open()
    log.append([(1, b"a")])
    log.write([(2, b"rate")])
    place.fail_next_append(took_effect=took_effect)
    with pytest.raises(StorageUnavailableError):
        log.append([(1, b"b")])
    number = log.append([(1, b"b")])
    assert number >= 2
    for again in (False, True):
        if again:
            log.close()
            log = place.open()
        records = list(log.read())
        assert [record.number for record in records] == sorted({record.number for record in records})
        found = [record.data for record in records]
        assert found in ([b"a", b"rate", b"b"], [b"a", b"rate", b"b", b"b"])
        assert records[-1].number == number


def test_released_records_are_not_read_again_and_room_is_freed(place: Place) -> None:
    log = place.open()
    for number in range(40):
        log.append([(1, b"%02d" % number * 200)])
    size_bytes = log.size_bytes
    log.release(30)
    assert data_of(log)[0][:2] == b"30"
    log.append([(1, b"40")])
    assert log.size_bytes < size_bytes * 0.6
    log.close()
    log = place.open()
    assert [record.number for record in log.read()] == list(range(30, 41))
    log.release(10_000)
    assert (list(log.read()), log.append([(1, b"41")])) == ([], 41)
    assert data_of(place.open()) == [b"41"]


def test_reading_only_changes_nothing(place: Place) -> None:
    log = place.open()
    log.append([(1, b"a")])
    names = place.storage.names("log")
    reader = place.open(read_only=True)
    assert data_of(reader) == [b"a"]
    with pytest.raises(LifecycleError):
        reader.append([(1, b"x")])
    with pytest.raises(LifecycleError):
        reader.release(1)
    reader.close()
    assert place.storage.names("log") == names
    assert log.append([(1, b"b")]) == 1


@on_order
def test_damage_is_named_and_never_skipped(place: Place) -> None:
    log = place.open()
    for number in range(10):
        log.append([(1, b"%d" % number * 100)])
    place.damage()
    with pytest.raises(CorruptSegmentError, match=r"log/\d{20}(?s:.*) byte \d+"):
        list(log.read())


def test_threads_get_numbers_of_their_own(place: Place) -> None:
    log = place.open()
    mine: dict[int, bytes] = {}

    def append(index: int) -> None:
        for count in range(30):
            records = [(1, b"%d-%d-%d" % (index, count, part)) for part in range(3)]
            act = log.write if count % 3 == 0 else log.append
            mine.update(enumerate((data for _, data in records), act(records)))

    threads = [threading.Thread(target=append, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log.close()
    assert {record.number: record.data for record in place.open().read()} == mine
    assert sorted(mine) == list(range(6 * 30 * 3))
