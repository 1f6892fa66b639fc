"""Files that a batch writes exactly once."""

from __future__ import annotations

import errno
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar, Self, TypeVar

from millstream.environment.local_directory import LocalDirectory
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    FencedError,
    LifecycleError,
    SinkUnavailableError,
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

T_contra = TypeVar("T_contra", contravariant=True)

_NOT_LOCAL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_NEVER_A_DIRECTORY = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class ManifestFiles(Sink[T_contra]):
    """Writes each batch as files in a directory on a local disk, exactly once.

    Tasks write data files under names of their attempt. The batch becomes visible when its manifest appears, one
    file created exclusively that names the data files; so a batch is there whole or not at all, and an attempt
    that lost leaves nothing that a reader follows. Read with `millstream.read_committed(path)`. Files that no
    manifest names are garbage of attempts that failed; the next start removes those of its own output.

    Data files lie in a folder for each hour (UTC), or, `by_prefix`, in a folder for each batch. A batch without
    records writes no data files, and a manifest only with `empty_batches=True`.

    Several outputs and programs may share a directory.

    Args:
        path: the directory; made at the start when missing.
        empty_batches: write a manifest for batches without records too.

    Raises:
        ArgumentTypeError: no path.
        ConfigurationError: the path is a URL.
    """

    kind: ClassVar[str]
    """What the data files hold; in the manifest."""

    extension: ClassVar[str]
    """The end of the data files' names."""

    def __init__(self, path: str | os.PathLike[str], *, empty_batches: bool = False) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(
                "Files are written into a directory.",
                detail=f"path={shown(path)} is of type {type(path).__name__}.",
                hint="Give the path of a local directory.",
            )
        text = os.fspath(path)
        if _NOT_LOCAL.match(text):
            raise ConfigurationError(
                "Files are written exactly once on local disks only.",
                detail=f"{text} is a URL.",
                hint="Give the path of a local directory.",
            )
        self.path = os.path.abspath(text)
        self.name = f"{self.kind} files in {self.path}"
        self._empty_batches = empty_batches
        self._batch_folder: tuple[str, str] | None = None
        self._lineage: SinkLineage | None = None
        self._folders_synced: set[str] = set()

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
        directory = LocalDirectory(self.path)
        with self._reported("prepared"):
            known = directory.exists(self._log.folder)
            self._make(directory)
            self._claim(directory)
            if not known:
                return None
            newest_ms = self._log.newest_ms()
            self._collect(directory, newest_ms)
            return newest_ms

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        if len(data) == 0:
            return None
        directory = LocalDirectory(self.path)
        folder = self.folder(batch.time_ms)
        start = f"{folder}/{self._key}-{batch.time_ms}-e{self._opened.epoch}-a{batch.attempt}-p{partition:05d}"
        with self._reported("written"):
            directory.make(folder)
            path, size_bytes = directory.create(
                lambda number: f"{start}-{number}{self.extension}", lambda file: self.write(data, file)
            )
        return {"path": path, "records": len(data), "size_bytes": size_bytes}

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        files = [DataFile(**receipt) for receipt in receipts if receipt is not None]
        directory = LocalDirectory(self.path)
        with self._reported("committed"):
            self._check_epoch(directory)
            if not files and not self._empty_batches:
                return
            self._sync_folders(directory, files)
            if not self._create_manifest(directory, batch, files):
                self._settle(directory, batch, receipts)

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        directory = LocalDirectory(self.path)
        with self._reported("discarded"):
            committed = self._log.read(batch.time_ms)
            kept = set() if committed is None else {file.path for file in committed.files}
            for receipt in receipts:
                if receipt is not None and receipt["path"] not in kept:
                    directory.remove(receipt["path"])
            if self._batch_folder is not None and not kept:
                directory.remove_if_empty(self.folder(batch.time_ms))

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
    def _key(self) -> str:
        return self._opened.key

    @property
    def _log(self) -> ManifestLog:
        return ManifestLog(LocalDirectory(self.path), self._key)

    def _make(self, directory: LocalDirectory) -> None:
        try:
            directory.make(f"{self._log.folder}/epochs")
            directory.make(f"{self._log.folder}/temporary")
        except OSError as error:
            if error.errno not in _NEVER_A_DIRECTORY:
                raise
            raise ConfigurationError(
                "The directory of a file sink cannot be used.",
                detail=f"{self.path}: {error.strerror}.",
                hint="Give a directory that can be made, or one that this user may write in.",
            ) from error

    def _claim(self, directory: LocalDirectory) -> None:
        """Note this driver's epoch, so that an older driver that wakes up sees it; and that links work here."""
        self._check_epoch(directory)
        folder = self._log.folder
        for name in list(directory.names(f"{folder}/temporary")):
            directory.remove(f"{folder}/temporary/{name}")
        temporary, _ = directory.create(lambda number: f"{folder}/temporary/claim-{number}", lambda file: None)
        try:
            directory.link_new(temporary, f"{folder}/epochs/{self._opened.epoch}")
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise ConfigurationError(
                "This file system cannot create a file under a name that is free, and only then.",
                detail=f"Hard links in {self.path}: {error.strerror}.",
                hint="Exactly-once files need hard links: write to a local disk such as ext4, xfs, btrfs or APFS.",
            ) from error
        finally:
            directory.remove(temporary)

    def _check_epoch(self, directory: LocalDirectory) -> None:
        newest = max(map(int, directory.names(f"{self._log.folder}/epochs")), default=0)
        if newest > self._opened.epoch:
            raise self._fenced(newest)

    def _fenced(self, epoch: int) -> FencedError:
        return FencedError(
            "Another driver writes this output.",
            detail=f"{self.name}, output {self._opened.output}: epoch {epoch} has taken over, "
            f"this driver has {self._opened.epoch}.",
            hint="Stop this program; the other one goes on from the same checkpoint.",
        )

    def _sync_folders(self, directory: LocalDirectory, files: list[DataFile]) -> None:
        for folder in dict.fromkeys(os.path.dirname(file.path) for file in files):
            directory.sync(folder)

    def _create_manifest(self, directory: LocalDirectory, batch: Batch, files: list[DataFile]) -> bool:
        """Take the one step that makes the batch visible; False when the batch is visible already."""
        lineage, log = self._opened, self._log
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
        path = log.path(batch.time_ms)
        directory.make(os.path.dirname(path))
        start = f"{log.folder}/temporary/{batch.time_ms}-e{lineage.epoch}-a{batch.attempt}"
        temporary, _ = directory.create(lambda number: f"{start}-{number}", lambda file: file.write(content))
        try:
            return directory.link_new(temporary, path)
        finally:
            directory.remove(temporary)

    def _settle(self, directory: LocalDirectory, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """The batch was committed before: by this very attempt, or by one that makes these files garbage."""
        committed = self._log.read(batch.time_ms)
        if committed is not None and committed.epoch > self._opened.epoch:
            raise self._fenced(committed.epoch)
        self.discard(batch, receipts)

    def _collect(self, directory: LocalDirectory, newest_ms: int | None) -> None:
        """Remove data files of this output that no manifest names, as far back as the newest batch's folder."""
        pattern = re.compile(rf"{re.escape(self._key)}-(\d+)-e(\d+)-a(\d+)-p(\d+)-\d+{re.escape(self.extension)}")
        for folder in self._folders_since(directory, newest_ms):
            found: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
            for name in directory.names(folder):
                if match := pattern.fullmatch(name):
                    time, *origin = match.groups()
                    found.setdefault(int(time), []).append((f"{folder}/{name}", tuple(origin)))
            for time_ms in sorted(found):
                self._collect_batch(directory, time_ms, found[time_ms])
            if self._batch_folder is not None and found:
                directory.remove_if_empty(folder)

    def _folders_since(self, directory: LocalDirectory, newest_ms: int | None) -> list[str]:
        if self._batch_folder is None:
            first = "" if newest_ms is None else hour_of(newest_ms)
            return sorted(name for name in directory.names("") if name[:1].isdigit() and name >= first)
        start, end = self._batch_folder
        pattern = re.compile(rf"{re.escape(start)}(\d+){re.escape(end)}")
        matches = (pattern.fullmatch(name) for name in directory.names(""))
        return sorted(match[0] for match in matches if match and int(match[1]) >= (newest_ms or 0))

    def _collect_batch(self, directory: LocalDirectory, time_ms: int, files: list[tuple[str, tuple[str, ...]]]) -> None:
        attempts = {(epoch, attempt) for _, (epoch, attempt, _) in files}
        partitions = {partition for _, (_, _, partition) in files}
        alone = len(attempts) == 1 and len(partitions) == len(files) and not self._empty_batches
        if alone and directory.exists(self._log.path(time_ms)):
            # Why not read it: the files of the one attempt that left any are those that were committed, and a
            # folder may hold a batch for every few milliseconds of an hour.
            return
        committed = self._log.read(time_ms)
        kept = set() if committed is None else {file.path for file in committed.files}
        for path, _ in files:
            if path not in kept:
                directory.remove(path)

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
