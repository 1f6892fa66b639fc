"""The source behind `Context.text_file`: ranges of bytes of files, cut at line ends."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any, Literal, get_args

from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, SourceUnavailableError, shown
from millstream.model.partition import Columns, Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split

OnInvalid = Literal["replace", "skip", "fail"]
"""What happens to a line that is not UTF-8."""

SPLIT_BYTES_MAX = 64 * 1024 * 1024
"""A split is held in memory whole, twice over when its lines become Python strings."""

SPLIT_BYTES_MIN = 1024 * 1024
"""Below this size the start of a task costs more than a second core saves."""


class LineRanges(ReplayableSource[str]):
    """Lines of text files, as they are listed when the source is made.

    A split owns the lines that begin in its range of bytes, so splits one behind the other give every line once.

    Args:
        path: a file, a directory or a glob.
        partitions: how many splits there should be at least.
        on_invalid: what happens to lines that are not UTF-8.
        split_small: make so many splits however small they get.

    Raises:
        ConfigurationError: there is no such file.
        SourceUnavailableError: a file cannot be looked at.
    """

    name = "text_file"

    def __init__(
        self, path: str | os.PathLike[str], partitions: int, *, on_invalid: OnInvalid, split_small: bool
    ) -> None:
        if on_invalid not in get_args(OnInvalid):
            raise ConfigurationError(
                "text_file does not know this policy for invalid lines.",
                detail=f"on_invalid={shown(on_invalid)}.",
                hint="Give 'replace', 'skip' or 'fail'.",
            )
        self.on_invalid = on_invalid
        self._splits = _splits(_files(path), partitions, split_small=split_small)

    def splits(self) -> list[Split]:
        """Give all splits, in the order of their lines."""
        return self._splits

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Put everything into the first batch."""
        return Plan([] if after else self._splits, position=True)

    def read(self, split: Split) -> Partition[str]:
        """Read the lines of one range.

        Raises:
            DataError: the file has changed since it was listed, or a line is not UTF-8 and the policy is `fail`.
            SourceUnavailableError: the file cannot be read.
        """
        import pyarrow as pa

        from millstream._core import InvalidLineError, read_lines

        path, start, end = (split.data[name] for name in ("path", "start", "end"))
        try:
            _check_unchanged(split)
            lines, _ = read_lines(path, start, end, self.on_invalid)
        except OSError as error:
            raise SourceUnavailableError(
                "A text file cannot be read.",
                detail=f"{split.description}: {type(error).__name__}: {error}",
                hint="It was there when text_file() listed it: put it back and run the action again.",
            ) from error
        except InvalidLineError as error:
            raise DataError(
                "A line of a text file is not UTF-8.",
                detail=f"{path}, the line that begins at byte {error.line_start}: {error}",
                hint="Give text_file on_invalid='replace' or 'skip', or convert the file.",
            ) from error
        return Partition(Columns(pa.table(lines), scalar=True))


def _files(path: str | os.PathLike[str]) -> list[Path]:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(
            "text_file needs a path.",
            detail=f"path={shown(path)} is of type {type(path).__name__}.",
            hint="Give a file, a directory or a glob such as 'logs/*.txt'.",
        )
    name = os.fspath(path)
    place = Path(name)
    if place.is_dir():
        found = [file for file in sorted(place.iterdir()) if file.is_file() and file.name[0] not in "._"]
        nothing = "The directory has no files but hidden ones."
    elif place.exists():
        return [place.absolute()]
    else:
        found = [Path(match) for match in sorted(glob.glob(name)) if os.path.isfile(match)]
        nothing = "Nothing has this name or matches it as a glob."
    if not found:
        raise ConfigurationError(
            "There is no such text file.",
            detail=f"path={name!r}. {nothing} Relative paths start at {os.getcwd()}.",
            hint="Check the path; text_file reads files of this machine.",
        )
    return [file.absolute() for file in found]


def _splits(files: list[Path], partitions: int, *, split_small: bool) -> list[Split]:
    try:
        stats = [file.stat() for file in files]
    except OSError as error:
        raise SourceUnavailableError(
            "A text file cannot be looked at.",
            detail=f"{type(error).__name__}: {error}",
            hint="Check that it is still there and that this user may read it.",
        ) from error
    total = sum(stat.st_size for stat in stats)
    splits = []
    for file, stat in zip(files, stats, strict=True):
        size = stat.st_size
        wanted = -(-size * partitions // total) if total else 1
        most = size if split_small else -(-size // SPLIT_BYTES_MIN)
        count = max(1, min(wanted, most), -(-size // SPLIT_BYTES_MAX))
        for part in range(count):
            start, end = size * part // count, size * (part + 1) // count
            data = {"path": str(file), "start": start, "end": end, "size": size, "mtime_ns": stat.st_mtime_ns}
            splits.append(Split(data, description=f"{file} bytes {start}..{end}"))
    return splits


def _check_unchanged(split: Split) -> None:
    stat = os.stat(split.data["path"])
    if stat.st_size != split.data["size"] or stat.st_mtime_ns != split.data["mtime_ns"]:
        raise DataError(
            "A text file has changed since it was listed.",
            detail=f"{split.description}: it had {split.data['size']} bytes and now has {stat.st_size}.",
            hint="Call text_file() again, when nobody writes into the file any more.",
        )
