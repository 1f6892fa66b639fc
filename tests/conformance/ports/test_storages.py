"""What every storage holds to, real ones and the simulated one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import seeded_rng
from millstream.environment.storage import Storage
from millstream.errors import FencedError
from millstream.testing.simulation.storage import SimulatedStorage

_places = itertools.count()

STORAGES: dict[str, Callable[[Path], Storage]] = {
    "local": LocalStorage,
    "objects": lambda _: ObjectStorage.open(f"memory://conformance-{next(_places)}"),
    "simulated": lambda _: SimulatedStorage(seeded_rng(1)),
}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return STORAGES[request.param](tmp_path / "root")


def test_it_is_empty_at_first_and_says_where_it_is(storage: Storage) -> None:
    assert storage.place
    assert (storage.names(""), storage.names("folder")) == ([], [])


@pytest.mark.parametrize("data", [b"", b"data", bytes(range(256)) * 1000])
def test_what_was_created_is_read(storage: Storage, data: bytes) -> None:
    assert storage.create("folder/inner/name", data)
    assert storage.read("folder/inner/name") == data
    assert storage.size_bytes("folder/inner/name") == len(data)


def test_a_name_is_given_once(storage: Storage) -> None:
    assert storage.create("name", b"first")
    assert not storage.create("name", b"second")
    assert storage.read("name") == b"first"


def test_of_many_who_create_one_name_one_succeeds(storage: Storage) -> None:
    start = threading.Barrier(8)
    outcomes: list[tuple[bool, bytes]] = []

    def create(data: bytes) -> None:
        start.wait()
        outcomes.append((storage.create("folder/name", data), data))

    threads = [threading.Thread(target=create, args=(b"%d" % index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [data for made, data in outcomes if made] == [storage.read("folder/name")]
    assert len(outcomes) == 8


def test_names_are_those_of_one_folder_in_order(storage: Storage) -> None:
    for name in ("b", "a/2", "a/10", "a/1", "a/inner/x", "ab/y"):
        storage.create(name, b"")
    assert storage.names("a") == ["1", "10", "2"]
    assert storage.names("a/inner") == ["x"]
    assert storage.names("") == ["b"]


def test_a_file_that_is_not_there(storage: Storage) -> None:
    storage.create("folder/name", b"")
    for call in (storage.read, storage.size_bytes):
        with pytest.raises(FileNotFoundError):
            call("folder/other")
        with pytest.raises(FileNotFoundError):
            call("nowhere/name")
    storage.remove("folder/other")
    storage.remove("nowhere/name")


def test_a_removed_name_can_be_given_again(storage: Storage) -> None:
    storage.create("folder/name", b"first")
    storage.remove("folder/name")
    assert storage.names("folder") == []
    assert storage.create("folder/name", b"second")
    assert storage.read("folder/name") == b"second"


def test_one_holds_the_lock(storage: Storage) -> None:
    lock = storage.lock("first")
    lock.check()
    with pytest.raises(FencedError, match="first"):
        storage.lock("second")
    lock.check()
    lock.release()
    lock.release()
    with pytest.raises(FencedError):
        lock.check()
    again = storage.lock("second")
    again.check()
    again.release()
