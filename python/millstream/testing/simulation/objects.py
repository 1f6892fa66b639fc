"""An object store in memory whose requests go wrong as those of a real one do.

Injected, from the seed or on order, for puts:

- `unsent`: it raises, and nothing happened;
- `unanswered`: it took effect, and raises;
- `late`: it raises, and takes effect some requests later, of whichever driver, if the name is free then;
- `repeated`: it took effect, and was sent again by the library: it is refused, though the object is its own;
- `conflict`: it is refused, and nothing is there.

Other requests raise before they take effect, and removals in the middle too. A hook is called before every request,
and may pause or end the driver there.

Not injected, because S3, Google Cloud Storage and Azure promise otherwise: an object that is torn, that one request
sees and a later one does not, or that two puts of one name made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from millstream.environment.clock import Clock, SystemClock
from millstream.environment.object_client import ObjectClient, ObjectEntry, StoredObject
from millstream.environment.rng import Rng
from millstream.testing.simulation.faults import unavailable

Request: TypeAlias = Literal["put_new", "get", "list_objects", "list_names", "look", "delete"]

PutFault: TypeAlias = Literal["unsent", "unanswered", "late", "repeated", "conflict"]

PUT_FAULTS: tuple[PutFault, ...] = ("unsent", "unanswered", "late", "repeated", "conflict")

LATE_REQUESTS_MAX = 20
"""After how many requests a late put takes effect, at most."""


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    mark: str
    modified_ms: float


@dataclass(frozen=True, slots=True)
class _LatePut:
    request: int
    name: str
    data: bytes
    mark: str


class SimulatedBucket:
    """Objects in memory, which several drivers share.

    Args:
        clock: the clock of the store.
        conditional: whether puts keep to their condition; False plays a store that no checkpoint can live on.

    Attributes:
        made: name and bytes of every object that a put made, in order, also of those that are gone.
    """

    def __init__(self, clock: Clock | None = None, *, conditional: bool = True) -> None:
        self.made: list[tuple[str, bytes]] = []
        self._clock = clock if clock is not None else SystemClock()
        self._conditional = conditional
        self._objects: dict[str, _Object] = {}
        self._late: list[_LatePut] = []
        self._requests = 0
        self._guard = threading.RLock()

    @property
    def objects(self) -> dict[str, bytes]:
        """The bytes of all objects, by name."""
        return {name: there.data for name, there in sorted(self._objects.items())}

    def client(
        self, rng: Rng, *, rate: float = 0.0, hook: Callable[[Request, str], None] | None = None
    ) -> SimulatedObjects:
        """Give one driver's way to the bucket.

        Args:
            rng: chance.
            rate: the share of requests that go wrong, 0 to 1.
            hook: called before every request, with its kind and the name.
        """
        return SimulatedObjects(self, rng, rate, hook)

    def damage(self, name: str, offset: int, mask: int) -> None:
        """Change bits of a byte."""
        there = self._objects[name]
        data = bytearray(there.data)
        data[offset] ^= mask
        self._objects[name] = _Object(bytes(data), there.mark, there.modified_ms)

    def remove(self, name: str) -> None:
        """Remove an object, as somebody does who should not."""
        del self._objects[name]

    def request(self) -> threading.RLock:
        """Count a request, let late puts take effect whose time has come, and give the guard of the objects."""
        with self._guard:
            self._requests += 1
            for late in [late for late in self._late if late.request <= self._requests]:
                self._late.remove(late)
                self.put(late.name, late.data, late.mark)
        return self._guard

    def put(self, name: str, data: bytes, mark: str) -> bool:
        """Make an object if the name is free."""
        if self._conditional and name in self._objects:
            return False
        self._objects[name] = _Object(data, mark, self._clock.wall_ms())
        self.made.append((name, data))
        return True

    def put_late(self, name: str, data: bytes, mark: str, requests: int) -> None:
        """Make an object after so many requests, if the name is free then."""
        self._late.append(_LatePut(self._requests + requests, name, data, mark))

    def find(self, name: str) -> _Object:
        """Give an object; raises FileNotFoundError when there is none."""
        try:
            return self._objects[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def listed(self, folder: str) -> list[ObjectEntry]:
        """List the objects directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        return [
            ObjectEntry(name.removeprefix(prefix), len(there.data), there.modified_ms)
            for name, there in sorted(self._objects.items())
            if name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        ]

    def names(self, folder: str) -> list[str]:
        """List the names of objects and folders directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        inside = (name.removeprefix(prefix) for name in self._objects if name.startswith(prefix))
        return sorted({name.partition("/")[0] for name in inside})

    def delete(self, name: str) -> None:
        """Remove an object; one that is gone already is fine."""
        self._objects.pop(name, None)


class SimulatedObjects(ObjectClient):
    """One driver's way to a simulated bucket; the module's page lists what goes wrong on it.

    Example:
        >>> from millstream.environment.rng import seeded_rng
        >>> client = SimulatedBucket().client(seeded_rng(1))
        >>> client.order("repeated")
        >>> client.put_new("a", b"data", "01"), client.get("a")
        (False, StoredObject(data=b'data', mark='01'))
    """

    def __init__(
        self, bucket: SimulatedBucket, rng: Rng, rate: float, hook: Callable[[Request, str], None] | None
    ) -> None:
        self.place = "simulated://bucket"
        self.rate = rate
        self._bucket = bucket
        self._rng = rng
        self._hook = hook
        self._ordered: list[PutFault | None] = []

    def order(self, fault: PutFault | None, times: int = 1) -> None:
        """Say what happens to the next puts, behind what was ordered before; None: nothing goes wrong."""
        self._ordered += [fault] * times

    def put_new(self, name: str, data: bytes, mark: str) -> bool:
        self._tell("put_new", name)
        with self._bucket.request():
            fault: PutFault | None = None
            if self._ordered:
                fault = self._ordered.pop(0)
            elif self._fails():
                fault = self._rng.choice(PUT_FAULTS)
            match fault:
                case "conflict":
                    return False
                case "unsent":
                    raise unavailable(f"put of {name} failed")
                case "late":
                    self._bucket.put_late(name, data, mark, self._rng.randint(1, LATE_REQUESTS_MAX))
                    raise unavailable(f"put of {name} was not answered")
                case "unanswered":
                    self._bucket.put(name, data, mark)
                    raise unavailable(f"put of {name} was not answered")
                case "repeated":
                    self._bucket.put(name, data, mark)
                    return False
                case None:
                    return self._bucket.put(name, data, mark)

    def get(self, name: str) -> StoredObject:
        with self._requested("get", name):
            there = self._bucket.find(name)
            return StoredObject(there.data, there.mark)

    def list_objects(self, folder: str) -> list[ObjectEntry]:
        with self._requested("list_objects", folder):
            return self._bucket.listed(folder)

    def list_names(self, folder: str) -> list[str]:
        with self._requested("list_names", folder):
            return self._bucket.names(folder)

    def look(self, name: str) -> ObjectEntry:
        with self._requested("look", name):
            there = self._bucket.find(name)
            return ObjectEntry(name, len(there.data), there.modified_ms)

    def delete(self, names: Sequence[str]) -> None:
        with self._requested("delete", names[0] if names else ""):
            for name in names:
                if self._fails():
                    raise unavailable(f"removal of {name} failed")
                self._bucket.delete(name)

    def _requested(self, request: Request, name: str) -> threading.RLock:
        self._tell(request, name)
        guard = self._bucket.request()
        if self._fails():
            raise unavailable(f"{request} of {name} failed")
        return guard

    def _tell(self, request: Request, name: str) -> None:
        if self._hook is not None:
            self._hook(request, name)

    def _fails(self) -> bool:
        return bool(self.rate) and self._rng.random() < self.rate
