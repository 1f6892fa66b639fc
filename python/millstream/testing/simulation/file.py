"""A file in memory that knows what of it would survive a crash of the machine."""

from __future__ import annotations

from millstream.environment.rng import Rng

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""


class SimulatedFile:
    """The content as it is read, and the content as it is on the disk.

    Args:
        content: what is on the disk from the beginning.
        name_durable: whether the entry in the directory is there after a crash.
    """

    def __init__(self, content: bytes, *, name_durable: bool = False) -> None:
        self.content = bytearray(content)
        self.name_durable = name_durable
        self._durable = bytearray(content)
        self._unsynced: list[tuple[int, int]] = []

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset, readable and not durable."""
        end = offset + len(data)
        if len(self.content) < end:
            self.content.extend(bytes(end - len(self.content)))
        self.content[offset:end] = data
        if data:
            self._unsynced.append((offset, end))

    def cut(self, length: int) -> None:
        """Make the file shorter; a crash may undo it."""
        del self.content[length:]

    def sync(self) -> None:
        """Make the content durable."""
        self._durable[:] = self.content
        self._unsynced.clear()

    def after_crash(self, rng: Rng) -> SimulatedFile:
        """Give the file as a crash of the machine leaves it: unsynced bytes are kept, lost, or garbage."""
        short, long = sorted((len(self._durable), len(self.content)))
        length = rng.choice((short, long, rng.randint(short, long)))
        content = bytearray(long)
        content[: len(self._durable)] = self._durable
        style = rng.choice(("kept", "lost", "front kept", "mixed"))
        sectors = self._unsynced_sectors()
        kept = rng.randint(0, len(sectors)) if style == "front kept" else 0
        for index, (start, end) in enumerate(sectors):
            fate = style
            if style == "front kept":
                fate = "kept" if index < kept else "lost"
            elif style == "mixed":
                fate = rng.choice(("kept", "lost", "garbage"))
            if fate == "kept":
                new = self.content[start:end]
                content[start : start + len(new)] = new
            elif fate == "garbage":
                content[start:end] = rng.randbytes(end - start)
        return SimulatedFile(bytes(content[:length]), name_durable=True)

    def _unsynced_sectors(self) -> list[tuple[int, int]]:
        """List the unsynced bytes, cut at the borders of sectors, in order."""
        pieces = set()
        for start, end in self._unsynced:
            for sector in range(start - start % SECTOR_BYTES, end, SECTOR_BYTES):
                pieces.add((max(start, sector), min(end, sector + SECTOR_BYTES)))
        return sorted(pieces)
