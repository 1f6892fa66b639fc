"""A file in memory that knows what of it would survive a crash of the machine."""

from __future__ import annotations

from millstream.environment.rng import Rng

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""


class SimulatedFile:
    """The content as it is read, and the content as it is on the disk.

    Zeros at the end are not kept, so that space that is set aside costs nothing.

    Args:
        content: what is in it, durable.
        size_bytes: its size, with zeros behind the content.

    Attributes:
        size_bytes: the size as it is read.
        name_durable: whether the entry in the directory is there after a crash.
    """

    def __init__(self, content: bytes, size_bytes: int, *, name_durable: bool = False) -> None:
        self.size_bytes = self._durable_bytes = size_bytes
        self.name_durable = name_durable
        self._content = bytearray(content)
        self._durable = bytes(content)
        self._unsynced: list[tuple[int, int]] = []

    def read(self) -> bytes:
        """Give the content."""
        return bytes(self._content.ljust(self.size_bytes, b"\0"))

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset, readable and not durable."""
        end = offset + len(data)
        if data:
            _put(self._content, offset, data)
            self._unsynced.append((offset, end))
        self.size_bytes = max(self.size_bytes, end)

    def cut(self, size_bytes: int) -> None:
        """Make the file shorter; a crash may undo it."""
        del self._content[size_bytes:]
        self.size_bytes = size_bytes

    def sync(self) -> None:
        """Make the content durable."""
        self._durable, self._durable_bytes = bytes(self._content), self.size_bytes
        self._unsynced.clear()

    def after_crash(self, rng: Rng) -> SimulatedFile:
        """Give the file as a crash of the machine leaves it: unsynced bytes are kept, lost, or garbage."""
        content = bytearray(self._durable)
        pieces = self._unsynced_pieces()
        style = rng.choice(("kept", "lost", "front kept", "mixed"))
        front = rng.randint(0, len(pieces))
        for index, (start, end) in enumerate(pieces):
            if style == "mixed":
                fate = rng.choice(("kept", "lost", "garbage"))
            elif style == "front kept":
                fate = "kept" if index < front else "lost"
            else:
                fate = style
            if fate != "lost":
                kept = bytes(self._content[start:end]) if fate == "kept" else rng.randbytes(end - start)
                _put(content, start, kept)
        short, long = sorted((self._durable_bytes, self.size_bytes))
        size_bytes = rng.choice((short, long, rng.randint(short, long)))
        return SimulatedFile(bytes(content[:size_bytes]), size_bytes, name_durable=True)

    def _unsynced_pieces(self) -> list[tuple[int, int]]:
        """List the unsynced bytes, in order, cut where sectors end."""
        pieces = set()
        for start, end in self._unsynced:
            for sector in range(start - start % SECTOR_BYTES, min(end, self.size_bytes), SECTOR_BYTES):
                pieces.add((max(start, sector), min(end, sector + SECTOR_BYTES, self.size_bytes)))
        return sorted(pieces)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
