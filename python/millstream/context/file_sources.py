"""Methods of the streaming context that make streams of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.context.source_core import SourceCore
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
from millstream.stream.core import labelled
from millstream.stream.dstream import DStream

if TYPE_CHECKING:
    from millstream.sources.formats.file_format import FileFormat

FormatName: TypeAlias = Literal["text", "jsonl", "csv", "parquet", "avro"]


class FileSourceMethods(SourceCore):
    """Methods that make streams of the files that appear in a directory."""

    def file_stream(
        self,
        directory: str | Path,
        format: FormatName | FileFormat[Any] = "text",
        *,
        filter: Callable[[str], bool] | None = None,
        new_files_only: bool = True,
        recursive: bool = False,
        on_malformed: Literal["fail", "skip", "replace"] = "fail",
        on_missing: Literal["fail", "skip"] = "fail",
        max_files_per_batch: int | None = 1_000,
        watch: bool = True,
        names_grow: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> DStream[Any]:
        r"""Make a stream of the records of files that appear in a directory.

        Each file is read exactly once, whenever it appears and however old it is; move finished files into the
        directory rather than write them there. Records of CSV and Parquet files are dicts, those of JSON lines
        usually too; they stay in columns until a Python function asks for them.

        Args:
            directory: a local directory, or a glob of directories and files; or a prefix on an object store:
                `s3://bucket/path`, `gs://bucket/path`, `az://container/path`.
            format: `text` (a record a line), `jsonl` (a JSON value a line), `csv` (a dict a row; values are text
                unless `types` says otherwise), `parquet`, `avro`; or a `FileFormat`, which has its own
                `on_malformed`. Text, JSON lines and CSV are unpacked when the file's name ends in `.gz`, `.bz2`,
                `.xz` or `.zst`; Parquet and Avro are compressed inside.
            filter: given a path, says whether the file is taken; None takes all.
            new_files_only: False reads the files that are there at the start too.
            recursive: take the files of the directories below too.
            on_malformed: what happens to a record that cannot be understood: `fail` stops the stream with an error
                that names file and position; `skip` goes on without it, or without a file of which nothing can be
                understood, with a warning; `replace`, for text alone, puts U+FFFD for bad bytes. Listeners get the
                number with each batch, as `event.invalid`.
            on_missing: what happens when a file is gone before its batch reads it: `fail` stops the stream, `skip`
                goes on without its records.
            max_files_per_batch: most files a batch; None: no limit.
            watch: have Linux tell which files come and go on its local disks, so that a batch costs what came, not
                what is there. False lists the directory, as is done on network file systems and other systems.
            names_grow: for object stores: every later name is greater (by time, or numbered with zeros in front).
                Then a batch lists only what comes after the greatest name that was taken, and a smaller one that
                comes later is never read. Otherwise every batch lists the whole prefix, 1,000 names a request.
            storage_options: settings of the object store by obstore's names: `endpoint`, `region`, `access_key_id` ...
                What is not given comes from the environment variables of the store's own tools.
            name: identity of the input.
            options: of the format: `columns`, `types`, `delimiter` for CSV, `columns` for Parquet; see the classes
                in `millstream.sources.formats`.

        Raises:
            ConfigurationError: an argument cannot work. Whether the directory is there is checked at the start.
            ArgumentTypeError: the format has no such option.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> folder = Path(tempfile.mkdtemp())
            >>> _ = Path(folder, "prices.csv").write_text("id,price\n007,1.5\n")
            >>> clock, seen = ManualClock(), []
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> ssc.file_stream(folder, "csv", new_files_only=False, types={"price": float}).collect_to(seen)
            >>> ssc.start(); clock.advance(1.0); ssc.stop()
            True
            >>> seen
            [[{'id': '007', 'price': 1.5}]]
        """
        from millstream.sources.formats.chosen import chosen

        return self._files(
            labelled("file_stream", name=name),
            directory,
            chosen(format, on_malformed, options),
            max_files_per_batch,
            new_files_only=new_files_only,
            filter=filter,
            recursive=recursive,
            on_missing=on_missing,
            watch=watch,
            names_grow=names_grow,
            storage_options=storage_options,
        )

    def text_file_stream(
        self,
        directory: str | Path,
        *,
        new_files_only: bool = True,
        max_files_per_batch: int | None = 1_000,
        filter: Callable[[str], bool] | None = None,
        on_missing: Literal["fail", "skip"] = "fail",
        on_invalid: Literal["replace", "skip", "fail"] = "replace",
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> DStream[str]:
        """Make a stream of the lines of files that appear in a directory.

        Each file is read exactly once, whenever it appears and however old it is; move finished files into the
        directory rather than write them there.

        Args:
            directory: a local directory, or a glob of directories and files; or a prefix on an object store.
            new_files_only: False reads the files that are there at the start too.
            max_files_per_batch: most files a batch; None: no limit.
            filter: given a path, says whether the file is taken; None takes all.
            on_missing: what happens when a file is gone before its batch reads it: `fail` stops the stream, `skip`
                goes on without its lines.
            on_invalid: what happens to a line that is not UTF-8: `replace` bad bytes by U+FFFD, `skip` the line,
                or `fail` the stream. Listeners get their number with each batch, as `event.invalid`.
            storage_options: settings of the object store, as for `file_stream`.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work. Whether the directory is there is checked at the start.
        """
        from millstream.sources.formats.text_format import TextFormat

        return self._files(
            labelled("text_file_stream", name=name),
            directory,
            TextFormat(on_invalid),
            max_files_per_batch,
            new_files_only=new_files_only,
            filter=filter,
            on_missing=on_missing,
            storage_options=storage_options,
        )

    def binary_records_stream(
        self,
        directory: str | Path,
        record_length: int,
        *,
        filter: Callable[[str], bool] | None = None,
        new_files_only: bool = True,
        recursive: bool = False,
        on_malformed: Literal["fail", "skip"] = "fail",
        on_missing: Literal["fail", "skip"] = "fail",
        max_files_per_batch: int | None = 1_000,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> DStream[bytes]:
        """Make a stream of the records of one length in files that appear in a directory.

        Args:
            directory: a local directory, or a glob of directories and files; or a prefix on an object store.
            record_length: bytes of a record, at least 1.
            filter: given a path, says whether the file is taken; None takes all.
            new_files_only: False reads the files that are there at the start too.
            recursive: take the files of the directories below too.
            on_malformed: what happens to a file whose size is not a multiple of the length: `fail` stops the stream
                with an error that names file and sizes; `skip` leaves the file out, with a warning.
            on_missing: what happens when a file is gone before its batch reads it: `fail` or `skip`.
            max_files_per_batch: most files a batch; None: no limit.
            storage_options: settings of the object store, as for `file_stream`.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work. Whether the directory is there is checked at the start.
        """
        from millstream.sources.formats.binary_records_format import BinaryRecordsFormat

        return self._files(
            labelled("binary_records_stream", name=name),
            directory,
            BinaryRecordsFormat(record_length, on_malformed),
            max_files_per_batch,
            new_files_only=new_files_only,
            filter=filter,
            recursive=recursive,
            on_missing=on_missing,
            storage_options=storage_options,
        )

    def _files(
        self, at: Label, directory: str | Path, format: FileFormat[Any], limit: int | None, **options: Any
    ) -> DStream[Any]:
        from millstream.sources.files import FileSource

        if options["filter"] is not None:
            check_function(options["filter"], at.operator, "filter", takes=1)
        source = FileSource(directory, format, operator=at.operator, **options)
        return self._stream(source, at, limit, limit_name="max_files_per_batch")
