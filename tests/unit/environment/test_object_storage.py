from __future__ import annotations

import sys

import pytest

from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.object_url import shown_url
from millstream.environment.opening import storage_of
from millstream.environment.rng import seeded_rng
from millstream.errors import ConfigurationError, StorageUnavailableError
from millstream.testing.simulation.objects import PutFault, SimulatedBucket, SimulatedObjects


class Program:
    """A program with its own way to a bucket, on a clock that its pauses move."""

    def __init__(self, bucket: SimulatedBucket, *, rate: float = 0.0, seed: int = 1, retry_s: float = 60.0) -> None:
        self.client: SimulatedObjects = bucket.client(seeded_rng(seed), rate=rate)
        self.clock = ManualClock(1_000.0)
        self.storage = ObjectStorage(
            self.client, Environment(self.clock), retry_s=retry_s, reads_at_once=1, pause=self.clock.advance
        )


def test_an_object_is_made_once_and_its_second_maker_is_told() -> None:
    bucket = SimulatedBucket()
    one, other = Program(bucket).storage, Program(bucket).storage
    assert one.create("a/x", b"data") is True
    assert other.create("a/x", b"more") is False
    assert other.create("a/x", b"data") is False, "the same bytes by somebody else are not ours"
    assert one.create("a/x", b"data") is False
    assert (one.read("a/x"), one.names("a"), one.names("b"), one.size_bytes("a/x")) == (b"data", ["x"], [], 4)
    one.remove("a/x")
    one.remove("a/x")
    with pytest.raises(FileNotFoundError):
        one.read("a/x")


@pytest.mark.parametrize("fault", ["unsent", "unanswered", "late", "repeated", "conflict"])
def test_whatever_happens_to_a_put_its_maker_learns_that_it_is_there(fault: PutFault) -> None:
    bucket = SimulatedBucket()
    program = Program(bucket)
    program.client.order(fault, 2)
    assert program.storage.create("a", b"data") is True
    for _ in range(30):
        program.storage.names("")
    assert [data for name, data in bucket.made if name == "a"] == [b"data"]


@pytest.mark.parametrize("fault", ["unsent", "unanswered", "late", "repeated", "conflict"])
def test_whatever_happens_to_a_put_that_lost_its_maker_learns_that_it_lost(fault: PutFault) -> None:
    bucket = SimulatedBucket()
    assert Program(bucket).storage.create("a", b"first")
    program = Program(bucket)
    program.client.order(fault)
    assert program.storage.create("a", b"second") is False
    assert bucket.objects == {"a": b"first"}


def test_a_put_is_tried_again_up_to_the_limit() -> None:
    program = Program(SimulatedBucket(), retry_s=10.0)
    program.client.order("unsent", 1_000)
    with pytest.raises(StorageUnavailableError, match="put of a failed"):
        program.storage.create("a", b"data")
    assert 10.0 <= program.clock.monotonic_ms() / 1000.0 - 1_000.0 <= 12.0


def test_an_object_that_is_refused_and_never_there_ends_in_an_error() -> None:
    program = Program(SimulatedBucket(), retry_s=10.0)
    program.client.order("conflict", 1_000)
    with pytest.raises(StorageUnavailableError, match="again and again"):
        program.storage.create("a", b"data")


@pytest.mark.parametrize("seed", range(100))
def test_of_several_makers_exactly_one_wins(seed: int) -> None:
    bucket = SimulatedBucket()
    programs = [Program(bucket, rate=0.3, seed=100 * seed + index) for index in range(3)]
    for name in ("a", "b", "c"):
        won = [program.storage.create(name, b"%d" % index) for index, program in enumerate(programs)]
        assert won.count(True) == 1
        assert bucket.objects[name] == b"%d" % won.index(True)


def test_a_store_that_makes_an_object_twice_is_refused() -> None:
    Program(bucket := SimulatedBucket()).storage.probe()
    assert bucket.objects == {}, "the probe leaves nothing"
    with pytest.raises(ConfigurationError, match=r"does not keep to conditional puts(?s:.*)If-None-Match"):
        Program(SimulatedBucket(conditional=False)).storage.probe()


def test_probing_removes_what_a_crash_left_long_ago() -> None:
    clock = ManualClock(1_000.0)
    bucket = SimulatedBucket(clock)
    storage = Program(bucket).storage
    storage.create("probes/old", b"")
    clock.advance(3_000.0)
    storage.create("probes/young", b"")
    clock.advance(1_000.0)
    storage.probe()
    assert list(bucket.objects) == ["probes/young"]


def test_many_objects_are_read_side_by_side_in_order_and_removed() -> None:
    storage = storage_of("memory://many-objects")
    names = [f"many/{number:04d}" for number in range(1_200)]
    for name in names:
        assert storage.create(name, name.encode())
    assert list(storage.read_each(names)) == [name.encode() for name in names]
    assert storage.names("many") == [name.removeprefix("many/") for name in names]
    reads = storage.read_each([*names[:40], "many/none", *names[40:]])
    assert [next(reads) for _ in range(40)] == [name.encode() for name in names[:40]]
    with pytest.raises(FileNotFoundError):
        next(reads)
    storage.remove_each(["many/none", *names])
    assert storage.names("many") == []


def test_names_are_those_of_the_folder_alone() -> None:
    storage = storage_of("memory://folders")
    for name in ("b", "a/x", "a/y", "a/sub/z", "ab/x"):
        storage.create(name, b"")
    assert (storage.names(""), storage.names("a"), storage.names("a/sub")) == (["b"], ["x", "y"], ["z"])


@pytest.mark.parametrize(
    ("place", "options", "said"),
    [
        ("s3://bucket/app", {"no_such_setting": "secret-1"}, "no_such_setting"),
        ("az://container/app", {"account_key": "secret-1"}, "Account must be specified"),
        ("s3://", None, "no place on an object store"),
        ("ftp://host/app", None, "neither a directory nor on an object store"),
        ("/var/app", {"region": "secret-1"}, "storage_options are for object stores"),
    ],
)
def test_a_place_that_cannot_be_opened_is_refused(place: str, options: dict[str, str] | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        storage_of(place, options)
    assert "secret" not in str(caught.value)


def test_urls_are_shown_without_what_is_secret() -> None:
    assert shown_url("s3://bucket/app/") == "s3://bucket/app"
    assert shown_url("https://user:pw@account.blob.core.windows.net/c?sig=x") == (
        "https://account.blob.core.windows.net/c"
    )


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'millstream\[objects\]'"):
        storage_of("s3://bucket/app")
