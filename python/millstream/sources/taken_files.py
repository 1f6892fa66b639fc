"""The files that batches of a file source have taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from millstream.errors import InternalError
from millstream.model.positions import PositionChange

GoesOn: TypeAlias = Literal["settled", "undone", "elsewhere"]


class TakenFiles:
    """Remembers which files were taken, and follows the engine when a plan is made again.

    The position of a plan is what it changed, so that a plan costs what it takes. Only at the very first start it is
    all there is.

    Args:
        only_greatest: remember the greatest path alone, because names grow.

    Example:
        >>> taken = TakenFiles()
        >>> taken.begin(None, {"old": 0})
        >>> position = taken.take(["a"], [], 1_000)
        >>> position
        {'old': 0, 'a': 1000}
        >>> taken.go_on_from(position), "a" in taken
        ('settled', True)
        >>> taken.take(["b"], ["old"], 2_000)
        PositionChange(set={'b': 2000}, gone=('old',))
    """

    def __init__(self, *, only_greatest: bool = False) -> None:
        self._only_greatest = only_greatest
        self._files: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._at: Any = None
        self._newest: Any = None
        self._change = PositionChange()

    def begin(self, position: Mapping[str, int] | None, first: Iterable[str] = ()) -> None:
        """Go on at a position, or begin with the files that are there at the very first start."""
        self._first = self._kept(dict.fromkeys(first, 0)) if position is None else {}
        self._files = dict(self._first if position is None else position)
        self._at, self._newest = position, None

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def __iter__(self) -> Any:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def greatest(self) -> str | None:
        """The greatest path that was taken, or None."""
        return max(self._files, default=None)

    def go_on_from(self, after: Any) -> GoesOn:
        """Be as after a plan.

        Args:
            after: the position of the plan, as it was given, or what `begin` was given.

        Returns:
            `settled`: the newest plan holds; `undone`: it is made again; `elsewhere`: begin with a listing.
        """
        if self._newest is not None and after is self._newest:
            for path in self._change.gone:
                self._files.pop(path, None)
            self._files.update(self._change.set)
            self._at, self._newest = after, None
            return "settled"
        if after is self._at:
            self._newest = None
            return "undone"
        if isinstance(after, PositionChange):
            raise InternalError("A file source was asked to go on after a plan that it has not made.")
        self._files = dict(self._first if after is None else after)
        self._at, self._newest = after, None
        return "elsewhere"

    def take(self, paths: Iterable[str], gone: Iterable[str], batch_ms: int) -> Mapping[str, int] | PositionChange:
        """Say what a plan takes, and what it has found gone; give its position."""
        added = self._kept(dict.fromkeys(paths, batch_ms))
        left = [path for path in gone if path in self._files and path not in added]
        if self._only_greatest and added:
            left = list(self._files)
        self._change = PositionChange(added, tuple(left))
        if self._at is None:
            files = {**self._files, **added}
            for path in left:
                files.pop(path, None)
            self._newest = files
        else:
            self._newest = self._change
        newest: Mapping[str, int] | PositionChange = self._newest
        return newest

    def _kept(self, files: dict[str, int]) -> dict[str, int]:
        if not self._only_greatest or not files:
            return files
        greatest = max(files)
        return {greatest: files[greatest]}
