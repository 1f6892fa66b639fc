"""Files of lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from millstream.errors import DataError
from millstream.model.partition import Columns, Partition
from millstream.sources.formats.file_format import FileFormat, FileRecords
from millstream.sources.formats.unpacked import is_packed, unpacked

if TYPE_CHECKING:
    from millstream._core import Lines


class TextFormat(FileFormat[str]):
    r"""Each line is a record. Lines end with `\n`, `\r\n` or `\r`. Compressed files are unpacked.

    Args:
        on_malformed: what happens to a line that is not UTF-8: `fail`, `skip`, or `replace` bad bytes by U+FFFD.
    """

    name: ClassVar[str] = "text"
    invalid_text: ClassVar[str] = "lines that are not UTF-8"
    policies: ClassVar[tuple[str, ...]] = ("fail", "skip", "replace")

    def read(self, path: str, content: bytes | None = None) -> FileRecords[str]:
        import pyarrow as pa

        from millstream._core import InvalidLineError

        try:
            lines, invalid = self._lines(path, content)
        except InvalidLineError as error:
            raise DataError(
                "A line of a text file is not UTF-8.",
                detail=f"{path}, line at byte {error.line_start}: {error}",
                hint="Convert the file, or replace or skip such lines: on_malformed= in file_stream, "
                "on_invalid= in text_file_stream.",
            ) from error
        return FileRecords(Partition(Columns(pa.table(lines), scalar=True)), invalid)

    def _lines(self, path: str, content: bytes | None) -> tuple[Lines, int]:
        from millstream._core import cut_lines, read_lines

        if content is not None or is_packed(path):
            return cut_lines(unpacked(path, content), self.on_malformed)
        return read_lines(path, on_invalid=self.on_malformed)
