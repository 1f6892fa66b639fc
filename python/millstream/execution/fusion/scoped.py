"""Walking an expression with an eye on which names its comprehensions bind for themselves."""

from __future__ import annotations

import ast
from typing import TypeAlias

Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp


class Scoped(ast.NodeTransformer):
    """Visits every part of an expression; `free` is asked about each name that no comprehension binds.

    The first iterable of a comprehension belongs to the scope around it, everything else to its own.
    """

    def __init__(self) -> None:
        self._bound: frozenset[str] = frozenset()

    def free(self, node: ast.Name) -> ast.expr:
        """Give what stands in the place of a name of the function or of its module."""
        return node

    def is_free(self, node: ast.expr) -> bool:
        """Say whether an expression is a name that no comprehension around it binds."""
        return isinstance(node, ast.Name) and node.id not in self._bound

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.free(node) if self.is_free(node) else node

    def subscript(self, node: ast.Subscript) -> ast.expr:
        """Give what stands in the place of a subscript."""
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return self.subscript(node)

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        return self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self._comprehension(node)

    def _comprehension(self, node: Comprehension) -> ast.expr:
        outside = self._bound
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        self._bound = outside | bound_names(node)
        for generator in node.generators:
            if generator is not first:
                generator.iter = self.visit(generator.iter)
            generator.ifs = [self.visit(condition) for condition in generator.ifs]
        if isinstance(node, ast.DictComp):
            node.key = self.visit(node.key)
            node.value = self.visit(node.value)
        else:
            node.elt = self.visit(node.elt)
        self._bound = outside
        return node


def bound_names(node: Comprehension) -> frozenset[str]:
    """List the names that a comprehension binds: those that stand in its targets."""
    targets = (generator.target for generator in node.generators)
    return frozenset(part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
