"""Writing operations: each takes the record of the moment to the next one."""

from __future__ import annotations

import ast
from collections.abc import Callable

from millstream.execution.fusion.callee import Call
from millstream.execution.fusion.place import Role
from millstream.execution.fusion.record import Record
from millstream.execution.fusion.record_writer import RecordWriter
from millstream.rdd.operations import Filter, FlatMap, FlatMapValues, KeyBy, Keys, Map, MapValues, Values


def write_operation(to: RecordWriter) -> None:
    """Write the step that the writer stands at."""
    _WRITERS[to.step.kind](to)


def _map(to: RecordWriter) -> None:
    result = to.applied([to.input()])
    match result:
        case ast.Tuple(elts=[key, value]) if _is_pair(result):
            k = to.atom(key, "k")  # Before the value, as in the function.
            to.record = Record(key=k, value=to.atom(value, "v"), pair=True)
        case ast.Name(id=name) if to.record.whole is not None and name == getattr(to.record.whole, "id", None):
            pass  # The record itself, and what is known of it.
        case _:
            callee = to.step.callees[0]
            pair = callee.pair if isinstance(callee, Call) else _is_pair(result)
            to.record = Record(whole=to.atom(result, "x"), pair=pair)


def _flat_map(to: RecordWriter) -> None:
    to.record = Record(whole=to.each(to.applied([to.input()]), "x"))


def _filter(to: RecordWriter) -> None:
    test = to.applied([to.input()])
    if any(isinstance(node, ast.BoolOp) or _is_chain(node) for node in ast.walk(test)):
        # Why not at once: `if not (a and b)` asks a falsy `a` for its truth once, a function and its caller twice.
        truth = to.atom(test, "t")
        to.lines.add("if not {test}: continue", to.place(Role.CALL, 0), test=truth)
    else:
        to.apply("if not {value}: continue", test)


def _map_values(to: RecordWriter) -> None:
    key, value = to.pair()
    to.record = Record(key=key, value=to.atom(to.applied([Record(whole=value)]), "v"), pair=True)


def _flat_map_values(to: RecordWriter) -> None:
    key, value = to.pair()
    to.record = Record(key=key, value=to.each(to.applied([Record(whole=value)]), "v"), pair=True)


def _key_by(to: RecordWriter) -> None:
    key = to.atom(to.applied([to.input()]), "k")
    to.record = Record(key=key, value=to.whole(), pair=True)


def _keys(to: RecordWriter) -> None:
    to.record = Record(whole=to.pair()[0])


def _values(to: RecordWriter) -> None:
    to.record = Record(whole=to.pair()[1])


_WRITERS: dict[type[object], Callable[[RecordWriter], None]] = {
    Map: _map,
    FlatMap: _flat_map,
    Filter: _filter,
    MapValues: _map_values,
    FlatMapValues: _flat_map_values,
    KeyBy: _key_by,
    Keys: _keys,
    Values: _values,
}


def _is_pair(expression: ast.expr) -> bool:
    """Say whether an expression can give nothing but a tuple of two."""
    match expression:
        case ast.Tuple(elts=[first, second]):
            return not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred)
        case ast.IfExp():
            return _is_pair(expression.body) and _is_pair(expression.orelse)
        case _:
            return False


def _is_chain(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and len(node.ops) > 1
