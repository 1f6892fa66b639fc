"""Moving a proven expression into a loop: its names become the loop's names."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

from millstream.execution.fusion.proof import Proof, pair_index
from millstream.execution.fusion.record import Atom, Record
from millstream.execution.fusion.scoped import Scoped


def inlined(proof: Proof, arguments: Mapping[str, Record], cells: Mapping[str, str]) -> ast.expr:
    """Give a copy of a proven expression in which names of the loop stand for the function's own.

    Args:
        proof: the body of the function.
        arguments: what each parameter is given; one without `whole` must be `indexed` in the proof.
        cells: the loop's name for each variable of the function's closure.

    Returns:
        The expression, every node with its place in the user's file.
    """
    result = _Inlining(arguments, cells).visit(copy.deepcopy(proof.expression))
    assert isinstance(result, ast.expr)
    return result


class _Inlining(Scoped):
    def __init__(self, arguments: Mapping[str, Record], cells: Mapping[str, str]) -> None:
        super().__init__()
        self._arguments = arguments
        self._cells = cells

    def free(self, node: ast.Name) -> ast.expr:
        if node.id in self._arguments:
            whole = self._arguments[node.id].whole
            assert whole is not None  # Invariant: only indexed parameters are given as halves.
            return _at(node, whole)
        if node.id in self._cells:
            return ast.copy_location(ast.Name(self._cells[node.id], ast.Load()), node)
        return node

    def subscript(self, node: ast.Subscript) -> ast.expr:
        half = self._half(node)
        return _at(node, half) if half is not None else super().subscript(node)

    def _half(self, node: ast.Subscript) -> Atom | None:
        if not isinstance(node.value, ast.Name) or not self.is_free(node.value):
            return None
        record = self._arguments.get(node.value.id)
        index = pair_index(node)
        # Why only a plain tuple: a subclass may answer p[0] in its own way.
        if record is None or index is None or not record.pair:
            return None
        return (record.key, record.value)[index]


def _at(node: ast.expr, atom: Atom) -> ast.expr:
    return ast.copy_location(copy.copy(atom), node)
