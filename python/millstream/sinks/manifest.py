"""The manifest of a committed batch: the file whose existence makes the batch visible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from millstream.errors import DataError
from millstream.sinks.sink_directory import SinkDirectory

META = "_millstream"
"""The directory of manifests; programs that read a directory of data files skip names that begin so."""

MANIFEST_VERSION = 1

_MANIFEST_NAME = re.compile(r"(\d+)\.json")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file of a batch.

    Attributes:
        path: relative to the sink's directory.
        records: how many it holds.
        size_bytes: its size.
    """

    path: str
    records: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One committed batch of one output.

    Attributes:
        version: of this format.
        kind: what the data files hold: `text`, `json`, `csv`, `parquet` or `pickle`.
        lineage_id: the history of the program that committed it.
        output: the output operation.
        epoch: the driver of that lineage.
        time_ms: batch time.
        attempt: of the batch.
        files: in the order of partitions.
    """

    version: int
    kind: str
    lineage_id: str
    output: str
    epoch: int
    time_ms: int
    attempt: int
    files: list[DataFile]


def hour_of(time_ms: int) -> str:
    """Name the folder of a batch time: its hour in UTC, so that no folder grows without end.

    Example:
        >>> hour_of(1_763_801_714_000)
        '2025-11-22T08'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H")


class ManifestLog:
    """The manifests of one output in one directory.

    Args:
        directory: the sink's directory.
        key: of the lineage.
    """

    def __init__(self, directory: SinkDirectory, key: str) -> None:
        self.directory = directory
        self.folder = f"{META}/{key}"

    def path(self, time_ms: int) -> str:
        """Give the path of the manifest of a batch."""
        return f"{self.folder}/{hour_of(time_ms)}/{time_ms:013d}.json"

    def newest_ms(self) -> int | None:
        """Give the newest committed batch time, or None; looks at one hour, save for hours that are empty."""
        for hour in sorted(self._hours(), reverse=True):
            times = self.times_ms(hour)
            if times:
                return max(times)
        return None

    def times_ms(self, hour: str) -> set[int]:
        """Give the committed batch times of an hour."""
        names = self.directory.names(f"{self.folder}/{hour}")
        return {int(match[1]) for name in names if (match := _MANIFEST_NAME.fullmatch(name))}

    def read(self, time_ms: int) -> Manifest | None:
        """Read the manifest of a batch, or give None when the batch is not committed.

        Raises:
            DataError: it cannot be understood.
        """
        path = self.path(time_ms)
        content = self.directory.read(path)
        return None if content is None else decoded(content, self.directory.full(path))

    def all(self) -> Iterator[Manifest]:
        """Read all manifests, in order of batch time."""
        for hour in sorted(self._hours()):
            paths = [self.path(time_ms) for time_ms in sorted(self.times_ms(hour))]
            for path, content in zip(paths, self.directory.read_each(paths), strict=True):
                if content is not None:
                    yield decoded(content, self.directory.full(path))

    def _hours(self) -> list[str]:
        return [name for name in self.directory.names(self.folder) if name[:1].isdigit()]


def encoded(manifest: Manifest) -> bytes:
    """Give the content of a manifest's file."""
    import msgspec

    return msgspec.json.encode(manifest)


def decoded(content: bytes, path: str) -> Manifest:
    """Understand the content of a manifest's file.

    Raises:
        DataError: it is damaged, or of a newer version.
    """
    import msgspec

    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise DataError(
            "A manifest cannot be read.",
            detail=f"{path}: {error}",
            hint="Something else than millstream wrote or changed it; restore it from a copy.",
        ) from error
    if manifest.version > MANIFEST_VERSION:
        raise DataError(
            "A manifest has a newer format than this millstream knows.",
            detail=f"{path} has version {manifest.version}, known is {MANIFEST_VERSION}.",
            hint="Read it with the release that wrote it, or a newer one.",
        )
    return manifest
