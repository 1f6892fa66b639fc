"""The text and the syntax of a generated function, statement by statement."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from millstream.execution.fusion.place import Place

Part: TypeAlias = str | ast.expr

_INDENT = "    "


class Lines:
    """Collects the statements of one function, each with the place it has for errors.

    A statement is written as a template whose fields are names of the loop or expressions. Where an expression of
    the user is spread over several lines, so is the statement: line `place.line + i` of the generated source is
    line `place.user_line + i` of the user's file.

    Attributes:
        text: the lines; the first is left for the head of the function.
        places: by line, what the statement there does.
    """

    def __init__(self) -> None:
        self.text = [""]
        self.places: dict[int, Place] = {}
        self._blocks: list[list[ast.stmt]] = [[]]

    @property
    def body(self) -> list[ast.stmt]:
        """The statements written so far, with those within them."""
        return self._blocks[0]

    def add(self, template: str, place: Place | None = None, origin: str = "", **parts: Part) -> None:
        """Write one simple statement.

        Args:
            template: Python with fields for the parts.
            place: for errors; None where none can happen.
            origin: a remark on where the expression comes from, for whoever reads the source.
            **parts: names, or expressions.
        """
        statement = self._statement(template, parts, place)
        self._write(ast.unparse(statement).split("\n"), place, origin, statement)

    def open(self, template: str, place: Place | None = None, origin: str = "", **parts: Part) -> None:
        """Write the head of a block, `for ...:` or `if ...:`; what follows stands within until `close`."""
        statement = self._statement(template + " pass", parts, place)
        assert isinstance(statement, ast.For | ast.If)
        self._write(ast.unparse(statement).split("\n")[:-1], place, origin, statement)
        statement.body = []
        self._blocks.append(statement.body)

    def otherwise(self) -> None:
        """Go on in the `else` of the `if` that is open."""
        self._blocks.pop()
        statement = self._blocks[-1][-1]
        assert isinstance(statement, ast.If)
        self._blocks.append(statement.orelse)
        self.text.append(_INDENT * (len(self._blocks) - 1) + "else:")

    def close(self) -> None:
        """Close the block that was opened last."""
        self._blocks.pop()

    def close_all(self) -> None:
        """Close every block."""
        del self._blocks[1:]

    def _statement(self, template: str, parts: Mapping[str, Part], place: Place | None) -> ast.stmt:
        line = len(self.text) + 1
        names = {name: part if isinstance(part, str) else f"_{name}_part" for name, part in parts.items()}
        statement = ast.parse(template.format(**names)).body[0]
        move(statement, line)
        # Why copies: the same name of the loop stands in many statements.
        expressions = {f"_{name}_part": copy.copy(part) for name, part in parts.items() if isinstance(part, ast.expr)}
        for part in expressions.values():
            move(part, line, None if place is None else place.user_line)
        _Fill(expressions).visit(statement)
        self._blocks[-1].append(statement)
        return statement

    def _write(self, text: list[str], place: Place | None, origin: str, statement: ast.stmt) -> None:
        line = len(self.text) + 1
        last = max(node.end_lineno or line for node in ast.walk(statement) if isinstance(node, ast.expr | ast.stmt))
        height = max(len(text), last - line + 1)
        if place is not None:
            place = replace(place, line=line)
            self.places.update(dict.fromkeys(range(line, line + height), place))
        text[0] += f"  # {origin}" if origin else ""
        text += ["#"] * (height - len(text))
        self.text += [_INDENT * len(self._blocks) + row for row in text]


class _Fill(ast.NodeTransformer):
    def __init__(self, expressions: Mapping[str, ast.expr]) -> None:
        self._expressions = expressions

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._expressions.get(node.id, node)


def move(tree: ast.AST, line: int, user_line: int | None = None) -> None:
    """Bring a tree to a line: a whole part of the user's file as it stands there, anything else into one point."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.excepthandler):
            continue
        if user_line is None or not hasattr(node, "lineno"):
            node.lineno = node.end_lineno = line
            node.col_offset = node.end_col_offset = 0
            continue
        # Why max: some versions of Python place parts of an f-string before it.
        end_line = node.lineno if node.end_lineno is None else node.end_lineno
        node.lineno = line + max(0, node.lineno - user_line)
        node.end_lineno = max(node.lineno, line + end_line - user_line)
        if node.end_lineno == node.lineno and (node.end_col_offset or 0) < node.col_offset:
            node.end_col_offset = node.col_offset
