"""The Rust core: hot loops over bytes and Arrow, which release the GIL where they take long.

Keys have a *stable hash*: the same in every process, on every machine and in every release with the same
`HASH_VERSION`. Keys that are equal in Python have one hash, so `1`, `1.0`, `True` and `Decimal(1)` share a key
group. Hashed are: None, all numbers, str, bytes, tuple (and namedtuple), frozenset, date, datetime, time,
timedelta, UUID, members of an Enum, frozen dataclasses, and scalars of NumPy and Arrow that have a plain Python form.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, final

from typing_extensions import CapsuleType

__all__ = [
    "HASH_VERSION",
    "KEY_GROUPS",
    "AppendFile",
    "Block",
    "Decoder",
    "Encoder",
    "InvalidLineError",
    "KafkaClientError",
    "KafkaColumns",
    "KafkaGroup",
    "KafkaProducer",
    "KafkaReader",
    "KafkaRecord",
    "KafkaWatch",
    "KeyIndex",
    "Lines",
    "MalformedError",
    "NewerFormatError",
    "SegmentScan",
    "SocketLines",
    "SocketStats",
    "TokenBucket",
    "UnencodableError",
    "build_profile",
    "chunk_rows",
    "count_words",
    "cut_lines",
    "debug_build",
    "describe_chunk",
    "frame_group",
    "join_pieces",
    "kafka_records",
    "key_group",
    "merge_chunks",
    "pack_split",
    "read_lines",
    "rows_from_utf8",
    "scan_segment",
    "segment_header",
    "split_dict",
    "split_pairs",
    "split_values",
    "split_words",
    "unpack_pairs",
    "word_counts",
    "write_entries",
    "write_keys",
]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

_OnInvalid: TypeAlias = Literal["replace", "skip", "fail"]

_Bytes: TypeAlias = bytes | memoryview

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

build_profile: Final[str]
"""`release` or `debug`."""

HASH_VERSION: Final[int]
"""Version of the stable hash; kept in each checkpoint, because key groups follow from it."""

KEY_GROUPS: Final[int]
"""Key groups of a checkpoint where nothing else is said: 1,024."""

class InvalidLineError(ValueError):
    """A line cannot become a record, and the policy is to fail.

    Attributes:
        line_start: offset of the line's first byte from the beginning of the file, bytes or connection.
        byte: offset of the first byte that is wrong, counted like `line_start`.
    """

    line_start: int
    byte: int

class UnencodableError(TypeError):
    """A value has no encoding.

    Attributes:
        args: what is wrong with it, and in an error of `Encoder` also the path to it, of blocks the index of the key,
            and whether it is in the key.
    """

class MalformedError(ValueError):
    """Bytes are not what they should be; the text says what is wrong, and where."""

class NewerFormatError(ValueError):
    """Bytes have a layout of a newer version, which is the argument."""

def debug_build() -> bool:
    """Say whether the core was compiled without optimisation; importing such a core warns."""

def key_group(key: object, groups: int = 1024) -> int:
    """Give the key group of a key: its stable hash modulo `groups`.

    Args:
        key: a key of one of the kinds that the module's page lists.
        groups: number of key groups, >= 1.

    Returns:
        The key group, in `range(groups)`.

    Raises:
        ValueError: the key contains NaN, which equals nothing; or `groups` is 0. Fix the program.
        TypeError: the key is of a kind without stable hash. Map it to a str or a tuple.

    Example:
        >>> key_group("millstream")
        900
        >>> key_group(1) == key_group(1.0) == key_group(True)
        True
    """

def split_dict(d: dict[_K, _V], partitions: int, groups: int = 1024) -> list[dict[_K, _V]]:
    """Split a dict by key into one dict a partition; partition = key group * partitions // groups.

    Args:
        d: what to split; it must not change meanwhile.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One dict a partition, items in the order of `d`. With one partition it is `[d]`, the dict itself, after
        a check of its keys.

    Raises:
        ValueError: a key contains NaN, or `partitions` is out of range.
        TypeError: a key is of a kind without stable hash.

    Example:
        >>> split_dict({"a": 1, "b": 2}, 2)
        [{'b': 2}, {'a': 1}]
    """

def pack_split(
    d: dict[_K, _V], partitions: int, kept: Sequence[int], groups: int = 1024
) -> tuple[list[tuple[int, bytes]], list[tuple[list[_K], list[_V]]]] | None:
    """Split a dict by key and pack the pairs of each partition, in one pass.

    Only for dicts of plain things: the keys are all str or all int, the values all str, all int or all float, of
    exactly these types, whole numbers within 64 bits.

    Args:
        d: what to split; it must not change meanwhile.
        partitions: number of partitions, 1 to `groups`; partition = key group * partitions // groups.
        kept: partitions, ascending, of which the keys and values themselves are given too.
        groups: number of key groups.

    Returns:
        For each partition how many pairs it has and the bytes that `unpack_pairs` reads; for each kept one its keys
        and its values, in the order of `d`. None where the dict is empty or holds something else.

    Raises:
        ValueError: `partitions` is out of range.

    Example:
        >>> packed, kept = pack_split({"a": 1, "b": 2, "c": 3}, 2, [1])
        >>> [count for count, _ in packed], unpack_pairs(packed[0][1]), kept
        ([2, 1], (['b', 'c'], [2, 3]), [(['a'], [1])])
        >>> pack_split({"a": None}, 2, []) is None
        True
    """

def unpack_pairs(data: bytes) -> tuple[list[Any], list[Any]]:
    """Give the keys and the values of one partition that `pack_split` has packed, in order.

    Raises:
        ValueError: these are not such bytes.
    """

def split_pairs(pairs: list[tuple[_K, _V]], partitions: int, groups: int = 1024) -> list[list[tuple[_K, _V]]]:
    """Split (key, value) records by key into one list a partition, order kept.

    Args:
        pairs: the records; each is a tuple of two, or of a subclass.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One new list a partition, which hold the records themselves.

    Raises:
        ValueError: a key contains NaN, or `partitions` is out of range.
        TypeError: a record is not a pair, or a key is of a kind without stable hash.

    Example:
        >>> split_pairs([("a", 1), ("b", 2), ("a", 3)], 2)
        [[('b', 2)], [('a', 1), ('a', 3)]]
    """

def split_values(values: list[_T], partitions: int, groups: int = 1024) -> list[list[_T]]:
    """Split records by themselves (each record is its own key) into one list a partition, order kept.

    Args:
        values: the records.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One new list a partition.

    Raises:
        ValueError: a record contains NaN, or `partitions` is out of range.
        TypeError: a record is of a kind without stable hash.

    Example:
        >>> split_values(["a", "b", "a"], 2)
        [['b'], ['a', 'a']]
    """

def rows_from_utf8(array: _ArrowArray | _ArrowStream) -> list[str]:
    """Make a list of Python strings from an Arrow column of text.

    Args:
        array: Utf8, LargeUtf8 or Utf8View, whole or in chunks, or a record batch or table of one such column:
            whatever PyArrow and Polars have for it.

    Returns:
        The strings in order; nulls become None.

    Raises:
        TypeError: it is no Arrow data, or not one column of text.

    Example:
        >>> import pyarrow as pa
        >>> rows_from_utf8(pa.array(["a", None, "é"]))
        ['a', None, 'é']
    """

def count_words(column: _ArrowArray | _ArrowStream, separator: str | None) -> int | None:
    """Count the words of lines: `sum(len(line.split(separator)) for line in lines)`.

    The GIL is released for more than 16 KiB of text.

    Args:
        column: Utf8 or LargeUtf8, whole or in chunks.
        separator: what parts words, not empty; None: white space, exactly as Python's `str.split()` has it.

    Returns:
        The number; None where the column has nulls, is of another type, or is not UTF-8.

    Raises:
        ValueError: the separator is empty.
        TypeError: it is no Arrow data.

    Example:
        >>> import pyarrow as pa
        >>> count_words(pa.array(["to be", " or  not"]), None), count_words(pa.array(["to be", " or  not"]), " ")
        (4, 6)
    """

def split_words(column: _ArrowArray | _ArrowStream, separator: str | None) -> list[str] | None:
    """List the words of lines: `[word for line in lines for word in line.split(separator)]`.

    Other threads may have the GIL every 1,024 words.

    Args:
        column: Utf8 or LargeUtf8, whole or in chunks.
        separator: what parts words, not empty; None: white space, exactly as Python's `str.split()` has it.

    Returns:
        The words; None where the column has nulls, is of another type, or is not UTF-8.

    Raises:
        ValueError: the separator is empty.
        TypeError: it is no Arrow data.

    Example:
        >>> import pyarrow as pa
        >>> split_words(pa.array(["to be", "or"]), None)
        ['to', 'be', 'or']
    """

def word_counts(column: _ArrowArray | _ArrowStream, separator: str | None, unit: int) -> dict[str, int] | None:
    """Count how often each word of lines occurs.

    The GIL is released while words of more than 16 KiB of text are counted; while the dict is made, other threads may
    have it every 1,024 words.

    Args:
        column: Utf8 or LargeUtf8, whole or in chunks.
        separator: what parts words, not empty; None: white space, exactly as Python's `str.split()` has it.
        unit: what one occurrence counts.

    Returns:
        For each word, in order of first appearance, the number of its occurrences times `unit`; None where the column
        has nulls, is of another type, or is not UTF-8.

    Raises:
        ValueError: the separator is empty.
        TypeError: it is no Arrow data.

    Example:
        >>> import pyarrow as pa
        >>> word_counts(pa.array(["to be", "or not to be"]), None, 1)
        {'to': 2, 'be': 2, 'or': 1, 'not': 1}
    """

@final
class Lines:
    """Lines of text as an Arrow table of one column, `value` (Utf8).

    `pyarrow.table(lines)`, `pyarrow.record_batch(lines)` and `polars.DataFrame(lines)` take them without a copy.
    More than 256 MiB of text are several record batches: a table then.

    Attributes:
        bytes: size as an Arrow column.
    """

    @property
    def bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[CapsuleType, CapsuleType]: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> CapsuleType: ...

def cut_lines(data: bytes, on_invalid: _OnInvalid) -> tuple[Lines, int]:
    r"""Cut bytes into lines.

    A line ends at `\n`, `\r\n` or `\r`, as in a file opened with universal newlines; the end is no part of it. A
    last line without an end counts.

    Args:
        data: text in UTF-8.
        on_invalid: what happens to a line that is not UTF-8: `replace` what is not by U+FFFD, `skip` it, or `fail`.

    Returns:
        The lines, and how many were invalid.

    Raises:
        InvalidLineError: a line is not UTF-8 and the policy is `fail`.

    Example:
        >>> lines, invalid = cut_lines(b"one\ntwo\r\n\xff", "replace")
        >>> rows_from_utf8(lines), invalid
        (['one', 'two', '\ufffd'], 1)
    """

def read_lines(
    path: str | PathLike[str], start: int = 0, end: int | None = None, on_invalid: _OnInvalid = "replace"
) -> tuple[Lines, int]:
    """Read the lines of a file whose first byte lies in a range.

    Ranges that follow each other without a gap give each line of the file once, wherever they are cut. A line that
    starts inside the range is read to its own end, which may lie behind it. The GIL is released.

    Args:
        path: the file.
        start: first byte of the range.
        end: the byte after the range, >= `start`; None: the end of the file.
        on_invalid: what happens to a line that is not UTF-8, as in `cut_lines`.

    Returns:
        The lines, and how many were invalid.

    Raises:
        OSError: the file cannot be read, with number and name.
        InvalidLineError: a line is not UTF-8 and the policy is `fail`.
        ValueError: `end` is before `start`.
    """

@final
class TokenBucket:
    """A limit on the rate of records that threads share.

    Tokens grow with time up to a burst. A request is granted when there are as many tokens as it asks for, or a
    full burst where it asks for more; what is missing then is paid by later requests, so that the long-run rate is
    exact. Time is the machine's monotonic clock, or comes in as `now_s`, then at every call.

    Args:
        rate_per_s: records a second, > 0; None: no limit.
        burst_s: how many seconds' worth may be taken at once after a pause, > 0; a burst is one record at least.

    Raises:
        ValueError: a rate or a burst that is zero, negative or not finite.

    Example:
        >>> bucket = TokenBucket(100.0)
        >>> bucket.try_acquire(10, now_s=0.0)
        0.0
        >>> round(bucket.try_acquire(1, now_s=0.0), 6)
        0.01
    """

    def __new__(cls, rate_per_s: float | None, burst_s: float = 0.1) -> TokenBucket: ...
    @property
    def rate_per_s(self) -> float | None: ...
    def try_acquire(self, n: int = 1, now_s: float | None = None) -> float:
        """Take `n` tokens and return 0.0, or take none and return the seconds until they can be had."""

    def acquire(self, n: int = 1, timeout_s: float | None = None) -> bool:
        """Wait for `n` tokens and take them; False after `timeout_s` seconds (None: no limit) or once closed.

        The GIL is released while it waits; Ctrl-C interrupts the wait.
        """

    def set_rate(self, rate_per_s: float | None, now_s: float | None = None) -> None:
        """Change the rate from now on, also for those who wait; None: no limit.

        Raises:
            ValueError: the rate is zero, negative or not finite.
        """

    def close(self) -> None:
        """Wake all who wait in `acquire`: it returns False from now on."""

@final
class Block:
    """Lines that were received in one slot of the grid: an Arrow record batch of one column, `value` (Utf8).

    `pyarrow.record_batch(block)` and `polars.DataFrame(block)` take it without a copy.

    Attributes:
        batch_ms: the batch time that the block belongs to, the first on the grid at or after the wall-clock moment
            at which its records were received, milliseconds since the epoch.
        records: number of records; 0 only where all lines were invalid and left out.
        bytes: size as an Arrow column.
        invalid: lines that were not UTF-8 or too long: replaced in the block, or left out of it.
    """

    @property
    def batch_ms(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def invalid(self) -> int: ...
    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[CapsuleType, CapsuleType]: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> CapsuleType: ...

@final
class SocketStats:
    """Counts of a socket receiver since its start.

    Attributes:
        records: records put into blocks.
        read_bytes: bytes read from the peer.
        invalid: lines that were not UTF-8 or too long.
        connections: connections that were made.
        failed_connections: attempts to connect that failed.
        pauses: times that reading paused because the queue was full.
        lost_events: events that nobody took before 1,000 newer ones had come.
    """

    @property
    def records(self) -> int: ...
    @property
    def read_bytes(self) -> int: ...
    @property
    def invalid(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def failed_connections(self) -> int: ...
    @property
    def pauses(self) -> int: ...
    @property
    def lost_events(self) -> int: ...

@final
class SocketLines:
    """A receiver of text lines from a TCP socket, on a thread that never needs the GIL.

    It connects, reads, cuts lines as `cut_lines` does, and puts them into blocks, each of one batch time. A line can
    be taken as soon as its end was read. When the peer closes the connection, what it sent after the last line's end
    is a line too; when the connection breaks or `stop` ends it, that rest is dropped, and the event says so.

    After every end of a connection, and after every failed attempt, the receiver connects again, for ever; the waits
    double from `reconnect_initial_ms` to `reconnect_max_ms`, begin anew after a connection that brought data, and
    are spread by chance between half and all of that. While the queue is full the socket is not read, so that TCP
    slows the peer.

    Batch times of blocks ascend, and no record enters a batch time that was taken: a record that arrives while its
    batch is being taken, or after the wall clock went back, is in the next.

    Args:
        host: name or address of the peer; it is resolved at each attempt.
        port: port of the peer, 1 to 65,535.
        grid_ms: distance between batch times, milliseconds, > 0.
        origin_ms: any one batch time, milliseconds since the epoch.
        on_invalid: what happens to a line that is not UTF-8 or too long: `replace` (U+FFFD, or the line's
            beginning), `skip`, or `fail`: the receiver ends with the event `failed`.
        block_max_records: most records of a block.
        block_max_bytes: size at which a block is closed, at most 256 MiB.
        queue_max_bytes: size of waiting blocks from which the socket is not read.
        max_line_bytes: the longest line that is kept whole, at most 512 MiB.
        rate_per_s: limit on records a second, > 0; None: no limit.
        reconnect_initial_ms: the first wait before the next connection.
        reconnect_max_ms: the longest wait before the next connection.
        connect_timeout_ms: how long one attempt to connect may take, after the name was resolved.
        jitter_seed: where the spread of the waits begins; None: differs between receivers.

    Raises:
        ValueError: an argument is out of range.
    """

    def __new__(
        cls,
        host: str,
        port: int,
        *,
        grid_ms: int,
        origin_ms: int,
        on_invalid: _OnInvalid = "replace",
        block_max_records: int = 65_536,
        block_max_bytes: int = 8_388_608,
        queue_max_bytes: int = 67_108_864,
        max_line_bytes: int = 1_048_576,
        rate_per_s: float | None = None,
        reconnect_initial_ms: int = 100,
        reconnect_max_ms: int = 5000,
        connect_timeout_ms: int = 5000,
        jitter_seed: int | None = None,
    ) -> SocketLines: ...
    @property
    def state(self) -> Literal["idle", "connecting", "connected", "waiting", "failed", "stopped"]: ...
    def start(self) -> None:
        """Start the thread, which connects and receives until `stop`.

        Raises:
            RuntimeError: it was started or stopped before.
        """

    def take(self, until_ms: int) -> list[Block]:
        """Take all blocks whose `batch_ms` is at or before `until_ms`, in order, the open one too."""

    def pending(self) -> tuple[int, int]:
        """Give the records and the bytes that wait to be taken."""

    def wait(self, timeout_s: float | None = None, records: int = 1) -> bool:
        """Wait until at least `records` wait to be taken.

        Returns:
            Whether they do: False after the timeout (None: no limit), or once the receiver has ended.
        """

    def events(self, timeout_s: float | None = 0.0) -> list[tuple[str, str, int]]:
        """Give the events since the last call, in order; wait up to `timeout_s` for one where there is none.

        Returns:
            Kind, detail and moment (milliseconds since the epoch) of each. Kinds: `connected`, `disconnected`,
            `connect_failed`, `queue_full` and `queue_drained` (reading pauses and goes on), `failed` (a line was
            invalid under the policy `fail`), `stopped`.
        """

    def stats(self) -> SocketStats:
        """Give the counts since the start."""

    def set_room(self, records: int | None) -> None:
        """Change the number of records that may wait to be taken; None means that only their size counts."""
    def set_rate(self, rate_per_s: float | None) -> None:
        """Change the limit on records a second, from now on; None: no limit.

        Raises:
            ValueError: the rate is zero, negative or not finite.
        """

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop receiving; what is in blocks can still be taken.

        Returns:
            True once the thread has ended; False when it has not after the timeout (None: no limit).
        """

@final
class AppendFile:
    """A new file with space set aside, written at its end only. All calls release the GIL.

    After an error it takes nothing more: a second sync may report success for data that the system has dropped.

    Args:
        path: the file to make; must not exist. Its content is durable when this returns, its name is not.
        size_bytes: space to set aside, filled with zeros; the file may grow beyond.

    Raises:
        OSError: from every call, with number and name.
        RuntimeError: from a call after one that failed, or after `close`.

    Attributes:
        written: how many bytes were written.
    """

    def __new__(cls, path: str | PathLike[str], size_bytes: int) -> AppendFile: ...
    @property
    def written(self) -> int: ...
    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces one behind another at the end; they must not change meanwhile."""

    def append(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces and make them, and all before them, durable."""

    def sync(self) -> None:
        """Make all that was written durable."""

    def close(self) -> None:
        """Cut the file to what was written, unless it failed, and let go of it; does not sync."""

def segment_header(segment: tuple[int, int], released: int, previous: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Give the header of a segment of a log.

    Args:
        segment: number of its first record, and its creation counter.
        released: records with numbers below this were released.
        previous: the earlier segments that count, oldest first: number of the first record, counter, certain length
            in bytes, and the number below which the numbers of its records are.
    """

def frame_group(
    segment: tuple[int, int],
    offset: int,
    durable: int,
    released: int,
    next: int,
    runs: Sequence[tuple[int, Sequence[tuple[int, _Bytes]]]],
) -> tuple[list[_Bytes], int]:
    """Frame records into one group of a segment.

    The GIL is released for more than 256 KiB.

    Args:
        segment: number of its first record, and its creation counter.
        offset: where the group will stand, bytes from the beginning of the file.
        durable: how much of the segment is durable, bytes.
        released: records with numbers below this were released.
        next: the number of the next record, for a group without any.
        runs: records that follow each other: the number of the first, and kind (0 to 255) and bytes of each.

    Returns:
        The pieces to be written, in which long payloads are the objects that were given, and their size in bytes.

    Raises:
        ValueError: a record has 4 GiB or more.

    Example:
        >>> pieces, size = frame_group((0, 1), 52, 52, 0, 0, [(0, [(7, b"hello"), (7, b"world")])])
        >>> len(pieces), size
        (1, 86)
    """

def scan_segment(data: _Bytes, segment: tuple[int, int]) -> SegmentScan:
    """Read a segment up to its first damage, and look behind that for claims that it had been durable.

    The GIL is released for more than 256 KiB.

    Args:
        data: the content of the file.
        segment: number of its first record, and its creation counter.

    Example:
        >>> header = segment_header((0, 1), 0, [])
        >>> pieces, _ = frame_group((0, 1), len(header), len(header), 0, 0, [(0, [(7, b"hello")])])
        >>> data = header + b"".join(pieces)
        >>> [(number, kind, data[start:end]) for number, kind, start, end in scan_segment(data, (0, 1)).records()]
        [(0, 7, b'hello')]
    """

@final
class SegmentScan:
    """What is in a segment. Offsets and sizes are bytes from the beginning of the file.

    Attributes:
        whole_header: whether the header is valid.
        previous: the earlier segments that the header names, as in `segment_header`.
        released: records with numbers below this were released.
        groups: how many groups are whole.
        end: offset behind the last whole group, or behind the header, or 0.
        next: the number that follows the last record.
        durable: the greatest durable length that any valid header of a group claims, also behind a damage.
        durable_next: the numbers of the records in front of `durable` are below this; 0 where there are none.
        problem: the first thing that is wrong, its offset and what it is; zeros up to the end are not wrong.
        newer_format: whether that is the version of the format.
    """

    @property
    def whole_header(self) -> bool: ...
    @property
    def previous(self) -> list[tuple[int, int, int, int]]: ...
    @property
    def released(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def next(self) -> int: ...
    @property
    def durable(self) -> int: ...
    @property
    def durable_next(self) -> int: ...
    @property
    def problem(self) -> tuple[int, str] | None: ...
    @property
    def newer_format(self) -> bool: ...
    def records(self, from_number: int = 0, from_offset: int = 0) -> list[tuple[int, int, int, int]]:
        """List number, kind, and start and end of the bytes of the records of whole groups, in order."""

    def __len__(self) -> int: ...

@final
class Encoder:
    """Writes values as MessagePack with the extensions of docs/checkpoint-format.md.

    Classes that the core does not know are asked for once: `form_of(class)` gives (code, function, hidden), where
    the function makes of a value what the extension holds, of which `hidden` levels are left out of paths; or
    (code, name, fields, ignored) for values with fields, where `ignored` are the other attributes that they may have,
    or None where they have no dict; or raises `UnencodableError`.

    Args:
        form_of: called with a class.
        identity_of: called with a key whose identity the core does not know; gives something plain.
    """

    def __new__(cls, form_of: Callable[[type], tuple[Any, ...]], identity_of: Callable[[Any], Any]) -> Encoder: ...
    def encode(self, value: object) -> bytes:
        """Write a value.

        Raises:
            UnencodableError: a part of it has no encoding; the arguments are the reason, the path, None, False.
        """

    def forget(self) -> None:
        """Ask for classes anew."""

@final
class Decoder:
    """Reads what `Encoder` wrote, and refuses everything else with an error.

    Args:
        makers: for each code what makes a value of its content.
        unknown: called with a code that has none; raises.
        record_of: called with a code and the name of a class; gives the class, its fields, and what makes an
            instance, `new(class)` for dataclasses, `new(class, places)` for named tuples.
        rebuild: called with the code, the class and the stored fields where these are not those of the class.
    """

    def __new__(
        cls,
        makers: dict[int, Callable[[Any], Any]],
        unknown: Callable[[int], Any],
        record_of: Callable[[int, str], tuple[type, tuple[str, ...], Any]],
        rebuild: Callable[[int, type, dict[str, Any]], Any],
    ) -> Decoder: ...
    def decode(self, data: _Bytes) -> Any:
        """Read one value that fills the data.

        Raises:
            MalformedError: the data are something else.
        """

    def decode_all(self, data: _Bytes) -> list[Any]:
        """Read values that stand one behind another.

        Raises:
            MalformedError: the data are something else.
        """

    def forget(self) -> None:
        """Ask for classes anew."""

def write_entries(encoder: Encoder, keys: list[Any], values: list[Any], start: int) -> tuple[bytes, int]:
    """Write keys and their values as a block of a chunk, of at most 1,024 keys, and no more once it has 32 KiB.

    Args:
        encoder: writes keys and values.
        keys: the keys; each gets its identity beside it.
        values: as many values.
        start: index of the first key that is written.

    Returns:
        The block, and the index behind its last key.

    Raises:
        UnencodableError: a key or a value has no encoding, or the equality of a key is not known.
    """

def write_keys(encoder: Encoder, keys: list[Any], start: int, touched_ms: int | None) -> tuple[bytes, int]:
    """Write keys that were removed, or that were touched at a time, as a block of a chunk; see `write_entries`."""

def describe_chunk(data: _Bytes) -> tuple[str, int | None, int, int | None, bool, int, int, int]:
    """Say what a chunk is, without reading keys or values.

    Args:
        data: the chunk; it must not change meanwhile.

    Returns:
        Kind, newest batch (milliseconds), hidden keys, time before which all touched keys have timed out, whether
        values may be pickles; how many keys have values, were removed, were touched.

    Raises:
        MalformedError: it is no chunk.
        NewerFormatError: a newer version made it.
    """

def chunk_rows(body: _Bytes) -> list[tuple[str, int, int, int]]:
    """Find the chunks in what a file of chunks holds behind its header: table, partition, beginning and end.

    Raises:
        MalformedError: it holds something else.
    """

def join_pieces(pieces: Sequence[_Bytes]) -> memoryview:
    """Put pieces one behind another, without the GIL; the memory is given back without it too.

    Args:
        pieces: they must not change meanwhile.
    """

def merge_chunks(chunks: Sequence[_Bytes], final: bool) -> bytes | memoryview:
    """Merge chunks of one table, oldest first; from 16 KiB on without the GIL, which then gives a view.

    Args:
        chunks: the first may be a snapshot; they must not change meanwhile.
        final: make a snapshot even if none is among the chunks.

    Raises:
        MalformedError: one is no chunk.
        NewerFormatError: a newer version made one.
        ValueError: they are not in order of batch time, or a snapshot is not the first.
    """

class KafkaClientError(Exception):
    """Kafka or its client refused.

    Attributes:
        kind: what to do about it. `invalid`: an option cannot work; `unavailable`: it may pass; `authentication`,
            `authorization`, `unknown_topic`; `out_of_range`: the offset is not in the partition; `record`: a record
            that was written cannot be taken; `other`.
        next: of a step of a transaction: `retry` the same call on the same producer, `abort` the transaction, or
            `renew`: this producer can do nothing more.
    """

    kind: str
    next: str

@final
class KafkaRecord:
    """One record of a Kafka topic.

    A record that was read refers to the columns that it was read with, and makes key, value and headers when they are
    asked for: take what you need out of it before you keep it for long.

    Args:
        key: bytes or None, or what the key decoder gave.
        value: bytes or None, or what the value decoder gave.
        topic: the name of the topic.
        partition: the number of the Kafka partition.
        offset: the offset there.
        timestamp_ms: milliseconds since the epoch, or None.
        headers: pairs of name and value, which is bytes or None.
        timestamp_type: `create` (the producer's), `append` (the broker's) or None.

    Example:
        >>> record = KafkaRecord(b"k", b"v", "lines", 0, 17)
        >>> record.key, record.value, record.offset, record.headers
        (b'k', b'v', 17, [])
        >>> record
        KafkaRecord(key=b'k', value=b'v', topic='lines', partition=0, offset=17)
    """

    def __new__(
        cls,
        key: Any,
        value: Any,
        topic: str,
        partition: int = 0,
        offset: int = 0,
        timestamp_ms: int | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
        timestamp_type: str | None = None,
    ) -> KafkaRecord: ...
    @property
    def key(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int | None: ...
    @property
    def timestamp_type(self) -> str | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def kafka_records(
    table: _ArrowStream, keys: list[Any] | None = None, values: list[Any] | None = None
) -> list[KafkaRecord]:
    """Make records of a table of Kafka's columns.

    Args:
        table: columns as `KafkaColumns` has them; key and value may be text.
        keys: what the keys were decoded to, one a record; None: as they are in the table.
        values: what the values were decoded to, one a record; None: as they are in the table.

    Raises:
        TypeError: it has other columns.
        ValueError: there are not as many keys or values as records.
    """

@final
class KafkaColumns:
    """Records of a range as Arrow columns; `pyarrow.table(columns)` takes them without a copy.

    The columns are `key` and `value` (binary, may be null), `topic` (dictionary of text), `partition` (int32), `offset`
    (int64), `timestamp_ms` (int64, may be null), `timestamp_type` (int8: 0 none, 1 of the producer, 2 of the broker)
    and `headers` (list of structs of `key` and `value`).
    """

    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> CapsuleType: ...

@final
class KeyIndex:
    """Rows of a column by their values, found again and again without hashing the column each time.

    The GIL is released.

    Args:
        column: Int64 or LargeUtf8, in one piece; null is no value.

    Raises:
        ValueError: a column of another type or in several chunks, or of more than 2**32 - 1 rows.

    Example:
        >>> import pyarrow as pa
        >>> index = KeyIndex(pa.array([70, 80, 90]))
        >>> pa.Array.from_buffers(pa.int64(), 2, [None, pa.py_buffer(index.find(pa.array([90, 7])))]).to_pylist()
        [2, -1]
    """

    def __new__(cls, column: _ArrowArray | _ArrowStream) -> KeyIndex: ...
    @property
    def is_unique(self) -> bool:
        """Whether no two rows have the same value."""

    def find(self, column: _ArrowArray | _ArrowStream) -> bytes:
        """Give for each value the first row that has it, or -1, as 64-bit numbers in the order of the machine.

        Args:
            column: of the type of the index, whole or in chunks.

        Raises:
            ValueError: it is of another type.
        """

@final
class KafkaReader:
    """What reads ranges of Kafka partitions with one client; safe from any thread.

    A partition that was read goes on being fetched in the background, up to the bounds of the client, so that the range
    behind is there when it is asked for. Waiting releases the GIL.

    Args:
        options: of librdkafka.

    Raises:
        KafkaClientError: an option cannot work.
    """

    def __new__(cls, options: dict[str, str]) -> KafkaReader: ...
    def read(self, topic: str, partition: int, start: int, until: int, timeout_s: float) -> KafkaColumns:
        """Read the records with offsets from `start` to before `until`.

        Raises:
            KafkaClientError: the offsets are not there, or the brokers refused or did not answer in time.
        """

    def first_offset(self, topic: str, partition: int, timeout_s: float) -> int:
        """Give the first offset of a partition."""

    def follow(self, positions: list[tuple[str, int, int]]) -> list[int | None]:
        """Fetch partitions that will be read from the offsets that are given.

        Returns:
            Up to which offset the records of each are here; None where that is not known. Never waits.
        """

    def forget(self, topic: str) -> None:
        """Fetch a topic no more."""

    def events(self) -> list[tuple[str, str]]:
        """Take what happened to the connections since the last call: `failed` or `recovered`, and a sentence."""

@final
class KafkaGroup:
    """A member of a consumer group; used by one thread.

    Args:
        options: of librdkafka, with `group.id`.
        topics: names, or patterns that begin with `^`.

    Raises:
        KafkaClientError: an option cannot work.
    """

    def __new__(cls, options: dict[str, str], topics: list[str]) -> KafkaGroup: ...
    def poll(self, wait_s: float, most: int) -> tuple[str, Any, Any] | None:
        """Give what comes next; None when nothing came in time.

        Returns:
            `("records", columns, [(topic, partition, next offset), ...])`: all that is there, up to `most`;
            `("given", [(topic, partition), ...], False)`: to be assigned;
            `("taken", [(topic, partition), ...], lost)`: to be given back by `unassign`; where they are lost, others
            may read them already; `("out_of_range", [(topic, partition)], False)`: to go on elsewhere.

        Raises:
            KafkaClientError: the group or the brokers refuse.
        """

    def assign(self, partitions: list[tuple[str, int, int]]) -> None:
        """Read partitions that were given from these offsets on; -2: from the first, -1: from the end."""

    def unassign(self, partitions: list[tuple[str, int]]) -> None:
        """Give back partitions that were taken."""

    def go_on(self, moved: list[tuple[str, int, int]], all: list[tuple[str, int, int]]) -> None:
        """Go on at other offsets of partitions; `all` are those that are assigned, with where each goes on."""

    def pause(self, partitions: list[tuple[str, int]], paused: bool) -> None:
        """Fetch nothing of partitions for now and drop what was fetched, or go on."""

    def commit(self, offsets: list[tuple[str, int, int]], wait_s: float) -> None:
        """Commit offsets, in the background after the wait."""

    def leave(self, wait_s: float) -> None:
        """Leave the group."""

    def events(self) -> list[tuple[str, str]]:
        """Take what happened to the connections since the last call: `failed` or `recovered`, and one sentence."""

@final
class KafkaWatch:
    """A watch over topics and their offsets, by a thread of its own; what it knows is given without waiting.

    Args:
        options: of librdkafka.
        refresh_ms: how often topics and first offsets are asked for.
        lists_names: the names of all topics are asked for too.

    Raises:
        KafkaClientError: an option cannot work.
    """

    def __new__(cls, options: dict[str, str], refresh_ms: int, lists_names: bool) -> KafkaWatch: ...
    def start(self) -> None:
        """Start the thread, once."""

    def watch(self, topics: list[str]) -> None:
        """Name the topics to watch."""

    def ask_for_topics(self) -> None:
        """Have topics and first offsets asked for soon."""

    def ask_in(self, after_s: float) -> None:
        """Have last offsets asked for so long from now, besides."""

    def ask_for_ends(self, timeout_s: float, fresh_s: float = 0.0) -> bool:
        """Have last offsets asked for, and wait for the answer; False where it did not come in time.

        A question that was sent within the last `fresh_s` is as good as a new one. While an earlier question is not
        answered there is no wait.
        """

    def ask_now(self, timeout_s: float) -> None:
        """Ask for topics and all offsets, and wait for the answer."""

    def versions(self) -> tuple[int, int, int]:
        """Give the versions of topics and of ends, and how often topics were asked for."""

    def topics(self) -> list[tuple[str, str, int, str | None, str | None]]:
        """Give the topics that are watched: name, id, number of partitions, kind and text of what is wrong."""

    def names(self) -> list[str]:
        """Give the names of all topics, where they are asked for."""

    def ends(self) -> list[tuple[str, int, int, int, int]]:
        """Give topic, partition, first offset, offset after the last record that can be read, and leader epoch."""

    def list_names(self, timeout_s: float) -> list[str]:
        """List the names of all topics."""

    def describe(self, names: list[str], timeout_s: float) -> list[tuple[str, str, int, str | None, str | None]]:
        """Describe topics, as `topics` does."""

    def find(self, names: list[str], timeout_s: float) -> list[tuple[str, str, int, str | None, str | None]]:
        """Describe topics that should be there; those that are not known are asked for again for a second."""

    def offsets(self, wanted: list[tuple[str, int, int]], timeout_s: float) -> list[int]:
        """Give offsets at times: milliseconds since the epoch, -2 for the first, -1 for the end."""

    def committed(self, wanted: list[tuple[str, int]], timeout_s: float) -> list[int | None]:
        """Give what the group has committed."""

    def commit(self, offsets: list[tuple[str, int, int]], wait_s: float) -> None:
        """Commit offsets for the group; what is not answered within the wait goes on in the background."""

    def group_error(self) -> str | None:
        """Take the newest error of the group that nobody was told, such as that the user may not use it."""

    def events(self) -> list[tuple[str, str]]:
        """Take what happened to the connections since the last call: `failed` or `recovered`, and a sentence."""

    @property
    def trouble(self) -> str | None:
        """What is wrong with the connections."""

@final
class KafkaProducer:
    """What writes records to Kafka, in bulk: Arrow columns go in, and the reports of what became of them are counted.

    One thread at a time uses it. Waiting releases the GIL.

    Args:
        options: of librdkafka.

    Raises:
        KafkaClientError: an option cannot work.
    """

    def __new__(cls, options: dict[str, str]) -> KafkaProducer: ...
    def begin(self) -> None:
        """Begin to count anew what becomes of records; their rows are numbered from 0 again."""

    def send(self, topic: str, columns: Any, timeout_s: float) -> None:
        """Hand records to the client, which sends them in the background; waits while it has no room for them.

        Args:
            topic: of the records that do not say theirs.
            columns: an Arrow table with `key` and `value` (binary or large binary, may be null) and, where wanted,
                `topic` (a dictionary of text), `partition` (int32, -1: the client chooses) and `headers` (lists of
                structs of text and large binary).
            timeout_s: how long to wait for room at most.

        Raises:
            KafkaClientError: there was no room in time, or the client can write no more.
        """

    def flush(self, timeout_s: float) -> tuple[int, int, tuple[str, str, str, int, int] | None]:
        """Wait until the brokers have answered for all records.

        Returns:
            How many records they have; for how many they did not answer in time; of the first that they have not:
            kind (as of `KafkaClientError`), text, topic, Kafka partition and row.
        """

    @property
    def failure(self) -> tuple[str, str, str, int, int] | None:
        """The first record that was not taken so far, as of `flush`, or None."""

    def init_transactions(self, timeout_s: float) -> None:
        """End what earlier producers of the transactional id left open, and fence them.

        Raises:
            KafkaClientError: as of every step of a transaction, with `next`.
        """

    def begin_transaction(self) -> None:
        """Begin a transaction."""

    def commit_transaction(self, timeout_s: float) -> None:
        """Have everything delivered, and commit it. With `next` being `retry` the outcome is not known."""

    def abort_transaction(self, timeout_s: float) -> None:
        """Abort the transaction."""

    def describe(self, names: list[str], timeout_s: float) -> list[tuple[str, str, int, str | None, str | None]]:
        """Describe topics, as `KafkaWatch.describe` does."""

    def find(self, names: list[str], timeout_s: float) -> list[tuple[str, str, int, str | None, str | None]]:
        """Describe topics that should be there; those that are not known are asked for again for a second."""

    def list_names(self, timeout_s: float) -> list[str]:
        """List the names of all topics."""

    def make_topic(self, name: str, replicas: int, config: dict[str, str], timeout_s: float) -> None:
        """Make a topic of one partition; one that is there already stays as it is."""

    def topic_config(self, name: str, timeout_s: float) -> dict[str, str]:
        """Give the configuration of a topic."""

    def brokers(self, timeout_s: float) -> int:
        """Give the number of brokers."""

    def replicas(self, name: str, timeout_s: float) -> tuple[int, int]:
        """Give the numbers of brokers and of a topic's replicas; the leader of one that was just made is waited for."""

    def cluster_id(self, timeout_s: float) -> str:
        """Give the name that the cluster has for itself."""

    def offsets(self, wanted: list[tuple[str, int, int]], timeout_s: float) -> list[int]:
        """Give the offsets of partitions at times, as `KafkaWatch.offsets` does."""

    def events(self) -> list[tuple[str, str]]:
        """Take what happened to the connections since the last call: `failed` or `recovered`, and a text."""

    @property
    def trouble(self) -> str | None:
        """What is wrong with the connections, or None."""
