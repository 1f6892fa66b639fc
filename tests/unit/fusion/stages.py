"""What the tests of fusion share: labels, throw-away modules, and running a stage in plain Python."""

from __future__ import annotations

import itertools
import linecache
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from millstream.execution.fusion import compile_stage
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.operations import (
    Apply,
    ApplyPartition,
    Collect,
    Combine,
    Count,
    CountValues,
    End,
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    KeyBy,
    Keys,
    Map,
    MapPartitions,
    MapValues,
    Operation,
    Values,
)

_numbers = itertools.count(1)


def label(operator: str, name: str | None = None) -> Label:
    return Label(operator, name, "program.py:7")


def module_of(text: str, directory: Path | None = None) -> dict[str, Any]:
    """Run a module's text; its source is a file, or without a directory a cell that only linecache knows."""
    number = next(_numbers)
    if directory is None:
        filename = f"<cell {number}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    else:
        path = directory / f"program_{number}.py"
        path.write_text(text)
        filename = str(path)
    names: dict[str, Any] = {"__name__": f"program_{number}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(text, filename, "exec", dont_inherit=True), names)
    return names


def opaque(text: str, names: dict[str, Any] | None = None) -> Any:
    """Make a function whose source nobody can find."""
    return eval(text, {} if names is None else names)


def run(rows: Iterable[Any], *parts: Any, index: int = 0, batch: Batch | None = None) -> Any:
    return compile_stage(parts[:-1], parts[-1]).run(rows, index, batch)


NO_RECORD = object()


class StepError(Exception):
    """A step of the plain run failed; the cause is what its function raised."""

    def __init__(self, step: int, record: object) -> None:
        super().__init__(step, record)
        self.step = step
        self.record = record


class NotAPairError(Exception):
    pass


class UnhashableError(Exception):
    pass


def plain_run(rows: Iterable[Any], operations: tuple[Operation, ...], end: End, index: int = 0) -> Any:
    """Do what a stage promises, by calling every function."""
    for step, operation in enumerate(operations):
        rows = _after(step, operation, rows, index)
    step = len(operations)
    match end:
        case Collect():
            if end.limit is not None and end.limit < 1:
                return []
            return list(itertools.islice(rows, end.limit))
        case Count():
            return sum(1 for _ in rows)
        case Combine():
            return _combined(step, end, rows)
        case CountValues():
            counts: dict[Any, int] = {}
            for row in rows:
                _hashable(row)
                counts[row] = counts.get(row, 0) + 1
            return counts
        case Apply():
            return end.f(list(rows))
        case ApplyPartition():
            return end.f(None, index, list(rows))


def _after(step: int, operation: Operation, rows: Iterable[Any], index: int) -> Iterator[Any]:
    match operation:
        case Map():
            for row in rows:
                yield _called(step, row, operation.f, row)
        case FlatMap():
            for row in rows:
                yield from _each(step, row, _called(step, row, operation.f, row))
        case Filter():
            for row in rows:
                if _called(step, row, lambda f, x: True if f(x) else False, operation.f, row):  # noqa: SIM210
                    yield row
        case MapValues():
            for row in rows:
                k, v = _halves(row)
                yield k, _called(step, row, operation.f, v)
        case FlatMapValues():
            for row in rows:
                k, v = _halves(row)
                for w in _each(step, row, _called(step, row, operation.f, v)):
                    yield k, w
        case KeyBy():
            for row in rows:
                yield _called(step, row, operation.f, row), row
        case Keys():
            for row in rows:
                yield _halves(row)[0]
        case Values():
            for row in rows:
                yield _halves(row)[1]
        case MapPartitions():
            given = [index, iter(list(rows))] if operation.with_index else [iter(list(rows))]
            yield from _each(step, NO_RECORD, _called(step, NO_RECORD, operation.f, *given))
        case Glom():
            yield list(rows)


def _combined(step: int, end: Combine, rows: Iterable[Any]) -> dict[Any, Any]:
    d: dict[Any, Any] = {}
    for row in rows:
        k, v = _halves(row)
        _hashable(k)
        if k in d:
            d[k] = _called(step, row, end.merge, d[k], v)
        else:
            d[k] = v if end.create is None else _called(step, row, end.create, v)
    return d


def _called(step: int, record: object, f: Any, *arguments: object) -> Any:
    try:
        return f(*arguments)
    except Exception as error:
        raise StepError(step, record) from error


def _each(step: int, record: object, items: Iterable[Any]) -> Iterator[Any]:
    try:
        iterator = iter(items)
    except Exception as error:
        raise StepError(step, record) from error
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise StepError(step, record) from error
        yield item


def _halves(record: object) -> tuple[Any, Any]:
    if not isinstance(record, tuple) or len(record) != 2:
        raise NotAPairError
    return record[0], record[1]


def _hashable(key: object) -> None:
    try:
        hash(key)
    except TypeError:
        raise UnhashableError from None
