"""The parts in which a batch is posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

BodyFormat: TypeAlias = Literal["json", "lines"]

POSITION_HEADER = "millstream-position"
"""How another program of ours, which takes posts in, knows a part that comes again: a sender and a growing number."""

PARTS_MAX = 2**20
"""Parts of a batch; with its time in milliseconds they make a number below 2**63 for some thousand years."""

MEDIA_TYPES: dict[str, str] = {"json": "application/json", "lines": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class HttpPart:
    """Some records of a batch, one request.

    Attributes:
        key: the same in each run of the batch, and another one for every other part.
        number: place in the batch, from 0.
        records: encoded, at least one.
    """

    key: str
    number: int
    records: Sequence[bytes]

    def position(self, sender: str, batch_ms: int) -> str | None:
        """Give the header by which a program of ours takes the part once, when parts arrive in order.

        Args:
            sender: names the output of this history of the program.
            batch_ms: the batch time.

        Example:
            >>> HttpPart("k-1", 1, [b"1"]).position("hook-097a78f96fb2", 1_000)
            'hook-097a78f96fb2 1048576001'
        """
        return f"{sender} {batch_ms * PARTS_MAX + self.number}" if self.number < PARTS_MAX else None

    def body(self, format: BodyFormat) -> bytes:
        r"""Give what is posted.

        Example:
            >>> HttpPart("k-0", 0, [b"1", b"2"]).body("json"), HttpPart("k-0", 0, [b"1", b"2"]).body("lines")
            (b'[1,2]', b'1\n2\n')
        """
        if format == "json":
            return b"[" + b",".join(self.records) + b"]"
        return b"".join(record + b"\n" for record in self.records)


def parts_of(records: Sequence[bytes], key: str, max_records: int, max_bytes: int) -> Iterator[HttpPart]:
    """Cut a batch into parts, of no more records and bytes than these; a larger record is a part of its own.

    Example:
        >>> [part.key for part in parts_of([b"1", b"22", b"333"], "k", max_records=2, max_bytes=4)]
        ['k-0', 'k-1']
        >>> [list(part.records) for part in parts_of([b"1", b"22", b"333"], "k", max_records=2, max_bytes=4)]
        [[b'1', b'22'], [b'333']]
    """
    number, begin, size = 0, 0, 0
    for at, record in enumerate(records):
        if at > begin and (at - begin >= max_records or size + len(record) > max_bytes):
            yield HttpPart(f"{key}-{number}", number, records[begin:at])
            number, begin, size = number + 1, at, 0
        size += len(record)
    if begin < len(records):
        yield HttpPart(f"{key}-{number}", number, records[begin:])
