"""Writing the loop of a stage: segments that are gathered where an operation wants all rows, and the end."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from millstream.execution.fusion.loop import FunctionArgument, LimitArgument, Loop
from millstream.execution.fusion.operation_writer import write_operation
from millstream.execution.fusion.place import Place, Role
from millstream.execution.fusion.record import Atom, Record
from millstream.execution.fusion.record_writer import RecordWriter
from millstream.execution.fusion.shape import Step
from millstream.execution.fusion.stage_code import stage_code
from millstream.rdd.operations import (
    Apply,
    ApplyPartition,
    Collect,
    Combine,
    Count,
    CountValues,
    FlatMap,
    FlatMapValues,
    Glom,
    MapPartitions,
)

_NESTED_LOOPS_MAX = 12
"""Python allows 20 blocks within each other; past this many the records are gathered and a new loop begins."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """Steps that run in one loop, and the step after them that wants all rows; None where only the loop is full."""

    steps: Sequence[int]
    breaker: int | None = None


class LoopWriter:
    """Writes the generated function of one stage; used once.

    Args:
        steps: the operations and the end.
        filename: the name that the code gets.
    """

    def __init__(self, steps: tuple[Step, ...], filename: str) -> None:
        self._steps = steps
        self._filename = filename
        self._to = RecordWriter(steps)
        self._rows = self._to.names.new("rows")
        self._index = self._to.names.variable("index")
        self._source = self._rows
        self._source_place: Place | None = None

    def write(self) -> Loop:
        """Write the whole function."""
        *segments, last = _segments(self._steps)
        for segment in segments:
            self._go_on_from(self._gathered(segment.steps), segment.breaker)
        _ENDS[self._steps[-1].kind](self, last.steps)
        to = self._to
        parameters = (self._rows, self._index.id, to.batch.id)
        return stage_code(self._steps, to.lines, to.names, parameters, self._filename)

    @contextmanager
    def _loop(self, steps: Sequence[int]) -> Iterator[None]:
        """Write the loop of a segment around what becomes of each record."""
        to = self._to
        x = to.names.variable("x")
        to.lines.open("for {x} in {source}:", self._source_place, x=x.id, source=self._source)
        to.record = Record(whole=x)
        for step in steps:
            to.at(step)
            write_operation(to)
        to.at(len(self._steps) - 1)
        yield
        to.lines.close_all()

    def _gathered(self, steps: Sequence[int]) -> str:
        """Write what makes a new list of the rows after some steps, and give its name."""
        rows = self._to.names.new("rows")
        if steps:
            self._to.lines.add("{rows} = []", rows=rows)
            with self._loop(steps):
                self._to.lines.add("{rows}.append({x})", rows=rows, x=self._to.whole())
        else:
            self._to.lines.add(
                "{rows} = {list_of}({source})", self._source_place,
                rows=rows, list_of=self._to.names.fixed("list_of", list), source=self._source,
            )  # fmt: skip
        return rows

    def _go_on_from(self, rows: str, breaker: int | None) -> None:
        """Let the next segment begin with a list of rows, or with what an operation makes of all of them."""
        self._source, self._source_place = rows, None
        if breaker is None:
            return
        to = self._to
        to.record = Record()
        to.at(breaker)
        if to.step.kind is Glom:
            self._source = f"({rows},)"
            return
        iterator = to.names.variable("iterator")
        iter_of = to.names.fixed("iter_of", iter)
        to.lines.add("{iterator} = {iter_of}({rows})", iterator=iterator.id, iter_of=iter_of, rows=rows)
        given = [Record(whole=iterator)]
        if to.step.option:
            given.insert(0, Record(whole=self._index))
        items = to.names.variable("items")
        to.apply("{items} = {value}", to.applied(given), items=items.id)
        self._source, self._source_place = items.id, to.place(Role.ITERATE, 0, subject=items)

    def _collect(self, steps: Sequence[int]) -> None:
        if self._steps[-1].option:
            self._collect_some(steps)
        else:
            self._to.lines.add("return {rows}", rows=self._gathered(steps))

    def _collect_some(self, steps: Sequence[int]) -> None:
        to, lines = self._to, self._to.lines
        limit = to.names.argument("limit", LimitArgument()).id
        lines.add("if {limit} < 1: return []", limit=limit)
        if not steps:
            self._source = f"{to.names.fixed('first_of', islice)}({self._source}, {limit})"
            lines.add("return {rows}", rows=self._gathered(steps))
            return
        rows, n = to.names.new("rows"), to.names.new("n")
        lines.add("{rows} = []", rows=rows)
        lines.add("{n} = 0", n=n)
        with self._loop(steps):
            lines.add("{rows}.append({x})", rows=rows, x=to.whole())
            lines.add("{n} += 1", n=n)
            lines.add("if {n} == {limit}: return {rows}", n=n, limit=limit, rows=rows)
        lines.add("return {rows}", rows=rows)

    def _count(self, steps: Sequence[int]) -> None:
        to, lines = self._to, self._to.lines
        if not steps:
            type_of, list_of = to.names.fixed("type_of", type), to.names.fixed("list_of", list)
            template = "if {type_of}({rows}) is {list_of}: return {len_of}({rows})"
            len_of = to.names.fixed("len_of", len)
            lines.add(template, type_of=type_of, rows=self._source, list_of=list_of, len_of=len_of)
        n = to.names.new("n")
        lines.add("{n} = 0", n=n)
        with self._loop(steps):
            lines.add("{n} += 1", n=n)
        lines.add("return {n}", n=n)

    def _combine(self, steps: Sequence[int]) -> None:
        d, get = self._table()
        with self._loop(steps):
            self._combine_one(d, get, *self._to.pair())
        self._to.lines.add("return {d}", d=d)

    def _combine_one(self, d: str, get: str, key: Atom, value: Atom) -> None:
        to, lines = self._to, self._to.lines
        has_create = self._steps[-1].option
        merge = 1 if has_create else 0
        looked_up = to.place(Role.KEY, subject=key)
        held = to.names.variable("c")
        merged = to.applied([Record(whole=held), Record(whole=value)], merge)
        if not has_create and _adds_whole_number(merged, held, value):
            # Exact: where all values are one whole number, so are all sums, and 0 + v is v.
            lines.add("{d}[{k}] = {get}({k}, 0) + {v}", looked_up, d=d, k=key, get=get, v=value)
            return
        lines.add("{c} = {get}({k})", looked_up, c=held.id, get=get, k=key)
        lines.open("if {c} is None and {k} not in {d}:", looked_up, c=held, k=key, d=d)
        if has_create:
            to.apply("{d}[{k}] = {value}", to.applied([Record(whole=value)]), d=d, k=key)
        else:
            lines.add("{d}[{k}] = {v}", d=d, k=key, v=value)
        lines.otherwise()
        to.apply("{d}[{k}] = {value}", merged, merge, d=d, k=key)

    def _count_values(self, steps: Sequence[int]) -> None:
        to = self._to
        d, get = self._table()
        with self._loop(steps):
            x = to.whole()
            looked_up = to.place(Role.KEY, subject=x)
            to.lines.add("{d}[{x}] = {get}({x}, 0) + 1", looked_up, d=d, x=x, get=get)
        to.lines.add("return {d}", d=d)

    def _apply(self, steps: Sequence[int]) -> None:
        rows = self._gathered(steps)
        last = sum(len(step.callees) for step in self._steps) - 1
        f = self._to.names.argument("f", FunctionArgument(last))
        first = "" if self._steps[-1].kind is Apply else f"{self._to.batch.id}, {self._index.id}, "
        self._to.lines.add("return {f}({first}{rows})", f=f, first=first, rows=rows)

    def _table(self) -> tuple[str, str]:
        d, get = self._to.names.new("d"), self._to.names.new("get")
        self._to.lines.add("{d} = {{}}", d=d)
        self._to.lines.add("{get} = {d}.get", get=get, d=d)
        return d, get


_ENDS: dict[type[object], Callable[[LoopWriter, Sequence[int]], None]] = {
    Collect: LoopWriter._collect,
    Count: LoopWriter._count,
    Combine: LoopWriter._combine,
    CountValues: LoopWriter._count_values,
    Apply: LoopWriter._apply,
    ApplyPartition: LoopWriter._apply,
}


def _segments(steps: Sequence[Step]) -> list[_Segment]:
    segments: list[_Segment] = []
    run: list[int] = []
    loops = 0
    for index, step in enumerate(steps[:-1]):
        if step.kind in (FlatMap, FlatMapValues):
            if loops == _NESTED_LOOPS_MAX:
                segments.append(_Segment(run))
                run, loops = [], 0
            loops += 1
        if step.kind in (MapPartitions, Glom):
            segments.append(_Segment(run, index))
            run, loops = [], 0
        else:
            run.append(index)
    return [*segments, _Segment(run)]


def _adds_whole_number(merged: ast.expr, held: ast.Name, value: Atom) -> bool:
    """Say whether a merge is `held + value`, with one constant `int` as value."""
    if not isinstance(value, ast.Constant) or type(value.value) is not int:
        return False
    match merged:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            sides = {ast.dump(left), ast.dump(right)}
            return sides == {ast.dump(held), ast.dump(value)}
        case _:
            return False
