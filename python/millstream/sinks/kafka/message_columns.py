"""Records as columns of messages: key, value, topic, Kafka partition, headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.errors import ArgumentTypeError, MillstreamError, UserCodeError, shown
from millstream.model.partition import Columns, Partition

if TYPE_CHECKING:
    import pyarrow as pa

Encoder: TypeAlias = Literal["bytes", "utf8", "json"] | Callable[[Any], Any]
"""What makes bytes of a key or value: `bytes` as they are, `utf8` of text, `json`; or a function of the record."""

_ENCODERS = ("bytes", "utf8", "json")
_KAFKA_COLUMNS = {"key", "value", "offset", "headers"}


class MessageColumns:
    """Turns the records of a partition into columns of messages; goes to executors with the sink.

    Args:
        topic: the topic of all records, or a function of the record.
        key: see `Encoder`; None: bytes and text are taken as they are.
        value: likewise.
        headers: a function of the record, or None.
        partitioner: a function of the record that gives the number of the Kafka partition, or None.

    Raises:
        ArgumentTypeError: an argument is of a type that cannot work.

    Example:
        >>> columns = MessageColumns("counts", None, "json", None, None)
        >>> columns.table(Partition([("to", 2), ("be", None)])).to_pylist()
        [{'key': b'to', 'value': b'2'}, {'key': b'be', 'value': None}]
    """

    def __init__(
        self,
        topic: str | Callable[[Any], str],
        key: Encoder | None,
        value: Encoder | None,
        headers: Callable[[Any], Any] | None,
        partitioner: Callable[[Any], int] | None,
    ) -> None:
        if not callable(topic) and (not isinstance(topic, str) or not topic):
            raise _no_argument("topic", topic, "the name of a topic, or a function of the record that gives it")
        for name, encoder in (("key", key), ("value", value)):
            if encoder is not None and encoder not in _ENCODERS and not callable(encoder):
                raise _no_argument(name, encoder, '"bytes", "utf8", "json", or a function of the record')
        if headers is not None and not callable(headers):
            raise _no_argument("headers", headers, "a function of the record that gives pairs of name and value")
        self._topic = topic
        self._key = key
        self._value = value
        self._headers = headers
        self._partitioner = partitioner

    def table(self, data: Partition[Any]) -> pa.Table:
        """Make the columns of a partition.

        Raises:
            ArgumentTypeError: a record is not what the encoders take.
            UserCodeError: a function raised.
        """
        held = data.data
        if isinstance(held, Columns) and self._takes_columns:
            table = _of_columns(held)
            if table is not None:
                return table
        return self._of_rows(list(data.rows()))

    @property
    def _takes_columns(self) -> bool:
        plain = (None, "bytes")
        return (
            isinstance(self._topic, str)
            and self._key in plain
            and self._value in (*plain, "utf8")
            and self._headers is None
            and self._partitioner is None
        )

    def _of_rows(self, rows: list[Any]) -> pa.Table:
        import pyarrow as pa

        keys, values = _parts(rows, self._key, self._value)
        columns: dict[str, Any] = {
            "key": _encoded("key", keys, self._key, rows),
            "value": _encoded("value", values, self._value, rows),
        }
        if callable(self._topic):
            names = _called("topic", self._topic, rows)
            _check("topic", names, rows, lambda name: isinstance(name, str) and name != "", "the name of a topic")
            columns["topic"] = pa.array(names, pa.string()).dictionary_encode()
        if self._partitioner is not None:
            numbers = _called("partitioner", self._partitioner, rows)
            _check("partitioner", numbers, rows, _is_partition, "the number of a Kafka partition")
            columns["partition"] = pa.array(numbers, pa.int32())
        if self._headers is not None:
            found = _called("headers", self._headers, rows)
            pairs = [_header_pairs(given, row) for given, row in zip(found, rows, strict=True)]
            pair = pa.struct([pa.field("key", pa.string(), False), pa.field("value", pa.large_binary())])
            columns["headers"] = pa.array(pairs, pa.list_(pair))
        return pa.table(columns)


def _of_columns(columns: Columns) -> pa.Table | None:
    """Give the messages of columns as they are; None where only rows say what they are."""
    import pyarrow as pa

    table = columns.table
    if columns.make is not None and set(table.column_names) >= _KAFKA_COLUMNS:
        table = table.select(["key", "value"])
        return table if all(map(_is_bytes, table.schema.types)) else _as_bytes(table)
    if not columns.scalar:
        return None
    values = table.column(0)
    return _as_bytes(pa.table({"key": pa.nulls(len(values), pa.binary()), "value": values}))


def _as_bytes(table: pa.Table) -> pa.Table | None:
    """Give text as its bytes; None where a column is neither text nor bytes."""
    import pyarrow as pa

    kinds = [kind if _is_bytes(kind) else pa.large_binary() for kind in table.schema.types]
    try:
        return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _parts(rows: list[Any], key: Encoder | None, value: Encoder | None) -> tuple[Sequence[Any], Sequence[Any]]:
    """Take records apart: pairs and Kafka's records have a key and a value, all others are a value."""
    from millstream._core import KafkaRecord

    kinds = set(map(type, rows))
    if kinds == {tuple} and all(len(row) == 2 for row in rows):
        keys, values = zip(*rows, strict=True)
        return keys, values
    nothing = [None] * len(rows)
    if kinds <= {bytes, str} or (callable(key) and callable(value)):
        return nothing, rows
    pairs = [
        (row.key, row.value)
        if isinstance(row, KafkaRecord)
        else row
        if isinstance(row, tuple) and len(row) == 2
        else (None, row)
        for row in rows
    ]
    return ([pair[0] for pair in pairs], [pair[1] for pair in pairs]) if pairs else (nothing, nothing)


def _encoded(name: str, parts: Sequence[Any], encoder: Encoder | None, rows: list[Any]) -> Any:
    """Encode keys or values; None stays null."""
    import pyarrow as pa

    if encoder == "json":
        import msgspec

        encode = msgspec.json.Encoder().encode
        parts = _called(name, lambda part: None if part is None else encode(part), parts, rows)
    elif callable(encoder):
        parts = _called(name, encoder, rows)
    kinds = set(map(type, parts)) - {type(None)}
    allowed = {"utf8": (str,), "bytes": (bytes, bytearray, memoryview)}.get(str(encoder), (bytes, str))
    if not all(issubclass(kind, allowed) for kind in kinds):
        hint = 'bytes or text; value="json" or a function of the record makes bytes of anything else'
        _check(name, parts, rows, lambda part: part is None or isinstance(part, allowed), hint)
    if all(issubclass(kind, str) for kind in kinds):
        try:
            return pa.array(parts, pa.large_string()).cast(pa.large_binary())
        except UnicodeEncodeError:
            _check(name, parts, rows, _is_encodable, "text without half characters (surrogates)")
            raise
    return pa.array([part.encode() if isinstance(part, str) else part for part in parts], pa.large_binary())


def _called(name: str, f: Callable[[Any], Any], given: Sequence[Any], rows: Sequence[Any] | None = None) -> list[Any]:
    found: list[Any] = []
    add = found.append
    try:
        for part in given:
            add(f(part))
    except MillstreamError:
        raise
    except Exception as error:
        record = (given if rows is None else rows)[len(found)]
        raise UserCodeError(
            f"The {name}= of save_to_kafka raised {type(error).__name__}: {error}",
            operator="save_to_kafka",
            record=shown(record),
            detail=f"The record is {shown(record)}.",
            hint="The traceback of the cause shows the line.",
        ) from error
    return found


def _check(name: str, parts: Sequence[Any], rows: Sequence[Any], fits: Callable[[Any], bool], wanted: str) -> None:
    for part, row in zip(parts, rows, strict=True):
        if not fits(part):
            raise ArgumentTypeError(
                f"A record cannot be written to Kafka: its {name} is of type {type(part).__name__}.",
                detail=f"{name} {shown(part)} of the record {shown(row)}.",
                hint=f"It must be {wanted}.",
            )


def _is_partition(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**31


def _is_encodable(part: Any) -> bool:
    try:
        part is None or part.encode()
    except UnicodeEncodeError:
        return False
    return True


def _header_pairs(given: Any, row: Any) -> list[tuple[str, bytes | None]]:
    if given is None:
        return []
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    made: list[tuple[str, bytes | None]] = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            _check("headers", [pair], [row], lambda _: False, "pairs of a name and bytes, text or None")
        name, value = pair
        if not isinstance(value, (bytes, str, type(None))):
            _check("headers", [value], [row], lambda _: False, "pairs of a name and bytes, text or None")
        made.append((name, value.encode() if isinstance(value, str) else value))
    return made


def _no_argument(name: str, given: Any, wanted: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{name}= cannot be what was given.", detail=f"{name}={shown(given)}.", hint=f"Give {wanted}."
    )
