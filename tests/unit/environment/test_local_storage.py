from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from millstream.environment.local_storage import PIECE_BYTES, UNFINISHED, LocalStorage
from millstream.errors import ConfigurationError, StorageUnavailableError


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "a" / "checkpoint")


def test_nothing_is_made_before_something_is_written(storage: LocalStorage) -> None:
    assert storage.names("journal") == []
    storage.remove("journal/1")
    assert not os.path.exists(storage.place)


def test_a_file_is_created_once(storage: LocalStorage) -> None:
    assert storage.create("journal/1", b"first")
    assert not storage.create("journal/1", b"second")
    assert storage.read("journal/1") == b"first"
    assert storage.names("journal") == ["1"]
    assert storage.names("") == []
    assert storage.names(UNFINISHED) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names descriptors through /proc")
def test_the_name_of_a_file_is_durable_before_anybody_hears_of_it(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def noted_fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(storage.place))
        steps.append(f"sync {path} {' '.join(storage.names(path.strip('/')))}".strip())
        fsync(descriptor)

    def noted_link(source: str, target: str) -> None:
        steps.append(f"link {target.removeprefix(str(storage.place))}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    storage.create("state/1", b"data")
    assert steps[-2:] == ["link /state/1", "sync /state 1"]
    assert "sync" in steps  # Of the folder that holds the new one.
    steps.clear()
    storage.append_file("journal/1", size_bytes=4_096).close()
    assert steps[-1] == "sync /journal 1"
    steps.clear()
    storage.remove("state/1")
    assert steps == ["sync /state"]


def test_a_file_appears_whole_or_not_at_all(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.create("1", b"first")

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(StorageUnavailableError, match="Input/output error"):
        storage.create("2", b"second")
    assert storage.names("") == ["1"]
    assert storage.names(UNFINISHED) == []


def test_what_a_crash_left_unfinished_goes_when_the_lock_is_taken(storage: LocalStorage) -> None:
    storage.create("1", b"")
    Path(storage.place, UNFINISHED, "17-0").write_bytes(b"half")
    storage.lock("program").release()
    assert storage.names(UNFINISHED) == []


@pytest.mark.parametrize("size", [4, PIECE_BYTES + 1])
def test_a_name_that_another_process_uses_for_its_unfinished_file_is_left_alone(
    storage: LocalStorage, size: int
) -> None:
    storage.create("1", b"")
    theirs = Path(storage.place, UNFINISHED, f"{os.getpid()}-1")
    theirs.write_bytes(b"theirs")
    assert storage.create("2", b"m" * size)
    assert (storage.read("2"), theirs.read_bytes()) == (b"m" * size, b"theirs")


@pytest.mark.parametrize("size", [PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 3 * PIECE_BYTES + 4097])
def test_a_file_of_several_pieces_is_as_it_was_given(storage: LocalStorage, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    assert storage.create("state/1", memoryview(data)[:size])
    assert not storage.create("state/1", data)
    assert storage.read("state/1") == data[:size]
    assert storage.names(UNFINISHED) == []


def test_a_missing_file(storage: LocalStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read("1")
    with pytest.raises(FileNotFoundError):
        storage.size_bytes("1")


def test_a_file_is_removed(storage: LocalStorage) -> None:
    storage.create("journal/1", b"data")
    storage.remove("journal/1")
    storage.remove("journal/1")
    assert storage.names("journal") == []
    assert storage.create("journal/1", b"again")


def test_an_append_file_has_its_space_from_the_beginning_and_its_length_at_the_end(storage: LocalStorage) -> None:
    file = storage.append_file("journal/1", size_bytes=100)
    assert storage.read("journal/1") == bytes(100)
    file.write([b"one ", memoryview(b"two ")])
    file.sync()
    file.append([b"three"])
    assert storage.read("journal/1") == b"one two three".ljust(100, b"\0")
    file.close()
    file.close()
    assert (storage.read("journal/1"), storage.size_bytes("journal/1")) == (b"one two three", 13)


def test_an_append_file_grows_beyond_its_space(storage: LocalStorage) -> None:
    file = storage.append_file("1", size_bytes=3)
    file.append([b"longer than that"])
    assert storage.read("1") == b"longer than that"


def test_an_append_file_is_always_a_new_one(storage: LocalStorage) -> None:
    storage.create("1", b"there")
    with pytest.raises(StorageUnavailableError, match="File exists"):
        storage.append_file("1", size_bytes=10)
    assert storage.read("1") == b"there"


def test_a_closed_file_takes_nothing(storage: LocalStorage) -> None:
    file = storage.append_file("1", size_bytes=10)
    file.close()
    with pytest.raises(StorageUnavailableError, match="takes nothing more"):
        file.append([b"x"])


def test_a_folder_that_vanished_is_made_again(storage: LocalStorage) -> None:
    storage.create("journal/1", b"")
    shutil.rmtree(storage.place)
    with pytest.raises(StorageUnavailableError, match="No such file or directory"):
        storage.append_file("journal/2", size_bytes=10)
    storage.append_file("journal/2", size_bytes=10)
    assert storage.names("journal") == ["2"]


def test_a_checkpoint_on_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="is a file"):
        LocalStorage(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_without_permission(storage: LocalStorage) -> None:
    storage.create("journal/1", b"")
    os.chmod(Path(storage.place, "journal"), 0o500)
    with pytest.raises(StorageUnavailableError, match=r"Permission denied(.|\n)*Give the user"):
        storage.append_file("journal/2", size_bytes=10)


ERRORS = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EROFS: "read-only",
    errno.EACCES: "Give the user",
    errno.EIO: "the disk may be failing",
    errno.EMFILE: "ulimit -n",
    errno.ELOOP: "Look at the directory",
}


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_names_path_reason_and_remedy(
    storage: LocalStorage, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(StorageUnavailableError) as caught:
        storage.create("journal/1", b"")
    text = str(pickle.loads(pickle.dumps(caught.value)))
    assert f"{storage.place}/journal/1 cannot be created: {os.strerror(code)}." in text
    assert ERRORS[code] in text


WRITE_UNTIL_REFUSED = """
import sys
from millstream.environment.local_storage import LocalStorage
from millstream.errors import StorageUnavailableError

file = LocalStorage(sys.argv[1]).append_file("1", size_bytes=0)
try:
    for _ in range(10_000):
        file.append([b"x" * 1000])
except StorageUnavailableError as error:
    print(error)
try:
    file.sync()
except StorageUnavailableError as error:
    print("again:", error.detail)
"""


SET_ASIDE = """
import sys
from millstream.environment.local_storage import LocalStorage
from millstream.errors import StorageUnavailableError

try:
    LocalStorage(sys.argv[1]).append_file("1", size_bytes=1_000_000)
except StorageUnavailableError as error:
    print(error)
    print(LocalStorage(sys.argv[1]).names(""))
"""


CREATE = """
import sys
from millstream.environment.local_storage import UNFINISHED, LocalStorage
from millstream.errors import StorageUnavailableError

storage = LocalStorage(sys.argv[1])
try:
    storage.create("1", bytes(3_000_000))
except StorageUnavailableError as error:
    print(error)
    print(storage.names(""), storage.names(UNFINISHED))
"""


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_file_as_long_as_allowed_fails_for_good(tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + WRITE_UNTIL_REFUSED
    output = output_of([sys.executable, "-c", limited, str(tmp_path)])
    assert "File too large" in output
    assert "ulimit -f" in output
    assert "again:" in output
    assert "failed and takes nothing more" in output
    assert (tmp_path / "1").stat().st_size <= 100_000


def test_of_a_file_that_is_longer_than_allowed_nothing_is_left(tmp_path: Path) -> None:
    # Takes two of three pieces where space cannot be set aside, and none where it can.
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))\n" + CREATE
    output = output_of([sys.executable, "-c", limited, str(tmp_path)])
    assert f"{tmp_path}/1 cannot be created: File too large." in output
    assert output.endswith("[] []\n")


SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def small_disks() -> bool:
    """Whether this machine lets a test mount a disk of its own."""
    command = [*SMALL_DISK, "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not small_disks(), reason="needs user namespaces")
def test_a_full_disk(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=256k tmpfs "$2" && exec "$0" -c "$1" "$2"'
    output = output_of([*SMALL_DISK, mounted, sys.executable, WRITE_UNTIL_REFUSED, str(tmp_path)])
    assert f"{tmp_path}/1 cannot be written: No space left on device." in output
    assert "Free some space" in output
    assert "again:" in output


@pytest.mark.skipif(not small_disks(), reason="needs user namespaces")
def test_a_disk_without_room_for_a_new_file(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=256k tmpfs "$2" && exec "$0" -c "$1" "$2"'
    output = output_of([*SMALL_DISK, mounted, sys.executable, SET_ASIDE, str(tmp_path)])
    assert f"{tmp_path}/1 cannot be created: No space left on device." in output
    assert output.endswith("[]\n")
    output = output_of([*SMALL_DISK, mounted, sys.executable, CREATE, str(tmp_path)])
    assert f"{tmp_path}/1 cannot be created: No space left on device." in output
    assert output.endswith("[] []\n")
