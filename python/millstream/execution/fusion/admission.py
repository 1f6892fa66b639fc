"""Which expressions may be moved out of their function into a loop, with identical results."""

from __future__ import annotations

import ast

FRAME_READERS = frozenset(
    {
        # What these give depends on the frame that calls them.
        *("breakpoint", "dir", "eval", "exec", "globals", "locals", "super", "vars", "__class__"),
        *("_getframe", "_getframemodulename", "currentframe", "getouterframes", "stack"),
        *("extract_stack", "format_stack", "print_stack", "walk_stack"),
        # These note the file and the line of their caller.
        *("warn", "debug", "info", "warning", "error", "exception", "critical"),
    }
)
"""Names whose calls see which function they are called from; whatever has such a name is taken for it."""

_DEPTH_MAX = 50
"""Levels of an expression; what walks it recurses, and must not come near Python's limit."""

_REFUSED = (
    ast.Lambda,  # It could outlive the record and would see the loop's next one.
    ast.GeneratorExp,  # Likewise.
    ast.NamedExpr,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
)
_TARGETS = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.expr_context)


def may_be_inlined(expression: ast.expr) -> bool:
    """Say whether an expression gives the same in a loop as it gave in its function.

    Example:
        >>> [may_be_inlined(ast.parse(text, mode="eval").body) for text in ("x + 1", "locals()", "(lambda: x)")]
        [True, False, False]
    """
    return _depth_within(expression, _DEPTH_MAX) and all(map(_admitted, ast.walk(expression)))


def _depth_within(tree: ast.AST, limit: int) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(limit):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def _admitted(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            # A class mangles `__name`, and what class the function stood in is not in its syntax.
            private = name.startswith("__") and not name.endswith("__")
            return name not in FRAME_READERS and not private
        case ast.keyword(arg=str(name)):
            return not name.startswith("__") or name.endswith("__")
        case ast.comprehension():
            plain = all(isinstance(part, _TARGETS) for part in ast.walk(node.target))
            return plain and not node.is_async
        case _:
            return not isinstance(node, _REFUSED)
