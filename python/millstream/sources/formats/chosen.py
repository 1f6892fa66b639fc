"""Finding a format of files by its name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.sources.formats.avro_format import AvroFormat
from millstream.sources.formats.csv_format import CsvFormat
from millstream.sources.formats.file_format import FileFormat, OnMalformed
from millstream.sources.formats.json_lines_format import JsonLinesFormat
from millstream.sources.formats.parquet_format import ParquetFormat
from millstream.sources.formats.text_format import TextFormat

FORMATS: dict[str, type[FileFormat[Any]]] = {
    "text": TextFormat,
    "jsonl": JsonLinesFormat,
    "csv": CsvFormat,
    "parquet": ParquetFormat,
    "avro": AvroFormat,
}


def chosen(name: str | FileFormat[Any], on_malformed: OnMalformed, options: Mapping[str, Any]) -> FileFormat[Any]:
    """Make the format of a name, or take the one that was made already.

    Args:
        name: one of `FORMATS`, or a format, which has its own policy and options.
        on_malformed: the policy.
        options: of the format's own.

    Raises:
        ConfigurationError: nobody knows the name, or the format refuses a value.
        ArgumentTypeError: the format has no such option.

    Example:
        >>> chosen("csv", "skip", {"delimiter": ";"}).on_malformed
        'skip'
    """
    if isinstance(name, FileFormat):
        if options:
            raise _no_option(name.name, next(iter(options)), [])
        return name
    if not isinstance(name, str) or name not in FORMATS:
        raise ConfigurationError(
            "A file stream does not know this format.",
            detail=f"format={shown(name)}.",
            hint=f"Give one of {', '.join(map(repr, FORMATS))}, or a FileFormat of your own.",
        )
    kind = FORMATS[name]
    known = [option for option in inspect.signature(kind).parameters if option != "on_malformed"]
    for option in options:
        if option not in known:
            raise _no_option(kind.name, option, known)
    return kind(on_malformed=on_malformed, **options)


def _no_option(name: str, option: str, known: list[str]) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"Streams of {name} files have no option {option!r}.",
        detail=f"It was given the argument {option}=.",
        hint=f"The format's own options are {', '.join(known)}." if known else "This format takes no options here.",
    )
