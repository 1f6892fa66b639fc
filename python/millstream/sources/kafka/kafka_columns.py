"""What the columns of Kafka records become: records, with keys and values decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def kafka_rows(table: pa.Table) -> list[Any]:
    """Make the `KafkaRecord`s of a table of Kafka's columns."""
    from millstream._core import kafka_records

    return kafka_records(table)
