"""What the core does on columns of text is what the loop does on their lines, and nothing else is done there."""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import types
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.fusion.stages import label, module_of, opaque

import millstream as ms
from millstream.errors import GraphError, UserCodeError
from millstream.execution.fusion import compile_stage
from millstream.execution.fusion.column_kernel import ColumnKernel, kernel_of
from millstream.execution.fusion.shape import part_of, shape_of
from millstream.model.partition import Columns
from millstream.rdd.operations import (
    Collect,
    Combine,
    Count,
    CountValues,
    Filter,
    FlatMap,
    Map,
    MapPartitions,
    MapValues,
)

L = label("op")
SPLIT = FlatMap(lambda line: line.split(), L)
PAIR = Map(lambda word: (word, 1), L)
ADD = Combine(None, operator.add, L)

SEPARATOR = " "
SETTINGS: dict[str, Any] = {}
WHITE_SPACE = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]


def kernel(*parts: Any) -> ColumnKernel | None:
    shape = shape_of(tuple(map(part_of, parts)))
    return kernel_of(shape.steps, shape.functions)


def columns(lines: list[Any], kind: Any = None, cuts: tuple[int, ...] = ()) -> Columns:
    """Put lines into a column of chunks, each a slice out of the middle of a longer array."""
    kind = pa.string() if kind is None else kind
    bounds = [0, *sorted(cut % (len(lines) + 1) for cut in cuts), len(lines)]
    chunks = []
    for start, end in itertools.pairwise(bounds):
        chunks.append(pa.array(["before", *lines[start:end], "after"], kind).slice(1, end - start))
    return Columns(pa.table({"value": pa.chunked_array(chunks, kind)}), scalar=True)


def words_of(line: str) -> list[str]:
    """Split a line."""
    return line.split()


class TestRecognition:
    @pytest.mark.parametrize(
        ("split", "separator"),
        [
            (str.split, None),
            (words_of, None),
            (lambda line: line.split(), None),
            (lambda line: line.split(None), None),
            (lambda line: line.split(sep=None), None),
            (lambda line: line.split(","), ","),
            (lambda line: line.split(sep="é\0"), "é\0"),
            (lambda line, unused=SEPARATOR: line.split(" "), " "),
        ],
    )
    def test_functions_that_only_split(self, split: Any, separator: str | None) -> None:
        words = FlatMap(split, L)
        assert kernel(words, Count()) == ColumnKernel(separator, Count)
        assert kernel(words, Collect()) == ColumnKernel(separator, Collect)
        assert kernel(words, CountValues(L)) == ColumnKernel(separator, CountValues)
        assert kernel(words, PAIR, ADD) == ColumnKernel(separator, CountValues, 1)

    @pytest.mark.parametrize(
        "split",
        [
            opaque("lambda line: line.split()"),
            lambda line: line.split(""),
            lambda line: line.split("\ud800"),
            lambda line: line.split(b","),
            lambda line: line.split(" ", 1),
            lambda line: line.split(maxsplit=1),
            lambda line: line.split(" ", maxsplit=1),
            lambda line: line.split(SEPARATOR),
            lambda line: line.split(*[]),
            lambda line: line.split(**SETTINGS),
            lambda line: line.rsplit(),
            lambda line: line.strip().split(),
            lambda line: str.split(line),
            lambda line: SEPARATOR.split(),
            lambda line: [*line.split()],
            lambda line, batch: line.split(),
            lambda line, sep=" ": line.split(sep),
            (lambda sep: lambda line: line.split(sep))(" "),
            functools.partial(str.split, sep=" "),
            types.MethodType(lambda self, line: line.split(), 1),
            str.splitlines,
            bytes.split,
        ],
    )
    def test_functions_that_may_do_something_else(self, split: Any) -> None:
        assert kernel(FlatMap(split, L), Count()) is None
        assert kernel(FlatMap(split, L), PAIR, ADD) is None

    @pytest.mark.parametrize(
        ("pair", "unit"),
        [
            (lambda word: (word, 1), 1),
            (lambda w: (w, -3), -3),
            (lambda word: (word, 0), 0),
            (lambda word: (word, 100000000000000000000), 10**20),
            (lambda word, more=2: (word, 1), 1),
        ],
    )
    @pytest.mark.parametrize("merge", [operator.add, lambda a, b: a + b, lambda a, b: b + a])
    def test_pairs_with_a_whole_number_that_are_added_up(self, pair: Any, unit: int, merge: Any) -> None:
        assert kernel(SPLIT, Map(pair, L), Combine(None, merge, L)) == ColumnKernel(None, CountValues, unit)

    @pytest.mark.parametrize(
        "pair",
        [
            opaque("lambda word: (word, 1)"),
            lambda word: (word, True),
            lambda word: (word, 1.0),
            lambda word: (word, -1.0),
            lambda word: (word, "1"),
            lambda word: (word, ~1),
            lambda word: (word, word),
            lambda word: (1, word),
            lambda word: (SEPARATOR, 1),
            lambda word: (word, 1, 2),
            lambda word: [word, 1],
            lambda word: (word.lower(), 1),
            lambda word, batch: (word, 1),
            lambda word, n=1: (word, n),
            (lambda n: lambda word: (word, n))(1),
        ],
    )
    def test_other_pairs(self, pair: Any) -> None:
        assert kernel(SPLIT, Map(pair, L), ADD) is None

    @pytest.mark.parametrize(
        "merge",
        [
            opaque("lambda a, b: a + b"),
            operator.sub,
            operator.iadd,
            max,
            lambda a, b: a - b,
            lambda a, b: a + a,
            lambda a, b: a + 1,
            lambda a, b: a + b + 0,
            lambda a, b, c=1: a + c,
        ],
    )
    def test_other_ways_to_merge(self, merge: Any) -> None:
        assert kernel(SPLIT, PAIR, Combine(None, merge, L)) is None

    @pytest.mark.parametrize(
        "parts",
        [
            (Count(),),
            (PAIR, ADD),
            (Map(str.split, L), Count()),
            (SPLIT, ADD),
            (SPLIT, Collect(3)),
            (SPLIT, PAIR, Count()),
            (SPLIT, PAIR, Collect()),
            (SPLIT, PAIR, CountValues(L)),
            (SPLIT, PAIR, Combine(int, operator.add, L)),
            (SPLIT, Filter(lambda word: word, L), Count()),
            (SPLIT, PAIR, MapValues(lambda n: n, L), ADD),
            (SPLIT, FlatMap(lambda word: (word, 1), L), ADD),
            (MapPartitions(lambda lines: lines, False, L), SPLIT, Count()),
        ],
    )
    def test_other_stages(self, parts: Any) -> None:
        assert kernel(*parts) is None

    def test_a_debugger_sees_the_functions_of_the_user(self) -> None:
        sys.settrace(lambda *_: None)
        try:
            assert kernel(SPLIT, Count()) is None
        finally:
            sys.settrace(None)
        assert kernel(SPLIT, Count()) is not None


texts = st.text(
    st.one_of(
        st.sampled_from(WHITE_SPACE), st.sampled_from("ab,\0é—日\u200b\u180e\U0001f600"), st.characters(codec="utf-8")
    ),
    max_size=30,
)
long_texts = st.builds(lambda text, times, more: text * times + more, texts, st.integers(1, 20), texts)
SPLITS: list[Any] = [
    str.split,
    lambda line: line.split(),
    lambda line: line.split(" "),
    lambda line: line.split("a"),
    lambda line: line.split("ab"),
    lambda line: line.split(",,"),
    lambda line: line.split("é"),
    lambda line: line.split("\u2028"),
]


class TestEquality:
    @pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
    @pytest.mark.parametrize("split", SPLITS)
    @given(lines=st.lists(st.one_of(texts, long_texts), max_size=12), cuts=st.tuples(st.integers(0), st.integers(0)))
    @example(lines=[], cuts=(0, 0))
    @example(lines=["", " ", "", "a"], cuts=(1, 2))
    def test_columns_give_what_their_lines_give(
        self, split: Any, kind: pa.DataType, lines: list[str], cuts: tuple[int, int]
    ) -> None:
        words = [word for line in lines for word in split(line)]
        counts: dict[str, int] = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        data = columns(lines, kind, cuts)
        first = FlatMap(split, L)

        def result(*parts: Any) -> Any:
            assert kernel(first, *parts) is not None
            stage = compile_stage((first, *parts[:-1]), parts[-1])
            got = stage.run_partition(data, 0, None)
            assert repr(got) == repr(stage.run(lines, 0, None))
            return got

        assert result(Collect()) == words
        assert result(Count()) == len(words)
        assert list(result(CountValues(L)).items()) == list(counts.items())
        assert list(result(PAIR, ADD).items()) == list(counts.items())
        scaled = result(Map(lambda word: (word, -9000000000000000000), L), ADD)
        assert list(scaled.items()) == [(word, -9000000000000000000 * n) for word, n in counts.items()]

    def test_every_character_parts_words_or_does_not_as_in_python(self) -> None:
        lines = [f"a{chr(n)}b" for n in range(sys.maxunicode + 1) if not 0xD800 <= n <= 0xDFFF]
        got = compile_stage((SPLIT,), Collect()).run_partition(columns(lines), 0, None)
        assert got == [word for line in lines for word in line.split()]

    def test_many_words_of_all_lengths(self) -> None:
        lines = [" ".join(f"{n * 7919 % 30011:x}" * (n % 9) for n in range(at, at + 9)) for at in range(20_000)]
        expected = compile_stage((SPLIT, PAIR), ADD).run(lines, 0, None)
        got = compile_stage((SPLIT, PAIR), ADD).run_partition(columns(lines, cuts=(7, 9000)), 0, None)
        assert list(got.items()) == list(expected.items())
        assert len(got) > 10_000

    def test_results_are_new_objects_of_plain_types(self) -> None:
        stage = compile_stage((SPLIT,), CountValues(L))
        data = columns(["to be", "or to"])
        one, other = stage.run_partition(data, 0, None), stage.run_partition(data, 0, None)
        assert one == other
        assert one is not other
        assert (type(one), {type(k) for k in one}, {type(v) for v in one.values()}) == (dict, {str}, {int})

    def test_no_row_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(_: Columns) -> list[Any]:
            raise AssertionError("rows were made of columns")

        monkeypatch.setattr(Columns, "rows", refused)
        lines = ms.Context().from_arrow(pa.table({"value": ["to be", "or not to be"]}))
        words = lines.flat_map(str.split)
        assert words.map(lambda w: (w, 1)).reduce_by_key(operator.add).collect_as_map()["to"] == 2
        assert words.count() == 6
        assert words.persist().filter(lambda w: w == "be").count() == 2

    def test_joined_blocks_are_not_copied(self) -> None:
        blocks = [columns([f"to be {n}", "or not"]).table for n in range(50)]
        table = pa.concat_tables(blocks)
        before = pa.total_allocated_bytes()
        counts = compile_stage((SPLIT,), CountValues(L)).run_partition(Columns(table, scalar=True), 0, None)
        assert pa.total_allocated_bytes() == before
        assert table.column(0).num_chunks == 50
        assert (counts["to"], counts["49"], len(counts)) == (50, 1, 54)


class TestFallingBack:
    def test_nulls_reach_the_function(self) -> None:
        stage = compile_stage((SPLIT, PAIR), ADD)
        with pytest.raises(UserCodeError, match="'NoneType' object has no attribute 'split'") as raised:
            stage.run_partition(columns(["to be", None]), 0, None)
        assert raised.value.record == "None"
        assert stage.run_partition(columns(["a"]), 0, None) == {"a": 1}

    def test_text_that_is_not_utf8_is_refused_as_before(self) -> None:
        offsets, bad = pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0])), pa.py_buffer(b"\xff")
        table = pa.table({"value": pa.Array.from_buffers(pa.string(), 1, [None, offsets, bad])})
        for end in (Count(), Collect(), CountValues(L)):
            with pytest.raises(UnicodeDecodeError):
                compile_stage((SPLIT,), end).run_partition(Columns(table, scalar=True), 0, None)

    @pytest.mark.parametrize(
        "column",
        [
            pa.array(["a b", "b"]).dictionary_encode(),
            pa.array(["a b", "b"], pa.string_view()),
            pa.chunked_array([["a b"], ["b"]], pa.string()),
            pa.chunked_array([], pa.string()),
            pa.array([], pa.null()),
        ],
        ids=lambda column: str(column.type),
    )
    def test_every_form_of_text(self, column: Any) -> None:
        table = pa.table({"value": column})
        expected = [word for line in column.to_pylist() for word in line.split()]
        got = compile_stage((SPLIT,), Collect()).run_partition(Columns(table, scalar=True), 0, None)
        assert got == expected

    def test_what_is_no_text_reaches_the_function(self) -> None:
        numbers = Columns(pa.table({"value": [1, 2]}), scalar=True)
        with pytest.raises(UserCodeError, match="'int' object has no attribute 'split'"):
            compile_stage((SPLIT,), Count()).run_partition(numbers, 0, None)
        with pytest.raises(UserCodeError, match="'dict' object has no attribute 'split'"):
            compile_stage((SPLIT,), Count()).run_partition(Columns(columns(["a"]).table, scalar=False), 0, None)
        raw = Columns(pa.table({"value": [b"a b"]}), scalar=True)
        assert compile_stage((SPLIT,), Collect()).run_partition(raw, 0, None) == [b"a", b"b"]

    def test_functions_that_are_not_proven_are_called(self) -> None:
        seen: list[str] = []
        watched = FlatMap(lambda line: seen.append(line) or line.split(), L)  # type: ignore[func-returns-value]
        assert compile_stage((watched,), Count()).run_partition(columns(["to be", "or"]), 0, None) == 3
        assert seen == ["to be", "or"]
        shadowed = module_of("class str:\n    split = list\nwords = lambda line: str.split(line)")
        assert compile_stage((FlatMap(shadowed["words"], L),), Count()).run_partition(columns(["to be"]), 0, None) == 5

    def test_a_function_that_asks_for_the_batch_gets_it(self) -> None:
        stage = compile_stage((FlatMap(lambda line, batch: line.split(), L),), Count())
        with pytest.raises(GraphError, match="asks for the batch"):
            stage.run_partition(columns(["to be"]), 0, None)

    def test_code_that_is_replaced_counts_from_the_next_run_on(self) -> None:
        names = module_of("def words(line):\n    return line.split()\ndef other(line):\n    return line.split('e')\n")
        stage = compile_stage((FlatMap(names["words"], L),), Collect())
        assert stage.run_partition(columns(["to be"]), 0, None) == ["to", "be"]
        names["words"].__code__ = names["other"].__code__
        assert stage.run_partition(columns(["to be"]), 0, None) == ["to b", ""]
        names["words"].__code__ = opaque("lambda line: [line]").__code__
        assert stage.run_partition(columns(["to be"]), 0, None) == ["to be"]
