"""Storage in memory that loses, tears and refuses what a disk may lose, tear and refuse.

Injected, from the seed or on order:

- a crash of the machine: each sector of unsynced writes is kept, lost, or garbage; what was cut off a file may come
  back; a file whose `create`, `append_file` or `remove` had not returned is there whole or not at all;
- a crash of the process alone: what was written is readable, and still not durable;
- an operation that raises StorageUnavailableError, before it took effect or after; so a failed sync leaves data that
  is on the disk or not, and is readable until the machine crashes;
- a disk that is full from some byte on, in the middle of a write too;
- whatever a hook does that is called before, in the middle of, and after every operation, such as a crash there;
- another driver that takes the storage over while this one is paused.

Not injected, because no checkpoint can live on such storage: a sync that returns and was not done, files that were
durable and vanish, a `create` that gives one name to two files. Bytes change only where a test calls `damage`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from millstream.environment.lock import Lock
from millstream.environment.rng import Rng
from millstream.environment.storage import AppendFile, Storage
from millstream.errors import FencedError, StorageUnavailableError
from millstream.testing.simulation.faults import Faults, Kind, SimulatedCrash, unavailable
from millstream.testing.simulation.file import SimulatedFile


class SimulatedStorage(Storage):
    r"""A tree of files in memory; the module's page lists what it injects and what it does not.

    Args:
        rng: decides what a crash leaves.
        faults: what goes wrong meanwhile; None: nothing, until it is ordered with `faults.fail`.
        segment_bytes: how large the files of a log get.

    Attributes:
        faults: what goes wrong, also in the lives that follow a crash.
        state: `alive`; `crashed`: every call raises SimulatedCrash; `fenced`: calls that write raise FencedError.

    Example:
        >>> from millstream.environment.rng import seeded_rng
        >>> storage = SimulatedStorage(seeded_rng(3))
        >>> file = storage.append_file("log", size_bytes=16)
        >>> file.append([b"synced, "]); file.write([b"not yet"])
        >>> storage.read("log"), storage.crash().read("log")
        (b'synced, not yet\x00', b'synced, \x00\x00\x00\x00\x00\x00\x00\x00')
    """

    def __init__(self, rng: Rng, *, faults: Faults | None = None, segment_bytes: int = Storage.segment_bytes) -> None:
        self.place = "simulated"
        self.segment_bytes = segment_bytes
        self.faults = faults if faults is not None else Faults(rng)
        self.state: Literal["alive", "crashed", "fenced"] = "alive"
        self._rng = rng
        self._files: dict[str, SimulatedFile] = {}
        self._removed: dict[str, SimulatedFile] = {}
        self._locked_by: str | None = None
        self._guard = threading.RLock()

    def calm_down(self) -> None:
        """Let no call go wrong any more, and have room."""
        self.faults.rate, self.faults.room_bytes = 0.0, None

    def crash(self, *, machine: bool = True) -> SimulatedStorage:
        """End the process, which frees its lock, and give the storage as the next process finds it.

        Args:
            machine: the machine crashes too, and what was not synced is at the mercy of the seed.
        """
        with self._guard:
            self.state = "crashed"
            return self._handed_over(self._files_after_crash() if machine else None)

    def renewed(self) -> SimulatedStorage:
        """Give an empty storage with which the same goes wrong."""
        return SimulatedStorage(self._rng, faults=self.faults, segment_bytes=self.segment_bytes)

    def copied(self) -> SimulatedStorage:
        """Give a storage of its own with the same files, with which nothing goes wrong."""
        with self._guard:
            other = SimulatedStorage(self._rng, segment_bytes=self.segment_bytes)
            other._files = {name: SimulatedFile(file.read(), file.size_bytes) for name, file in self._files.items()}
            return other

    def take_over(self) -> SimulatedStorage:
        """Give another driver the same files, as after a lease that ran out while this driver was paused."""
        with self._guard:
            self.state = "fenced"
            return self._handed_over(None)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every file, bytes, by name; asked for by tests, so nothing goes wrong with it."""
        return {name: file.size_bytes for name, file in sorted(self._files.items())}

    def damage(self, name: str, offset: int, mask: int) -> None:
        """Change bits of a byte, as a disk does that fails."""
        file = self._files[name]
        file.write(offset, bytes([file.read()[offset] ^ mask]))
        file.sync()

    def read(self, name: str) -> bytes:
        with self.operation("read", name):
            return self._file(name).read()

    def size_bytes(self, name: str) -> int:
        with self.operation("size_bytes", name):
            return self._file(name).size_bytes

    def names(self, folder: str) -> list[str]:
        with self.operation("names", folder):
            prefix = f"{folder}/" if folder else ""
            inside = [name.removeprefix(prefix) for name in self._files if name.startswith(prefix)]
            return sorted(name for name in inside if "/" not in name)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        with self.operation("create", name) as during:
            if name in self._files:
                self._make_durable(name)
                return False
            self._add(name, bytes(data), len(data))
            during()
            self._make_durable(name)
            return True

    def append_file(self, name: str, *, size_bytes: int) -> SimulatedAppendFile:
        with self.operation("append_file", name) as during:
            if name in self._files:
                raise unavailable(f"{name} exists")
            self._add(name, b"", size_bytes)
            during()
            self._make_durable(name)
            return SimulatedAppendFile(self, name, self._files[name])

    def remove(self, name: str) -> None:
        with self.operation("remove", name) as during:
            file = self._files.pop(name, None)
            if file is not None:
                self._removed[name] = file
                if self.faults.room_bytes is not None:
                    self.faults.room_bytes += file.size_bytes
                during()
                del self._removed[name]

    def lock(self, holder: str, *, takeover: bool = False) -> Lock:
        try:
            with self.operation("lock", "lock"):
                if self._locked_by is not None:
                    raise FencedError(
                        "The checkpoint is in use.",
                        detail=f"{self.place} is locked by program {self._locked_by!r}.",
                        hint="Stop the other program first, or give this one a checkpoint of its own.",
                    )
                self._locked_by = holder
                return SimulatedLock(self)
        except StorageUnavailableError:
            self._locked_by = None  # Who gets no lock holds none.
            raise

    @contextmanager
    def operation(self, kind: Kind, name: str) -> Iterator[Callable[[], None]]:
        """Run one call of the storage or of its files; gives what to call between its effect and its durability."""
        with self._guard:
            if self.state == "crashed":
                raise SimulatedCrash(f"{kind} of {name} after the crash")
            if self.state == "fenced" and kind not in ("read", "names", "size_bytes"):
                raise FencedError(
                    "Another driver has taken over this checkpoint.",
                    detail=f"{kind} of {name} came too late.",
                    hint="Stop; the other driver goes on from what was written before.",
                )
            with self.faults.operation(kind, name) as during:
                yield during

    def unlock(self) -> None:
        """Free the lock."""
        self._locked_by = None

    def _file(self, name: str) -> SimulatedFile:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def _add(self, name: str, content: bytes, size_bytes: int) -> None:
        room = self.faults.room_bytes
        if room is not None and room < size_bytes:
            raise unavailable(f"{name} cannot be created: no space left on device")
        self.faults.take_room(size_bytes)
        self._files[name] = SimulatedFile(content, size_bytes)

    def _make_durable(self, name: str) -> None:
        self._files[name].name_durable = True

    def _files_after_crash(self) -> dict[str, SimulatedFile]:
        sure = {name: file for name, file in self._files.items() if file.name_durable}
        unsure = [(name, file) for name, file in {**self._removed, **self._files}.items() if name not in sure]
        sure.update((name, file) for name, file in unsure if self._rng.random() < 0.5)
        return {name: file.after_crash(self._rng) for name, file in sorted(sure.items())}

    def _handed_over(self, files: dict[str, SimulatedFile] | None) -> SimulatedStorage:
        other = SimulatedStorage(self._rng, faults=self.faults, segment_bytes=self.segment_bytes)
        other._files = self._files if files is None else files
        other._removed = self._removed if files is None else {}
        return other


class SimulatedAppendFile(AppendFile):
    """A file of a simulated storage that is written at its end only."""

    def __init__(self, storage: SimulatedStorage, name: str, file: SimulatedFile) -> None:
        self._storage = storage
        self._name = name
        self._file = file
        self._written = 0
        self._finished = False

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        data = b"".join(pieces)
        with self._operation("write"):
            growth = max(0, self._written + len(data) - self._file.size_bytes)
            missing = growth - self._storage.faults.take_room(growth)
            self._file.write(self._written, data[: len(data) - missing])
            if missing:
                raise unavailable(f"{self._name} cannot be written: no space left on device")
        self._written += len(data)

    def sync(self) -> None:
        with self._operation("sync"):
            self._file.sync()

    def close(self) -> None:
        if not self._finished:
            with self._operation("write"):
                self._file.cut(self._written)
        self._finished = True

    @contextmanager
    def _operation(self, kind: Kind) -> Iterator[None]:
        if self._finished:
            raise unavailable(f"{self._name} has failed or was closed and takes nothing more")
        try:
            with self._storage.operation(kind, self._name):
                yield
        except BaseException:
            self._finished = True
            raise


class SimulatedLock(Lock):
    """The lock of a simulated storage; a crash of the process frees it."""

    def __init__(self, storage: SimulatedStorage) -> None:
        self._storage = storage
        self._released = False

    def check(self) -> None:
        if self._storage.state == "crashed":
            raise SimulatedCrash("the lock is checked after the crash")
        if self._released or self._storage.state == "fenced":
            raise FencedError(
                "The lock on the checkpoint is not held any more.",
                detail="It was released." if self._released else "Another driver has taken over this checkpoint.",
                hint="Stop; start the program again.",
            )

    def release(self) -> None:
        if not self._released and self._storage.state == "alive":
            self._storage.unlock()
        self._released = True
