from __future__ import annotations

from collections import Counter

import pytest

from millstream.environment.rng import seeded_rng
from millstream.errors import FencedError, StorageUnavailableError
from millstream.testing.simulation.faults import Faults, Operation, Phase, SimulatedCrash
from millstream.testing.simulation.file import SECTOR_BYTES
from millstream.testing.simulation.storage import SimulatedStorage

SEEDS = range(200)


def storage_of(seed: int) -> SimulatedStorage:
    return SimulatedStorage(seeded_rng(seed))


def test_it_reads_like_a_disk() -> None:
    storage = storage_of(1)
    assert storage.create("a/b", b"data")
    assert not storage.create("a/b", b"other")
    file = storage.append_file("a/c", size_bytes=6)
    file.write([b"one", memoryview(b"two")])
    file.append([b"!"])
    assert (storage.read("a/b"), storage.read("a/c"), storage.size_bytes("a/c")) == (b"data", b"onetwo!", 7)
    file.close()
    assert (storage.names("a"), storage.names(""), storage.names("x")) == (["b", "c"], [], [])
    storage.remove("a/b")
    storage.remove("a/b")
    with pytest.raises(FileNotFoundError):
        storage.read("a/b")
    with pytest.raises(StorageUnavailableError, match="exists"):
        storage.append_file("a/c", size_bytes=1)


def test_what_was_synced_survives_and_the_rest_is_kept_lost_or_garbage_by_sector() -> None:
    fates = Counter[str]()
    unsynced = b"u" * (3 * SECTOR_BYTES)
    for seed in SEEDS:
        storage = storage_of(seed)
        file = storage.append_file("log", size_bytes=10 * SECTOR_BYTES)
        file.append([b"s" * 100])
        file.write([unsynced])
        content = storage.crash().read("log")
        assert content[:100] == b"s" * 100
        assert content[100 + len(unsynced) :] == bytes(10 * SECTOR_BYTES - 100 - len(unsynced))
        for start, end in ((100, 512), (512, 1024), (1024, 1536), (1536, 1636)):
            piece = content[start:end]
            fates["kept" if piece == b"u" * len(piece) else "lost" if not piece.strip(b"\0") else "garbage"] += 1
    assert min(fates["kept"], fates["lost"], fates["garbage"]) > 50


def test_a_crash_of_the_process_keeps_what_was_written_but_not_for_good() -> None:
    lost = 0
    for seed in SEEDS:
        storage = storage_of(seed)
        storage.append_file("log", size_bytes=0).write([b"written"])
        killed = storage.crash(machine=False)
        assert killed.read("log") == b"written"
        lost += killed.crash().read("log") != b"written"
    assert 50 < lost < 200


def test_a_name_is_unsure_until_its_call_returns() -> None:
    there = Counter[tuple[str, bool]]()

    def crash(operation: Operation, phase: Phase) -> None:
        if phase == "during":
            raise SimulatedCrash

    for seed in SEEDS:
        for kind in ("create", "append_file"):
            storage = SimulatedStorage(seeded_rng(seed), faults=Faults(seeded_rng(seed), hook=crash))
            with pytest.raises(SimulatedCrash):
                storage.create("x", b"whole") if kind == "create" else storage.append_file("x", size_bytes=1)
            storage.faults.hook = None
            after = storage.crash()
            there[kind, after.names("") == ["x"]] += 1
            assert kind != "create" or after.names("") == [] or after.read("x") == b"whole"
    assert min(there.values()) > 50
    assert len(there) == 4


def test_a_file_comes_back_only_when_its_removal_had_not_returned() -> None:
    back = 0

    def crash(operation: Operation, phase: Phase) -> None:
        if (operation.kind, phase) == ("remove", "during"):
            raise SimulatedCrash

    for seed in SEEDS:
        storage = storage_of(seed)
        for name in ("a/x", "a/y"):
            storage.create(name, b"data")
        storage.remove("a/x")
        storage.faults.hook = crash
        with pytest.raises(SimulatedCrash):
            storage.remove("a/y")
        storage.faults.hook = None
        after = storage.crash()
        back += after.names("a") == ["y"]
        assert after.names("a") in ([], ["y"])
    assert 50 < back < 150


def test_one_seed_gives_one_history() -> None:
    def content(seed: int) -> bytes:
        storage = storage_of(seed)
        storage.append_file("log", size_bytes=0).write([b"x" * 5000])
        return storage.crash().read("log")

    assert content(5) == content(5)
    assert len({content(seed) for seed in SEEDS}) > 50


def test_a_crashed_storage_ends_all_who_use_it() -> None:
    storage = storage_of(1)
    file, lock = storage.append_file("log", size_bytes=0), storage.lock("first")
    after = storage.crash()
    for call in (
        lambda: storage.read("log"),
        lambda: file.append([b"x"]),
        lambda: storage.create("y", b""),
        lock.check,
    ):
        with pytest.raises(SimulatedCrash):
            call()
    lock.release()
    second = after.lock("second")
    with pytest.raises(FencedError, match="'second'"):
        after.lock("third")
    second.release()
    with pytest.raises(FencedError, match="released"):
        second.check()
    after.lock("third").check()


def test_who_was_taken_over_can_read_and_not_write() -> None:
    storage = storage_of(1)
    file, lock = storage.append_file("log", size_bytes=0), storage.lock("old")
    other = storage.take_over()
    new = other.lock("new")
    for call in (
        lambda: file.append([b"x"]),
        lambda: storage.remove("log"),
        lambda: storage.create("y", b""),
        lock.check,
    ):
        with pytest.raises(FencedError):
            call()
    assert storage.read("log") == b""
    lock.release()
    new.check()


@pytest.mark.parametrize("took_effect", [False, True])
def test_an_ordered_fault_comes_once_and_where_it_was_ordered(took_effect: bool) -> None:
    storage = storage_of(1)
    storage.faults.fail("create", after=1, took_effect=took_effect)
    storage.create("a", b"")
    storage.append_file("log", size_bytes=0)
    with pytest.raises(StorageUnavailableError):
        storage.create("b", b"")
    assert ("b" in storage.names("")) == took_effect
    assert storage.create("c", b"")


def test_a_file_that_failed_takes_nothing_more() -> None:
    storage = storage_of(1)
    file = storage.append_file("log", size_bytes=0)
    file.append([b"one"])
    storage.faults.fail("sync")
    with pytest.raises(StorageUnavailableError):
        file.append([b"two"])
    with pytest.raises(StorageUnavailableError, match="takes nothing more"):
        file.sync()
    file.close()
    assert storage.read("log") == b"onetwo"


def test_a_share_of_the_operations_fails() -> None:
    faults = Faults(seeded_rng(1), rate=0.2)
    storage = SimulatedStorage(seeded_rng(1), faults=faults)
    failures = 0
    for _ in range(500):
        try:
            storage.names("")
        except StorageUnavailableError:
            failures += 1
    assert 50 < failures < 150
    assert faults.operations == 500


def test_a_disk_is_full_and_has_room_again() -> None:
    storage = storage_of(1)
    storage.faults.room_bytes = 10
    storage.create("a", b"12345")
    with pytest.raises(StorageUnavailableError, match="no space left"):
        storage.create("b", b"123456")
    file = storage.append_file("c", size_bytes=0)
    with pytest.raises(StorageUnavailableError, match="no space left"):
        file.write([b"123456"])
    assert storage.read("c") == b"12345"
    storage.remove("a")
    assert storage.create("b", b"12345")


def test_every_operation_is_a_place_to_crash() -> None:
    seen: list[tuple[int, str, Phase]] = []
    faults = Faults(seeded_rng(1), hook=lambda operation, phase: seen.append((operation.number, operation.kind, phase)))
    storage = SimulatedStorage(seeded_rng(1), faults=faults)
    storage.append_file("log", size_bytes=0).append([b"x"])
    storage.crash().read("log")
    assert seen == [
        (0, "append_file", "before"),
        (0, "append_file", "during"),
        (0, "append_file", "after"),
        (1, "write", "before"),
        (1, "write", "after"),
        (2, "sync", "before"),
        (2, "sync", "after"),
        (3, "read", "before"),
        (3, "read", "after"),
    ]


def test_bytes_are_damaged_for_good() -> None:
    storage = storage_of(1)
    storage.create("a", b"abc")
    storage.damage("a", 1, 0x01)
    assert storage.crash().read("a") == b"acc"
