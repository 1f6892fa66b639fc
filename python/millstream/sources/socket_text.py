"""Lines of text from a TCP server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from millstream.environment.environment import Environment
from millstream.errors import DataError, SourceUnavailableError
from millstream.ingest.block_buffer import checked_rate
from millstream.model.choices import one_of
from millstream.model.partition import Columns
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.sources.server_address import check_address

if TYPE_CHECKING:
    from millstream._core import Block as CoreBlock
    from millstream._core import SocketLines

OnInvalid: TypeAlias = Literal["replace", "skip", "fail"]
"""What happens to a line that is not UTF-8, or too long."""

HELD_RECORDS_PER_S = 1e-6
"""The rate of a feed that is held: the core knows rates only, and this one lets a record pass in eleven days."""

LINE_BYTES_MAX = 1_048_576
"""The longest line where nothing else is said: 1 MiB."""

QUEUE_BYTES_MAX = 67_108_864
"""Lines that may wait for a batch, in bytes, where nothing else is said: 64 MiB."""


class SocketTextFeed(BlockFeed):
    """Connects to a TCP server and takes in the lines that it sends, as Arrow columns.

    Reading, cutting and counting happen in the core without the GIL. A connection that ends, or cannot be made, is
    reported as `error` and made again, for ever, after pauses from 0.1 to 5 seconds. While too much waits, the
    socket is not read, so that TCP slows the server. What the server sent while nobody was connected is lost.

    Args:
        host: name or address of the server; looked up for each connection.
        port: its port, 1 to 65,535.
        on_invalid: what happens to a line that is not UTF-8, or longer than `line_bytes_max`: `replace` (by U+FFFD,
            or by its beginning), `skip`, or `fail`: the feed fails with DataError. All are counted in `invalid`.
        rate_per_s: limit of lines a second, or None.
        line_bytes_max: the longest line that is kept whole, 1 to 536,870,912.
        queue_bytes_max: lines that may wait, in bytes, >= 1.
        environment: gives the thread that passes events on.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    gives_columns = True

    def __init__(
        self,
        host: str,
        port: int,
        *,
        on_invalid: OnInvalid = "replace",
        rate_per_s: float | None = None,
        line_bytes_max: int = LINE_BYTES_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        environment: Environment | None = None,
    ) -> None:
        _check(host, port, on_invalid)
        self.host = host
        self.port = port
        self.name = f"socket {host}:{port}"
        self._on_invalid: OnInvalid = on_invalid
        self.max_rate = self._rate_per_s = checked_rate(rate_per_s, self.name)
        self._line_bytes_max = line_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._environment = environment if environment is not None else Environment()
        self._interval_ms = 0
        self._zero_ms = 0
        self._notify: Callable[[FeedEvent], None] = _unheard
        self._lines: SocketLines | None = None
        self._earlier: list[SocketLines] = []
        self._held = False
        self._invalid = 0
        self._room_records: int | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._ended = True

    @property
    def invalid(self) -> int:
        """How many lines were not UTF-8 or too long, in what batches have taken."""
        return self._invalid

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        import pyarrow  # noqa: F401 - Why here: loading it takes longer than a batch may.

        self._interval_ms = interval_ms
        self._zero_ms = zero_ms
        self._notify = notify
        self._open()

    def take(self, until_ms: int) -> list[Block]:
        taken: list[Block] = []
        for lines in (*self._earlier, self._lines):
            if lines is not None:
                taken.extend(self._block(block) for block in lines.take(until_ms) if block.invalid or block.records)
        if self._earlier:
            self._earlier = [lines for lines in self._earlier if lines.pending()[0]]
        return taken

    def wait_for_records(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` lines can be taken; False when the time ran out first, or none will come any more."""
        return self._lines is not None and self._lines.wait(timeout_s, count)

    def hold(self) -> None:
        self._held = True
        if self._lines is not None:
            self._lines.set_rate(HELD_RECORDS_PER_S)

    def resume(self) -> None:
        self._held = False
        if self._lines is not None:
            self._lines.set_rate(self._rate_per_s)

    def set_rate(self, records_per_s: float | None) -> None:
        self._rate_per_s = checked_rate(records_per_s, self.name)
        if self._lines is not None and not self._held:
            self._lines.set_rate(records_per_s)

    def set_room(self, records: int | None) -> None:
        self._room_records = records
        if self._lines is not None:
            self._lines.set_room(records)

    def restart(self) -> None:
        if self._lines is not None:
            self._lines.stop(0.0)
            self._earlier.append(self._lines)
        self._open()

    def begin_stop(self) -> None:
        with self._lock:
            self._stopping = True
            ended = self._ended
        if self._lines is not None:
            self._lines.stop(0.0)
        if ended:
            self._tell_stopped()

    def close(self) -> None:
        if self._lines is not None:
            self._lines.stop(0.0)

    def _open(self) -> None:
        from millstream._core import SocketLines

        lines = SocketLines(
            self.host,
            self.port,
            grid_ms=self._interval_ms,
            origin_ms=self._zero_ms,
            on_invalid=self._on_invalid,
            max_line_bytes=self._line_bytes_max,
            queue_max_bytes=self._queue_bytes_max,
            rate_per_s=HELD_RECORDS_PER_S if self._held else self._rate_per_s,
        )
        lines.set_room(self._room_records)
        lines.start()
        with self._lock:
            self._lines = lines
            self._ended = False
        self._notify(FeedEvent("started", f"{self.name} connects."))
        self._environment.start_thread(f"events of {self.name}", lambda: self._tell(lines))

    def _tell(self, lines: SocketLines) -> None:
        """Pass events on until the last one; waits without the GIL."""
        broken = False
        while True:
            for kind, detail, _ in lines.events(None):
                if kind == "connected":
                    if broken:
                        self._notify(FeedEvent("reconnected", f"{self.name} is connected again."))
                    broken = False
                elif kind in ("connect_failed", "disconnected"):
                    broken = True
                    self._notify(self._lost(kind, detail))
                elif kind == "failed":
                    self._notify(self._failed(detail))
                    return self._end(lines)
                elif kind == "stopped":
                    return self._end(lines)

    def _end(self, lines: SocketLines) -> None:
        with self._lock:
            if lines is not self._lines:
                return
            self._ended = True
            stopping = self._stopping
        if stopping:
            self._tell_stopped()

    def _tell_stopped(self) -> None:
        self._notify(FeedEvent("stopped", f"{self.name} has stopped."))

    def _lost(self, kind: str, detail: str) -> FeedEvent:
        what = "could not connect" if kind == "connect_failed" else "lost its connection"
        error = SourceUnavailableError(
            f"{self.name} {what}.",
            detail=detail,
            hint="Check that the server runs and that host and port are right; the connection is tried again.",
        )
        return FeedEvent("error", error.message, error)

    def _failed(self, detail: str) -> FeedEvent:
        error = DataError(
            f"{self.name} sent a line that is no record.",
            detail=detail,
            hint='Send lines in UTF-8, or give on_invalid="replace" or "skip".',
        )
        return FeedEvent("failed", error.message, error)

    def _block(self, block: CoreBlock) -> Block:
        import pyarrow as pa

        if block.invalid:
            if not self._invalid:
                self._notify(FeedEvent("error", f"{self.name} sends lines that are not UTF-8 or too long."))
            self._invalid += block.invalid
        table = pa.Table.from_batches([pa.record_batch(block)])
        return Block(Columns(table, scalar=True), block.records, block.batch_ms, invalid=block.invalid)


def _check(host: str, port: int, on_invalid: str) -> None:
    check_address(host, port)
    one_of("on_invalid", on_invalid, OnInvalid)


def _unheard(event: FeedEvent) -> None:
    """Before the start nobody listens."""
