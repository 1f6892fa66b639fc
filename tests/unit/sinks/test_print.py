from __future__ import annotations

import io
from typing import Any

import pytest

from millstream.errors import ConfigurationError, SinkUnavailableError
from millstream.model.batch import Batch
from millstream.sinks.print import PrintSink

BATCH = Batch(1_763_801_714_005)
BANNER = "-" * 43 + "\nTime: 2025-11-22T08:55:14.005Z\n" + "-" * 43 + "\n"


@pytest.mark.parametrize(
    ("num", "count", "rows", "expected"),
    [
        (2, False, ["a", ("b", 1)], "a\n('b', 1)\n\n"),
        (2, False, ["a", "b", "c"], "a\nb\n...\n\n"),
        (2, False, [], "\n"),
        (1, True, ["a", "b", "c"], "a\n...\nCount: 3\n\n"),
        (0, True, [], "Count: 0\n\n"),
    ],
)
def test_what_is_printed(num: int, count: bool, rows: list[Any], expected: str) -> None:
    file = io.StringIO()
    PrintSink(num, count=count, file=file).deliver(BATCH, rows)
    assert file.getvalue() == BANNER + expected


def test_it_asks_for_one_row_more_than_it_prints() -> None:
    assert PrintSink(10).limit == 11
    assert PrintSink(10, count=True).limit is None


def test_it_prints_to_the_standard_output_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    PrintSink().deliver(BATCH, [1])
    assert capsys.readouterr().out == BANNER + "1\n\n"


def test_it_writes_one_piece_so_that_outputs_do_not_mix() -> None:
    pieces: list[str] = []

    class Pieces(io.StringIO):
        def write(self, text: str, /) -> int:
            pieces.append(text)
            return len(text)

    PrintSink(file=Pieces()).deliver(BATCH, [1, 2, 3])
    assert len(pieces) == 1


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    PrintSink(file=file).deliver(BATCH, ["ß"])
    assert raw.getvalue().decode().endswith("\\xdf\n\n")


def test_an_output_that_nobody_reads_is_reported() -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(SinkUnavailableError, match="could not be printed"):
        PrintSink(file=Broken()).deliver(BATCH, [])
    closed = io.StringIO()
    closed.close()
    with pytest.raises(SinkUnavailableError, match="could not be printed"):
        PrintSink(file=closed).deliver(BATCH, [])


@pytest.mark.parametrize("num", [-1, 1.5, True, "3"])
def test_a_number_that_cannot_be_printed_is_refused(num: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot print so many rows"):
        PrintSink(num)
