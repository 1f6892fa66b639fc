"""Methods of the context that make RDDs of what is stored: files, and ranges of Kafka's offsets."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from millstream.rdd.arguments import whole_number
from millstream.rdd.lineage import Lineage, SplitsRead
from millstream.rdd.rdd import RDD

if TYPE_CHECKING:
    from millstream._core import KafkaRecord
    from millstream.context.line_ranges import OnInvalid


class StoredDataMethods(ABC):
    """Methods that make RDDs of what is stored; the tasks read it."""

    @abstractmethod
    def _rdd(self, lineage: Lineage) -> RDD[Any]:
        """Make an RDD that this context runs."""

    @abstractmethod
    def _partitions(self, partitions: int | None, method: str) -> int:
        """Check how many partitions a method was told to make; None: the default."""

    def text_file(
        self,
        path: str | os.PathLike[str],
        partitions: int | None = None,
        *,
        on_invalid: OnInvalid = "replace",
    ) -> RDD[str]:
        r"""Make an RDD of the lines of text files, in UTF-8, without their line ends.

        Files are listed now and read by the tasks, each time the RDD is computed; big ones by several tasks. A file
        that has changed by then is an error. Lines stay in Arrow form until a Python function asks for them.

        Args:
            path: a file, a directory (all files in it but those named `.…` or `_…`), or a glob such as `logs/*.txt`;
                read in the order of their names.
            partitions: at least how many partitions, as far as there are bytes; None: the default of the context.
            on_invalid: what happens to a line that is not UTF-8: `replace` bad bytes by U+FFFD, `skip` the line, or
                `fail` the action.

        Raises:
            ConfigurationError: there is no such file.

        Example:
            >>> import tempfile, millstream as ms
            >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            ...     _ = file.write("to be\nor not\n"); file.flush()
            ...     ms.Context().text_file(file.name).collect()
            ['to be', 'or not']
        """
        from millstream.context.line_ranges import LineRanges

        count = self._partitions(partitions, "text_file")
        source = LineRanges(path, count, on_invalid=on_invalid, split_small=partitions is not None)
        return self._rdd(SplitsRead(source, source.splits()))

    def whole_text_files(
        self,
        path: str | os.PathLike[str],
        partitions: int | None = None,
        *,
        on_invalid: OnInvalid = "replace",
    ) -> RDD[tuple[str, str]]:
        """Make an RDD with a pair for each text file: its path and all of its text.

        Files are listed now and read by the tasks, each time the RDD is computed, so each must fit into memory. A file
        that has changed by then is an error.

        Args:
            path: a file, a directory or a glob, as for `text_file`; in the order of their names, paths absolute.
            partitions: how many partitions, as far as there are files; None: the default of the context.
            on_invalid: what happens to a file that is not UTF-8: `replace` bad bytes by U+FFFD, `skip` the file, or
                `fail` the action.

        Raises:
            ConfigurationError: there is no such file.

        Example:
            >>> import tempfile, pathlib, millstream as ms
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     _ = pathlib.Path(folder, "a.txt").write_text("to be")
            ...     ms.Context().whole_text_files(folder).values().collect()
            ['to be']
        """
        from millstream.context.whole_files import WholeTextFiles

        source = WholeTextFiles(path, self._partitions(partitions, "whole_text_files"), on_invalid=on_invalid)
        return self._rdd(SplitsRead(source, source.splits()))

    def binary_records(
        self, path: str | os.PathLike[str], record_length: int, partitions: int | None = None
    ) -> RDD[bytes]:
        """Make an RDD of the records of binary files that are all of one length.

        Files are listed now and read by the tasks, each time the RDD is computed; big ones by several tasks. A file
        that has changed by then is an error.

        Args:
            path: a file, a directory or a glob, as for `text_file`.
            record_length: bytes a record, at least 1.
            partitions: at least how many partitions, as far as there are records; None: the default of the context.

        Raises:
            ConfigurationError: there is no such file.
            DataError: a file does not consist of whole records.

        Example:
            >>> import tempfile, millstream as ms
            >>> with tempfile.NamedTemporaryFile() as file:
            ...     _ = file.write(b"abcdef"); file.flush()
            ...     ms.Context().binary_records(file.name, 2).collect()
            [b'ab', b'cd', b'ef']
        """
        from millstream.context.record_ranges import RecordRanges

        whole_number(record_length, "binary_records", "record_length", least=1)
        count = self._partitions(partitions, "binary_records")
        source = RecordRanges(path, record_length, count, split_small=partitions is not None)
        return self._rdd(SplitsRead(source, source.splits()))

    def pickle_file(self, path: str | os.PathLike[str]) -> RDD[Any]:
        """Make an RDD of the records that `save_as_pickle_file` wrote, with a partition for each file.

        Files are listed now and unpickled by the tasks, each time the RDD is computed. Unpickling runs code that the
        file names: read only files whose writer you trust. No other method of millstream unpickles a file.

        Args:
            path: the directory, one of its files or a glob.

        Raises:
            ConfigurationError: there is no such file.

        Example:
            >>> import tempfile, millstream as ms
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     context = ms.Context()
            ...     context.parallelize([("a", 1), None], partitions=2).save_as_pickle_file(folder + "/saved")
            ...     context.pickle_file(folder + "/saved").glom().collect()
            [[('a', 1)], [None]]
        """
        from millstream.context.whole_files import PickleFiles

        source = PickleFiles(path)
        return self._rdd(SplitsRead(source, source.splits()))

    def kafka_rdd(
        self,
        servers: str | Iterable[str],
        ranges: Iterable[tuple[str, int, int, int]],
        *,
        isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
        read_timeout: float = 60.0,
        options: Mapping[str, Any] | None = None,
    ) -> RDD[KafkaRecord]:
        """Make an RDD of the records of ranges of Kafka's offsets, with a partition for each range.

        The tasks read them, each time the RDD is computed.

        Args:
            servers: `host:port` of brokers, several with commas between or in a list.
            ranges: topic, number of the Kafka partition, first offset, and the offset before which the range ends;
                such as the `OffsetRange`s in `batch.inputs[name].ranges` of a stream.
            isolation: `read_committed` leaves out transactions that were aborted, and waits for those that are open.
            read_timeout: how long a range may take, seconds.
            options: of the client library (librdkafka), such as `security.protocol` or `sasl.password`.

        Raises:
            ConfigurationError: an argument cannot work.

        Example:
            >>> import millstream as ms
            >>> ms.Context().kafka_rdd("localhost:9092", [("lines", 0, 0, 100), ("lines", 1, 0, 50)]).num_partitions
            2
        """
        from millstream.sources.kafka.kafka_ranges import KafkaRanges

        source = KafkaRanges(servers, ranges, isolation=isolation, read_timeout=read_timeout, options=options)
        return self._rdd(SplitsRead(source, source.splits()))
