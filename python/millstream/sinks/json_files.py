"""Records as lines of JSON."""

from __future__ import annotations

from typing import Any, BinaryIO, ClassVar

from millstream.errors import ArgumentTypeError, shown
from millstream.model.partition import Partition
from millstream.sinks.manifest_files import ManifestFiles


class JsonFiles(ManifestFiles[Any]):
    """Writes each record as one line of JSON.

    Beside JSON's own types: tuples and sets become arrays; dataclasses and attrs classes objects; dates and times
    ISO 8601 text; Decimal and UUID text; bytes base64; an Enum its value. NaN and infinities, which JSON has not
    got, become null.

    Args:
        path: the directory; see `ManifestFiles` for what lies in it.
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of an object store; see `ManifestFiles`.
    """

    kind: ClassVar[str] = "json"
    extension: ClassVar[str] = ".jsonl"

    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        import msgspec

        rows = list(data.rows())
        encoder = msgspec.json.Encoder()
        try:
            content = encoder.encode_lines(rows)
        except Exception:
            _check(rows, encoder)
            raise
        file.write(content)


def read_json(content: bytes) -> list[Any]:
    """Give the records of a file that `JsonFiles` wrote."""
    import msgspec

    return list(msgspec.json.Decoder().decode_lines(content))


def _check(rows: list[Any], encoder: Any) -> None:
    for record in rows:
        try:
            encoder.encode(record)
        except Exception as error:
            raise ArgumentTypeError(
                "A record cannot be written as JSON.",
                detail=f"{shown(record)}: {error}",
                hint="Turn it into dicts, lists, text and numbers with map().",
            ) from error
