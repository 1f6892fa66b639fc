"""Writing what happens to the record of the moment."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from millstream.execution.fusion.callee import Callee, Inline, Native
from millstream.execution.fusion.inlining import inlined
from millstream.execution.fusion.lines import Lines
from millstream.execution.fusion.loop import CellVariable, DefaultArgument, FunctionArgument
from millstream.execution.fusion.names import Names
from millstream.execution.fusion.native_operator import native_expression
from millstream.execution.fusion.pair import as_pair
from millstream.execution.fusion.place import Place, Role
from millstream.execution.fusion.record import Atom, Record
from millstream.execution.fusion.shape import Step


class RecordWriter:
    """The pieces that operations are written with, and what the loop's variables hold while it is written.

    Args:
        steps: the operations and the end.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        inline = (callee for step in steps for callee in step.callees if isinstance(callee, Inline))
        self.names = Names(name for callee in inline for name in callee.proof.identifiers)
        self.lines = Lines()
        self.record = Record()
        self.batch = self.names.variable("batch")
        self._step = 0
        self._given = Record()
        self._inlined_with: dict[int, dict[str, Record]] = {}

    def at(self, step: int) -> None:
        """Turn to another step, which is given the record as it stands."""
        self._step = step
        self._given = self.record

    @property
    def step(self) -> Step:
        """The step that is being written."""
        return self.steps[self._step]

    def input(self) -> Record:
        """Give the record for the step's function: as halves only where that looks at nothing else."""
        callee = self.step.callees[0]
        halves = isinstance(callee, Inline) and callee.proof.parameters[0] in callee.proof.indexed
        if not (halves and self.record.pair and self.record.key is not None):
            self.whole()
        return self.record

    def whole(self) -> Atom:
        """Give the record as one object, built if it was not yet."""
        if self.record.whole is None:
            x = self.names.variable("x")
            self.lines.add("{x} = ({k}, {v})", x=x.id, k=known(self.record.key), v=known(self.record.value))
            self.record = replace(self.record, whole=x)
        return known(self.record.whole)

    def pair(self) -> tuple[Atom, Atom]:
        """Give both halves of the record, taken apart if it was not yet; the loop refuses what is not a pair."""
        if self.record.key is None:
            k, v = self.names.variable("k"), self.names.variable("v")
            self._unpack(k.id, v.id, known(self.record.whole))
            self.record = replace(self.record, key=k, value=v)
        return known(self.record.key), known(self.record.value)

    def _unpack(self, k: str, v: str, x: Atom) -> None:
        if self.record.pair:
            self.lines.add("{k}, {v} = {x}", k=k, v=v, x=x)
            return
        place = self.place(Role.PAIR, subject=x)
        type_of, plain = self.names.fixed("type_of", type), self.names.fixed("tuple_type", tuple)
        self.lines.open("if {type_of}({x}) is {plain}:", type_of=type_of, x=x, plain=plain)
        self.lines.add("{k}, {v} = {x}", place, k=k, v=v, x=x)
        self.lines.otherwise()
        as_pair_ = self.names.fixed("as_pair", as_pair)
        self.lines.add("{k}, {v} = {as_pair}({x})", place, k=k, v=v, as_pair=as_pair_, x=x)
        self.lines.close()

    def applied(self, given: Sequence[Record], which: int = 0) -> ast.expr:
        """Give the expression that applies a function of the step."""
        callee = self.step.callees[which]
        if isinstance(callee, Native):
            return native_expression(callee.template, tuple(known(record.whole) for record in given))
        if callee.batch:
            given = [*given, Record(whole=self.batch)]
        if isinstance(callee, Inline):
            return self._inlined(callee, which, given)
        f = self.names.argument("f", FunctionArgument(self._function(which)))
        return ast.Call(f, [known(record.whole) for record in given], [])

    def _inlined(self, callee: Inline, which: int, given: Sequence[Record]) -> ast.expr:
        proof, function = callee.proof, self._function(which)
        arguments = dict(zip(proof.parameters, given, strict=False))
        for position, parameter in enumerate(proof.parameters[len(given) :], start=len(given)):
            arguments[parameter] = Record(whole=self.names.argument(parameter, DefaultArgument(function, position)))
        self._inlined_with[which] = arguments
        cells = {name: self.names.cell(CellVariable(function, name)) for name in proof.code.co_freevars}
        return inlined(proof, arguments, cells)

    def atom(self, expression: ast.expr, prefix: str, which: int = 0) -> Atom:
        """Give something that may be repeated: the expression itself, or a new variable that is assigned it."""
        if isinstance(expression, ast.Constant):
            return ast.Constant(expression.value)
        if isinstance(expression, ast.Name) and self.names.is_variable(expression):
            return ast.Name(expression.id, ast.Load())
        variable = self.names.variable(prefix)
        self.apply("{variable} = {value}", expression, which, variable=variable.id)
        return variable

    def apply(self, template: str, expression: ast.expr, which: int = 0, **parts: str | ast.expr) -> None:
        """Write the statement in which a function of the step does its work, as `value` of the template."""
        callee = self.step.callees[which]
        place = self.place(Role.CALL, which)
        if isinstance(callee, Inline):
            place = replace(place, user_line=expression.lineno, arguments=self._inlined_with[which])
        self.lines.add(template, place, _origin(callee), value=expression, **parts)

    def each(self, expression: ast.expr, prefix: str) -> ast.Name:
        """Open a loop over what the step's function returned."""
        items = self.atom(expression, "items")
        each = self.names.variable(prefix)
        place = self.place(Role.ITERATE, 0, subject=items)
        self.lines.open("for {each} in {items}:", place, each=each.id, items=items)
        return each

    def place(self, role: Role, which: int | None = None, *, subject: Atom | None = None) -> Place:
        """Say for errors what a statement does."""
        function = None if which is None else self._function(which)
        return Place(self._step, role, function, self._given, subject)

    def _function(self, which: int) -> int:
        return sum(len(step.callees) for step in self.steps[: self._step]) + which


def known(atom: Atom | None) -> Atom:
    """Give an atom that must be there."""
    assert atom is not None  # Invariant: a record is whole or both halves.
    return atom


def _origin(callee: Callee) -> str:
    if not isinstance(callee, Inline):
        return ""
    return f"{callee.proof.code.co_filename}:{callee.proof.expression.lineno}"
