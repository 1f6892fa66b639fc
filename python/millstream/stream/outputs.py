"""Stream methods that put something out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Queue, SimpleQueue
from typing import Any, Literal, TypeVar

from millstream.errors import ArgumentTypeError, shown
from millstream.graph.outputs import Delivery, DeliveryOutput, Output, RDDOutput, SinkOutput
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.model.durations import Duration, duration_ms
from millstream.model.label import Label
from millstream.model.ports.sink import Sink
from millstream.rdd.arguments import whole_number
from millstream.rdd.rdd import RDD
from millstream.stream.core import StreamCore, T_co, labelled

T = TypeVar("T")


class OutputMethods(StreamCore[T_co]):
    """Output operations. A program needs at least one, and runs them for every batch, in order."""

    __slots__ = ()

    def _put_out(self, make: Callable[[str, Label], Output], at: Label) -> None:
        graph = self.program.graph
        graph.add_output(make(graph.output_name(at), at))

    def write_to(self, sink: Sink[Any], *, name: str | None = None) -> None:
        """Write every batch to a sink, staged by tasks and committed once a batch.

        Args:
            sink: your own, or one of `millstream.sinks`.
            name: identity of the output: commits are kept by it.
        """
        if not isinstance(sink, Sink):
            raise ArgumentTypeError(
                "write_to needs a Sink.",
                detail=f"It was given {shown(sink)} of type {type(sink).__name__}.",
                hint="Implement millstream.Sink, or use foreach_rdd for a function.",
            )
        at = labelled("write_to", name=name)
        self._put_out(lambda unique, label: SinkOutput(self.node, sink, unique, label), at)

    def print(self, num: int = 10, *, count: bool = False, name: str | None = None) -> None:
        """Print the first records of every batch, of empty ones too, under a line with the batch time.

        A line with `...` says that the batch has more.

        Args:
            num: how many records, at least 0.
            count: print how many records the batch has, too, which makes the engine collect all of them.
            name: identity of the output.
        """
        from millstream.sinks.print import PrintSink

        self.deliver_to(PrintSink(num, count=count), labelled("print", name=name))

    def collect_to(
        self,
        target: list[list[T_co]] | deque[list[T_co]] | Queue[list[T_co]] | SimpleQueue[list[T_co]] | Callable[..., Any],
        *,
        name: str | None = None,
    ) -> None:
        """Hand the records of every batch over on the driver, at least once.

        Args:
            target: a list, a deque or a `queue.Queue` gets one list a batch; a function is called with the list, and
                with the `Batch` when it requires a second argument.
            name: identity of the output.

        Example:
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, seen = ManualClock(), []
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> ssc.queue_stream([[1, 2], [3]]).collect_to(seen)
            >>> ssc.start(); clock.advance(2.0); ssc.stop()
            True
            >>> seen
            [[1, 2], [3]]
        """
        from millstream.sinks.collect import CollectTo

        self.deliver_to(CollectTo(target), labelled("collect_to", name=name))

    def deliver_to(self, delivery: Delivery, at: Label) -> None:
        """Hand the rows of every batch to an object on the driver."""
        self._put_out(lambda unique, label: DeliveryOutput(self.node, delivery, unique, label), at)

    def foreach_rdd(self, f: Callable[..., Any], *, name: str | None = None) -> None:
        """Call `f(rdd)`, or `f(rdd, batch)`, for every batch, on the driver, at least once.

        What the function returns is ignored. Use `batch.id` as idempotency key towards outside systems.

        Args:
            f: gets the `RDD` of the batch, and the `Batch` when it requires a second argument.
            name: identity of the output.
        """
        at = labelled("foreach_rdd", f, takes=1, batch=True, name=name)
        with_batch = wants_batch(f, 1)

        def call(rdd: RDD[Any], batch: Batch) -> Any:
            return f(rdd, batch) if with_batch else f(rdd)

        self._put_out(lambda unique, label: RDDOutput(self.node, call, unique, label), at)

    def foreach_batch(self, f: Callable[[list[T_co], Batch], Any], *, name: str | None = None) -> None:
        """Call `f(records, batch)` for every batch, on the driver, in order of batch time, at least once.

        Unlike the function of `foreach_rdd` it is called when the batch is committed, with all its records: never
        for an attempt that failed, and again only when it raised itself or the program ended while it ran. A
        function that keeps `batch.id` together with what it writes, in one transaction, writes each batch exactly
        once: every run of a batch has the same id, no other batch, output or history of a program has it.

        Args:
            f: gets the list of records, empty for an empty batch, and the `Batch`. What it returns is ignored.
            name: identity of the output, part of `batch.id`.

        Example:
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, seen = ManualClock(), {}
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> words = ssc.queue_stream([["to", "be"], ["or"]])
            >>> words.foreach_batch(lambda records, batch: seen.setdefault(batch.id, records), name="words")
            >>> ssc.start(); clock.advance(2.0); ssc.stop()
            True
            >>> list(seen.values()), [batch_id.startswith("words-") for batch_id in seen]
            ([['to', 'be'], ['or']], [True, True])
        """
        from millstream.sinks.collect import CollectTo

        at = labelled("foreach_batch", f, takes=2, name=name)
        self.deliver_to(CollectTo(lambda records, batch: f(records, batch)), at)

    def save_as_text_files(
        self,
        path: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch as lines of text, exactly once; read them with `ms.read_committed(path)`.

        Args:
            path: a local directory, made when missing, or a URL such as `s3://bucket/path`.
            storage_options: settings of the object store by obstore's names: `endpoint`, `region`, `access_key_id` ...
            name: identity of the output.
        """
        from millstream.sinks.text_files import TextFiles

        self._write(TextFiles(path, storage_options=storage_options), "save_as_text_files", name)

    def save_as_json_files(
        self,
        path: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch as JSON, one record a line, exactly once; read them with `ms.read_committed(path)`.

        Arguments are those of `save_as_text_files`.
        """
        from millstream.sinks.json_files import JsonFiles

        self._write(JsonFiles(path, storage_options=storage_options), "save_as_json_files", name)

    def save_as_csv_files(
        self,
        path: str | Path,
        *,
        columns: Sequence[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch as CSV with a line of names, exactly once; read them with `ms.read_committed(path)`.

        Dicts become a column for each key, tuples columns `_1`, `_2` and so on, all others the one column `value`.

        Args:
            path: a local directory, made when missing, or a URL such as `s3://bucket/path`.
            columns: the columns of all files, or the names of a tuple's values; None: what the records have.
            storage_options: settings of the object store, as for `save_as_text_files`.
            name: identity of the output.

        Example:
            >>> import tempfile
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, folder = ManualClock(), tempfile.mkdtemp()
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> ssc.queue_stream([[("to", 2), ("be", 1)]]).save_as_csv_files(folder, columns=["word", "count"])
            >>> ssc.start(); clock.advance(1.0); ssc.stop()
            True
            >>> ms.read_committed(folder)
            [{'word': 'to', 'count': '2'}, {'word': 'be', 'count': '1'}]
        """
        from millstream.sinks.csv_files import CsvFiles

        self._write(CsvFiles(path, columns=columns, storage_options=storage_options), "save_as_csv_files", name)

    def save_as_pickle_files(
        self,
        path: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch as pickled lists, exactly once.

        Read them with `ms.read_committed(path, allow_pickle=True)`, where nobody else can write: it runs code that
        the files name.

        Args:
            path: a local directory, made when missing, or a URL such as `s3://bucket/path`.
            storage_options: settings of the object store, as for `save_as_text_files`.
            name: identity of the output.
        """
        from millstream.sinks.pickle_files import PickleFiles

        self._write(PickleFiles(path, storage_options=storage_options), "save_as_pickle_files", name)

    def save_as_parquet_files(
        self,
        path: str | Path,
        *,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch as Parquet, exactly once; read them with `ms.read_committed(path)`.

        Records that are dicts become a column for each key, all others the one column `value`. Arguments are those of
        `save_as_text_files`.
        """
        from millstream.sinks.parquet_files import ParquetFiles

        self._write(ParquetFiles(path, storage_options=storage_options), "save_as_parquet_files", name)

    def save_to_sql(
        self,
        url: str,
        table: str,
        *,
        mode: Literal["append", "upsert"] = "append",
        key: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        schema: str | None = None,
        connect_args: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch into a table of a SQL database in one transaction, exactly once.

        Records are mappings by column name, dataclasses, named tuples, tuples (with `columns`), or single values
        (with one column). The table `millstream_commits`, made beside the table, keeps the newest batch of each
        output. It needs `pip install "millstream[sql]"`.

        Args:
            url: a URL of SQLAlchemy: `postgresql://user@host/database`, `sqlite:///counts.db`.
            table: a table that exists.
            mode: `append` adds rows; `upsert` replaces the rows of the same key, the last record of a batch winning.
            key: the columns that identify a row to `upsert`, with a unique index; None: the primary key.
            columns: the columns to fill, in the order of a tuple's values; None: what the records have.
            schema: where the table lies; None: where the connection looks first.
            connect_args: handed to the driver's connect, for certificates and the like.
            name: identity of the output.

        Example:
            >>> import sqlite3, tempfile
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> path = tempfile.mkdtemp() + "/counts.db"
            >>> database = sqlite3.connect(path)
            >>> _ = database.execute("CREATE TABLE counts (word TEXT PRIMARY KEY, count INTEGER)")
            >>> clock = ManualClock()
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> words = ssc.queue_stream([[("to", 2), ("be", 1)], [("be", 5)]])
            >>> words.save_to_sql(f"sqlite:///{path}", "counts", mode="upsert", columns=["word", "count"])
            >>> ssc.start(); clock.advance(2.0); ssc.stop()
            True
            >>> database.execute("SELECT * FROM counts").fetchall()
            [('to', 2), ('be', 5)]
        """
        from millstream.sinks.sql.sql_sink import SqlSink

        sink = SqlSink(url, table, mode=mode, key=key, columns=columns, schema=schema, connect_args=connect_args)
        self._write(sink, "save_to_sql", name)

    def save_to_http(
        self,
        url: str,
        *,
        format: Literal["json", "lines"] = "json",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        max_records: int = 1_000,
        concurrency: int = 1,
        timeout: Duration = 10.0,
        retries: int = 5,
        retry_pause: Duration = 0.5,
        on_refused: Literal["fail", "skip", "dead_letter"] = "fail",
        dead_letters: str | Path | None = None,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Post every batch to a service as JSON: at least once, and once where it honours `Idempotency-Key`.

        A batch is posted in parts of up to `max_records` and some 4 MiB. The key of a part is made of the history of
        the program, the output, the batch time and the number of the part, so it is the same in every run of the
        batch. Batches are posted in order; a batch without records is not. A part to which nobody answers, or the
        service says 408, 409, 425, 429, 500, 502, 503 or 504, is posted again, after `Retry-After` where it says so.
        It needs `pip install "millstream[http]"`.

        Args:
            url: of the service; only its scheme and host are shown in errors and logs.
            format: `json`: arrays of records; `lines`: one record a line, `application/x-ndjson`.
            headers: of each request; may be secrets.
            token: sent as `Authorization: Bearer TOKEN`.
            max_records: most records of a part.
            concurrency: parts that are under way at once; with 1 they arrive in order.
            timeout: how long each step of a request may take, seconds or timedelta.
            retries: how often a part is posted again before the batch counts as failed, and is tried again as for
                any output.
            retry_pause: pause before the first retry, seconds or timedelta; it doubles up to 30 s.
            on_refused: about a part that gets any other answer: `fail`: the stream stops; `skip` it, with a warning
                in the log; `dead_letter`: keep it in `dead_letters`, and go on.
            dead_letters: a directory, or a URL such as `s3://bucket/path`, for one file of JSON a refused part.
            storage_options: settings of the object store of `dead_letters`.
            name: identity of the output, part of the key.

        Raises:
            ConfigurationError: an argument cannot work, or `millstream[http]` is not installed.
        """
        from millstream.sinks.http.http_sink import HttpSink

        sink = HttpSink(
            url,
            format=format,
            headers=headers,
            token=token,
            max_records=whole_number(max_records, "save_to_http", "max_records", least=1),
            concurrency=whole_number(concurrency, "save_to_http", "concurrency", least=1),
            timeout_s=duration_ms(timeout, "timeout") / 1000.0,
            retries=whole_number(retries, "save_to_http", "retries", least=0),
            retry_pause_s=duration_ms(retry_pause, "retry_pause") / 1000.0,
            on_refused=on_refused,
            dead_letters=dead_letters,
            storage_options=storage_options,
        )
        self._write(sink, "save_to_http", name)

    def _write(self, sink: Sink[Any], operator: str, name: str | None) -> None:
        at = labelled(operator, name=name)
        self._put_out(lambda unique, label: SinkOutput(self.node, sink, unique, label), at)
