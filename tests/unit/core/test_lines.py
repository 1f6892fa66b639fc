"""Lines are those of a Python file with universal newlines, wherever the bytes come from and are cut."""

import io
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream._core import InvalidLineError, cut_lines, read_lines, rows_from_utf8

texts = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", "é—".encode(), b"\xff", b"\xe2\x82"])).map(
    b"".join
)


def lines_of_python(data: bytes) -> list[str]:
    return [line.removesuffix("\n") for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="replace")]


@given(texts)
def test_bytes_are_cut_as_python_cuts_a_file(data: bytes) -> None:
    lines, invalid = cut_lines(data, "replace")
    expected = lines_of_python(data)
    assert rows_from_utf8(lines) == expected
    assert len(lines) == len(expected)
    assert invalid == sum("\ufffd" in line for line in expected)


@given(texts)
def test_skipped_lines_are_those_that_are_not_utf8(data: bytes) -> None:
    lines, invalid = cut_lines(data, "skip")
    expected = lines_of_python(data)
    assert rows_from_utf8(lines) == [line for line in expected if "\ufffd" not in line]
    assert invalid == len(expected) - len(lines)


@given(st.binary())
def test_replacement_is_that_of_python(data: bytes) -> None:
    assert rows_from_utf8(cut_lines(data, "replace")[0]) == lines_of_python(data)


@pytest.mark.parametrize(
    ("data", "line_start", "byte"),
    [(b"\xff", 0, 0), (b"ok\r\nno\xff\n", 4, 6), (b"x\n" * 700_000 + b"a\xe2\x82", 1_400_000, 1_400_001)],
    ids=["first", "second", "in a later piece"],
)
def test_failing_names_the_line_and_the_byte(data: bytes, line_start: int, byte: int, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    ways: list[Callable[[], object]] = [lambda: cut_lines(data, "fail"), lambda: read_lines(path, on_invalid="fail")]
    for cut in ways:
        with pytest.raises(InvalidLineError, match=f"the line at byte {line_start} ") as raised:
            cut()
        assert (raised.value.line_start, raised.value.byte) == (line_start, byte)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="'replace', 'skip' or 'fail', not 'ignore'"):
        cut_lines(b"", "ignore")  # type: ignore[arg-type]


@given(texts, st.lists(st.integers(0, 40), max_size=4))
def test_ranges_of_a_file_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "ranges"
    path.write_bytes(data)
    ends: list[int | None] = [*sorted(min(cut, len(data)) for cut in cuts), None]
    got: list[str] = []
    start = 0
    for end in ends:
        got += rows_from_utf8(read_lines(path, start, end)[0])
        start = end or start
    assert got == lines_of_python(data)


def test_large_files_are_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large"
    expected = [f"line {number} é\t{'x' * (number % 300)}" for number in range(40_000)]
    path.write_text("\r\n".join(expected), encoding="utf-8", newline="")
    assert path.stat().st_size > 5 << 20
    assert rows_from_utf8(read_lines(path)[0]) == expected


def test_files_that_cannot_be_read_raise_what_open_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        read_lines(tmp_path / "missing")
    assert raised.value.filename == str(tmp_path / "missing")
    assert raised.value.errno == 2
    with pytest.raises(IsADirectoryError):
        read_lines(tmp_path)
    with pytest.raises(ValueError, match="before its start"):
        read_lines(tmp_path / "missing", 2, 1)


def test_lines_are_a_table_of_one_column() -> None:
    lines, _ = cut_lines(b"one\ntwo\n", "fail")
    expected = pa.table({"value": ["one", "two"]})
    assert pa.table(lines) == expected
    assert pa.record_batch(lines) == expected.to_batches()[0]
    assert pa.RecordBatchReader.from_stream(lines).read_all() == expected
    assert pl.DataFrame(lines)["value"].to_list() == ["one", "two"]
    assert (len(lines), lines.bytes) == (2, 6 + 2 * 4)


def test_no_lines_are_an_empty_table() -> None:
    assert pa.table(cut_lines(b"", "fail")[0]) == pa.table({"value": pa.array([], pa.string())})


def test_arrow_data_outlives_the_lines() -> None:
    table = pa.table(cut_lines(b"a\n" * 1000, "fail")[0])
    assert table["value"].to_pylist() == ["a"] * 1000


VALUES = ["", "a", None, "é", "a string that is too long for a view", "\U0001f600"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(VALUES),
        pa.array(VALUES, pa.large_string()),
        pa.array(VALUES, pa.string_view()),
        pa.array(["x", *VALUES, "y"])[1:-1],
        pa.chunked_array([VALUES[:2], [], VALUES[2:]]),
        pa.table({"value": VALUES}),
        pa.record_batch({"value": VALUES}),
        pl.Series(VALUES),
        pl.DataFrame({"value": VALUES}),
    ],
    ids=["utf8", "large", "view", "slice", "chunked", "table", "batch", "polars series", "polars frame"],
)
def test_rows_of_every_form_of_text(array: pa.Array) -> None:
    assert rows_from_utf8(array) == VALUES


def test_rows_of_nothing() -> None:
    assert rows_from_utf8(pa.array([], pa.string())) == []
    assert rows_from_utf8(pa.chunked_array([], pa.string())) == []


@pytest.mark.parametrize(
    "value",
    [pa.array([1]), pa.table({"a": ["x"], "b": ["y"]}), pa.array([b"x"]), ["a"], "a"],
    ids=["ints", "two columns", "bytes", "list", "str"],
)
def test_other_things_than_one_column_of_text_are_refused(value: pa.Array) -> None:
    with pytest.raises(TypeError, match="is needed, not "):
        rows_from_utf8(value)


def test_cutting_much_lets_other_threads_run() -> None:
    data = b"x" * 99 + b"\n"
    ran = threading.Event()
    other = threading.Thread(target=ran.set)

    def cut_until_ran() -> None:
        while not ran.is_set():
            cut_lines(data * 100_000, "replace")

    cutting = threading.Thread(target=cut_until_ran)
    cutting.start()
    other.start()
    cutting.join()
    other.join()
    assert ran.is_set()
