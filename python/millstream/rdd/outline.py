"""The outline of a lineage, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.model.label import Label
from millstream.rdd.lineage import Coalesced, Held, Lineage, Merged, Narrow, Shuffled, SplitsRead, Stepped, Union
from millstream.rdd.partitioner import ByFunction, ByRange, KeyGroups, Partitioner

_STEP = "   "


def outline(lineage: Lineage) -> str:
    """Write a lineage as lines of text, the last operation first.

    The number before an operation counts its partitions. What stands deeper by a step, behind `+-`, is in another
    stage: a shuffle or a union lies between.

    Example:
        >>> from millstream.rdd.operations import Map
        >>> print(outline(Narrow(Held([[1], [2]]), Map(str, Label("map", None, "app.py:3")))))
        (2) map at app.py:3
        (2) data at hand
    """
    return "\n".join(_lines(lineage, ""))


def headline(lineage: Lineage) -> str:
    """Write the last operation of a lineage, as `outline` begins."""
    return _described(lineage)


def _lines(lineage: Lineage, margin: str) -> Iterator[str]:
    node = lineage
    while isinstance(node, (Narrow, Coalesced)):
        yield margin + _described(node)
        node = node.parent
    yield margin + _described(node)
    for parent in _parents(node):
        deeper = _lines(parent, margin + _STEP)
        yield f"{margin} +-{next(deeper)[len(margin) + len(_STEP) :]}"
        yield from deeper


def _parents(node: Lineage) -> Sequence[Lineage]:
    match node:
        case Shuffled():
            return node.parents
        case Union():
            return list(node.flat())
        case Merged():
            return [parent for side in node.sides for parent in side]
        case Stepped():
            return [parent for side in node.inputs for parent in side]
        case _:
            return ()


def _described(node: Lineage) -> str:
    spread = "" if node.partitioner is None else f", {_spread(node.partitioner)}"
    kept = "" if node.kept is None else ", kept" if node.kept.parts is None else ", kept and computed"
    return f"({node.partitions}) {_operator(node)}{spread}{kept}"


def _operator(node: Lineage) -> str:
    match node:
        case Narrow():
            return _placed(node.operation.label)
        case Shuffled():
            return f"{_placed(node.exchange.label)}, shuffled"
        case Merged():
            return f"{_placed(node.exchange.label)}, merged in place"
        case Coalesced():
            return "coalesce"
        case Union():
            return "union"
        case SplitsRead():
            return f"read from {node.source.name}"
        case Stepped():
            return f"state of {node.operator_id}"
        case Held():
            return "data at hand"
        case _:
            return type(node).__name__


def _placed(label: Label) -> str:
    return f"{label.operator} at {label.site}" if label.site else label.operator


def _spread(partitioner: Partitioner) -> str:
    match partitioner:
        case KeyGroups():
            return "by key group"
        case ByFunction():
            return "by a function of the key"
        case ByRange():
            return "by ranges of the key"
        case _:
            return f"by {type(partitioner).__name__}"
