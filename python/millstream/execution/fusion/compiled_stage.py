"""Compiled stages: all operations of a stage in one generated function, bound to the functions of the user."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any, assert_never, cast

from millstream.errors import GraphError
from millstream.execution.fusion.column_kernel import ColumnKernel, kernel_of
from millstream.execution.fusion.failure import failure_of
from millstream.execution.fusion.loop import (
    Argument,
    DefaultArgument,
    FixedArgument,
    FunctionArgument,
    LimitArgument,
    Loop,
)
from millstream.execution.fusion.loop_writer import LoopWriter
from millstream.execution.fusion.shape import Function, Step, asks_batch, part_of, shape_of
from millstream.execution.fusion.stage_code import STAGE, forget, register
from millstream.model.batch import Batch
from millstream.model.partition import Columns, PartitionData, Rows
from millstream.rdd.operations import Collect, End, Operation

_LOOPS_KEPT = 256

_numbers = itertools.count(1)


class CompiledStage:
    """A stage ready to run, again and again, on any thread.

    Results and exceptions are those of calling each function for each record. What a function reads from its
    module, from builtins and from its closure is looked up at each use. A function whose code was replaced, as
    notebooks do when a module is reloaded, is noticed at the next run. The operations themselves are not kept.

    Args:
        operations: the operations, first to last.
        end: what becomes of the rows.

    Raises:
        GraphError: a coroutine function where nothing awaits it.
    """

    def __init__(self, operations: tuple[Operation, ...], end: End) -> None:
        self._parts = tuple(map(part_of, (*operations, end)))
        self._labels = tuple(part.label for part in self._parts)
        self._limit = end.limit if isinstance(end, Collect) else None
        self._binding = self._bound()

    @property
    def source(self) -> str:
        """The generated function as text, for reading; remarks say where inlined expressions come from."""
        return self._binding.loop.source

    def run(self, rows: Iterable[Any], index: int, batch: Batch | None) -> Any:
        """Run the stage over the rows of one partition.

        Args:
            rows: the records; iterated once, never changed.
            index: the number of the partition, from 0.
            batch: the batch that runs, or None in a batch program.

        Returns:
            What the end makes of the rows, see `millstream.rdd.operations`; always a new object.

        Raises:
            UserCodeError: a function of the user raised; the cause is chained, its traceback shows the user's lines.
            ArgumentTypeError: a record is not a pair, or a key cannot be hashed.
            GraphError: a function asks for the batch and there is none.
            Exception: what iterating `rows` raised, or the function of Apply or ApplyPartition, unchanged.
        """
        binding = self._current()
        if batch is None and binding.asks_batch:
            raise self._no_batch(binding.loop)
        try:
            return binding.function(rows, index, batch)
        except Exception as error:
            failure = failure_of(error, binding.loop, self._labels, binding.functions, batch)
            if failure is None:
                raise
        # Why here: within the except, the error would keep what came out of the loop as its context, and with it
        # every variable of the loop; and without the del, this frame and the error would keep each other.
        try:
            raise failure.error from failure.cause
        finally:
            del failure

    def run_partition(self, data: PartitionData, index: int, batch: Batch | None) -> Any:
        """Run the stage over a partition in whatever form it is.

        Columns become rows unless the core can do the whole stage on them with the same result, see `ColumnKernel`.
        All else is as in `run`.
        """
        if type(data) is not Columns:
            return self.run(cast(Rows, data), index, batch)
        kernel = self._current().kernel
        result = None if kernel is None else kernel.run(data)
        return self.run(data.rows(), index, batch) if result is None else result

    def _current(self) -> _Binding:
        """Give the function that runs, made anew where the code of a user's function was replaced."""
        binding = self._binding
        for f, code, defaults in binding.watched:
            if f.__code__ is not code or f.__defaults__ is not defaults:
                binding = self._binding = self._bound()
                break
        return binding

    def _bound(self) -> _Binding:
        """Make the function that runs, of the user's functions as they are now."""
        shape = shape_of(self._parts)
        loop = _loop_of(shape.steps)
        return _Binding(
            function=FunctionType(
                loop.code,
                shape.names,
                STAGE,
                tuple(self._value(argument, shape.functions) for argument in loop.arguments),
                tuple(_cell(shape.functions[cell.function], cell.name) for cell in loop.cells),
            ),
            loop=loop,
            functions=shape.functions,
            watched=tuple((f, f.__code__, f.__defaults__) for f in shape.functions if isinstance(f, FunctionType)),
            asks_batch=any(asks_batch(callee) for step in shape.steps for callee in step.callees),
            kernel=kernel_of(shape.steps, shape.functions),
        )

    def _value(self, argument: Argument, functions: Sequence[Function]) -> Any:
        match argument:
            case FunctionArgument(number):
                return functions[number]
            case DefaultArgument(number, parameter):
                f = functions[number]
                assert isinstance(f, FunctionType)
                return (f.__defaults__ or ())[parameter - f.__code__.co_argcount]
            case LimitArgument():
                return self._limit
            case FixedArgument(value):
                return value
            case _:
                assert_never(argument)

    def _no_batch(self, loop: Loop) -> GraphError:
        label = next(
            label
            for label, step in zip(self._labels, loop.steps, strict=True)
            if label is not None and any(map(asks_batch, step.callees))
        )
        return GraphError(
            f"The function of {label.operator} asks for the batch, but no batch runs.",
            detail=f"It requires one more positional argument than {label.operator} gives"
            + (f"; {label.operator} was added at {label.site}." if label.site is not None else "."),
            hint="In a batch program give that argument a default, or take it out.",
        )


@dataclass(frozen=True, slots=True)
class _Binding:
    """A loop made a function, with what it was made of; replaced as a whole, so that no thread sees two halves.

    Attributes:
        watched: functions whose code or defaults the loop relies on, with both.
        kernel: what does the same on columns of text, if anything does.
    """

    function: FunctionType
    loop: Loop
    functions: tuple[Function, ...]
    watched: tuple[tuple[FunctionType, CodeType, tuple[Any, ...] | None], ...]
    asks_batch: bool
    kernel: ColumnKernel | None


def _cell(f: Function, name: str) -> CellType:
    assert isinstance(f, FunctionType)
    return (f.__closure__ or ())[f.__code__.co_freevars.index(name)]


def compile_stage(operations: tuple[Operation, ...], end: End) -> CompiledStage:
    """Give the compiled stage of some operations; the same objects give the same stage as long as all of them live.

    Looking a stage up takes less than a microsecond; a new stage of functions that were seen before, such as the
    lambdas of a function given to `transform`, takes some tens of microseconds, one of new functions milliseconds.

    Args:
        operations: the operations, first to last.
        end: what becomes of the rows.

    Raises:
        GraphError: a coroutine function where nothing awaits it.

    Example:
        >>> from millstream.model.label import Label
        >>> from millstream.rdd.operations import FlatMap, Map, Combine
        >>> import operator
        >>> words = FlatMap(lambda line: line.split(), Label("flat_map"))
        >>> pairs = Map(lambda word: (word, 1), Label("map"))
        >>> end = Combine(None, operator.add, Label("reduce_by_key"))
        >>> compile_stage((words, pairs), end).run(["to be or", "not to be"], 0, None)
        {'to': 2, 'be': 2, 'or': 1, 'not': 1}
    """
    key = (*map(id, operations), id(end))
    kept = _stages.get(key)
    if kept is not None:
        return kept[0]
    stage = CompiledStage(operations, end)

    def forget_stage(_: object) -> None:
        _stages.pop(key, None)

    # An identity is free for another object only after these were told that its first one is gone.
    _stages[key] = stage, [weakref.ref(part, forget_stage) for part in (*operations, end)]
    return stage


_stages: dict[tuple[int, ...], tuple[CompiledStage, list[weakref.ref[Any]]]] = {}


@lru_cache(maxsize=_LOOPS_KEPT)
def _loop_of(steps: tuple[Step, ...]) -> Loop:
    loop = LoopWriter(steps, f"<millstream stage {next(_numbers)}>").write()
    register(loop)
    weakref.finalize(loop, forget, loop.filename).atexit = False
    return loop
