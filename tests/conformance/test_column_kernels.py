"""Word programs over columns of text against plain Python: Arrow tables, files, streams, on every backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import add, sub
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

import millstream as ms
from millstream.context.context import Context
from millstream.environment.environment import Environment
from millstream.errors import UserCodeError
from millstream.testing import ManualClock
from tests.conformance.rdd_strategies import given, partition_counts

words = st.text(st.sampled_from("abé日 \t\x0b\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000\u200b"), max_size=40)
texts = st.lists(words, max_size=30)

PROGRAMS: dict[str, tuple[Callable[[ms.RDD[str]], Any], Callable[[list[str]], Any]]] = {
    "word count": (
        lambda lines: lines.flat_map(lambda line: line.split()).map(lambda w: (w, 1)).reduce_by_key(add).collect(),
        lambda lines: list(Counter(w for line in lines for w in line.split()).items()),
    ),
    "weighted": (
        lambda lines: lines.flat_map(str.split).map(lambda w: (w, -7)).reduce_by_key(lambda a, b: a + b).collect(),
        lambda lines: [(w, -7 * n) for w, n in Counter(w for line in lines for w in line.split()).items()],
    ),
    "values": (
        lambda lines: list(lines.flat_map(lambda line: line.split("a")).count_by_value().items()),
        lambda lines: list(Counter(w for line in lines for w in line.split("a")).items()),
    ),
    "number": (
        lambda lines: lines.flat_map(lambda line: line.split(" \t")).count(),
        lambda lines: sum(len(line.split(" \t")) for line in lines),
    ),
    "list": (
        lambda lines: lines.flat_map(str.split).collect(),
        lambda lines: [w for line in lines for w in line.split()],
    ),
    "kept": (
        lambda lines: lines.flat_map(str.split).persist().map(str.upper).collect(),
        lambda lines: [w.upper() for line in lines for w in line.split()],
    ),
}


def _in_any_order(result: Any) -> Any:
    """Pairs come by partition of their key; what is put out otherwise has its order."""
    return sorted(map(repr, result)) if isinstance(result, list) else repr(result)


@pytest.mark.parametrize("program", PROGRAMS)
@given(texts, partition_counts)
def test_arrow_tables(context: Context, program: str, lines: list[str], parts: int) -> None:
    run, oracle = PROGRAMS[program]
    table = pa.table({"value": pa.array(lines, pa.string())})
    assert _in_any_order(run(context.from_arrow(table, parts))) == _in_any_order(oracle(lines))
    wide = pa.table({"value": pa.chunked_array([lines, lines], pa.large_string())})
    assert _in_any_order(run(context.from_arrow(wide, parts))) == _in_any_order(oracle(lines + lines))


@pytest.mark.parametrize("program", PROGRAMS)
def test_text_files(context: Context, tmp_path: Path, program: str) -> None:
    text = "to be\u2003or not\n\nto\x1cbe, 日本\u3000日本 éa\n" * 50
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "b.txt").write_text(text[::-1], encoding="utf-8")
    lines = [*text.split("\n")[:-1], *text[::-1].split("\n")]
    run, oracle = PROGRAMS[program]
    assert _in_any_order(run(context.text_file(tmp_path))) == _in_any_order(oracle(lines))


def test_the_order_is_that_of_first_appearance(backend_name: str) -> None:
    lines = ["b a c a", " ", "c d b"]
    with Context(backend_name, workers=1 if backend_name == "processes" else None, partitions=1) as context:
        rdd = context.from_arrow(pa.table({"value": lines}), 1)
        for run, oracle in PROGRAMS.values():
            assert repr(run(rdd)) == repr(oracle(lines))


def test_nulls_fail_as_the_function_does(context: Context) -> None:
    rdd = context.from_arrow(pa.table({"value": ["a b", None]}), 2)
    with pytest.raises(UserCodeError, match="'NoneType' object has no attribute 'split'"):
        rdd.flat_map(lambda line: line.split()).count()


@given(st.lists(texts, min_size=1, max_size=4), partition_counts)
def test_windows_of_a_stream(context: Context, batches: list[list[str]], parts: int) -> None:
    clock = ManualClock()
    ssc = ms.StreamingContext(1.0, context=context, environment=Environment(clock), process_tuning=False)
    tables = [pa.table({"value": pa.array(lines, pa.string())}) for lines in batches]
    lines = ssc.queue_stream([context.from_arrow(table, parts) for table in tables])
    pairs = lines.flat_map(str.split).map(lambda word: (word, 1))
    windows: list[Any] = []
    numbers: list[Any] = []
    pairs.reduce_by_key_and_window(add, sub, window=2.0, slide=1.0).collect_to(lambda rows, _: windows.append(rows))
    lines.flat_map(lambda line: line.split()).count().collect_to(lambda rows, _: numbers.append(rows))
    try:
        ssc.start()
        for _ in batches:
            clock.advance(1.0)
    finally:
        ssc.stop(graceful=False)
    ssc.await_termination(0)
    split = [[word for line in batch for word in line.split()] for batch in batches]
    expected = [Counter(one + other) for one, other in zip([[], *split], split, strict=False)]
    assert [dict(window) for window in windows] == expected
    assert numbers == [[len(batch)] for batch in split]
