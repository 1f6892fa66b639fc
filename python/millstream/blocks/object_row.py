"""The objects of one log on an object store: found, claimed, written once, read in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from millstream.blocks.log_object import LogObject, damaged, decode_header
from millstream.environment.lease import Owner
from millstream.environment.object_storage import ObjectStorage
from millstream.errors import DataError, FencedError, StorageUnavailableError

NAME_DIGITS = 20

CLAIM_TRIES_MAX = 1_000
"""How often a driver that still writes may be faster than the one that takes over."""


class ObjectRow:
    """Objects `folder/<number>`, numbered without gaps from the oldest that is needed to the newest.

    A driver claims the row by an object at the next number, and from then on may write behind it. The next put of any
    earlier driver is at the number of that claim at the latest, and claims are never removed: so it is refused, for
    ever, without any clock.

    Args:
        storage: the bucket.
        folder: the folder of this log alone.

    Attributes:
        sizes: the size of each object, bytes, by number.
        claims: the numbers of all claims, once the row is claimed.
    """

    def __init__(self, storage: ObjectStorage, folder: str) -> None:
        self._storage, self._folder = storage, folder
        self.sizes: dict[int, int] = {}
        self.claims: tuple[int, ...] = ()
        self._owner: Owner | None = None

    def name(self, number: int) -> str:
        """Give the name of an object."""
        return f"{self._folder}/{number:0{NAME_DIGITS}d}"

    def place(self, number: int) -> str:
        """Give the whole address of an object, for errors."""
        return f"{self._storage.place}/{self.name(number)}"

    def newest(self) -> LogObject | None:
        """Look at the store and give the header of the newest object; None when there is none.

        Raises:
            CorruptSegmentError: it is damaged.
            IncompatibleCheckpointError: a newer release wrote it.
            StorageUnavailableError: the store does not answer.
        """
        self.sizes, newest = self._look()
        return newest

    def claim(self, owner: Owner) -> LogObject:
        """Take the row over; what was acknowledged to any driver before is in front of the claim.

        Args:
            owner: this driver.

        Raises:
            FencedError: another driver, of the same or a greater epoch, has written to it.
            CorruptSegmentError: the newest object or the newest claim is damaged.
            IncompatibleCheckpointError: a newer release wrote them.
            StorageUnavailableError: the store does not answer.
        """
        self._owner = owner
        for _ in range(CLAIM_TRIES_MAX):
            newest = self.newest()
            claim = LogObject(0, owner.epoch, owner.nonce, self._storage.nonce(), 0, 0, 0, 0, 0)
            if newest is not None:
                if newest.epoch >= owner.epoch and newest.owner != owner.nonce:
                    raise self._fenced(newest.number, newest.epoch, owner.epoch)
                last = newest if newest.claim == newest.number else self._claim_header(newest.claim)
                claim = replace(
                    claim,
                    number=newest.number + 1,
                    first=newest.next,
                    next=newest.next,
                    released=newest.released,
                    floor=newest.floor,
                    claim=newest.number + 1,
                    earlier_claims=(*last.earlier_claims, last.number),
                )
            data = claim.encode([])
            # Why look again: between the two requests others may have written this number and released it. The newest
            # object is never removed, so when nothing is behind the claim now, nothing was when it was made.
            if self._is_made(claim.number, data) is None and max(self._listed(), default=0) == claim.number:
                self.claims = (*claim.earlier_claims, claim.number)
                return claim
        raise StorageUnavailableError(
            f"The log at {self._storage.place}/{self._folder} could not be taken over.",
            detail=f"Another driver wrote to it faster, {CLAIM_TRIES_MAX} times.",
            hint="Stop the other program first.",
        )

    def put(self, header: LogObject, data: bytes) -> None:
        """Make an object; the same one may be put again after an error.

        Raises:
            FencedError: another driver has written an object of this number.
            StorageUnavailableError: it may be there or not.
        """
        there = self._is_made(header.number, data)
        if there is not None:
            try:
                epoch = decode_header(there, header.number, self.place(header.number)).epoch
            except DataError:
                epoch = None
            raise self._fenced(header.number, epoch, header.epoch)

    def read(self, start: int, newest: int) -> Iterator[tuple[LogObject, bytes]]:
        """Give objects in order: headers, and the whole bytes.

        Raises:
            CorruptSegmentError: one is damaged or missing, or does not continue the one before it.
            IncompatibleCheckpointError: a newer release wrote it.
            StorageUnavailableError: the store does not answer.
        """
        number = start
        before: LogObject | None = None
        while number <= newest:
            names = [self.name(each) for each in range(number, newest + 1)]
            try:
                for data in self._storage.read_each(names):
                    header = decode_header(data, number, self.place(number))
                    if before is not None and (header.first < before.next or header.epoch < before.epoch):
                        raise damaged(self.place(number), 0, "it does not continue the object before it")
                    yield header, data
                    before = header
                    number += 1
            except FileNotFoundError as error:
                number = self._released(number, error)

    def _released(self, number: int, error: FileNotFoundError) -> int:
        """Give the number after a missing object that was released; raise when it was not, or by another driver."""
        _, newest = self._look()
        if newest is None or number >= newest.floor:
            raise damaged(self.place(number), 0, "the object is missing") from error
        if self._owner is not None and newest.owner != self._owner.nonce:
            # Why no gap for us: what a driver goes on from has to be whole.
            raise self._fenced(newest.number, newest.epoch, self._owner.epoch) from error
        return number + 1

    def remove_before(self, floor: int) -> None:
        """Remove objects with smaller numbers, except for claims.

        Raises:
            StorageUnavailableError: some are still there.
        """
        gone = sorted(number for number in list(self.sizes) if number < floor and number not in self.claims)
        self._storage.remove_each([self.name(number) for number in gone])
        for number in gone:
            self.sizes.pop(number, None)

    def _look(self) -> tuple[dict[int, int], LogObject | None]:
        while True:
            sizes = self._listed()
            try:
                return sizes, self._header(max(sizes)) if sizes else None
            except FileNotFoundError:
                continue  # It was followed by others and released since: a new list shows them.

    def _listed(self) -> dict[int, int]:
        return {
            int(entry.name): entry.size_bytes
            for entry in self._storage.entries(self._folder)
            if len(entry.name) == NAME_DIGITS and entry.name.isdecimal()
        }

    def _is_made(self, number: int, data: bytes) -> bytes | None:
        """Make an object if none of its number is there; None when it is ours, or the bytes of the other one."""
        name = self.name(number)
        if not self._storage.create(name, data):
            try:
                there = self._storage.read(name)
            except FileNotFoundError:
                there = b""  # Another driver wrote it, and released it since.
            if there != data:
                return there
        self.sizes[number] = len(data)
        return None

    def _claim_header(self, number: int) -> LogObject:
        try:
            return self._header(number)
        except FileNotFoundError as error:
            raise damaged(self.place(number), 0, "the object is missing, by which a driver took over") from error

    def _header(self, number: int) -> LogObject:
        return decode_header(self._storage.read(self.name(number)), number, self.place(number))

    def _fenced(self, number: int, epoch: int | None, own: int) -> FencedError:
        whose = f"was written by the driver of epoch {epoch}" if epoch is not None else "was not written by this driver"
        return FencedError(
            "Another driver writes this checkpoint.",
            detail=f"{self.place(number)} {whose}; this driver has epoch {own}.",
            hint="This program must stop. Run one driver for each checkpoint.",
        )
