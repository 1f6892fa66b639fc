"""Column kernels: stages over lines of text that the core runs on the Arrow columns, without a str for each line."""

from __future__ import annotations

import ast
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from millstream._core import count_words, split_words, word_counts
from millstream.execution.fusion.callee import Call, Callee, Inline, Native
from millstream.execution.fusion.native_operator import native_template
from millstream.execution.fusion.proof import Proof
from millstream.execution.fusion.shape import Function, Step
from millstream.model.partition import Columns
from millstream.rdd.operations import Collect, Combine, Count, CountValues, End, FlatMap, Map


@dataclass(frozen=True, slots=True)
class ColumnKernel:
    """Splits lines into words and gives what the loop of the stage would give: equal objects of the same types.

    Attributes:
        separator: what lines are split at; None: white space, as in `str.split()`.
        end: `Count` gives the number of words, `Collect` their list, `CountValues` a dict of how often each occurs, in
            order of first appearance.
        unit: what one occurrence counts in that dict.
    """

    separator: str | None
    end: type[End]
    unit: int = 1

    def run(self, columns: Columns) -> Any:
        """Run over a partition.

        Returns:
            The result of the stage; None where these columns are not lines of text without nulls, so that the loop has
            to run, and to fail where it does.

        Example:
            >>> import pyarrow as pa
            >>> lines = Columns(pa.table({"value": ["to be or", "not to be"]}), scalar=True)
            >>> ColumnKernel(None, CountValues).run(lines), ColumnKernel("o", Collect).run(lines)
            ({'to': 2, 'be': 2, 'or': 1, 'not': 1}, ['t', ' be ', 'r', 'n', 't t', ' be'])
        """
        if not columns.scalar:
            return None
        import pyarrow.types as kinds

        column = columns.table.column(0)
        if not kinds.is_string(column.type) and not kinds.is_large_string(column.type):
            return None
        if self.end is Count:
            return count_words(column, self.separator)
        if self.end is Collect:
            return split_words(column, self.separator)
        return word_counts(column, self.separator, self.unit)


def kernel_of(steps: Sequence[Step], functions: Sequence[Function]) -> ColumnKernel | None:
    """Recognise a stage that the core can run over lines of text, or give None.

    The functions must be proven to do nothing else: the first one splits the line, and either an end follows that
    counts or lists the words, or they become pairs with one whole number, which are added up by word.

    Args:
        steps: the operations and the end.
        functions: the functions of all steps.
    """
    if steps[0].kind is not FlatMap:
        return None
    split = _split_of(steps[0].callees[0], functions[0])
    if split is None:
        return None
    match steps[1:]:
        case [Step(kind=end, option=False)] if end in (Count, Collect, CountValues):
            return ColumnKernel(*split, end)
        case [Step(kind=mapped, callees=[pair]), Step(kind=end, callees=[merge], option=False)] if (
            mapped is Map and end is Combine and _adds(merge)
        ):
            unit = _unit_of(pair)
            return None if unit is None else ColumnKernel(*split, CountValues, unit)
        case _:
            return None


def _split_of(callee: Callee, f: Function) -> tuple[str | None] | None:
    """Give the separator of a function that does nothing but split its argument, a str."""
    match callee:
        case Call(batch=False) if f is str.split:
            return (None,)
        case Inline(
            proof=Proof(
                parameters=(line, *_),
                expression=ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="split"), args=args, keywords=named
                ),
            ),
            batch=False,
        ) if name == line:
            return _separator_of(args, named)
        case _:
            return None


def _separator_of(args: Sequence[ast.expr], named: Sequence[ast.keyword]) -> tuple[str | None] | None:
    match [*args], [*named]:
        case (
            ([], []) | ([ast.Constant(value=None)], []) | ([], [ast.keyword(arg="sep", value=ast.Constant(value=None))])
        ):
            return (None,)
        case ([ast.Constant(value=str(separator))], []) | (
            [],
            [ast.keyword(arg="sep", value=ast.Constant(value=str(separator)))],
        ):
            return (separator,) if separator and _is_unicode(separator) else None
        case _:
            return None


def _is_unicode(text: str) -> bool:
    """Say whether a str can be UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unit_of(callee: Callee) -> int | None:
    """Give the number of a function that does nothing but pair its argument with one constant whole number."""
    match callee:
        case Inline(
            proof=Proof(parameters=(word, *_), expression=ast.Tuple(elts=[ast.Name(id=name), value])), batch=False
        ) if name == word:
            return _whole_number(value)
        case _:
            return None


def _whole_number(expression: ast.expr) -> int | None:
    match expression:
        case ast.Constant(value=value) if type(value) is int:  # True is no number that may become 2.
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if type(value) is int:
            return -value
        case _:
            return None


def _adds(callee: Callee) -> bool:
    """Say whether a function does nothing but add its two arguments; of whole numbers the order does not matter."""
    match callee:
        case Native(template):
            return template == native_template(operator.add, 2)
        case Inline(
            proof=Proof(
                parameters=(a, b, *_),
                expression=ast.BinOp(left=ast.Name(id=left), op=ast.Add(), right=ast.Name(id=right)),
            ),
            batch=False,
        ):
            return {left, right} == {a, b}
        case _:
            return False
