"""What every storage keeps to, on each implementation and each test double."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.obstore_client import ObstoreClient
from millstream.environment.rng import seeded_rng
from millstream.environment.storage import Storage
from millstream.errors import FencedError
from millstream.testing.simulation.objects import SimulatedBucket
from millstream.testing.simulation.storage import SimulatedStorage

_NUMBERS = itertools.count()

Opened = Callable[[], Storage]


@pytest.fixture(params=["local", "simulated", "objects in memory", "simulated objects"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens one place again and again, as each process does."""
    match request.param:
        case "local":
            return lambda: LocalStorage(tmp_path)
        case "simulated":
            simulated = SimulatedStorage(seeded_rng(1))
            return lambda: simulated
        case "objects in memory":
            url = f"memory://conformance-{next(_NUMBERS)}"
            return lambda: ObjectStorage(ObstoreClient(url))
        case _:
            bucket = SimulatedBucket()
            return lambda: ObjectStorage(bucket.client(seeded_rng(next(_NUMBERS))))


@pytest.fixture
def storage(opened: Opened) -> Storage:
    return opened()


def test_a_file_is_made_once_and_read_whole(storage: Storage, opened: Opened) -> None:
    assert storage.create("folder/a", b"data") is True
    assert storage.create("folder/a", b"other") is False
    assert opened().create("folder/a", b"data") is False
    assert (opened().read("folder/a"), opened().size_bytes("folder/a")) == (b"data", 4)


def test_a_file_may_be_empty_and_may_be_large(storage: Storage) -> None:
    large = bytes(range(256)) * 40_000
    assert storage.create("empty", b"")
    assert storage.create("large", large)
    assert (storage.read("empty"), storage.size_bytes("empty")) == (b"", 0)
    assert storage.read("large") == large


def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    for call in (storage.read, storage.size_bytes):
        with pytest.raises(FileNotFoundError):
            call("folder/none")
    assert storage.names("folder") == []


def test_names_are_those_of_one_folder_sorted(storage: Storage) -> None:
    for name in ("a/10", "a/9", "a/b/c", "ab/x", "top"):
        storage.create(name, b"")
    assert storage.names("a") == ["10", "9"]
    assert storage.names("a/b") == ["c"]
    assert storage.names("") == ["top"]


def test_a_file_that_was_removed_is_gone_and_its_name_is_free(storage: Storage) -> None:
    storage.create("a/x", b"first")
    storage.remove("a/x")
    storage.remove("a/x")
    assert storage.names("a") == []
    assert storage.create("a/x", b"second") is True
    assert storage.read("a/x") == b"second"


def test_several_files_are_read_in_order_and_removed(storage: Storage) -> None:
    names = [f"a/{number:02d}" for number in range(40)]
    for name in names:
        storage.create(name, name.encode())
    backwards = names[::-1]
    assert list(storage.read_each(backwards)) == [name.encode() for name in backwards]
    assert list(storage.read_each([])) == []
    reads = storage.read_each(["a/00", "a/none"])
    assert next(reads) == b"a/00"
    with pytest.raises(FileNotFoundError):
        next(reads)
    storage.remove_each(["a/none", *names[:39]])
    assert storage.names("a") == ["39"]


def test_of_many_that_make_one_file_one_wins(opened: Opened) -> None:
    start, won = threading.Barrier(6), list[tuple[int, int]]()

    def make(index: int) -> None:
        storage = opened()
        start.wait(30)
        won.extend((number, index) for number in range(10) if storage.create(f"race/{number}", b"%d" % index))

    threads = [threading.Thread(target=make, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(number for number, _ in won) == list(range(10))
    storage = opened()
    assert all(storage.read(f"race/{number}") == b"%d" % index for number, index in won)


def test_one_holds_the_lock(opened: Opened) -> None:
    lock = opened().lock("first")
    lock.check()
    with pytest.raises(FencedError, match=r"in use(?s:.*)'first'"):
        opened().lock("second")
    lock.check()
    lock.release()
    lock.release()
    with pytest.raises(FencedError):
        lock.check()
    second = opened().lock("second", takeover=True)
    second.check()
    second.release()
