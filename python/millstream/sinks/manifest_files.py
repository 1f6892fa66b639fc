"""Files that a batch writes exactly once."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar, Self, TypeVar

from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    FencedError,
    LifecycleError,
    SinkUnavailableError,
    StorageUnavailableError,
    shown,
)
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.sinks.manifest import (
    MANIFEST_VERSION,
    DataFile,
    Manifest,
    ManifestLog,
    encoded,
    hour_of,
)
from millstream.sinks.sink_directory import SinkDirectory
from millstream.sinks.sink_place import directory_at, place_of, shown_place

T_contra = TypeVar("T_contra", contravariant=True)


class ManifestFiles(Sink[T_contra]):
    """Writes each batch as files in a directory, on a local disk or an object store, exactly once.

    Tasks write data files under names of their attempt. The batch becomes visible when its manifest appears, one
    file created exclusively that names the data files; so a batch is there whole or not at all, and an attempt
    that lost leaves nothing that a reader follows. Read with `millstream.read_committed(path)`. Files that no
    manifest names are garbage of attempts that failed; the next start removes those of its own output.

    Data files lie in a folder for each hour (UTC), or, `by_prefix`, in a folder for each batch. A batch without
    records writes no data files, and a manifest only with `empty_batches=True`.

    Several outputs and programs may share a directory.

    Args:
        path: a local directory, made at the start when missing; or a URL on an object store, `s3://bucket/path`,
            `gs://bucket/path`, `az://container/path` (and `memory://name` for tests within one process).
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of the object store by obstore's names, such as `endpoint`, `region`,
            `access_key_id`, `secret_access_key`; what is not given comes from the store's own environment variables.

    Raises:
        ArgumentTypeError: no path.
        ConfigurationError: a URL of something else than an object store.
    """

    kind: ClassVar[str]
    """What the data files hold; in the manifest."""

    extension: ClassVar[str]
    """The end of the data files' names."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        empty_batches: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(
                "Files are written into a directory.",
                detail=f"path={shown(path)} is of type {type(path).__name__}.",
                hint="Give the path of a local directory, or a URL such as s3://bucket/path.",
            )
        self.path = place_of(path)
        self._storage_options = dict(storage_options or {})
        self._directory_made: SinkDirectory | None = None
        self.name = f"{self.kind} files in {shown_place(self.path)}"
        self._empty_batches = empty_batches
        self._batch_folder: tuple[str, str] | None = None
        self._lineage: SinkLineage | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_directory_made": None}

    @classmethod
    def by_prefix(cls, prefix: str | os.PathLike[str], suffix: str = "", **options: Any) -> Self:
        """Make a sink that writes a folder `PREFIX-TIME_IN_MS[.SUFFIX]` for each batch.

        Args:
            prefix: a path; its last part begins the folders' names.
            suffix: ends the folders' names, behind a dot.
            options: as for the sink itself.

        Example:
            >>> from millstream.sinks.text_files import TextFiles
            >>> TextFiles.by_prefix("/tmp/out/counts", "txt").folder(1_500)
            'counts-1500.txt'
        """
        path, start = os.path.split(os.fspath(prefix))
        if not start:
            raise ConfigurationError(
                "The prefix names no file.",
                detail=f"prefix={os.fspath(prefix)!r} ends with a separator.",
                hint="Give a path whose last part begins the names, such as out/counts.",
            )
        sink = cls(path or os.curdir, **options)
        sink._batch_folder = (f"{start}-", f".{suffix}" if suffix else "")
        return sink

    @abstractmethod
    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        """Write the records of one partition, at least one, into a new file."""

    def folder(self, time_ms: int) -> str:
        """Give the folder of a batch's data files, relative to `path`."""
        if self._batch_folder is None:
            return hour_of(time_ms)
        start, end = self._batch_folder
        return f"{start}{time_ms}{end}"

    def open(self, lineage: SinkLineage) -> int | None:
        self._lineage = lineage
        with self._reported("prepared"):
            self._directory.prepare(self._log.folder)
            known = self._check_epoch()
            # An older driver that wakes up sees this; and a place that cannot do it cannot commit either.
            self._directory.publish(f"{self._log.folder}/epochs/{lineage.epoch}", b"")
            self._directory.tidy()
            if not known:
                return None
            newest_ms = self._log.newest_ms()
            self._collect(newest_ms)
            return newest_ms

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        if len(data) == 0:
            return None
        folder = self.folder(batch.time_ms)
        epoch = self._opened.epoch
        start = f"{folder}/{self._opened.key}-{batch.time_ms}-e{epoch}-a{batch.attempt}-p{partition:05d}"
        with self._reported("written"):
            path, size_bytes = self._directory.write(
                lambda number: f"{start}-{number}{self.extension}", lambda file: self.write(data, file)
            )
        return {"path": path, "records": len(data), "size_bytes": size_bytes}

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        files = [DataFile(**receipt) for receipt in receipts if receipt is not None]
        with self._reported("committed"):
            self._check_epoch()
            if not files and not self._empty_batches:
                return
            self._directory.keep([file.path for file in files])
            if not self._create_manifest(batch, files):
                self._settle(batch, receipts)

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        with self._reported("discarded"):
            committed = self._log.read(batch.time_ms)
            kept = set() if committed is None else {file.path for file in committed.files}
            staged = [receipt["path"] for receipt in receipts if receipt is not None]
            self._directory.remove([path for path in staged if path not in kept])
            if self._batch_folder is not None and not kept:
                self._directory.remove_if_empty(self.folder(batch.time_ms))

    @property
    def _opened(self) -> SinkLineage:
        if self._lineage is None:
            raise LifecycleError(
                f"The sink of {self.name} is not open.",
                detail="stage and commit come after open.",
                hint="Hand the sink to stream.write_to(...) and start the context.",
            )
        return self._lineage

    @property
    def _directory(self) -> SinkDirectory:
        if self._directory_made is None:
            self._directory_made = directory_at(self.path, self._storage_options)
        return self._directory_made

    @property
    def _log(self) -> ManifestLog:
        return ManifestLog(self._directory, self._opened.key)

    def _check_epoch(self) -> bool:
        """Make sure that no newer driver has taken over; say whether any driver was there before."""
        epochs = [int(name) for name in self._directory.names(f"{self._log.folder}/epochs")]
        if max(epochs, default=0) > self._opened.epoch:
            raise self._fenced(max(epochs))
        return bool(epochs)

    def _fenced(self, epoch: int) -> FencedError:
        return FencedError(
            "Another driver writes this output.",
            detail=f"{self.name}, output {self._opened.output}: epoch {epoch} has taken over, "
            f"this driver has {self._opened.epoch}.",
            hint="Stop this program; the other one goes on from the same checkpoint.",
        )

    def _create_manifest(self, batch: Batch, files: list[DataFile]) -> bool:
        """Take the one step that makes the batch visible; False when the batch is visible already."""
        lineage = self._opened
        content = encoded(
            Manifest(
                version=MANIFEST_VERSION,
                kind=self.kind,
                lineage_id=lineage.lineage_id,
                output=lineage.output,
                epoch=lineage.epoch,
                time_ms=batch.time_ms,
                attempt=batch.attempt,
                files=files,
            )
        )
        return self._directory.publish(self._log.path(batch.time_ms), content)

    def _settle(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """The batch was committed before: by this very attempt, or by one that makes these files garbage."""
        committed = self._log.read(batch.time_ms)
        if committed is not None and committed.epoch > self._opened.epoch:
            raise self._fenced(committed.epoch)
        self.discard(batch, receipts)

    def _collect(self, newest_ms: int | None) -> None:
        """Remove data files of this output that no manifest names, as far back as the newest batch's folder."""
        key, end = re.escape(self._opened.key), re.escape(self.extension)
        pattern = re.compile(rf"{key}-(\d+)-e(\d+)-a(\d+)-p(\d+)-\d+{end}")
        for folder in self._folders_since(newest_ms):
            found: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
            for name in self._directory.names(folder):
                if match := pattern.fullmatch(name):
                    time, *origin = match.groups()
                    found.setdefault(int(time), []).append((f"{folder}/{name}", tuple(origin)))
            for time_ms in sorted(found):
                self._collect_batch(time_ms, found[time_ms])
            if self._batch_folder is not None and found:
                self._directory.remove_if_empty(folder)

    def _folders_since(self, newest_ms: int | None) -> list[str]:
        names = self._directory.names("")
        if self._batch_folder is None:
            first = "" if newest_ms is None else hour_of(newest_ms)
            return sorted(name for name in names if name[:1].isdigit() and name >= first)
        start, end = self._batch_folder
        pattern = re.compile(rf"{re.escape(start)}(\d+){re.escape(end)}")
        matches = map(pattern.fullmatch, names)
        return sorted(match[0] for match in matches if match and int(match[1]) >= (newest_ms or 0))

    def _collect_batch(self, time_ms: int, files: list[tuple[str, tuple[str, ...]]]) -> None:
        attempts = {(epoch, attempt) for _, (epoch, attempt, _) in files}
        partitions = {partition for _, (_, _, partition) in files}
        alone = len(attempts) == 1 and len(partitions) == len(files) and not self._empty_batches
        if alone and self._directory.exists(self._log.path(time_ms)):
            # Why not read it: the files of the one attempt that left any are those that were committed, and a
            # folder may hold a batch for every few milliseconds of an hour.
            return
        committed = self._log.read(time_ms)
        kept = set() if committed is None else {file.path for file in committed.files}
        self._directory.remove([path for path, _ in files if path not in kept])

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SinkUnavailableError(
                f"Files could not be {what}.",
                detail=f"{self.name}: {error}",
                hint="Look at the free space and the permissions of the disk; the step is tried again.",
            ) from error
        except StorageUnavailableError as error:
            raise SinkUnavailableError(
                f"Files could not be {what}: {error.message}",
                detail=f"{self.name}: {error.detail}",
                hint=error.hint or "Look at the network and the state of the store; the step is tried again.",
            ) from error
