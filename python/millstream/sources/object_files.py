"""Files under a prefix of an object store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from millstream.environment.object_reader import ListedObject, ObjectReader
from millstream.environment.object_url import shown_url
from millstream.errors import SourceUnavailableError, StorageUnavailableError
from millstream.model.ports.replayable_source import Split
from millstream.sources.file_place import FileChanges, FilePlace, FoundFile, changed


class ObjectFiles(FilePlace):
    """Objects under a prefix. Their paths are URLs.

    Stores tell of nothing that comes, so every call lists: all names, or those after the greatest one where names
    grow.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or for tests `memory://name`.
        storage_options: settings of the store by obstore's names.
        recursive: the objects of the folders below too.
    """

    looks_again = False

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None, *, recursive: bool) -> None:
        self.path = shown_url(url)
        self._url = url
        self._options = dict(storage_options or {})
        self._recursive = recursive
        self._opened: ObjectReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def check(self) -> None:
        with _passing(self.path):
            next(self._reader.listed(recursive=self._recursive), None)

    def changes(self) -> FileChanges | None:
        return None

    def listing(self, after: str | None) -> Iterator[tuple[str, Any]]:
        name = None if after is None else self._name(after)
        with _passing(self.path):
            for listed in self._reader.listed(recursive=self._recursive, after=name):
                if not any(part[:1] in ("", ".", "_") for part in listed.name.split("/")):
                    yield f"{self.path}/{listed.name}", listed

    def look(self, path: str, entry: Any = None) -> FoundFile | None:
        return None if entry is None else _found(path, entry)

    @contextmanager
    def reading(self, split: Split) -> Iterator[bytes | None]:
        path = split.data["path"]
        with _passing(path):
            answer = self._reader.read_listed(self._name(path), split.data.get("tag", ""))
        if answer is None:
            raise changed(split, None)
        content, listed = answer
        now = _found(path, listed)
        # A store without tags has its times, in whole seconds.
        if now.size != split.data["size"] or (not now.tag and now.mtime_ns != split.data["mtime_ns"]):
            raise changed(split, now)
        yield content

    def close(self) -> None:
        self._opened = None

    @property
    def _reader(self) -> ObjectReader:
        if self._opened is None:
            self._opened = ObjectReader(self._url, self._options)
        return self._opened

    def _name(self, path: str) -> str:
        return path[len(self.path) + 1 :]


def _found(path: str, listed: ListedObject) -> FoundFile:
    return FoundFile(path, listed.size, listed.modified_ms * 1_000_000, listed.tag)


@contextmanager
def _passing(place: str) -> Iterator[None]:
    """Make the store's errors that may pass those of a source."""
    try:
        yield
    except StorageUnavailableError as error:
        raise SourceUnavailableError(
            "An object store of files does not answer.",
            detail=f"{place}: {error.detail or error}",
            hint="Check the network and the state of the store; it is tried again.",
        ) from error
