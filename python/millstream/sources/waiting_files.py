"""The files that are known and that no batch has taken."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from millstream.sources.file_place import FoundFile


class WaitingFiles:
    """Files in the order in which batches take them: by age, those of one age by path; or all by path.

    Args:
        by_name: by path alone.
    """

    def __init__(self, *, by_name: bool = False) -> None:
        self._by_name = by_name
        self._files: dict[str, FoundFile] = {}
        self._order: list[tuple[int, str]] = []
        self._taken: list[FoundFile] = []
        self.unready: dict[str, None] = {}
        """Paths that are looked at again each time: empty files, and those that the filter left out."""

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def __len__(self) -> int:
        return len(self._files)

    def get(self, path: str) -> FoundFile | None:
        """Give a file that waits."""
        return self._files.get(path)

    def add(self, file: FoundFile) -> None:
        """Have a file wait."""
        self._files[file.path] = file
        heapq.heappush(self._order, self._key(file))

    def discard(self, path: str) -> None:
        """Have a file wait no more."""
        self._files.pop(path, None)
        self.unready.pop(path, None)

    def take(self, limit: int | None, look: Callable[[FoundFile], FoundFile | None]) -> list[FoundFile]:
        """Take the first files, as they are now; what is gone by now, or empty, is passed over.

        Args:
            limit: most files, or None.
            look: gives a file as it is now.
        """
        taken: list[FoundFile] = []
        while self._order and (limit is None or len(taken) < limit):
            key = heapq.heappop(self._order)
            file = self._files.get(key[1])
            if file is None or self._key(file) != key:
                continue  # It went, or was written since; then it is in the heap another time.
            del self._files[file.path]
            now = look(file)
            if now is not None and now.size:
                taken.append(now)
            elif now is not None:
                self.unready[now.path] = None
        self._taken = taken
        return taken

    def settle(self) -> None:
        """Forget what was taken."""
        self._taken = []

    def put_back(self) -> None:
        """Have what was taken wait again."""
        for file in self._taken:
            self.add(file)
        self._taken = []

    def clear(self) -> None:
        """Forget everything."""
        self._files.clear()
        self._order.clear()
        self._taken = []
        self.unready.clear()

    def forget_all_but(self, paths: Iterable[str]) -> None:
        """Forget the files that a listing has not found."""
        kept = set(paths)
        for path in [path for path in self._files if path not in kept]:
            del self._files[path]
        for path in [path for path in self.unready if path not in kept]:
            del self.unready[path]

    def _key(self, file: FoundFile) -> tuple[int, str]:
        return (0 if self._by_name else file.mtime_ns, file.path)
