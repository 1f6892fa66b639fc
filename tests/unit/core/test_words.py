"""Words that the core splits off columns; that they are those of Python is shown in tests of column kernels."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from millstream._core import count_words, cut_lines, split_words, word_counts

FUNCTIONS: list[Callable[[Any, str | None], Any]] = [
    count_words,
    split_words,
    lambda column, separator: word_counts(column, separator, 1),
]


@pytest.mark.parametrize("words", FUNCTIONS)
@pytest.mark.parametrize(
    "column",
    [pa.array(["a", None]), pa.array([b"a"]), pa.array([1]), pa.array(["a"], pa.string_view()), pl.Series(["a"])],
    ids=lambda column: str(getattr(column, "type", "view")),
)
def test_what_is_not_plain_text_gives_none(words: Callable[[Any, str | None], Any], column: Any) -> None:
    assert words(column, None) is None


@pytest.mark.parametrize("words", FUNCTIONS)
def test_arguments_are_checked(words: Callable[[Any, str | None], Any]) -> None:
    with pytest.raises(ValueError, match="empty separator"):
        words(pa.array(["a"]), "")
    with pytest.raises(TypeError, match="an Arrow array or a column of one is needed, not list"):
        words(["a"], None)


def test_a_null_outside_of_a_slice_does_not_matter() -> None:
    assert count_words(pa.array([None, "a b", None]).slice(1, 1), None) == 2


def test_counts_are_whole_numbers_of_any_size() -> None:
    assert word_counts(pa.array(["a a"]), None, 2**64) == {"a": 2**65}
    assert word_counts(pa.array(["a a"]), None, -1) == {"a": -2}
    assert word_counts(pa.chunked_array([["a", "a"], ["a b"]]), None, 0) == {"a": 0, "b": 0}


@pytest.mark.parametrize("words", FUNCTIONS)
def test_much_text_lets_other_threads_run(words: Callable[[Any, str | None], Any]) -> None:
    lines, _ = cut_lines(b"".join(b"%d to be or not to be\n" % n for n in range(20_000)), "fail")
    column = pa.table(lines).column(0)
    go, ran = threading.Event(), threading.Event()

    def wait_and_run() -> None:
        go.wait()
        ran.set()

    other = threading.Thread(target=wait_and_run)
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # Only who lets the interpreter go loses it.
    try:
        go.set()
        rounds = next((n for n in range(1000) if ran.is_set() or not words(column, None)), None)
        assert rounds is not None
    finally:
        sys.setswitchinterval(interval)
    other.join()
