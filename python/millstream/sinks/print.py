"""Printing the first rows of each batch."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, TextIO

from millstream.errors import ConfigurationError, SinkUnavailableError
from millstream.model.batch import Batch

RULE = "-" * 43
"""The line above and below a batch's time."""


class PrintSink:
    """Prints the time and the first rows of each batch, empty ones too, as one piece of text.

    Args:
        num: how many rows to print; 0 for none but the count, say.
        count: print a line with the number of rows too, which makes the engine collect all of them.
        file: where to print; None: the standard output as it is at that moment.

    Raises:
        ConfigurationError: `num` is not a whole number of at least 0.

    Example:
        >>> PrintSink(2).deliver(Batch(1_500), ["a", ("b", 1), "c"])
        -------------------------------------------
        Time: 1970-01-01T00:00:01.500Z
        -------------------------------------------
        a
        ('b', 1)
        ...
        <BLANKLINE>
    """

    def __init__(self, num: int = 10, *, count: bool = False, file: TextIO | None = None) -> None:
        if isinstance(num, bool) or not isinstance(num, int) or num < 0:
            raise ConfigurationError(
                "print cannot print so many rows.", detail=f"num={num!r}.", hint="Give a whole number of at least 0."
            )
        self._num = num
        self._count = count
        self._file = file
        self.limit: int | None = None if count else num + 1
        """How many rows of a batch are wanted: one more than are printed tells whether there are more."""

    def deliver(self, batch: Batch, rows: list[Any]) -> None:
        """Print the rows of one batch.

        Raises:
            SinkUnavailableError: nobody reads the output any more, or it cannot be written.
        """
        file = sys.stdout if self._file is None else self._file
        text = self.text(batch, rows)
        try:
            try:
                file.write(text)
            except UnicodeEncodeError:
                encoding = file.encoding or "ascii"
                file.write(text.encode(encoding, "backslashreplace").decode(encoding))
            file.flush()
        except (OSError, ValueError) as error:  # ValueError: the file is closed.
            raise SinkUnavailableError(
                "A batch could not be printed.",
                detail=f"{type(error).__name__}: {error}",
                hint="Keep the reader of the standard output alive, or print to a file.",
            ) from error

    def text(self, batch: Batch, rows: list[Any]) -> str:
        """Give what is printed for a batch."""
        lines = [RULE, f"Time: {shown_time(batch.time)}", RULE, *map(str, rows[: self._num])]
        if len(rows) > self._num:
            lines.append("...")
        if self._count:
            lines.append(f"Count: {len(rows)}")
        lines.append("\n")
        return "\n".join(lines)


def shown_time(time: datetime) -> str:
    """Give a time in UTC as ISO 8601 text, to the millisecond.

    Example:
        >>> shown_time(Batch(1_763_801_714_005).time)
        '2025-11-22T08:55:14.005Z'
    """
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
