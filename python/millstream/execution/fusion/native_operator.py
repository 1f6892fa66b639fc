"""Functions of the standard library that are exactly an operator of the language."""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable
from typing import Any

_BINARY: dict[Callable[..., Any], str] = {
    operator.add: "{0} + {1}",
    operator.sub: "{0} - {1}",
    operator.mul: "{0} * {1}",
    operator.truediv: "{0} / {1}",
    operator.floordiv: "{0} // {1}",
    operator.mod: "{0} % {1}",
    operator.pow: "{0} ** {1}",
    operator.matmul: "{0} @ {1}",
    operator.and_: "{0} & {1}",
    operator.or_: "{0} | {1}",
    operator.xor: "{0} ^ {1}",
    operator.lshift: "{0} << {1}",
    operator.rshift: "{0} >> {1}",
    operator.getitem: "{0}[{1}]",
    # Of equals both keep the first, and both compare the later one with the one held.
    builtins.max: "{1} if {1} > {0} else {0}",
    builtins.min: "{1} if {1} < {0} else {0}",
}
_UNARY: dict[Callable[..., Any], str] = {
    operator.neg: "-{0}",
    operator.pos: "+{0}",
    operator.invert: "~{0}",
    operator.not_: "not {0}",
}


def native_template(f: Callable[..., Any], arguments: int) -> str | None:
    """Give the expression that a function of one or two arguments stands for, or None.

    Example:
        >>> native_template(operator.add, 2), native_template(max, 2), native_template(len, 1)
        ('{0} + {1}', '{1} if {1} > {0} else {0}', None)
    """
    table = {1: _UNARY, 2: _BINARY}.get(arguments, {})
    # By identity, and no hash is asked of what a user gave.
    return next((template for known, template in table.items() if known is f), None)


def native_expression(template: str, arguments: tuple[ast.expr, ...]) -> ast.expr:
    """Fill the template with expressions that may be repeated, such as names."""
    return ast.parse(template.format(*map(ast.unparse, arguments)), mode="eval").body
