"""Reading what file sinks committed."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.errors import ConfigurationError, DataError
from millstream.sinks.csv_files import read_csv
from millstream.sinks.json_files import read_json
from millstream.sinks.manifest import META, DataFile, Manifest, ManifestLog
from millstream.sinks.parquet_files import read_parquet
from millstream.sinks.pickle_files import read_pickle
from millstream.sinks.sink_directory import SinkDirectory
from millstream.sinks.sink_place import directory_at, place_of, shown_place
from millstream.sinks.text_files import read_text

if TYPE_CHECKING:
    import pyarrow as pa


def read_committed(
    path: str | os.PathLike[str],
    *,
    output: str | None = None,
    lineage_id: str | None = None,
    allow_pickle: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Any] | pa.Table:
    """Read the records of all committed batches, in order of batch time and partition.

    Nothing of a batch that is not committed, or of an attempt that failed, is ever in it. Streams may go on
    writing meanwhile.

    Args:
        path: the directory of a file sink, local or on an object store (`s3://bucket/path`), or the prefix that its
            batches' folders begin with.
        output: only this output operation, by name.
        lineage_id: only this history of a program.
        allow_pickle: read pickle files, which runs code that they name: only where nobody else can write.
        storage_options: settings of the object store, as the sink has them.

    Returns:
        Lists of lines for text files, of decoded records for JSON and pickle files, of dicts of text (or None) for
        CSV files; a `pyarrow.Table` for Parquet files. An empty list when no batch with records is committed.

    Raises:
        ConfigurationError: there is no such directory, it holds files of several kinds (say which `output`), or
            pickle files, which were not allowed.
        DataError: a file that a manifest names is missing or has another size.
    """
    directory, manifests = _found(path, output, lineage_id, storage_options)
    kinds: set[str] = set()
    parts: list[Any] = []
    for manifest in manifests:
        if manifest.files:
            kinds.add(manifest.kind)
        if len(kinds) > 1:
            raise ConfigurationError(
                "The directory holds files of several kinds.",
                detail=f"{directory.place}: {', '.join(sorted(kinds))}.",
                hint="Name the output to read: read_committed(path, output=...).",
            )
        if manifest.files and manifest.kind == "pickle" and not allow_pickle:
            raise ConfigurationError(
                "Pickle files are not read unless they are allowed.",
                detail=f"{directory.place} holds them, of {manifest.output}; reading runs code that they name.",
                hint="If nobody else can write there: read_committed(path, allow_pickle=True).",
            )
        parts.extend(_records(directory, manifest, file) for file in manifest.files)
    if kinds == {"parquet"}:
        import pyarrow as pa

        return pa.concat_tables(parts, promote_options="permissive")
    return [record for part in parts for record in part]


def committed_batches(
    path: str | os.PathLike[str],
    *,
    output: str | None = None,
    lineage_id: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[Manifest]:
    """List the committed batches in order of batch time, for readers of their own.

    Args:
        path: as for `read_committed`.
        output: only this output operation, by name.
        lineage_id: only this history of a program.
        storage_options: as for `read_committed`.

    Returns:
        The manifests; the paths of their files are relative to the directory.

    Raises:
        ConfigurationError: there is no such directory.
    """
    return _found(path, output, lineage_id, storage_options)[1]


def _found(
    path: str | os.PathLike[str],
    output: str | None,
    lineage_id: str | None,
    storage_options: Mapping[str, Any] | None,
) -> tuple[SinkDirectory, Iterator[Manifest]]:
    root, prefix = place_of(path), ""
    directory = directory_at(root, storage_options)
    keys = directory.names(META)
    if not keys and not directory.is_there():
        root, name = os.path.split(root)
        prefix = f"{name}-"
        directory = directory_at(root, storage_options)
        keys = directory.names(META)
        if not keys:
            raise ConfigurationError(
                "No file sink ever wrote there.",
                detail=f"{shown_place(place_of(path))} is neither a directory nor the prefix of one with a {META} "
                "beside it.",
                hint="Give the path that the stream writes to.",
            )
    logs = [ManifestLog(directory, key) for key in sorted(keys)]
    manifests = heapq.merge(*(log.all() for log in logs), key=lambda manifest: (manifest.time_ms, manifest.output))
    return directory, (
        manifest
        for manifest in manifests
        if (output is None or manifest.output == output)
        and (lineage_id is None or manifest.lineage_id == lineage_id)
        and (not prefix or (manifest.files and manifest.files[0].path.startswith(prefix)))
    )


def _records(directory: SinkDirectory, manifest: Manifest, file: DataFile) -> Any:
    content = directory.read(file.path)
    if content is None:
        raise _changed(directory, manifest, file, "is missing")
    if len(content) != file.size_bytes:
        raise _changed(directory, manifest, file, f"has {len(content)} bytes")
    records = _READERS[manifest.kind](content)
    if len(records) != file.records:
        raise _changed(directory, manifest, file, f"has {len(records)} records")
    return records


def _changed(directory: SinkDirectory, manifest: Manifest, file: DataFile, found: str) -> DataError:
    return DataError(
        "A committed file is not what was committed.",
        detail=f"{directory.full(file.path)} {found}; the manifest of batch {manifest.time_ms} says "
        f"{file.size_bytes} bytes, {file.records} records.",
        hint="Something else than millstream changed the directory; restore the file from a copy.",
    )


_READERS: dict[str, Any] = {
    "text": read_text,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
    "pickle": read_pickle,
}
