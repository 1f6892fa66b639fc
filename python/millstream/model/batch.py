"""The batch that a user's function may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from millstream.model.html_table import html_table
from millstream.model.offset_range import OffsetRange


@dataclass(frozen=True, slots=True)
class BatchInput:
    """What one input contributed to a batch.

    Attributes:
        records: how many records, or None where only reading could tell.
        description: one line for people, such as the paths of the files.
        ranges: of `kafka_stream`, the ranges of offsets, in the order of their records; of other inputs none.
    """

    records: int | None = None
    description: str = ""
    ranges: tuple[OffsetRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as a user's function sees it.

    Attributes:
        time_ms: batch time, the end of the interval, milliseconds since the Unix epoch.
        attempt: 0 for the first run of the batch, 1 for the first retry, and so on.
        inputs: what each input contributed, by the name of the input.
        output: in a function of an output operation, what names this output of this history of the program.

    Example:
        >>> Batch(1_500).time.isoformat()
        '1970-01-01T00:00:01.500000+00:00'
        >>> Batch(1_500).id, Batch(1_500, output="counts-097a78f96fb2").id
        ('1500', 'counts-097a78f96fb2-1500')
    """

    time_ms: int
    attempt: int = 0
    inputs: Mapping[str, BatchInput] = field(default_factory=dict)
    output: str = ""

    @property
    def time(self) -> datetime:
        """The batch time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        given = [(f"input {name}", _shown(of)) for name, of in self.inputs.items()]
        rows = [("time", self.time.isoformat()), ("id", self.id), ("attempt", self.attempt), *given]
        return html_table(f"Batch {self.time_ms}", rows)

    @property
    def id(self) -> str:
        """An identity that every attempt of this batch shares, in every run; the idempotency key for outside systems.

        In a function of an output operation no other output, and no other history of a program, shares it.
        """
        return f"{self.output}-{self.time_ms}" if self.output else str(self.time_ms)


def _shown(given: BatchInput) -> str:
    records = "" if given.records is None else f"{given.records} records"
    return ": ".join(part for part in (records, given.description) if part) or "unknown"
