"""Storage, lease and log on a real S3 server, and drivers that are processes of their own."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.integration.line_server import Program
from tests.integration.refusing_store import RefusingStore
from tests.servers.s3_server import SECRET, S3Server

from millstream.blocks.opening import open_log
from millstream.environment.environment import Environment
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.obstore_client import ObstoreClient
from millstream.environment.opening import storage_of
from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError, FencedError, StorageUnavailableError

WRITER = str(Path(__file__).parent / "log_writer.py")


@pytest.fixture
def url(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/apps/words"


@pytest.fixture
def storage(s3_server: S3Server, url: str) -> Storage:
    return storage_of(url, s3_server.options)


def test_objects_are_made_once_read_listed_and_removed(storage: Storage) -> None:
    assert storage.names("") == [], "probing leaves nothing"
    assert storage.create("a/x", b"first") is True
    assert storage.create("a/x", b"first") is False
    assert storage.create("a/sub/y", bytes(9 << 20)) is True
    assert (storage.read("a/x"), storage.names("a"), storage.size_bytes("a/sub/y")) == (b"first", ["x"], 9 << 20)
    storage.remove("a/x")
    storage.remove("a/x")
    with pytest.raises(FileNotFoundError):
        storage.read("a/x")


def test_more_objects_than_one_answer_lists(storage: Storage) -> None:
    names = [f"many/{number:020d}" for number in range(1_100)]
    threads = [
        threading.Thread(target=lambda part=part: [storage.create(name, b"x") for name in names[part::8]])
        for part in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.names("many") == [name.removeprefix("many/") for name in names]
    assert list(storage.read_each(names)) == [b"x"] * 1_100
    storage.remove_each(names)
    assert storage.names("many") == []


def test_of_many_that_make_one_object_one_wins(s3_server: S3Server, url: str) -> None:
    stores = [storage_of(url, s3_server.options) for _ in range(4)]
    won: list[int] = []
    start = threading.Barrier(8)

    def make(index: int) -> None:
        start.wait(30)
        won.extend(number for number in range(20) if stores[index % 4].create(f"race/{number}", b"%d" % index))

    threads = [threading.Thread(target=make, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(won) == list(range(20))


def test_a_log_goes_on_with_the_next_driver_and_is_swept(s3_server: S3Server, url: str) -> None:
    environment = Environment()
    for life in range(3):
        storage = storage_of(url, s3_server.options, environment)
        lock = storage.lock("words")
        log = open_log(storage, "journal", lock, environment=environment)
        assert log.next_number == 20 * life
        assert [record.data for record in log.read()] == [b"%d" % n for n in range(max(0, 20 * life - 5), 20 * life)]
        for number in range(20 * life, 20 * life + 20):
            assert log.append([(1, b"%d" % number)]) == number
        log.release(log.next_number - 5)
        log.close()
        lock.release()
    reader = open_log(storage_of(url, s3_server.options), "journal", read_only=True)
    assert [record.number for record in reader.read()] == list(range(55, 60))


def test_a_bucket_that_is_not_there_is_named(s3_server: S3Server) -> None:
    with pytest.raises(ConfigurationError, match=r"s3://nobody-has-this/app cannot write(?s:.*)NoSuchBucket"):
        storage_of("s3://nobody-has-this/app", s3_server.options)


def test_plain_http_has_to_be_allowed(s3_server: S3Server, url: str) -> None:
    options = {key: value for key, value in s3_server.options.items() if key != "allow_http"}
    with pytest.raises(ConfigurationError, match="needs allow_http=True"):
        storage_of(url, options)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "SignatureDoesNotMatch"), (401, "Denied"), (400, "InvalidRequest"), (501, "NoSuch")]
)
def test_a_store_that_refuses_is_a_matter_of_configuration_and_no_secret_is_shown(status: int, code: str) -> None:
    with RefusingStore(status, code).running() as store:
        options = {**S3Server(store.endpoint).options, "session_token": f"{SECRET}-token"}
        with pytest.raises(ConfigurationError, match=f"HTTP status {status}, {code}") as caught:
            storage_of("s3://bucket/app", options)
        text = "".join(str(part) for part in (caught.value, caught.value.__cause__))
        assert SECRET not in text
        assert "Signature=" not in text
        assert status == 501 or store.requests <= 2, "trying again would not help"


def test_a_store_that_is_out_of_order_is_tried_again_up_to_the_limit() -> None:
    with RefusingStore(503, "SlowDown").running() as store:
        with pytest.raises(StorageUnavailableError, match="HTTP status 503, SlowDown"):
            ObjectStorage.open("s3://bucket/app", S3Server(store.endpoint).options, retry_s=1.0)
        assert store.requests >= 3


def test_rights_that_are_taken_away_later_hold_the_program_up_like_other_trouble() -> None:
    with RefusingStore(403, "AccessDenied").running() as store:
        storage = ObjectStorage(ObstoreClient("s3://bucket/app", S3Server(store.endpoint).options))
        for call in (
            lambda: storage.create("a", b""),
            lambda: storage.read("a"),
            lambda: storage.names(""),
            lambda: storage.remove("a"),
            lambda: storage.size_bytes("a"),
        ):
            with pytest.raises(StorageUnavailableError, match="refuses to"):
                call()


def running_writer(server: S3Server, url: str) -> Program:
    return Program([WRITER, url, json.dumps(server.options)])


def test_a_driver_that_is_alive_is_not_disturbed_and_a_killed_one_is_followed_at_once(
    s3_server: S3Server, url: str
) -> None:
    with running_writer(s3_server, url) as writer:
        writer.read_until(lambda line: line == "4")
        storage = storage_of(url, s3_server.options)
        with pytest.raises(FencedError, match=f"process {writer.process.pid} on "):
            storage.lock("second")
        writer.process.send_signal(signal.SIGKILL)
        writer.end()
    acknowledged = len(writer.seen) - 1
    # The process has ended and this machine can tell; elsewhere the lease has to run out.
    takeover = not os.path.exists("/proc/self/ns/pid")
    log = open_log(storage, "journal", storage.lock("second", takeover=takeover))
    found = [record.data for record in log.read()]
    assert len(found) >= acknowledged
    assert found == [b"old %d" % number for number in range(len(found))]
    assert log.append([(1, b"new")]) == len(found)


def test_a_driver_that_was_stopped_and_wakes_after_a_takeover_is_fenced(s3_server: S3Server, url: str) -> None:
    with running_writer(s3_server, url) as writer:
        writer.read_until(lambda line: line == "4")
        writer.process.send_signal(signal.SIGSTOP)
        storage = storage_of(url, s3_server.options)
        log = open_log(storage, "journal", storage.lock("second", takeover=True))
        found = [record.data for record in log.read()]
        for number in range(10):
            log.append([(1, b"new %d" % number)])
        log.release(log.next_number - 3)
        writer.process.send_signal(signal.SIGCONT)
        writer.end()
    assert writer.seen[0] == "claimed"
    assert writer.seen[-1] == "FencedError"
    acknowledged = [int(line) for line in writer.seen[1:-1]]
    assert acknowledged == list(range(len(acknowledged)))
    assert len(found) >= len(acknowledged), "what was acknowledged late, the newcomer had read"
    log.append([(1, b"new 10")])
    assert [record.data for record in log.read()] == [b"new %d" % number for number in (7, 8, 9, 10)]
