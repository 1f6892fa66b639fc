"""Keys and values of Kafka records as something other than bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.environment.logger import logger
from millstream.errors import ArgumentTypeError, DataError, InvalidError, UnavailableError, shown
from millstream.model.accumulator import Accumulator
from millstream.model.partition import Columns, Partition
from millstream.sources.kafka.dead_letter_topic import DeadLetterTopic
from millstream.sources.kafka.kafka_columns import kafka_rows

if TYPE_CHECKING:
    import pyarrow as pa

Decoder: TypeAlias = Literal["bytes", "utf8", "json"] | Callable[[bytes], Any]
"""What keys or values become: `bytes` as they are, `utf8` text, `json` what the JSON says; or a function of bytes.

`AvroDecoder`, `ProtobufDecoder` and `SchemaRegistryDecoder` are such functions.
"""

OnUndecodable: TypeAlias = Literal["fail", "skip", "dead_letter"]
"""What happens to a record whose key or value cannot be decoded."""


class _Undecodable:
    """In the place of what could not be decoded."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Decoding:
    """Decodes the columns of records that were read; goes to executors with the source.

    Null keys and values stay None, and no decoder is asked about them.

    Args:
        key: of keys.
        value: of values.
        on_undecodable: what happens to a record that cannot be decoded.
        dead_letters: where it goes with `dead_letter`.

    Attributes:
        skipped: how many records were left out, on the driver.

    Raises:
        ArgumentTypeError: a decoder is none.
    """

    def __init__(
        self,
        key: Decoder,
        value: Decoder,
        on_undecodable: OnUndecodable,
        dead_letters: DeadLetterTopic | None = None,
    ) -> None:
        self.on_undecodable = on_undecodable
        self.dead_letters = dead_letters
        self.skipped = Accumulator(0)
        self._key = _checked("key_decoder", key)
        self._value = _checked("value_decoder", value)

    def partition(self, table: pa.Table, what: str) -> Partition[Any]:
        """Decode records; text and bytes stay in columns.

        Raises:
            DataError: a record cannot be decoded, and the policy is to fail.
            SinkUnavailableError: the topic of such records could not be written.
        """
        keys, values = self._decoded(table, "key", self._key), self._decoded(table, "value", self._value)
        bad = _reasons(key=keys, value=values)
        if bad:
            self._tell(table, bad, what)
            table, keys, values = _without(bad, table, keys, values)
        if self._key == "utf8":
            table = _as_text(table, "key")
        if self._value == "utf8":
            table = _as_text(table, "value")
        # Columns of text are read from the table.
        keys = None if self._key == "utf8" else keys
        values = None if self._value == "utf8" else values
        if keys is None and values is None:
            return Partition(Columns(table, scalar=False, make=kafka_rows))
        from millstream._core import kafka_records

        return Partition(kafka_records(table, keys, values))

    def _decoded(self, table: pa.Table, column: str, decoder: Decoder) -> list[Any] | None:
        """Decode a column; None where nothing is to do."""
        if decoder == "bytes":
            return None
        cells = table.column(column)
        if decoder == "utf8":
            if _is_text(cells):
                return None
            decode: Callable[[bytes], Any] = _text
        else:
            decode = _json if decoder == "json" else decoder
        return [None if cell is None else _attempt(decode, cell) for cell in cells.to_pylist()]

    def _tell(self, table: pa.Table, bad: Mapping[int, str], what: str) -> None:
        index, reason = next(iter(bad.items()))
        row = table.slice(index, 1).to_pylist()[0]
        where = f"{row['topic']}[{row['partition']}] offset {row['offset']}"
        first = f"{where} has key {shown(row['key'])} and value {shown(row['value'])}: {reason}"
        if self.on_undecodable == "fail":
            raise DataError(
                f"A record of {what} cannot be decoded.",
                detail=f"{first}; {len(bad)} of {table.num_rows} records cannot.",
                hint='Give on_undecodable="skip" to leave such records out, "dead_letter" to have them in a topic, or '
                "decode them in a map of your own.",
            )
        if self.dead_letters is not None:
            self.dead_letters.write(table, bad)
        self.skipped.add(len(bad))
        then = "are left out" if self.dead_letters is None else f"are in the topic {self.dead_letters.topic}"
        logger.warning("%s: %d records that cannot be decoded %s; the first: %s", what, len(bad), then, first)


_SCHEMA_HINT = (
    "It needs a schema: give ms.AvroDecoder(schema), ms.ProtobufDecoder(MessageClass), or "
    "ms.SchemaRegistryDecoder(url) where records begin with the number of their schema."
)


def _checked(name: str, decoder: Any) -> Decoder:
    if decoder in ("bytes", "utf8", "json") or callable(decoder):
        checked: Decoder = decoder
        return checked
    raise ArgumentTypeError(
        f"{name} is no decoder.",
        detail=f"{name}={shown(decoder)}.",
        hint=_SCHEMA_HINT
        if decoder in ("avro", "protobuf")
        else 'Give "bytes", "utf8", "json" or a function of bytes.',
    )


def _attempt(decode: Callable[[bytes], Any], cell: bytes) -> Any:
    try:
        return decode(cell)
    except (InvalidError, UnavailableError):
        raise  # A schema registry that does not answer says nothing about the record.
    except Exception as error:
        # Why any: a decoder says by raising, whatever it raises, that these bytes are not its own.
        return _Undecodable(f"{type(error).__name__}: {error}")


def _reasons(**columns: list[Any] | None) -> dict[int, str]:
    """Give which records cannot be decoded, and why, in their order."""
    found: dict[int, str] = {}
    for name, column in columns.items():
        for index, cell in enumerate(column or ()):
            if isinstance(cell, _Undecodable):
                found.setdefault(index, f"{name}: {cell.reason}")
    return dict(sorted(found.items()))


def _text(cell: bytes) -> str:
    return cell.decode()


def _json(cell: bytes) -> Any:
    import msgspec

    return msgspec.json.decode(cell)


def _is_text(cells: pa.ChunkedArray) -> bool:
    import pyarrow as pa

    try:
        cells.cast(pa.utf8())
    except pa.ArrowInvalid:
        return False
    return True


def _as_text(table: pa.Table, column: str) -> pa.Table:
    import pyarrow as pa

    index = table.schema.get_field_index(column)
    return table.set_column(index, column, table.column(column).cast(pa.utf8()))


def _without(
    bad: Mapping[int, str], table: pa.Table, *columns: list[Any] | None
) -> tuple[pa.Table, list[Any] | None, list[Any] | None]:
    import pyarrow as pa

    kept = [index for index in range(table.num_rows) if index not in bad]
    keys, values = (None if column is None else [column[index] for index in kept] for column in columns)
    return table.take(pa.array(kept, pa.int64())), keys, values
